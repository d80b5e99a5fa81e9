"""Computes how well the anchors cover the boxes of a data set, from its annotations only.

A detector learns an object from the anchors that overlap it enough. This module computes the
intersection over union of each box with its best anchor, over all positions on all levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.config import CfgNode

from focal_star.data.validation.description import MEDIUM, SMALL

SIZES = ("small", "medium", "large")
"""COCO's sizes, by the area of an object in the annotated image."""


@dataclass(frozen=True)
class Level:
    """The anchors of one feature map.

    Attributes:
        stride: the distance between two positions, px.
        shapes: (width, height) of the anchors at a position, px.
    """

    stride: int
    shapes: tuple[tuple[float, float], ...]


def levels_of(cfg: CfgNode) -> list[Level]:
    """The levels of RetinaNet, for a config after :func:`focal_star.config.derive`."""
    anchors, names = cfg.MODEL.ANCHOR_GENERATOR, cfg.MODEL.RETINANET.IN_FEATURES
    sizes, ratios = (
        list(values) * len(names) if len(values) == 1 else list(values)
        for values in (anchors.SIZES, anchors.ASPECT_RATIOS)
    )
    return [
        Level(
            2 ** int(name.removeprefix("p")),
            tuple((size / ratio**0.5, size * ratio**0.5) for size in level for ratio in of_level),
        )
        for name, level, of_level in zip(names, sizes, ratios, strict=True)
    ]


def best_iou(
    boxes: np.ndarray, extents: np.ndarray, levels: Sequence[Level], offset: float = 0.0
) -> np.ndarray:
    """The intersection over union of each box with the best anchor.

    Args:
        boxes: (M, 4) x, y, width, height, px of the network's input.
        extents: (M, 2) height and width of the image of each box, in the same px.
        levels: the anchors.
        offset: the position of a level's first anchor, in strides.

    Returns:
        (M,) in 0..1.
    """
    x, y, width, height = boxes.T.astype(np.float32)
    padded = np.ceil(extents.T / 32) * 32  # images are padded to a multiple of 32 px
    area, best = width * height, np.zeros(len(boxes), np.float32)
    for level in levels:
        most = np.ceil(padded / level.stride) - 1
        # Of all anchors of one shape, the nearest in x and in y has the largest overlap.
        along_x = _distance(x + width / 2, level.stride, offset, most[1])
        along_y = _distance(y + height / 2, level.stride, offset, most[0])
        for anchor_width, anchor_height in level.shapes:
            shared = _shared(width, anchor_width, along_x) * _shared(height, anchor_height, along_y)
            union = area + anchor_width * anchor_height - shared
            np.maximum(best, shared / union, out=best)
    return best


def coverage(content: dict[str, Any], cfg: CfgNode) -> dict[str, np.ndarray]:
    """The best overlaps of a data set's boxes at a config's input scale, by COCO's sizes.

    The scale is the middle one of ``INPUT.MIN_SIZE_TRAIN``. Crowds, and boxes without area, are
    left out.

    Args:
        content: the content of an annotation file in COCO's format.
        cfg: as :func:`levels_of` takes it.

    Returns:
        Size -> the intersection over union of each of its boxes with the best anchor.
    """
    images = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    objects = [
        (*a["bbox"], a.get("area", a["bbox"][2] * a["bbox"][3]), *images[a["image_id"]])
        for a in content["annotations"]
        if not a.get("iscrowd", 0) and a["bbox"][2] > 0 and a["bbox"][3] > 0
    ]
    table = np.array(objects, float).reshape(-1, 7)
    boxes, areas, sizes = table[:, :4], table[:, 4], table[:, 5:]
    edges = sorted(cfg.INPUT.MIN_SIZE_TRAIN)
    extents = scaled(sizes, edges[len(edges) // 2], cfg.INPUT.MAX_SIZE_TRAIN)
    factors = extents / sizes
    boxes = boxes * np.tile(factors[:, ::-1], 2)
    ious = best_iou(boxes, extents, levels_of(cfg), cfg.MODEL.ANCHOR_GENERATOR.OFFSET)
    of_size = np.digitize(areas, [SMALL, MEDIUM])
    return {size: ious[of_size == index] for index, size in enumerate(SIZES)}


def scaled(sizes: np.ndarray, short_edge: int, long_edge: int) -> np.ndarray:
    """The size of each image after Detectron2's ``ResizeShortestEdge``.

    Args:
        sizes: (M, 2) height and width.
        short_edge: the length of the short edge, px.
        long_edge: the limit of the long edge, px.
    """
    factor = short_edge / sizes.min(axis=1)
    factor = np.minimum(factor, long_edge / sizes.max(axis=1))
    return np.floor(sizes * factor[:, None] + 0.5)


def _distance(centre: np.ndarray, stride: int, offset: float, most: np.ndarray) -> np.ndarray:
    """The distance of a box's centre from that of the nearest anchor, along one axis."""
    place = np.clip(np.round(centre / stride - offset), 0, most)
    return np.abs(centre - (place + offset) * stride).astype(np.float32)


def _shared(extent: np.ndarray, of_anchor: float, distance: np.ndarray) -> np.ndarray:
    """The length of the overlap of two intervals whose centres have this distance."""
    shared = np.minimum((extent + of_anchor) / 2 - distance, np.minimum(extent, of_anchor))
    return np.maximum(shared, 0)
