"""Which images are validated on: names of lists and folders, and data with a training split."""

import json
from pathlib import Path

import pytest

from focal_star.data.validation.checks import check_folder

DIVIDED = "the data have no validation split"


def names(folder: Path) -> tuple[list[str], list[str]]:
    """The images of the two splits of a folder without problems."""
    check = check_folder(folder)
    assert check.problems == []
    train, val = (
        sorted(image["file_name"] for image in content["images"])
        for content in check.dataset.contents.values()
    )
    return train, val


def val_warnings(folder: Path) -> list[str]:
    return check_folder(folder).describe()["val"]["warnings"]


def relist(voc_2007, lists: dict[str, list[str]]) -> None:
    """Replace the lists of a folder of Pascal VOC; a list's name is its path in the folder."""
    for path in (voc_2007.folder / "ImageSets" / "Main").iterdir():
        path.unlink()
    for name, images in lists.items():
        (voc_2007.folder / name).write_text("".join(f"{image}\n" for image in images))


HALVES = (["000001.jpg", "000002.jpg"], ["000003.jpg", "000004.jpg"])


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("ImageSets/Main/Train.txt", "ImageSets/Main/Validation.txt"),  # CVAT's
        ("ImageSets/Main/train.txt", "ImageSets/Main/valid.txt"),
        ("ImageSets/Main/training.txt", "ImageSets/Main/TEST.txt"),
        ("ImageSets/train.txt", "ImageSets/val.txt"),
        ("train.txt", "val.txt"),
    ],
)
def test_names_of_lists(voc_2007, train, val):
    relist(voc_2007, {train: ["000001", "000002"], val: ["000003", "000004"]})
    assert names(voc_2007.folder) == HALVES


def test_a_list_may_name_the_annotation_files(voc_2007):
    line = "JPEGImages/{0}.jpg Annotations/{0}.xml"
    halves = {"train.txt": ("000001", "000002"), "val.txt": ("000003", "000004")}
    relist(voc_2007, {name: [*map(line.format, of)] for name, of in halves.items()})
    assert names(voc_2007.folder) == HALVES


def test_a_validation_list_of_a_tool_is_not_trained_on(voc_2007):
    """Pascal VOC's own lists train and val are both trained on where test has annotations."""
    lists = {"Train": ["000001", "000002"], "Validation": ["000003"], "Test": ["000004"]}
    relist(voc_2007, {f"ImageSets/Main/{name}.txt": of for name, of in lists.items()})
    assert names(voc_2007.folder) == (["000001.jpg", "000002.jpg"], ["000003.jpg"])
    assert val_warnings(voc_2007.folder)[0] == "the images of ImageSets/Main/Test.txt are not used"


def test_a_training_list_alone_is_divided(voc_2007):
    relist(voc_2007, {"ImageSets/Main/train.txt": ["000001", "000002", "000003"]})
    train, val = names(voc_2007.folder)
    assert sorted(train + val) == ["000001.jpg", "000002.jpg", "000003.jpg"] and val
    assert val_warnings(voc_2007.folder)[0].startswith(DIVIDED)


@pytest.mark.parametrize("val", ["val", "Valid", "images_validation", "val2017"])
@pytest.mark.parametrize(
    ("annotations", "images"), [("Annotations", "JPEGImages"), ("annotations", "images")]
)
def test_folders_of_the_images_of_voc(voc_2007, tmp_path, annotations, images, val):
    folder = tmp_path / "export"
    for number in range(1, 5):
        name = f"{'train' if number < 3 else val}/00000{number}"
        for part, path in (
            (annotations, voc_2007.xml(f"00000{number}")),
            (images, voc_2007.folder / "JPEGImages" / f"00000{number}.jpg"),
        ):
            target = folder / part / f"{name}{path.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    train, val_names = names(folder)
    assert train == ["train/000001.jpg", "train/000002.jpg"]
    assert val_names == [f"{val}/000003.jpg", f"{val}/000004.jpg"]
    assert not any(line.startswith(DIVIDED) for line in val_warnings(folder))


def single(tiny, files: list[str]) -> Path:
    """A data set in COCO's format with one annotation file."""
    images = []
    for number, name in enumerate(files, start=1):
        path = tiny.images / name
        path.parent.mkdir(exist_ok=True)
        tiny.save_image(f"{number}.png")
        (tiny.images / f"{number}.png").rename(path)
        images.append({"id": number, "file_name": name, "width": 64, "height": 48})
    annotations = [
        {"id": one["id"], "image_id": one["id"], "category_id": 3, "bbox": [4, 5, 20, 30]}
        for one in images
    ]
    content = tiny.json["train"] | {"images": images, "annotations": annotations}
    (tiny.folder / "annotations.json").write_text(json.dumps(content))
    return tiny.folder


def test_folders_in_a_single_file(tiny):
    folder = single(tiny, ["train/1.png", "test/1.png", "val/1.png", "train/2.png", "0.png"])
    assert names(folder) == (["train/1.png", "train/2.png"], ["val/1.png"])
    assert val_warnings(folder)[:2] == [
        "the images of test and ./ are not used", "these are the images in 'val'",
    ]  # fmt: skip


def test_folders_of_training_and_test_images(tiny):
    assert names(single(tiny, ["test/1.png", "trainval/1.png"])) == (
        ["trainval/1.png"], ["test/1.png"],
    )  # fmt: skip


def test_a_folder_without_annotations_is_no_split(tiny):
    folder = single(tiny, ["train/1.png", "train/2.png", "train/3.png", "test/1.png"])
    content = json.loads((folder / "annotations.json").read_text())
    content["annotations"] = content["annotations"][:3]
    (folder / "annotations.json").write_text(json.dumps(content))
    train, val = names(folder)
    assert "train/1.png" in train + val and val_warnings(folder)[0].startswith(DIVIDED)


@pytest.mark.parametrize("line", ["/home/me/yolo/images/{}.jpg 1,2,3,4,0", "{} is a word", ""])
def test_lists_of_another_tool_beside_the_annotations_are_no_lists(voc_2007, line):
    relist(voc_2007, {"train.txt": [line.format("000001")], "val.txt": [line.format("000003")]})
    train, val = names(voc_2007.folder)
    assert len(train + val) == 4 and val_warnings(voc_2007.folder)[0].startswith(DIVIDED)


@pytest.mark.parametrize("files", [["train/1.png", "cam/1.png"], ["val/1.png", "cam/1.png"]])
def test_the_folder_of_one_split_alone_divides_nothing(tiny, files):
    folder = single(tiny, files)
    train, val = names(folder)
    assert len(train) == len(val) == 1
    assert val_warnings(folder)[0].startswith(DIVIDED)


@pytest.mark.parametrize(
    "file", ["annotations/instances_Train.json", "annotations/train.json", "train.json"]
)
def test_a_training_file_alone_is_divided(tiny, file):
    path = tiny.folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(tiny.json["train"]))
    train, val = names(tiny.folder)
    assert sorted(train + val) == ["a.png", "sub/b.jpg"] and len(val) == 1
    assert val_warnings(tiny.folder)[0].startswith(DIVIDED)


def test_half_of_this_projects_layout_is_incomplete(tiny):
    tiny.write()
    (tiny.folder / "instances_val.json").unlink()
    (problem,) = check_folder(tiny.folder).problems
    assert problem.message.startswith("instances_val.json: there is no such file")
