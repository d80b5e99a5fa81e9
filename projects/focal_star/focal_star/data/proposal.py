"""Proposes an input scale and anchors for a data set, from the sizes of its boxes alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from focal_star.data.layouts.nearest import nearest
from focal_star.data.layouts.reading import read
from focal_star.data.layouts.split import SPLITS
from focal_star.input_size import LONG_TO_SHORT

LEVELS = 5
"""P3 to P7: the anchors double from level to level."""

MATCHED = 2**-0.5
"""A box whose side is this part of the smallest anchor's still has an IoU of 1/2 with it."""

SUFFICIENT = 0.6
"""The share of boxes that must reach the smallest anchor, as far as the scales allow."""

TOO_SMALL = 8
"""Side of a box in px of the input: below it, no level of the pyramid sees more than one pixel."""


@dataclass(frozen=True)
class Proposal:
    """An input scale and the smallest anchor for it.

    Attributes:
        short_edge: the short edge of the network's input, px.
        smallest_anchor: the side of the smallest anchor at P3, px; three scales per octave follow.
        matched: the share of boxes whose side is at least ``MATCHED`` of that anchor's.
        too_small: the share of boxes with a side below ``TOO_SMALL`` px.
    """

    short_edge: int
    smallest_anchor: int
    matched: float
    too_small: float

    @property
    def sizes(self) -> list[list[float]]:
        """``MODEL.ANCHOR_GENERATOR.SIZES`` for ``NUM_SCALES``: the smallest size of each level."""
        return [[float(self.smallest_anchor * 2**level)] for level in range(LEVELS)]


def read_in_training(content: dict[str, Any], with_empty: bool) -> dict[str, Any]:
    """The annotations, without the images that training skips.

    Args:
        content: annotations in COCO's format.
        with_empty: whether training also reads images without objects, unlike Detectron2's default
            (``DATALOADER.FILTER_EMPTY_ANNOTATIONS``).
    """
    if with_empty:
        return content
    with_objects = {a["image_id"] for a in content["annotations"] if not a.get("iscrowd", 0)}
    images = [image for image in content["images"] if image["id"] in with_objects]
    # Without any object, training fails later, with its own message.
    return {**content, "images": images} if images else content


def annotations_of(folder: Path, with_empty: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The annotations that training reads, and those of the validation images; not checked.

    Args:
        folder: a data set.
        with_empty: see :func:`read_in_training`.

    Raises:
        ValueError: no layout fits, or a split cannot be read.
        OSError, KeyError, TypeError, IndexError: it cannot be read.
    """
    dataset = read(folder)
    if dataset is None:
        raise ValueError(f"no layout fits: {nearest(folder)}")
    train, val = (dataset.contents[split] for split in SPLITS)
    if train is None or val is None:
        raise ValueError("; ".join(map(str, dataset.problems)))
    return read_in_training(train, with_empty), val


def boxes_of(content: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The boxes to propose from; crowds, and boxes without area, are left out.

    Args:
        content: annotations in COCO's format.

    Returns:
        (M, 2) width and height of each box, and (M, 2) width and height of its image, px.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    table = [
        (*one["bbox"][2:], *sizes[one["image_id"]])
        for one in content["annotations"]
        if not one.get("iscrowd", 0) and min(one["bbox"][2:]) > 0
    ]
    boxes, images = np.hsplit(np.array(table, float).reshape(-1, 4), 2)
    return boxes, images


def propose(
    boxes: np.ndarray, images: np.ndarray, candidates: Sequence[tuple[int, int]]
) -> Proposal:
    """The first candidate that matches most of the boxes; the last one where none does.

    Larger anchors put an object on a deeper level, whose features know more; smaller ones match
    smaller objects.

    Args:
        boxes: (M, 2) width and height, px of their image.
        images: (M, 2) width and height of the image of each box, px.
        candidates: short edges of the input and smallest anchors, px, the preferred pair first.

    Raises:
        ValueError: there are no boxes.
    """
    if not len(boxes):
        raise ValueError("there are no boxes to propose anchors from")
    for short_edge, anchor in candidates:
        sides = _sides(boxes, images, short_edge)
        matched = float(np.mean(sides >= MATCHED * anchor))
        if matched >= SUFFICIENT:
            break
    return Proposal(short_edge, anchor, matched, float(np.mean(sides < TOO_SMALL)))


def _sides(boxes: np.ndarray, images: np.ndarray, short_edge: int) -> np.ndarray:
    """The side of each box, the root of its area, in px of the input."""
    short, long = images.min(axis=1), images.max(axis=1)
    scale = short_edge / np.maximum(short, long / LONG_TO_SHORT)
    return np.sqrt(boxes.prod(axis=1)) * scale
