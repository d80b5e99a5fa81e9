"""AP: hotcoco against pycocotools, on detections with every kind of error."""

import json

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.structures import Boxes, Instances

from focal_star.data.registration import register_datasets
from focal_star.evaluation.ap import APEvaluator

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def detections(name: str, jitter: float, seed: int = 0) -> list[tuple[dict, dict]]:
    """The truth moved by ``jitter`` px, with wrong classes and boxes between."""
    random = np.random.default_rng(seed)
    pairs = []
    for record in DatasetCatalog.get(name):
        boxes = [(b[0], b[1], b[0] + b[2], b[1] + b[3]) for b in _boxes(record)]
        boxes += [(5, 5, 30, 40), (60, 60, 70, 75)]
        classes = [a["category_id"] for a in record["annotations"]] + [1, 2]
        found = Instances((record["height"], record["width"]))
        moved = np.array(boxes, dtype=np.float32) + random.normal(0, jitter, (len(boxes), 4))
        found.pred_boxes = Boxes(torch.tensor(moved, dtype=torch.float32))
        found.scores = torch.tensor(random.uniform(0.1, 1, len(boxes)))
        wrong = random.random(len(boxes)) < 0.2
        found.pred_classes = torch.tensor(np.where(wrong, random.integers(0, 10), classes))
        pairs.append(({"image_id": record["image_id"]}, {"instances": found}))
    return pairs


def _boxes(record: dict) -> list[list[float]]:
    return [annotation["bbox"] for annotation in record["annotations"]]


def evaluate(name: str, pairs: list, backend: str, folder=None) -> dict[str, float]:
    DatasetCatalog.get(name)  # fills in the metadata, as building a loader does
    evaluator = APEvaluator(name, folder, backend)
    evaluator.reset()
    for given, found in pairs:
        evaluator.process([given], [found])
    return evaluator.evaluate()["bbox"]


@pytest.mark.parametrize("jitter", [0.0, 1.5, 4.0])
def test_hotcoco_is_pycocotools(tiny_cfg, jitter):
    register_datasets(tiny_cfg)
    pairs = detections("tiny_val", jitter)
    fast = evaluate("tiny_val", pairs, "hotcoco")
    oracle = evaluate("tiny_val", pairs, "pycocotools")
    assert fast == pytest.approx(oracle, abs=1e-9, nan_ok=True)
    assert 0 < fast["AP"] < 100
    assert set(METRICS) < set(fast) and "AP-7" in fast


def test_keys_that_nobody_needs_do_not_matter(tiny_cfg, tiny_data, tmp_path):
    """Ids from 0, no area, no iscrowd, a year as text: valid data, and the same AP."""
    register_datasets(tiny_cfg)
    pairs = detections("tiny_val", 1.5)
    expected = evaluate("tiny_val", pairs, "pycocotools")
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "images").symlink_to(tiny_data / "images")
    for split in ("train", "val"):
        content = json.loads((tiny_data / f"instances_{split}.json").read_text())
        content["info"] = {"year": "2020"}
        content["licenses"] = None
        for number, annotation in enumerate(content["annotations"]):
            annotation["id"] = number
            del annotation["area"], annotation["iscrowd"]
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    tiny_cfg.DATASETS.FOLDER = str(folder)
    register_datasets(tiny_cfg)
    for backend in ("hotcoco", "pycocotools"):
        assert evaluate("odd_val", pairs, backend) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_large_ids_change_no_ap(tiny_cfg, tiny_data, tmp_path, backend):
    """2^53 and 2^53 + 1 are one number as floats."""
    register_datasets(tiny_cfg)
    expected = evaluate("tiny_val", detections("tiny_val", 1.5), backend)
    folder, base = tmp_path / "large", 2**53
    folder.mkdir()
    (folder / "images").symlink_to(tiny_data / "images")
    for split in ("train", "val"):
        content = json.loads((tiny_data / f"instances_{split}.json").read_text())
        for one in [*content["images"], *content["categories"]]:
            one["id"] += base
        for one in content["annotations"]:
            one["image_id"] += base
            one["category_id"] += base
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    tiny_cfg.DATASETS.FOLDER = str(folder)
    register_datasets(tiny_cfg)
    found = evaluate("large_val", detections("large_val", 1.5), backend, str(tmp_path))
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)
    written = json.loads((tmp_path / "coco_instances_results.json").read_text())
    assert len({one["image_id"] for one in written}) == 8


def test_no_detection_at_all_is_ap_0(tiny_cfg, tmp_path):
    register_datasets(tiny_cfg)
    nothing = Instances((128, 128))
    nothing.pred_boxes = Boxes(torch.zeros(0, 4))
    nothing.scores, nothing.pred_classes = torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    pairs = [(given, {"instances": nothing}) for given, _ in detections("tiny_val", 0.0)]
    for backend in ("hotcoco", "pycocotools"):
        found = evaluate("tiny_val", pairs, backend, str(tmp_path))
        assert (found["AP"], found["AP50"]) == (0, 0)
        assert np.isnan(found["APl"])  # no object is that large: undefined, not 0
    assert json.loads((tmp_path / "coco_instances_results.json").read_text()) == []


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_more_than_100_detections_count_on_request(tmp_path, backend):
    """150 objects, each found exactly: of the 100 first detections recall is 2/3 at most."""
    boxes = [[10 * (n % 15), 10 * (n // 15), 8, 8] for n in range(150)]
    image = {"id": 1, "file_name": "a.png", "width": 160, "height": 120}
    content = {
        "images": [image],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": box, "area": 64, "iscrowd": 0}
            for n, box in enumerate(boxes, start=1)
        ],
        "categories": [{"id": 1, "name": "pack"}],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    name = f"packs_{backend}"
    register_coco_instances(name, {}, str(path), str(tmp_path))
    found = Instances((120, 160))
    corners = [[x, y, x + w, y + h] for x, y, w, h in boxes]
    found.pred_boxes = Boxes(torch.tensor(corners, dtype=torch.float32))
    found.scores = torch.linspace(0.9, 0.1, 150)
    found.pred_classes = torch.zeros(150, dtype=torch.int64)

    def scores(max_detections: int) -> dict[str, float]:
        DatasetCatalog.get(name)
        evaluator = APEvaluator(name, None, backend, max_detections)
        evaluator.reset()
        evaluator.process([{"image_id": 1}], [{"instances": found}])
        return evaluator.evaluate()["bbox"]

    # Precision is 1 up to a recall of 100 / 150: 67 of 101 recalls.
    assert scores(100)["AP"] == pytest.approx(100 * 67 / 101)
    more = scores(300)
    assert more["AP"] == more["AP50"] == more["APs"] == pytest.approx(100)
    assert np.isnan(more["APl"])
