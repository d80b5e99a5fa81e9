"""``python -m focal_star.tools.geometry``: statistics of a data set at a RetinaNet's input scale.

It prints the sizes and shapes of the objects in strides of the finest level, and the number of
positive anchors. These numbers show how difficult and how imbalanced the detection problem is::

    python -m focal_star.tools.geometry --config-file CONFIG [--json FILE] KEY VALUE ...

It reads the annotations of the training split, and no image.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import build_anchor_generator
from detectron2.modeling.matcher import Matcher
from detectron2.structures import Boxes, pairwise_iou

from focal_star.config import load_config
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.registration import register_datasets, training_records
from focal_star.errors import ConfigError
from focal_star.io.writing import write_whole
from focal_star.tools.doctor.anchor_coverage import levels_of, scaled

NAMES = {
    "images": "images",
    "objects_per_image": "objects per image",
    "width_in_strides": "median object, in strides of the finest level (square root of the area)",
    "log_aspect_spread": "standard deviation of the logarithm of height / width",
    "beyond_1_to_2": "objects longer than 1:2, %",
    "smallest_anchor_in_strides": "smallest anchor, in strides of the finest level",
    "anchors_per_image": "anchors per image",
    "positives_per_object": "positive anchors per object",
    "positives_per_image": "positive anchors per image",
    "anchors_per_positive": "anchors per positive anchor",
    "loss_of_negatives": "share of the first cross entropy that negatives carry, %",
}
"""Name of a measure -> the text that is printed for it."""


def geometry(cfg: CfgNode) -> dict[str, float]:
    """The ``NAMES`` of the data set ``DATASETS.TRAIN``, at the middle one of the input scales.

    As in training, crowds and boxes without area are left out, and so are images without objects
    unless ``DATALOADER.FILTER_EMPTY_ANNOTATIONS`` is False.

    Args:
        cfg: the config of a RetinaNet, derived; its data sets are registered.

    Raises:
        ConfigError: no image of the data set has an object.
    """
    levels = levels_of(cfg)
    strides = [level.stride for level in levels]
    generator = build_anchor_generator(cfg, [ShapeSpec(stride=stride) for stride in strides])
    retinanet = cfg.MODEL.RETINANET
    matcher = Matcher(
        retinanet.IOU_THRESHOLDS, retinanet.IOU_LABELS, allow_low_quality_matches=True
    )
    edges = sorted(cfg.INPUT.MIN_SIZE_TRAIN)
    short_edge = edges[len(edges) // 2]
    objects, num_anchors, num_positives, num_ignored = [], [], [], 0
    records = training_records(cfg)
    for record in records:
        size = np.array([[record["height"], record["width"]]], dtype=float)
        extent = scaled(size, short_edge, cfg.INPUT.MAX_SIZE_TRAIN)
        factors = np.tile((extent / size)[0, ::-1], 2)
        boxes = np.array(
            [
                annotation["bbox"]
                for annotation in record["annotations"]
                if not annotation.get("iscrowd", 0) and min(annotation["bbox"][2:]) > 0
            ],
            dtype=float,
        ).reshape(-1, 4)
        boxes = boxes * factors
        padded = np.ceil(extent[0] / 32) * 32
        maps = [torch.empty(1, 1, *(math.ceil(side / s) for side in padded)) for s in strides]
        anchors = Boxes.cat(generator(maps))
        num_anchors.append(len(anchors))
        num_positives.append(0)
        if len(boxes):
            corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
            overlaps = pairwise_iou(Boxes(torch.from_numpy(corners).float()), anchors)
            kinds = matcher(overlaps)[1]
            num_positives[-1] = int((kinds == 1).sum())
            num_ignored += int((kinds == -1).sum())
            objects.append(boxes[:, 2:])
    if not objects:
        raise ConfigError(f"no image of {', '.join(cfg.DATASETS.TRAIN)} has an object")
    width, height = np.concatenate(objects).T
    log_aspect = np.log(height / width)
    # Before training, every probability is about the prior (arXiv:1708.02002, section 3.3).
    prior = retinanet.PRIOR_PROB
    num_logits = (sum(num_anchors) - num_ignored) * retinanet.NUM_CLASSES
    of_positives = -math.log(prior) * sum(num_positives)
    of_negatives = -math.log1p(-prior) * (num_logits - sum(num_positives))
    smallest = min(math.sqrt(w * h) for w, h in levels[0].shapes)
    return {
        "images": len(records),
        "objects_per_image": len(width) / len(records),
        "width_in_strides": float(np.median(np.sqrt(width * height))) / strides[0],
        "log_aspect_spread": float(log_aspect.std()),
        "beyond_1_to_2": 100 * float((np.abs(log_aspect) > math.log(2)).mean()),
        "smallest_anchor_in_strides": smallest / strides[0],
        "anchors_per_image": float(np.mean(num_anchors)),
        "positives_per_object": sum(num_positives) / len(width),
        "positives_per_image": float(np.mean(num_positives)),
        "anchors_per_positive": sum(num_anchors) / max(1, sum(num_positives)),
        "loss_of_negatives": 100 * of_negatives / (of_positives + of_negatives),
    }


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 2 if the config or the data set cannot be used; the reason is printed."""
    options = _parser().parse_args(argv)
    try:
        cfg = load_config(options.config_file, options.opts)
        register_datasets(cfg)
        numbers: dict[str, Any] = geometry(cfg)
        if options.json:
            write_whole(options.json, json.dumps(numbers, indent=1).encode())
    except (ConfigError, DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, text in NAMES.items():
        print(f"{numbers[name]:10,.4g}  {text}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.tools.geometry",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config-file", required=True)
    parser.add_argument("--json", type=Path, help="a file to write the numbers to")
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
