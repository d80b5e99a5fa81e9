"""Folders in COCO's format, in each way that they are kept."""

import json
import os

import pytest
from detectron2.data import DatasetCatalog

from focal_star.data.layouts.coco import is_coco, splits_of
from focal_star.data.registration import register_folder
from focal_star.data.validation.checks import check_folder
from focal_star.data.validation.description import dataset_sha256


def rearranged(tiny, train: tuple[str, str], val: tuple[str, str]) -> None:
    """Move each split's annotation file and images to other places of the folder."""
    for name, (annotations, images) in (("train", train), ("val", val)):
        content = tiny.json[name]
        for folder in ((tiny.folder / annotations).parent, tiny.folder / images):
            folder.mkdir(parents=True, exist_ok=True)
        (tiny.folder / annotations).write_text(json.dumps(content))
        for image in content["images"]:
            target = tiny.folder / images / image["file_name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            (tiny.images / image["file_name"]).rename(target)


LAYOUTS = {
    "COCO's": (
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_val2017.json", "val2017"),
    ),
    "without a year": (
        ("annotations/instances_train.json", "train"),
        ("annotations/instances_val.json", "val"),
    ),
    "images together": (
        ("annotations/instances_train2014.json", "images/train2014"),
        ("annotations/instances_val2014.json", "images/val2014"),
    ),
    "exported": (
        ("train/_annotations.coco.json", "train"),
        ("valid/_annotations.coco.json", "valid"),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_recognised_checked_and_registered(tiny, layout):
    train, val = LAYOUTS[layout]
    rearranged(tiny, train, val)
    assert is_coco(tiny.folder)
    for split, (annotations, images) in zip(splits_of(tiny.folder), (train, val), strict=True):
        assert split.annotation_file == tiny.folder / annotations
        assert split.image_root == tiny.folder / images
    assert check_folder(tiny.folder).problems == []
    assert len(dataset_sha256(tiny.folder)) == 64
    names = register_folder(tiny.folder)
    assert names == ("set_train", "set_val")
    for name in names:
        assert all(os.path.isfile(record["file_name"]) for record in DatasetCatalog.get(name))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_faults_are_named_in_each_layout(tiny, layout):
    train, val = LAYOUTS[layout]
    tiny.json["val"]["annotations"][0]["bbox"] = [0, 0, 0, 0]
    tiny.json["train"]["images"][0]["file_name"] = "../a.png"
    tiny.save_image("../a.png")
    rearranged(tiny, train, val)
    outside, empty = check_folder(tiny.folder).problems
    root = train[1].rpartition("/")[2]
    assert outside.kind == "path-outside"
    assert f"relative to {root}/, without '..'" in outside.message
    assert empty.kind == "empty-box"
    assert empty.message.startswith(val[0].rpartition("/")[2] + ": annotations[0]")


def test_the_last_year_that_both_splits_are_of_is_taken(tiny):
    rearranged(tiny, *LAYOUTS["COCO's"])
    for name in ("train2014", "val2014", "train2019"):
        (tiny.folder / "annotations" / f"instances_{name}.json").write_text("{}")
    (tiny.folder / "annotations" / "instances_train_old.json").write_text("{}")
    assert [split.image_root.name for split in splits_of(tiny.folder)] == ["train2017", "val2017"]


def test_one_split_alone_is_said_to_lack_the_other(tiny):
    rearranged(tiny, *LAYOUTS["COCO's"])
    (tiny.folder / "annotations" / "instances_val2017.json").unlink()
    (problem,) = check_folder(tiny.folder).problems
    assert problem.kind == "missing-file"
    assert problem.message.startswith("instances_val2017.json: there is no such file")


def test_files_of_one_name_in_two_folders_are_two_images(tiny):
    tiny.json["val"]["images"][0]["file_name"] = "a.png"
    tiny.write()
    assert [problem.kind for problem in check_folder(tiny.folder).problems] == ["split-overlap"]
    for name in ("train", "val"):
        (tiny.folder / f"instances_{name}.json").unlink()
        (tiny.folder / f"{name}2017").symlink_to("images")
        path = tiny.folder / "annotations" / f"instances_{name}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(tiny.json[name]))
    assert check_folder(tiny.folder).problems == []


def test_a_folder_without_a_data_set_says_what_is_valid(tmp_path):
    (problem,) = check_folder(tmp_path).problems
    assert (problem.split, problem.kind) == ("both", "missing-file")
    for words in ("instances_train.json", "_annotations.coco.json", "train2017/", "JPEGImages"):
        assert words in problem.message


def test_the_two_boxes_without_area_in_coco_pass_and_no_others(tiny):
    train = tiny.json["train"]
    for image, image_id in zip(train["images"], (200365, 550395), strict=True):
        image["id"] = image_id
    for number, annotation in enumerate(train["annotations"]):
        annotation["image_id"] = train["images"][number % 2]["id"]
    train["annotations"][0]["bbox"] = [5, 5, 1.03, 0.0]
    tiny.write()
    assert [problem.kind for problem in check_folder(tiny.folder).problems] == ["empty-box"]
    for name in ("train", "val"):
        (tiny.folder / f"instances_{name}.json").unlink()
    rearranged(tiny, *LAYOUTS["COCO's"])
    assert check_folder(tiny.folder).problems == []
    train["images"][0]["id"] = train["annotations"][0]["image_id"] = 9
    train["annotations"][2]["image_id"] = 9
    (tiny.folder / "annotations/instances_train2017.json").write_text(json.dumps(train))
    assert [problem.kind for problem in check_folder(tiny.folder).problems] == ["empty-box"]
