"""Registered data sets and the keys that follow from them, and the mapper."""

import json
import os
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog, DatasetMapper, MetadataCatalog

from focal_star.data.layouts.problems import DatasetError
from focal_star.data.mapper import CachingMapper, build_train_mapper
from focal_star.data.registration import in_coco_format, register_datasets
from focal_star.data.validation.description import dataset_sha256
from focal_star.data.validation.images import ImageOptions


def test_a_folder_is_registered_and_sets_the_keys(tiny_cfg, tiny_data):
    assert register_datasets(tiny_cfg) == tiny_data.resolve()
    assert tiny_cfg.DATASETS.TRAIN == ("tiny_train",)
    assert tiny_cfg.DATASETS.TEST == ("tiny_val",)
    assert tiny_cfg.MODEL.RETINANET.NUM_CLASSES == 10
    assert len(DatasetCatalog.get("tiny_train")) == 24
    assert len(DatasetCatalog.get("tiny_val")) == 8
    assert MetadataCatalog.get("tiny_val").thing_classes == [str(digit) for digit in range(10)]
    register_datasets(tiny_cfg)  # a second time is fine


def test_the_number_of_classes_is_the_data_sets(tiny_cfg, tiny_data, tmp_path):
    folder = tmp_path / "fewer"
    folder.mkdir()
    (folder / "images").symlink_to(tiny_data / "images")
    for split in ("train", "val"):
        content = json.loads((tiny_data / f"instances_{split}.json").read_text())
        content["categories"] = content["categories"][:4]
        content["annotations"] = [a for a in content["annotations"] if a["category_id"] <= 4]
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    tiny_cfg.DATASETS.FOLDER = str(folder)
    register_datasets(tiny_cfg)
    assert tiny_cfg.MODEL.RETINANET.NUM_CLASSES == 4


def test_a_broken_folder_is_refused_unless_it_was_checked_before(tiny_cfg, tmp_path):
    tiny_cfg.DATASETS.FOLDER = str(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="nowhere"):
        register_datasets(tiny_cfg)


def test_detectron2s_own_data_sets_are_left_alone(tiny_cfg):
    tiny_cfg.DATASETS.FOLDER = ""
    tiny_cfg.DATASETS.TRAIN = ("coco_2017_train",)
    tiny_cfg.DATASETS.CHECK = False  # whether COCO is there or not
    assert register_datasets(tiny_cfg) is None
    assert tiny_cfg.DATASETS.TRAIN == ("coco_2017_train",)


def test_samples_are_remembered_only_where_nothing_is_random(tiny_cfg):
    register_datasets(tiny_cfg)
    record = DatasetCatalog.get("tiny_train")[0]
    mapper = build_train_mapper(tiny_cfg)
    assert isinstance(mapper, CachingMapper)
    first, second = mapper(record), mapper(record)
    plain = DatasetMapper(tiny_cfg, is_train=True)(record)
    assert first is not second and first["image"] is second["image"]
    assert torch.equal(first["image"], plain["image"])
    assert torch.equal(first["instances"].gt_boxes.tensor, plain["instances"].gt_boxes.tensor)
    for key, value in (("RANDOM_FLIP", "horizontal"), ("MIN_SIZE_TRAIN", (120, 128))):
        cfg = tiny_cfg.clone()
        setattr(cfg.INPUT, key, value)
        assert not isinstance(build_train_mapper(cfg), CachingMapper)


def test_the_memory_of_samples_is_bounded(tiny_cfg, monkeypatch):
    register_datasets(tiny_cfg)
    monkeypatch.setattr("focal_star.data.mapper.CACHE_BYTES", 3 * 128 * 128)
    mapper = build_train_mapper(tiny_cfg)
    records = DatasetCatalog.get("tiny_train")[:2]
    assert mapper(records[0])["image"] is mapper(records[0])["image"]
    assert mapper(records[1])["image"] is not mapper(records[1])["image"]


def test_unchanged_images_are_not_read_again_in_the_same_process(tiny, monkeypatch):
    tiny.write()
    for path in tiny.folder.rglob("*"):
        os.utime(path, (1e9, 1e9))
    first = in_coco_format(tiny.folder, ImageOptions(), check=True)
    sha256 = dataset_sha256(first)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", None)
        assert in_coco_format(tiny.folder, ImageOptions(), check=True) == first
        assert dataset_sha256(first) == sha256
    with (tiny.images / "d.jpg").open("ab") as file:
        file.write(b"\0")
    assert dataset_sha256(first) != sha256
    tiny.truncate("a.png")
    with pytest.raises(DatasetError):
        in_coco_format(tiny.folder, ImageOptions(), check=True)
