"""A detector from a checkpoint: its config, the names of its classes, the score it is used at."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.modeling import build_model
from PIL import Image

from focal_star.config import load_config
from focal_star.data.layouts.coco import splits_of
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.registration import image_options, in_coco_format
from focal_star.errors import ConfigError
from focal_star.extensions import dataset_folder
from focal_star.training import checkpoints
from focal_star.training.checkpoints import CompleteCheckpointer

CLASSES_FILE = "classes.txt"
"""File beside a checkpoint with the names of its classes, one per line."""


@dataclass(frozen=True)
class Detection:
    """A detected box: x, y, width and height, in px of the photograph."""

    category: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Detector:
    """A trained model, on the CPU.

    Attributes:
        name: the folder of its checkpoint.
        weights: the checkpoint.
        cfg: its config.
        model: in evaluation mode.
        classes: the names of its classes.
        note: says so if the names are unknown.
        measured: the score threshold at which its detections were precise on its validation
            images, from the ``result.json`` of its training; None if unknown.
    """

    name: str
    weights: Path
    cfg: CfgNode
    model: torch.nn.Module
    classes: tuple[str, ...]
    note: str
    measured: float | None

    @torch.no_grad()
    def detect(self, photograph: Image.Image, threshold: float) -> list[Detection]:
        """Detect at the input size of the config's test; return the detections by falling score.

        Raises:
            ConfigError: the photograph is so narrow that nothing of it would be left.
        """
        pixels = np.asarray(photograph)
        width, height = photograph.size
        if self.cfg.INPUT.FORMAT == "BGR":
            pixels = pixels[:, :, ::-1]
        short = self.cfg.INPUT.MIN_SIZE_TEST
        resizing = ResizeShortestEdge([short, short], self.cfg.INPUT.MAX_SIZE_TEST)
        transform = resizing.get_transform(pixels)
        if not min(getattr(transform, "new_h", height), getattr(transform, "new_w", width)):
            raise ConfigError(f"{width} x {height} px is too narrow for this detector")
        image = transform.apply_image(pixels).astype(np.float32).transpose(2, 0, 1)
        inputs = {"image": torch.from_numpy(image.copy()), "height": height, "width": width}
        instances = self.model([inputs])[0]["instances"]
        boxes = instances.pred_boxes.tensor.tolist()
        detections = [
            Detection(self.classes[number], score, (x0, y0, x1 - x0, y1 - y0))
            for (x0, y0, x1, y1), score, number in zip(
                boxes, instances.scores.tolist(), instances.pred_classes.tolist(), strict=True
            )
            if score >= threshold
        ]
        return sorted(detections, key=lambda detection: -detection.score)


def load_detector(
    weights: Path, config: Path | None, lowest: float, trusted: bool = False
) -> Detector:
    """Build a detector and load its weights.

    Args:
        weights: a checkpoint of a training of this project.
        config: its config; None for ``config.yaml`` beside it.
        lowest: the lowest score threshold that will be used.
        trusted: whether code in the checkpoint is run.

    Raises:
        ConfigError: the checkpoint or its config cannot be used.
    """
    if not weights.is_file():
        raise ConfigError(f"{weights} {'is not a file' if weights.exists() else 'does not exist'}")
    config = config or weights.with_name("config.yaml")
    if not config.is_file():
        raise ConfigError(f"{weights} has no {config}; name its config (CONFIG=...)")
    state = checkpoints.read(weights, trusted)
    state = state.get("model", state)
    cfg = load_config(config, ["MODEL.WEIGHTS", str(weights), "MODEL.DEVICE", "cpu"])
    for head in (cfg.MODEL.RETINANET, cfg.MODEL.ROI_HEADS):
        head.NUM_CLASSES = _num_classes(weights, state)
        head.SCORE_THRESH_TEST = min(head.SCORE_THRESH_TEST, lowest)
    classes, note = class_names(weights, cfg)
    model = build_model(cfg).eval()
    CompleteCheckpointer(model, trusted=trusted).load(str(weights))
    return Detector(
        weights.resolve().parent.name, weights, cfg, model, classes, note, _measured(weights)
    )


def class_names(weights: Path, cfg: CfgNode) -> tuple[tuple[str, ...], str]:
    """The names of a checkpoint's classes, and a note where there are only their numbers.

    The sources are, in this order: ``classes.txt`` beside the checkpoint, the ``prepared.json`` of
    its study, the annotations of the config's data set, and Detectron2's metadata.

    Raises:
        ConfigError: a ``classes.txt`` with another number of names.
    """
    number = cfg.MODEL.RETINANET.NUM_CLASSES
    names_file = weights.with_name(CLASSES_FILE)
    if names_file.is_file():
        names = names_file.read_text("utf-8", errors="replace").splitlines()
        if len(names) != number:
            raise ConfigError(
                f"{names_file} has {len(names)} lines, and {weights} {number} classes"
            )
        return tuple(names), ""
    for names in (_of_study(weights), _of_folder(cfg), _of_metadata(cfg)):
        if len(names) == number:
            return tuple(map(str, names)), ""
    note = f"its {number} classes are shown by their numbers: write their names, one a line, to "
    return tuple(map(str, range(number))), note + str(names_file)


def _of_study(weights: Path) -> list[str]:
    """Read the names from the study of a cell, <study>/cells/<cell>/model_final.pth."""
    cells = weights.resolve().parent.parent
    dataset = _json(cells.with_name("prepared.json"), "dataset") if cells.name == "cells" else None
    names = dataset.get("categories") if isinstance(dataset, dict) else None
    return names if isinstance(names, list) else []


def _of_folder(cfg: CfgNode) -> list[str]:
    folder: Path | None
    if cfg.DATASETS.FOLDER:
        try:
            folder = in_coco_format(cfg.DATASETS.FOLDER, image_options(cfg), check=False)
        except (DatasetError, OSError):
            return []
    elif (folder := dataset_folder(cfg, create=False)) is None:
        return []
    categories = _json(splits_of(folder)[0].annotation_file, "categories")
    try:
        return [one["name"] for one in sorted(categories, key=lambda one: one["id"])]
    except (KeyError, TypeError):
        return []


def _of_metadata(cfg: CfgNode) -> list[str]:
    for name in cfg.DATASETS.TEST:
        return MetadataCatalog.get(name).get("thing_classes", [])
    return []


def _measured(weights: Path) -> float | None:
    """``result.analysis.recall.at_precision.score`` of the training's ``result.json``."""
    value = _json(weights.with_name("result.json"), "result")
    for key in ("analysis", "recall", "at_precision", "score"):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _json(path: Path, key: str) -> Any:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content.get(key) if isinstance(content, dict) else None


def _num_classes(weights: Path, state: dict[str, Any]) -> int:
    """The head's outputs for classes over those for boxes, of which an anchor has four.

    Of Faster R-CNN, its outputs for classes but that for background.
    """
    two_stage = state.get("roi_heads.box_predictor.cls_score.bias")
    if isinstance(two_stage, torch.Tensor):
        return len(two_stage) - 1
    try:
        classes, boxes = (state[f"head.{part}.bias"] for part in ("cls_score", "bbox_pred"))
        return 4 * len(classes) // len(boxes)
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise ConfigError(f"{weights} has no head of RetinaNet or Faster R-CNN") from error
