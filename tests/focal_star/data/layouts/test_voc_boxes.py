"""The boxes in Pascal VOC's files: from which number pixels count, and rotated boxes."""

from pathlib import Path

import pytest

from focal_star.data.validation.checks import check_folder


def elsewhere(voc_2007, annotations: str, images: str) -> Path:
    """The folder, with its files in other places."""
    for path in (voc_2007.folder / "ImageSets" / "Main").iterdir():
        path.unlink()
    for old, new in (("Annotations", annotations), ("JPEGImages", images)):
        (voc_2007.folder / old).rename(voc_2007.folder / new)
    return voc_2007.folder


def box_of(folder: Path, name: str) -> list[float]:
    """The box of the first object of an image."""
    check = check_folder(folder)
    assert check.problems == []
    return next(
        one["bbox"]
        for content in check.dataset.contents.values()
        for image in content["images"]
        for one in content["annotations"]
        if image["file_name"].startswith(name) and one["image_id"] == image["id"]
    )


def notes(folder: Path) -> list[str]:
    lines = check_folder(folder).describe()["train"]["warnings"]
    return [line for line in lines if line.startswith("the corners of the boxes")]


def test_corners_of_vocs_own_folders_count_from_1(voc_2007):
    voc_2007.annotate("000001", [("dog", (10, 20, 30, 40), 0)])
    assert box_of(voc_2007.folder, "000001") == [9, 19, 21, 21]
    assert notes(voc_2007.folder) == []


@pytest.mark.parametrize("corner", [(0, 5, 20, 30), (5, 0.5, 20, 30)])
def test_a_corner_below_1_shows_that_all_count_from_0(voc_2007, corner):
    voc_2007.annotate("000001", [("dog", (10, 20, 30.5, 40), 0)])  # of the training split
    voc_2007.annotate("000004", [("dog", corner, 0)])  # of the validation split
    assert box_of(voc_2007.folder, "000001") == [10, 20, 20.5, 20]
    (note,) = notes(voc_2007.folder)
    assert "from 0, because 'Annotations/000004.xml: object 1' has one below 1" in note


def test_a_corner_outside_of_the_image_shows_nothing(voc_2007):
    voc_2007.annotate("000001", [("dog", (-3, 20, 30, 40), 0)])
    (problem,) = check_folder(voc_2007.folder).problems
    assert problem.kind == "box-outside" and "[-4, 19, 34, 21]" in problem.message


@pytest.mark.parametrize(
    ("places", "box", "words"),
    [
        (("labels", "data"), [10, 20, 20, 20], "from 0, as FiftyOne writes them"),
        (("annotations", "images"), [9, 19, 21, 21], "from 1, as in Pascal VOC"),
    ],
)
def test_the_rule_for_files_of_other_tools_is_named(voc_2007, places, box, words):
    voc_2007.annotate("000001", [("dog", (10, 20, 30, 40), 0)])
    folder = elsewhere(voc_2007, *places)
    assert box_of(folder, "000001") == box
    (note,) = notes(folder)
    assert words in note


def rotate(voc_2007, degrees: str) -> None:
    attribute = f"<attribute><name>rotation</name><value>{degrees}</value></attribute>"
    path = voc_2007.xml("000001")
    text = path.read_text().replace("</bndbox>", f"</bndbox><attributes>{attribute}</attributes>")
    path.write_text(text)


def test_a_rotated_box_of_cvat_becomes_the_box_around_it(voc_2007):
    # From 10 to 30 and 15 to 25: a quarter turn of 20 x 10 px around (20, 20).
    voc_2007.annotate("000001", [("dog", (11, 16, 30, 25), 0)])
    rotate(voc_2007, "90.0")
    assert box_of(voc_2007.folder, "000001") == [15, 10, 10, 20]
    (warning,) = check_folder(voc_2007.folder).describe()["train"]["warnings"]
    assert warning.startswith("1 annotation ('Annotations/000001.xml: object 1'): the box is rot")


@pytest.mark.parametrize("degrees", ["0.0", "nan", "left", ""])
def test_what_is_no_rotation_changes_nothing(voc_2007, degrees):
    voc_2007.annotate("000001", [("dog", (11, 16, 30, 25), 0)])
    rotate(voc_2007, degrees)
    assert box_of(voc_2007.folder, "000001") == [10, 15, 20, 10]


def test_hidden_files_are_no_annotations(voc_2007):
    (voc_2007.folder / "Annotations" / "._000001.xml").write_bytes(b"\0\5\x16\7")
    for path in (voc_2007.folder / "ImageSets" / "Main").iterdir():
        path.unlink()
    assert check_folder(voc_2007.folder).problems == []


def test_an_image_without_annotation_file_is_not_decoded_for_its_size(voc_2007):
    voc_2007.xml("000001").unlink()
    path = voc_2007.folder / "JPEGImages" / "000001.jpg"
    path.write_bytes(path.read_bytes()[:-20])  # its header gives its size
    kinds = [problem.kind for problem in check_folder(voc_2007.folder).problems]
    assert kinds == ["broken-image"]
