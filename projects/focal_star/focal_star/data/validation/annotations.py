"""Checks a single annotation in COCO's format."""

import math
from collections.abc import Iterator
from typing import Any

from focal_star.data.layouts.coco_values import are_finite, is_polygons, is_run_lengths
from focal_star.io.quoting import shown

BOX_TOLERANCE = 1.0
"""How far a box may extend beyond the edge of its image, px."""


def box_faults(box: Any, size: tuple[int, int] | None) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) per fault of a ``bbox``; ``size``: its image's (width, height), px."""
    if not (_is_numbers(box) and len(box) == 4):
        yield "not-coco", f"bbox must be four numbers [x, y, width, height], got {shown(box)}"
        return
    x, y, width, height = (_as_float(number) for number in box)
    if not all(math.isfinite(number) for number in (x, y, width, height)):
        yield "box-not-finite", f"bbox must be four finite numbers, got {shown(box)}"
    elif width <= 0 or height <= 0:
        yield "empty-box", f"bbox {shown(box)}: its width and height must be above 0"
    elif size is not None:
        spans = ((x, x + width, size[0]), (y, y + height, size[1]))
        # The second line: what the loader's clipping leaves must not be empty.
        inside = all(
            low >= -BOX_TOLERANCE and high <= side + BOX_TOLERANCE and low < side and high > 0
            for low, high, side in spans
        )
        if not inside:
            text = f"bbox {shown(box)}, x {x:g} to {x + width:g} and y {y:g} to {y + height:g},"
            yield "box-outside", f"{text} extends beyond its image of {size[0]} x {size[1]} px"


def other_faults(entry: dict) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) per fault of an optional key that would stop or mislead the loader."""
    crowd = entry.get("iscrowd", 0)
    if type(crowd) not in (int, bool) or crowd not in (0, 1):
        yield "not-coco", f"iscrowd must be 0 or 1, got {shown(crowd)}"
    if entry.get("ignore", 0) != 0:
        text = f"ignore is {shown(entry['ignore'])}, which Detectron2 refuses; use iscrowd 1"
        yield "ignore-flag", text
    area = entry.get("area", 0)
    if not _is_number(area) or not 0 <= _as_float(area) < math.inf:
        yield "not-coco", f"area must be a finite number, 0 or more; got {shown(area)}"
    keypoints = entry.get("keypoints")
    if keypoints and not are_finite(keypoints):
        yield "not-coco", f"keypoints must be a list of finite numbers, got {shown(keypoints)}"
    segmentation = entry.get("segmentation")
    if segmentation and not (is_polygons(segmentation) or is_run_lengths(segmentation)):
        # The loader stops at a malformed one, and drops an instance that has no valid polygon.
        text = "segmentation must be finite polygons of at least 3 points, or a run-length code"
        yield "bad-segmentation", f"{text} with size and counts; got {shown(segmentation)}"


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)  # a bool is an int to Python, not to a reader of the file


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(_is_number(number) for number in value)


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf
