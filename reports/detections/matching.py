"""Detections of one detector against the ground truth, image by image, at IoU 0.5."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hotcoco import COCO, COCOeval

IOU = 0.5
MOST_DETECTIONS = 100
"""The detections of highest score that count, an image and category, as in COCO's AP."""

_NO_FORMAT = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class PictureError(ValueError):
    """Files that no picture can be made of; the message says which, and why."""


@dataclass(frozen=True)
class Truth:
    """The ground truth of a set of images.

    Attributes:
        files: image id -> file name, in the order of the ids.
        names: category id -> name.
        images: (N,) image id of each box.
        categories: (N,) category id.
        boxes: (N, 4) x, y, width, height, px.
        crowd: (N,) whether the box is of a crowd, which is neither found nor missed.
        index: hotcoco's; its annotation ids are 1 .. N, in the order of the boxes.
    """

    files: dict[int, str]
    names: dict[int, str]
    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    crowd: np.ndarray
    index: COCO

    def objects(self) -> dict[int, int]:
        """Image id -> number of boxes, crowds among them."""
        return dict(zip(self.files, _by_image(self, self.images).tolist(), strict=True))


@dataclass(frozen=True)
class Matches:
    """The detections of one detector, matched to a ground truth.

    Attributes:
        images: (N,) image id of each detection.
        categories: (N,) category id.
        boxes: (N, 4) x, y, width, height, px.
        scores: (N,).
        found: (N,) the box of the ground truth that it found (0, 1, ...), -1 for none.
        false: (N,) whether it is a false positive; on a crowd it is neither.
    """

    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    found: np.ndarray
    false: np.ndarray


@dataclass(frozen=True)
class Counts:
    """What a detector did on one image."""

    found: int
    false: int
    missed: int

    @property
    def errors(self) -> int:
        """False positives and missed objects."""
        return self.false + self.missed

    def __str__(self) -> str:
        return f"{self.found} found, {self.false} false, {self.missed} missed"


def read_truth(path: Path) -> Truth:
    """Read a file of COCO's instances format.

    Raises:
        PictureError: it is not there, or it is no such file.
    """
    content = _read(path)
    try:
        images = sorted(content["images"], key=lambda image: _id(image["id"]))
        names = {_id(category["id"]): str(category["name"]) for category in content["categories"]}
        annotations = [
            {
                "id": number,
                "image_id": _id(one["image_id"]),
                "category_id": _id(one["category_id"]),
                "bbox": (box := _box(one["bbox"])),
                "area": box[2] * box[3],  # hotcoco wants one; no size is asked for
                "iscrowd": int(bool(one.get("iscrowd", 0))),
            }
            for number, one in enumerate(content["annotations"], start=1)
        ]
        files = {image["id"]: str(image["file_name"]) for image in images}
        if unknown := {one["image_id"] for one in annotations} - files.keys():
            raise ValueError(f"boxes are on images that it does not list, as {min(unknown)}")
        if unnamed := {one["category_id"] for one in annotations} - names.keys():
            raise ValueError(f"boxes are of categories that it does not list, as {min(unnamed)}")
        index = COCO()
        index.dataset = {
            "images": [{k: int(one[k]) for k in ("id", "width", "height")} for one in images],
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in names.items()],
        }
        index.createIndex()
    except _NO_FORMAT as error:
        raise PictureError(f"{path} is not in COCO's format: {_words(error)}") from error
    return Truth(
        files=files,
        names=names,
        images=np.array([one["image_id"] for one in annotations], int),
        categories=np.array([one["category_id"] for one in annotations], int),
        boxes=np.array([one["bbox"] for one in annotations], float).reshape(-1, 4),
        crowd=np.array([one["iscrowd"] for one in annotations], bool),
        index=index,
    )


