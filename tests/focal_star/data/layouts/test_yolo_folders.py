"""Where the classes and images of YOLO's layouts are found, and what is said where they are not."""

import json
from pathlib import Path

import pytest
from PIL import Image

from focal_star.data.validation.checks import check_folder
from tests.focal_star.data.layouts.test_yolo import MIDDLE, YoloSet


@pytest.fixture
def small(tmp_path: Path) -> YoloSet:
    return YoloSet(tmp_path / "set")


ROBOFLOW = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: [cat, no]\n"


@pytest.fixture
def roboflow(small) -> YoloSet:
    """Roboflow's layout; it names folders that it does not write, as they would be empty."""
    small.write("data.yaml", ROBOFLOW)
    for part in ("images", "labels"):
        (small.folder / "train").mkdir(exist_ok=True)
        (small.folder / part / "train").rename(small.folder / "train" / part)
    return small


def put_val(small: YoloSet, name: str) -> None:
    (small.folder / name).mkdir()
    for part in ("images", "labels"):
        (small.folder / part / "val").rename(small.folder / name / part)


def test_without_validation_images_of_roboflow_its_test_images_are_used(roboflow):
    put_val(roboflow, "test")
    card = check_folder(roboflow.folder).describe()["val"]
    assert (card["num_images"], card["warnings"]) == (
        2, ["these are the images of test in data.yaml"],
    )  # fmt: skip


def test_training_images_of_roboflow_alone_are_divided(roboflow):
    check = check_folder(roboflow.folder)
    assert check.problems == []
    cards = check.describe()
    assert [card["num_images"] for card in cards.values()] == [1, 1]
    assert cards["val"]["warnings"][0].startswith("the data have no validation split")


@pytest.mark.parametrize("name", ["val", "Validation"])
def test_a_folder_of_another_name_is_named_as_missing(roboflow, name):
    put_val(roboflow, name)
    ((kind, message),) = roboflow.problems()
    assert kind == "missing-file"
    text, _, near = message.partition("; ")
    assert text == "data.yaml: val: there is no '../valid/images' in the folder"
    assert near.startswith("it has ") and f"'{name}/'" in near


@pytest.mark.parametrize("val", ["../valid/images", "../images/valid", "../val/images"])
def test_no_other_folder_stands_in_for_that_of_a_split(small, val):
    """Neither the data set's own folder nor images/, which has the training images."""
    small.write("data.yaml", f"train: images/train\nval: {val}\nnames: [cat, no]\n")
    ((_, message),) = small.problems()
    text, _, near = message.partition("; ")
    assert text == f"data.yaml: val: there is no '{val}' in the folder"
    assert near.startswith("images/ has 'train/'" if "images/" in val else "it has 'data.yaml'")


def test_images_of_a_list_in_other_folders_are_counted(small):
    small.write("data.yaml", "train: train.txt\nval: val.txt\nnames: [cat, no]\n")
    small.write("train.txt", "/home/me/images/train/0.png\n/home/me/set/1.png\n")
    small.write("val.txt", "/home/me/set/2.png\n/home/me/cam2/3.png\n")
    (small.folder / "images/cam1").mkdir()
    (small.folder / "images/val/3.png").rename(small.folder / "images/cam1/3.png")
    check = check_folder(small.folder)
    assert [p.message for p in check.problems] == [
        "data.yaml: val: there is no '/home/me/cam2/3.png' in the folder"
    ]
    lines = check.dataset.doubts.lines("train")
    assert lines[0].startswith("1 image ('/home/me/set/1.png'): file_name differs")


def without_yaml(small: YoloSet, moves: dict[str, str]) -> YoloSet:
    (small.folder / "data.yaml").unlink()
    for old, new in moves.items():
        (small.folder / new).parent.mkdir(parents=True, exist_ok=True)
        (small.folder / old).rename(small.folder / new)
    for folder in sorted(small.folder.rglob("*/"), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return small


SPLIT_FOLDERS = {
    f"{part}/{split}": f"{split}/{part}" for part in ("images", "labels") for split in
    ("train", "val")
}  # fmt: skip


def test_class_names_among_the_labels(small):
    without_yaml(small, {}).write("labels/classes.txt", "cat\nno\n")
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")


def test_class_names_among_the_labels_do_not_hide_another_layout(small):
    """Such as COCO's annotations of all images, of which some were also labelled for YOLO."""
    without_yaml(small, {}).write("labels/classes.txt", "cat\nno\n")
    paths = sorted((small.folder / "images").rglob("*.png"))
    images = [
        {"id": number, "file_name": path.relative_to(small.folder / "images").as_posix()}
        for number, path in enumerate(paths, start=1)
    ]
    for image, path in zip(images, paths, strict=True):
        with Image.open(path) as opened:
            image["width"], image["height"] = opened.size
    annotations = [
        {"id": one["id"], "image_id": one["id"], "category_id": 1, "bbox": [1, 2, 3, 4]}
        for one in images
    ]
    content = {
        "images": images, "annotations": annotations, "categories": [{"id": 1, "name": "dog"}],
    }  # fmt: skip
    (small.folder / "annotations.json").write_text(json.dumps(content))
    check = check_folder(small.folder)
    assert check.problems == []
    assert {c["name"] for one in check.dataset.contents.values() for c in one["categories"]} == {
        "dog"
    }


def test_class_names_beside_split_folders(small):
    without_yaml(small, SPLIT_FOLDERS).write("classes.txt", "cat\nno\n")
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")


IN_SPLITS = ["{}/labels/classes.txt", "{}/_darknet.labels"]


@pytest.mark.parametrize("file", IN_SPLITS)
def test_class_names_in_split_folders(small, file):
    without_yaml(small, SPLIT_FOLDERS)
    for split in ("train", "val"):
        small.write(file.format(split), "cat\nno\n")
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")


@pytest.mark.parametrize("file", IN_SPLITS)
def test_other_class_names_in_another_split_are_a_fault(small, file):
    without_yaml(small, SPLIT_FOLDERS).write(file.format("train"), "cat\nno\n")
    small.write(file.format("val"), "no\ncat\n")
    ((kind, message),) = small.problems()
    files = [file.format(split) for split in ("train", "val")]
    assert kind == "not-yolo"
    assert message.startswith("{}: its classes differ from those in {};".format(*files))


def test_folders_of_splits_in_upper_case(small):
    moves = {f"{part}/{s}": f"{part}/{s.title()}" for part in ("images", "labels") for s in
             ("train", "val")}  # fmt: skip
    without_yaml(small, moves).write("classes.txt", "cat\nno\n")
    content = check_folder(small.folder).dataset.contents["val"]
    assert [one["file_name"] for one in content["images"]] == [
        "images/Val/2.png", "images/Val/3.png",
    ]  # fmt: skip


def test_other_files_that_describe_the_data_are_named(small):
    text = (small.folder / "data.yaml").read_text()
    for name in ("fold_1.yaml", "fold_0.yaml"):
        small.write(name, text)
    small.write("settings.yaml", "lr: 0.1\n")
    small.write(".hidden.yaml", text)
    (line,) = check_folder(small.folder).describe()["train"]["warnings"]
    assert line == "data.yaml describes the data; not used: fold_0.yaml, fold_1.yaml"


def test_hidden_folders_hold_no_images(small):
    small.image("images/val/.ipynb_checkpoints/2-checkpoint.png", 9)
    assert len(check_folder(small.folder).dataset.contents["val"]["images"]) == 2
