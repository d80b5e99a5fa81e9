"""Data sets that Detectron2 knows by name: found, described, and said where they are missing."""

import hashlib
import json

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.structures import BoxMode

from focal_star.data import catalog
from focal_star.data.layouts.coco import splits_of
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.registration import register_datasets
from focal_star.data.validation.description import describe
from focal_star.tools import prepare


@pytest.fixture
def registered(tiny):
    """The tiny set, known to Detectron2 as own_2017_train and own_2017_val."""
    tiny.write()
    for split in splits_of(tiny.folder):
        files = str(split.annotation_file), str(split.image_root)
        register_coco_instances(f"own_2017_{split.name}", {}, *files)
    yield tiny
    for name in ("own_2017_train", "own_2017_val"):
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_they_are_found_by_their_common_name(registered):
    assert catalog.splits_of_name("own_2017") == splits_of(registered.folder)
    train, val = catalog.splits_of_name("coco_2017")
    assert train.annotation_file.name == "instances_train2017.json"
    assert (train.image_root.name, val.image_root.name) == ("train2017", "val2017")


@pytest.mark.parametrize("name", ["nothing", "coco_2017_train", "voc_2007", "cityscapes_fine"])
def test_a_name_that_is_none_is_said_with_those_that_are(registered, name):
    with pytest.raises(DatasetError, match=f"{name!r} is no folder.*coco_2017.*own_2017"):
        catalog.splits_of_name(name)


def test_their_description_is_that_of_a_folder(registered):
    found = catalog.describe_names(["own_2017_train"])
    digest = found.pop("sha256")
    content = (registered.folder / "instances_train.json").read_bytes()
    assert digest == hashlib.sha256(hashlib.sha256(content).hexdigest().encode()).hexdigest()
    expected = describe(splits_of(registered.folder)[0])
    del expected["sha256"], expected["conversions"], expected["warnings"]  # which images alone tell
    assert found == expected


def test_several_splits_are_described_together(registered):
    one = catalog.describe_names(["own_2017_train"])
    two = catalog.describe_names(["own_2017_train", "own_2017_val"])
    for key in ("num_images", "num_instances", "num_crowd", "num_small", "num_medium"):
        assert two[key] == 2 * one[key]
    for key in ("objects_per_image", "most_objects_per_image", "num_categories"):
        assert two[key] == one[key]
    assert two["sha256"] != one["sha256"]


def test_images_without_annotations_are_described(registered):
    path = registered.folder / "instances_val.json"
    content = json.loads(path.read_text())
    del content["annotations"]
    path.write_text(json.dumps(content))
    assert catalog.describe_names(["own_2017_val"])["num_instances"] == 0


def test_a_data_set_of_another_form_is_described_from_its_records():
    common = {"category_id": 1, "bbox_mode": BoxMode.XYXY_ABS}
    annotations = [common | {"bbox": [10, 10, 20, 30]}, common | {"bbox": [0, 0, 99, 99]}]
    records = [{"file_name": "a", "width": 100, "height": 120, "annotations": annotations}]
    DatasetCatalog.register("of_code", lambda: records)
    MetadataCatalog.get("of_code").thing_classes = ["cat", "dog"]
    try:
        found = catalog.describe_names(["of_code"])
    finally:
        DatasetCatalog.remove("of_code")
        MetadataCatalog.remove("of_code")
    assert found["per_category"] == {"cat": 0, "dog": 2}
    assert (found["num_small"], found["num_large"], found["sha256"]) == (1, 1, "")


def test_missing_files_are_said_with_how_to_get_them(tiny_cfg, registered, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", "/my/sets")
    tiny_cfg.DATASETS.FOLDER = ""
    tiny_cfg.DATASETS.TRAIN, tiny_cfg.DATASETS.TEST = ("own_2017_train",), ("own_2017_val",)
    assert register_datasets(tiny_cfg) is None
    (registered.folder / "instances_train.json").unlink()
    registered.images.rename(registered.folder / "elsewhere")
    with pytest.raises(DatasetError) as caught:
        register_datasets(tiny_cfg)
    message = str(caught.value)
    assert message.startswith("3 problems in the data set /my/sets")
    assert "own_2017_train: there is no annotation file" in message
    assert message.count("there is no folder of images") == 2
    assert "DETECTRON2_DATASETS is /my/sets" in message


def test_coco_that_is_not_there_can_be_fetched():
    if all(split.annotation_file.is_file() for split in catalog.splits_of_name("coco_2017")):
        pytest.skip("COCO is there")
    with pytest.raises(DatasetError, match="coco_2017_val.*python -m focal_star.data fetch"):
        catalog.require_there(["coco_2017_val"])


def test_their_description_is_in_the_record_of_a_study(registered, tiny_cfg):
    tiny_cfg.DATASETS.FOLDER = ""
    tiny_cfg.DATASETS.TRAIN, tiny_cfg.DATASETS.TEST = ("own_2017_train",), ("own_2017_val",)
    dataset = prepare.prepare_variants({"": tiny_cfg})["dataset"]
    assert (dataset["name"], dataset["folder"]) == ("own_2017", "")
    assert dataset["categories"] == ["cat", "dog"] and len(dataset["sha256"]) == 64
    assert dataset["train"]["num_instances"] == 3
    assert dataset["val"]["annotation_file"] == str(registered.folder / "instances_val.json")
    assert dataset["val"]["image_root"] == str(registered.images)
