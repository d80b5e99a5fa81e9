"""Which objects are found: by size, at a chosen precision, and the largest that are not."""

from typing import Any

import numpy as np
from pycocotools.mask import iou as box_iou

from focal_star.data.validation.description import MEDIUM, SMALL
from focal_star.evaluation.matches import Matches

LOW_SCORE = 0.05
"""An object found with a lower score only counts as missed; Detectron2 keeps none by default."""

MAX_MISSES = 12


def recall_by_size(matches: Matches, area: np.ndarray, iou: float) -> dict[str, float]:
    """The fraction of all objects, whatever their category, that are found.

    Up to ``max_detections`` per image and category count, whatever their score.

    Args:
        matches: what was found.
        area: (G,) of the objects, px^2, as the data set states it.
        iou: one of the IoU thresholds.

    Returns:
        ``all``, ``small``, ``medium`` and ``large``, 0..1; NaN where there are no such objects.
    """
    is_found = ~np.isnan(matches.found_score[matches.at(iou)])
    sizes = {
        "all": area >= 0,
        "small": area < SMALL,
        "medium": (area >= SMALL) & (area < MEDIUM),
        "large": area >= MEDIUM,
    }
    return {
        name: is_found[of_size].mean() if of_size.any() else np.nan
        for name, of_size in sizes.items()
    }


def recall_at_precision(matches: Matches, precision: float, iou: float) -> tuple[float, float]:
    """The highest recall that a score threshold gives with at least this precision.

    All categories are pooled: one threshold for all, as in use. Detections of equal score are
    accepted together; those on crowds do not count.

    Args:
        matches: what was found.
        precision: the minimum, 0..1.
        iou: one of the IoU thresholds.

    Returns:
        The recall, 0..1, and the threshold: the lowest score at which the detections of that score
        or above are as precise. Both are NaN if there is no such threshold, or no object.
    """
    threshold = matches.at(iou)
    counts = ~matches.is_ignored[threshold]
    order = np.argsort(-matches.score[counts], kind="stable")
    score = matches.score[counts][order]
    true = np.cumsum(matches.is_true[threshold, counts][order])
    last = np.flatnonzero(np.diff(score, append=-np.inf))  # of those of equal score
    precise = last[true[last] >= precision * (last + 1)]
    if not len(precise) or not len(matches.object_id):
        return np.nan, np.nan
    return true[precise[-1]] / len(matches.object_id), score[precise[-1]]


def worst_misses(
    matches: Matches, truth: dict[str, Any], detections, iou: float
) -> list[dict[str, Any]]:
    """The largest objects that are missed: the easiest to see.

    An object is missed where no detection of its category with a score of at least ``LOW_SCORE``
    overlaps it by the IoU threshold, be it matched to another object. Crowds are left out.

    Args:
        matches: what was found.
        truth: the data set in COCO's format, with an ``area`` for each annotation.
        detections: all of them, as a COCO object of either backend.
        iou: one of the IoU thresholds.

    Returns:
        At most ``MAX_MISSES``, by area, then image id, then annotation id: ``image_id``,
        ``file_name``, ``category`` (its name), ``bbox`` (x, y, width, height), ``area`` (px^2),
        ``best_score`` (the highest of a detection of its category that overlaps it so, 0 if none
        does) and ``best_iou`` (the highest overlap of any detection, 0 if there is none).
    """
    names = {category["id"]: category["name"] for category in truth["categories"]}
    files = {image["id"]: image.get("file_name", "") for image in truth["images"]}
    # An object that COCOeval matched to a detection of that score is not missed; most are not.
    maybe_missed = ~(matches.found_score[matches.at(iou)] >= LOW_SCORE)
    ids = set(matches.object_id[maybe_missed].tolist())
    objects = [annotation for annotation in truth["annotations"] if annotation["id"] in ids]
    objects.sort(key=lambda thing: (-thing["area"], thing["image_id"], thing["id"]))
    missed = []
    for thing in objects:
        nearby = detections.loadAnns(detections.getAnnIds(imgIds=[thing["image_id"]]))
        boxes = [detection["bbox"] for detection in nearby]
        overlaps = box_iou(boxes, [thing["bbox"]], [0])[:, 0] if boxes else np.zeros(0)
        best_score = max(
            (
                detection["score"]
                for detection, overlap in zip(nearby, overlaps, strict=True)
                if overlap >= iou and detection["category_id"] == thing["category_id"]
            ),
            default=0.0,
        )
        if best_score < LOW_SCORE:
            missed.append(
                {
                    "image_id": thing["image_id"],
                    "file_name": files[thing["image_id"]],
                    "category": names[thing["category_id"]],
                    "bbox": list(thing["bbox"]),
                    "area": thing["area"],
                    "best_score": best_score,
                    "best_iou": overlaps.max(initial=0.0),
                }
            )
        if len(missed) == MAX_MISSES:
            break
    return missed
