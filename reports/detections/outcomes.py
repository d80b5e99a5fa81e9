"""Ground truth, detections and their matches, read from the files of a data set and a cell."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_FORMAT_ERRORS = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class PictureError(ValueError):
    """No picture can be made of these files; the message says why."""


@dataclass(frozen=True)
class Truth:
    """The ground truth of a set of images.

    Attributes:
        files: image id -> file name, in the order of the ids.
        names: category id -> name.
        images: (N,) image id of each box.
        categories: (N,) category id.
        boxes: (N, 4) x, y, width, height, px.
        crowd: (N,) whether the box is a crowd, which is neither found nor missed.
    """

    files: dict[int, str]
    names: dict[int, str]
    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    crowd: np.ndarray

    def objects(self) -> dict[int, int]:
        """Image id -> number of boxes, including crowds."""
        return dict(zip(self.files, _by_image(self, self.images).tolist(), strict=True))


@dataclass(frozen=True)
class Outcomes:
    """The detections of a detector with their matches.

    Attributes:
        iou: the IoU threshold of the matches.
        images: (N,) image id of each detection.
        categories: (N,) category id.
        boxes: (N, 4) x, y, width, height, px.
        scores: (N,).
        matched: (N,) the box of the ground truth that it matches (0, 1, ...), -1 for a false
            positive, -2 for a detection that does not count.
    """

    iou: float
    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    matched: np.ndarray

    @property
    def false(self) -> np.ndarray:
        """(N,) whether it is a false positive."""
        return self.matched == -1


@dataclass(frozen=True)
class Counts:
    """The outcome of a detector on one image."""

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
        PictureError: the file is missing or has another format.
    """
    content = _read(path)
    try:
        images = sorted(content["images"], key=lambda image: _id(image["id"]))
        files = {image["id"]: str(image["file_name"]) for image in images}
        names = {_id(category["id"]): str(category["name"]) for category in content["categories"]}
        boxes = _boxes(content["annotations"], files, names)
        crowd = np.array([bool(one.get("iscrowd", 0)) for one in content["annotations"]], bool)
    except _FORMAT_ERRORS as error:
        raise PictureError(f"{path} is not in COCO's format: {_line(error)}") from error
    return Truth(files, names, *boxes, crowd)


def read_outcomes(detections: Path, matches: Path, truth: Truth) -> Outcomes:
    """Read a file of detections in COCO's results format and the file of their matches.

    Raises:
        PictureError: a file is missing, has another format, or does not belong to the others.
    """
    content = _read(detections)
    if not matches.exists():
        raise PictureError(
            f"{matches} does not exist: the cell was trained before matches were stored; train it "
            "again"
        )
    about = _read(matches)
    try:
        boxes = _boxes(content, truth.files, truth.names)
        scores = np.array([_number(one["score"]) for one in content], float)
    except _FORMAT_ERRORS as error:
        raise PictureError(f"{detections} cannot be used: {_line(error)}") from error
    try:
        matched = np.array(_whole_numbers(about["found"]), int)
        iou = _number(about["iou"])
        if not 0 < iou <= 1:
            raise ValueError(f"the IoU {iou:g} is not above 0 and at most 1")
    except _FORMAT_ERRORS as error:
        raise PictureError(f"{matches} cannot be used: {_line(error)}") from error
    if len(matched) != len(scores) or not np.all((matched >= -2) & (matched < len(truth.boxes))):
        raise PictureError(f"{matches} belongs to other detections than {detections}")
    return Outcomes(iou, *boxes, scores, matched)


def matched_threshold(outcomes: Outcomes, max_false: float) -> float:
    """The lowest score threshold with at most ``max_false`` false positives over all images.

    Returns:
        The score of a detection; inf if the highest score has too many false positives.
    """
    false = np.sort(outcomes.scores[outcomes.false])[::-1]
    allowed = math.floor(max_false)
    above = false[allowed] if len(false) > allowed else -math.inf
    return float(np.min(outcomes.scores[outcomes.scores > above], initial=math.inf))


def count(truth: Truth, outcomes: Outcomes, threshold: float) -> dict[int, Counts]:
    """Image id -> the outcome there of the detections with a score of at least ``threshold``."""
    confident = outcomes.scores >= threshold
    matched = _by_image(truth, outcomes.images[confident & (outcomes.matched >= 0)])
    false = _by_image(truth, outcomes.images[confident & outcomes.false])
    objects = _by_image(truth, truth.images[~truth.crowd])
    return {
        image: Counts(int(matched[n]), int(false[n]), int(objects[n] - matched[n]))
        for n, image in enumerate(truth.files)
    }


def _by_image(truth: Truth, images: np.ndarray) -> np.ndarray:
    """The number of entries of each image, in the order of ``truth.files``."""
    ids = np.fromiter(truth.files, int, len(truth.files))
    return np.bincount(np.searchsorted(ids, images), minlength=len(ids))


def _boxes(
    entries: list[dict[str, Any]], files: dict[int, str], names: dict[int, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image ids (N,), category ids (N,) and boxes (N, 4) of annotations or detections."""
    images = [_id(one["image_id"]) for one in entries]
    categories = [_id(one["category_id"]) for one in entries]
    boxes = [[_number(edge) for edge in one["bbox"]] for one in entries]
    if unknown := set(images) - files.keys():
        raise ValueError(f"it refers to other images, e.g. {min(unknown)}")
    if unknown := set(categories) - names.keys():
        raise ValueError(f"it refers to other categories, e.g. {min(unknown)}")
    return (
        np.array(images, int), np.array(categories, int), np.array(boxes, float).reshape(-1, 4)
    )  # fmt: skip


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise PictureError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise PictureError(f"{path} cannot be read as JSON: {_line(error)}") from error


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise TypeError(f"the id {value!r} is not an integer from 0 to 2^63 - 1")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is not a finite number")
    return float(value)


def _whole_numbers(values: Any) -> list[int]:
    if type(values) is not list:
        raise TypeError("found is not a list")
    if wrong := [value for value in values if type(value) is not int]:
        raise TypeError(f"found has {wrong[0]!r}, which is not a whole number")
    return values


def _line(error: Exception) -> str:
    """The message of an error in a line; a KeyError only names its key."""
    return f"no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
