"""The measures of a data set as a detector sees it."""

import json
import re
from pathlib import Path

import pytest
from detectron2.data import get_detection_dataset_dicts

from focal_star.config import CONFIGS, load_config
from focal_star.data.registration import register_datasets
from focal_star.tools.geometry import NAMES, geometry, main

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
COCO = CONFIGS / "coco" / "retinanet_FPN_1x.yaml"
SAMPLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "coco_ccby"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "mini_study.md"


def write(folder, boxes, size=128):
    """A data set of an image for each list of boxes."""
    images = [
        {"id": i + 1, "file_name": f"{i}.png", "height": size, "width": size}
        for i in range(len(boxes))
    ]
    annotations = [
        {"image_id": i + 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for i, of_image in enumerate(boxes)
        for box in of_image
    ]
    annotations = [annotation | {"id": i + 1} for i, annotation in enumerate(annotations)]
    content = {
        "images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}],
    }  # fmt: skip
    folder.mkdir()
    (folder / "images").mkdir()
    for split in ("train", "val"):
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    return folder


def pairs(folder, tmp_path):
    return [
        "DATASETS.FOLDER", str(folder), "DATASETS.CHECK", "False", "CACHE_DIR", str(tmp_path / "c"),
        "PRETRAINING.ENABLED", "False",
    ]  # fmt: skip


@pytest.mark.parametrize("with_empty", [True, False])
def test_numbers_of_a_data_set_that_can_be_counted_by_hand(with_empty, tmp_path):
    # A square that is an anchor of P3 (32 px about the place (64, 64)), an empty image, and an
    # object of 2:1.
    folder = write(tmp_path / "data", [[[48, 48, 32, 32]], [], [[16, 32, 64, 32]]])
    empty = ["DATALOADER.FILTER_EMPTY_ANNOTATIONS", str(not with_empty)]
    cfg = load_config(MINI, pairs(folder, tmp_path) + empty)
    register_datasets(cfg)
    found, images = geometry(cfg), 2 + with_empty
    assert set(found) == set(NAMES)
    read = get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty=not with_empty)
    assert found["images"] == images == len(read)
    assert found["objects_per_image"] == pytest.approx(2 / images)
    assert found["width_in_strides"] == pytest.approx((32 + (64 * 32) ** 0.5) / 2 / 8)
    assert found["beyond_1_to_2"] == 0
    assert found["smallest_anchor_in_strides"] == pytest.approx(4)
    assert found["anchors_per_image"] == 9 * (16**2 + 8**2 + 4**2 + 2**2 + 1)
    assert found["positives_per_object"] * 2 == pytest.approx(found["positives_per_image"] * images)


def test_a_data_set_without_objects_is_refused(tmp_path, capsys):
    folder = write(tmp_path / "data", [[], []])
    code = main(["--config-file", str(MINI), *pairs(folder, tmp_path)])
    assert code == 2
    assert "has an object" in capsys.readouterr().err


def rows():
    """Measure -> (COCO's, the mini study's) of the page's table."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^\| ([^|]+) \| ([\d.,]+) \| ([\d.,]+) \|$", text, re.M)
    named = {text: name for name, text in NAMES.items()}
    return {
        named[words]: tuple(float(number.replace(",", "")) for number in numbers)
        for words, *numbers in found
        if words in named
    }


@pytest.mark.slow
@pytest.mark.parametrize("column", [0, 1])
def test_the_page_has_the_numbers(column, tmp_path):
    options = ["MODEL.DEVICE", "cpu", "CACHE_DIR", str(tmp_path), "DATASETS.CHECK", "False"]
    if column == 0:
        if not SAMPLE.is_dir():
            pytest.skip("the data set coco_ccby is not beside this checkout")
        options += ["DATASETS.FOLDER", str(SAMPLE), "MODEL.WEIGHTS", ""]
    cfg = load_config((COCO, MINI)[column], options)
    register_datasets(cfg)
    found, printed = geometry(cfg), rows()
    assert len(printed) == len(NAMES)
    for name, numbers in printed.items():
        assert float(f"{found[name]:.4g}") == numbers[column], name