def read_matches(path: Path, truth: Truth) -> Matches:
    """Read a file of detections in COCO's results format, and match them as COCO's AP does.

    By falling score, each takes the free box of its category that it overlaps most, from
    ``IOU`` on; so what is matched above a score does not depend on what is below it.

    Raises:
        PictureError: it is not there, it is no such file, or it is of other images.
    """
    content = _read(path)
    try:
        detections = [
            {
                "image_id": _id(one["image_id"]),
                "category_id": _id(one["category_id"]),
                "bbox": _box(one["bbox"]),
                "score": _number(one["score"]),
            }
            for one in content
        ]
    except _NO_FORMAT as error:
        raise PictureError(f"{path} is not in COCO's format: {_words(error)}") from error
    if unknown := {one["image_id"] for one in detections} - truth.files.keys():
        raise PictureError(f"{path} is of other images: none has the id {min(unknown)}")
    if unnamed := {one["category_id"] for one in detections} - truth.names.keys():
        raise PictureError(f"{path} is of other categories: none has the id {min(unnamed)}")
    found = np.full(len(detections), -1)
    false = np.zeros(len(detections), bool)
    for detection, match in _diagnostics(truth, detections).items():
        found[detection] = match
        false[detection] = match < 0
    return Matches(
        images=np.array([one["image_id"] for one in detections], int),
        categories=np.array([one["category_id"] for one in detections], int),
        boxes=np.array([one["bbox"] for one in detections], float).reshape(-1, 4),
        scores=np.array([one["score"] for one in detections], float),
        found=found,
        false=false,
    )


def matched_threshold(matches: Matches, most_false: float) -> float:
    """The lowest score from which on at most so many detections are false positives.

    Detections of equal score are kept or left together.

    Args:
        matches: of all images.
        most_false: over all images.

    Returns:
        A score of a detection; inf where the highest score has too many already.
    """
    false = np.sort(matches.scores[matches.false])[::-1]
    allowed = math.floor(most_false)
    above = false[allowed] if len(false) > allowed else -math.inf
    return float(np.min(matches.scores[matches.scores > above], initial=math.inf))


def count(truth: Truth, matches: Matches, threshold: float) -> dict[int, Counts]:
    """Image id -> what the detector did there with the detections from a score on."""
    kept = matches.scores >= threshold
    found = _by_image(truth, matches.images[kept & (matches.found >= 0)])
    false = _by_image(truth, matches.images[kept & matches.false])
    there = _by_image(truth, truth.images[~truth.crowd])
    return {
        image: Counts(int(found[n]), int(false[n]), int(there[n] - found[n]))
        for n, image in enumerate(truth.files)
    }


def _by_image(truth: Truth, images: np.ndarray) -> np.ndarray:
    """How many of these are of each image, in the order of ``truth.files``."""
    ids = np.fromiter(truth.files, int, len(truth.files))
    return np.bincount(np.searchsorted(ids, images), minlength=len(ids))


def _diagnostics(truth: Truth, detections: list[dict[str, Any]]) -> dict[int, int]:
    """Number of a detection -> number of the box that it found, -1 for a false positive.

    Those that are neither, on a crowd or beyond the most that count, are left out.
    """
    if not detections:
        return {}
    evaluation = COCOeval(truth.index, truth.index.loadRes(detections), "bbox")
    evaluation.params.iouThrs = [IOU]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [MOST_DETECTIONS]
    evaluation.evaluate()
    of = evaluation.image_diagnostics(iou_thr=IOU)
    return {
        detection - 1: of["dt_match"][detection] - 1 if status == "tp" else -1
        for detection, status in of["dt_status"].items()
    }


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise PictureError(f"{path} is not there") from error
    except (OSError, ValueError, RecursionError) as error:
        raise PictureError(f"{path} cannot be read as JSON: {_words(error)}") from error


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise TypeError(f"the id {value!r} is not an integer from 0 to 2^63 - 1")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is not a finite number")
    return float(value)


def _box(value: Any) -> list[float]:
    x, y, width, height = map(_number, value)
    return [x, y, width, height]


def _words(error: Exception) -> str:
    """An exception in a line, as one that names only a key says too little."""
    return f"no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
