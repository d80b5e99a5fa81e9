"""Small data sets as people's tools write them (tests/fixtures/cases), and what the check says."""

import json
import tarfile
from pathlib import Path

import pytest

from focal_star.data.__main__ import main
from focal_star.data.validation.checks import check_folder
from focal_star.data.validation.images import ImageOptions

FIXTURES = Path(__file__).parents[2] / "fixtures" / "cases"

OK: tuple[str, ...] = ()
"""It is read, and nothing is said."""

EXPECTED = {
    "38-sound": OK,
    "01-hash-image-ids": OK,
    "02-roboflow-root-category": ("1 category ('parts-Xy3z'): ", "left out"),
    "02b-iscrowd-null": OK,
    "03-same-picture-both-splits": ("3 images (", "'0004.jpg', which is '0004.jpg' in train"),
    "04a-area-of-the-image": ("18 annotations (", "the box's area is used"),
    "04-labelstudio-images-prefix": OK,
    "05-normalised-boxes": (
        "problem: normalised-boxes",
        "multiply x and width by the image's",
        "the centre",
    ),
    "06-annotations-one-images": OK,
    "07-linked-pictures/data": ("problem: broken-image", "DATASETS.LINKS True"),
    "08-flat-images-folder": OK,
    "10-voc-no-trainval/VOCdevkit": ("train.txt and VOC2099/ImageSets/Main/val.txt", "test.txt"),
    "12-float-size": OK,
    "12a-voc-lists-with-extension/VOCdevkit": OK,
    "13-128-bit-ids": ("replaced by 1, 2, 3",),
    "14-names-that-look-alike": ("'truck' and 'truck ' and 'Truck'",),
    "15a-two-point-segmentation": ("18 annotations (", "segmentation is malformed"),
    "16-three-px-over-the-edge": ("problem: box-outside", "extends beyond its image"),
    "18-byte-order-mark": OK,
    "20-decomposed-names": OK,
    "24-three-hundred-objects": ("2 images (", "TEST.DETECTIONS_PER_IMAGE"),
    "25-background-pictures": ("6 images (", "DATALOADER.FILTER_EMPTY_ANNOTATIONS"),
    "39-voc-subfolders/VOCdevkit": OK,
    "43-rgb-and-infrared-tiff": ("6 of 6 images", "which is left out"),
    "51g-voc-no-xml-for-negative": ("1 image ('p001.jpg'): there is no annotation file",),
}
"""Folder -> the parts of what the check says."""


@pytest.fixture(scope="session")
def cases(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    with tarfile.open(FIXTURES / "cases.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def said(folder: Path, options: ImageOptions) -> list[str]:
    """The problems, each after its kind; or the warnings."""
    check = check_folder(folder, options)
    if check.problems:
        return [f"problem: {problem.kind}: {problem.message}" for problem in check.problems]
    cards = check.describe().values()
    return [line for card in cards for key in ("warnings", "conversions") for line in card[key]]


@pytest.mark.parametrize("case", EXPECTED)
def test_case_gives_what_is_expected(cases, case):
    lines = said(cases / case, ImageOptions())
    if EXPECTED[case] == OK:
        assert lines == []
    for part in EXPECTED[case]:
        assert any(part in line for line in lines), lines
    if not any(part.startswith("problem") for part in EXPECTED[case]):
        assert not any(line.startswith("problem") for line in lines), lines


def test_every_case_has_an_expectation(cases):
    assert {path.name for path in cases.iterdir()} == {case.split("/")[0] for case in EXPECTED}


@pytest.mark.parametrize("real", [True, False])
def test_links_are_followed_on_request(cases, tmp_path, real):
    folder = cases / "07-linked-pictures" / "data"
    if real:  # the archive has them as git leaves links where it cannot make them: as texts
        folder = tmp_path / "linked" / "data"
        (folder / "images").mkdir(parents=True)
        for name in ("train", "val"):
            file = f"instances_{name}.json"
            (folder / file).write_bytes((cases / "07-linked-pictures/data" / file).read_bytes())
        for text in (cases / "07-linked-pictures/data/images").iterdir():
            target = (text.parent / text.read_text().strip()).resolve()
            (folder / "images" / text.name).symlink_to(target)
        assert any("is a link out of the data set" in line for line in said(folder, ImageOptions()))
    assert said(folder, ImageOptions(links=True)) == []


def test_ids_beyond_64_bits_count_like_small_ones(cases):
    """The content is that of the same images with the ids 1, 2, ... in the same order."""
    check = check_folder(cases / "13-128-bit-ids")
    for content in check.dataset.contents.values():
        ids = [image["id"] for image in content["images"]]
        assert ids == list(range(1, len(ids) + 1))
        assert {one["image_id"] for one in content["annotations"]} == set(ids)


def test_areas_that_contradict_their_boxes_are_replaced(cases):
    card = check_folder(cases / "04a-area-of-the-image").describe()["train"]
    sound = check_folder(cases / "38-sound").describe()["train"]
    sizes = ("num_small", "num_medium", "num_large")
    assert [card[key] for key in sizes] == [sound[key] for key in sizes]


def test_repaired_copy_of_boxes_over_the_edge(cases, tmp_path, capsys):
    folder = cases / "16-three-px-over-the-edge"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["check", str(folder), "--fix", str(tmp_path / "copy")]) == 0
    out = capsys.readouterr().out
    assert "bbox [121, 1, 42, 34] is clipped to [121, 1, 39, 34]" in out and "30 changes" in out
    assert len((tmp_path / "copy" / "changes.txt").read_text().splitlines()) == 30
    content = json.loads((tmp_path / "copy" / "instances_train.json").read_text())
    assert content["annotations"][0]["bbox"] == [121, 1, 39, 34]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert main(["check", str(folder), "--fix", str(tmp_path / "copy")]) == 1
    assert "is there already" in capsys.readouterr().out


def test_categories_are_merged_on_request(cases, tmp_path, capsys):
    folder = str(cases / "14-names-that-look-alike")
    assert main(["check", folder, "--fix", str(tmp_path / "same")]) == 0
    assert "0 changes" in capsys.readouterr().out
    assert main(["check", folder, "--fix", str(tmp_path / "merged"), "--merge"]) == 0
    out = capsys.readouterr().out
    assert "'truck', 'truck ', 'Truck' are now 'truck'" in out and "1 category" in out
    sound = check_folder(folder).describe()["train"]
    merged = check_folder(tmp_path / "merged").describe()["train"]
    assert merged["num_instances"] == sound["num_instances"]


@pytest.mark.parametrize("case", ["05-normalised-boxes"])
def test_boxes_of_another_form_are_not_repaired(cases, tmp_path, capsys, case):
    assert main(["check", str(cases / case), "--fix", str(tmp_path / "copy")]) == 1
    assert "0 changes" in capsys.readouterr().out
