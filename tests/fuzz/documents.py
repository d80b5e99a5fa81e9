"""Small valid documents, which tests damage."""

from typing import Any

from msgspec.structs import asdict

from ablations.records.record import SCHEMA, Record


def coco() -> dict[str, Any]:
    return {
        "info": {"year": 2024},
        "images": [
            {"id": 1, "file_name": "a.png", "width": 16, "height": 12},
            {"id": 2, "file_name": "b.png", "width": 16, "height": 12},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 5, 6], "iscrowd": 0}
            | {"area": 30, "segmentation": [[1, 2, 3, 4, 5, 7]]},
            {"id": 2, "image_id": 2, "category_id": 8, "bbox": [0.5, 0, 9.5, 9], "iscrowd": 1}
            | {"segmentation": {"size": [12, 16], "counts": [0, 9, 183]}, "keypoints": [1, 2, 2]},
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
    }


def yolo() -> dict[str, Any]:
    return {
        "path": ".",
        "train": "images/train",
        "val": ["images/val"],
        "test": None,
        "names": {"0": "cat", "1": "dog"},
        "nc": 2,
    }


YOLO_YAML = b"""# a data set
path: .
train: images/train  # relative to path
val: images/val
names:
  0: cat
  1: dog
"""

YOLO_LABELS = "0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.2 0.1 0.2 0.2\n"
"""A box and a polygon."""


def record() -> dict[str, Any]:
    result = {
        "metrics": {"AP": 21.5, "AP50": 40, "APl": None},
        "per_class_AP": {"cat": 20.0, "dog": None},
        "curves": {"iteration": [19, 39], "total_loss": [1.5, None]},
        "first_loss": {"predicted": 1.1, "measured": 1.2},
        "iterations": 40,
        "error_iteration": None,
        "divergence": None,
        "weights_sha256": "3e" * 8,
        "analysis": {"bootstrap": {"AP": [1.0, 2.0]}},
    }
    run = {"train_seconds": 9.5, "wall_seconds": 12.0, "disk_bytes": 1000, "attempts": 1}
    found = Record(
        cell="ce-seed1", fingerprint="ab" * 8, identity={"seed": 1}, setting={"loss": "ce"},
        seed=1, status="done", command="python train_net.py", result=result, run=run,
        dataset={"name": "d"}, schema=SCHEMA,
    )  # fmt: skip
    return asdict(found)


def grid() -> dict[str, Any]:
    return {
        "title": "t",
        "columns": ["alpha", "method"],
        "common": {"loss": "focal", "gamma": 2.0, "method": "FL"},
        "metrics": ["AP"],
        "published": {"file": "table.csv", "source": "s", "setup": "p"},
        "reference": {"alpha": 0.5},
        "rows": [{"alpha": 0.25, "depth": 101}, {"alpha": 0.5, "ohem": None}, {"alpha": 1}],
    }


GRID = b"""# a table
title: "(a) Varying"
columns: [alpha]
common: &common {loss: ce}
published: {file: table.csv, source: s, setup: p}
reference: {alpha: 0.5}
rows:
  - {<<: *common, alpha: 0.25}
  - alpha: 0.5
    prior: 0.01
"""
"""A grid with comments, as a person writes it."""
