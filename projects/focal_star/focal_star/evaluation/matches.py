"""The matches of detections and objects by COCO's evaluation, in compact arrays and as a file."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from focal_star.io.writing import write_whole

MATCHES_FILE = "matches.json"
FALSE, IGNORED = -1, -2
"""In ``MATCHES_FILE``: a false positive; an ignored detection (on a crowd, or beyond
``max_detections``)."""

IMAGES_AT_ONCE = 25
"""COCOeval's Python objects of 5,000 images take gigabytes; they are read in batches."""


@dataclass(frozen=True)
class Matches:
    """The basis of AP, miss rate and recall: I images, K categories, T IoU thresholds.

    The D detections (at most ``max_detections`` per image and category) are sorted by category,
    then by falling score, then by image, then in the given order. The G objects, without crowds,
    are sorted by category, then by image.

    Attributes:
        image_ids: (I,) int64, ascending; ``*_image`` below are positions here.
        category_ids: (K,) int64, ascending; ``*_category`` below are positions here.
        ious: (T,) float64, the IoU thresholds.
        recalls: (R,) float64, the recalls that AP averages precision over.
        score: (D,) float64.
        image: (D,) int64.
        category: (D,) int64.
        detection_id: (D,) int64, 1 for the first of the given detections.
        is_true: (T, D) bool, whether it matches an object.
        is_ignored: (T, D) bool, whether it is on a crowd and neither true nor false.
        object_image: (G,) int64.
        object_category: (G,) int64.
        object_id: (G,) int64, the annotation's id.
        finder: (T, G) int64, the id of the detection that matches it, 0 if none does.
        found_score: (T, G) float64, the score of that detection, NaN if there is none.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    ious: np.ndarray
    recalls: np.ndarray
    score: np.ndarray
    image: np.ndarray
    category: np.ndarray
    detection_id: np.ndarray
    is_true: np.ndarray
    is_ignored: np.ndarray
    object_image: np.ndarray
    object_category: np.ndarray
    object_id: np.ndarray
    finder: np.ndarray
    found_score: np.ndarray

    def at(self, iou: float) -> int:
        """The position of an IoU threshold."""
        return int(np.flatnonzero(np.isclose(self.ious, iou))[0])

    @property
    def category_starts(self) -> np.ndarray:
        """(K + 1,) int64: the detections of category k are ``starts[k] : starts[k + 1]``."""
        return np.searchsorted(self.category, np.arange(len(self.category_ids) + 1))


def find_matches(evaluation) -> Matches:
    """Match detections and objects of all sizes.

    Args:
        evaluation: a COCOeval of boxes, hotcoco's or pycocotools', with its truth and detections.
            It is evaluated here, and its parameters change.
    """
    params = evaluation.params
    params.areaRng, params.areaRngLbl = [[0, 1e10]], ["all"]
    image_ids = sorted(set(evaluation.cocoGt.getImgIds()))
    category_ids = sorted(set(evaluation.cocoGt.getCatIds()))
    places = (
        {category_id: place for place, category_id in enumerate(category_ids)},
        {image_id: place for place, image_id in enumerate(image_ids)},
    )
    num_ious = len(params.iouThrs)
    parts = [_read([], places, num_ious)]
    for start in range(0, len(image_ids), IMAGES_AT_ONCE):
        params.imgIds = image_ids[start : start + IMAGES_AT_ONCE]
        evaluation.evaluate()
        parts.append(_read([entry for entry in evaluation.evalImgs if entry], places, num_ious))
    detections, score, objects, is_ignored, finder = (
        np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True)
    )
    # lexsort is stable: where scores are equal, the order by image and within it stays.
    by_score = np.lexsort((detections[1], -score, detections[0]))
    by_image = np.lexsort((objects[1], objects[0]))
    detections, score = detections[:, by_score], score[by_score]
    is_ignored = is_ignored[:, by_score]
    objects, finder = objects[:, by_image], finder[:, by_image]
    # By the detection's id. Ids start from 1; the finder 0 means none.
    category, image, ids = detections
    finds = np.zeros((num_ious, ids.max(initial=0) + 1), bool)
    np.put_along_axis(finds, finder, True, axis=1)
    score_of_id = np.full(finds.shape[1], np.nan)
    score_of_id[ids] = score
    return Matches(
        image_ids=np.array(image_ids, np.int64),
        category_ids=np.array(category_ids, np.int64),
        ious=np.asarray(params.iouThrs, float),
        recalls=np.asarray(params.recThrs, float),
        score=score,
        image=image,
        category=category,
        detection_id=ids,
        is_true=finds[:, ids],
        is_ignored=is_ignored,
        object_image=objects[1],
        object_category=objects[0],
        object_id=objects[2],
        finder=finder,
        found_score=score_of_id[finder],
    )


def write_matches(path: Path, matches: Matches, num_detections: int, iou: float) -> None:
    """Write the matches at one IoU threshold, for pictures of detections.

    The file is JSON with ``iou`` and ``found``, an integer for each detection in the given order:
    the position (from 0) of the object that it matches among the annotations, ``FALSE`` or
    ``IGNORED``.

    Args:
        path: the path of the file.
        matches: the matches of annotations with the ids 1, 2, ..., see
            :func:`focal_star.evaluation.ap.essentials`.
        num_detections: the number of given detections.
        iou: one of the IoU thresholds.
    """
    threshold = matches.at(iou)
    object_of = np.full(num_detections, IGNORED)
    counted = ~matches.is_ignored[threshold]
    object_of[matches.detection_id[counted] - 1] = FALSE
    matched = matches.finder[threshold] > 0
    object_of[matches.finder[threshold, matched] - 1] = matches.object_id[matched] - 1
    write_whole(path, json.dumps({"iou": iou, "found": object_of.tolist()}).encode())


def _read(
    entries: list[dict[str, Any]],
    places: tuple[dict[int, int], dict[int, int]],
    num_ious: int,
) -> tuple[np.ndarray, ...]:
    """The entries of COCOeval for some images and categories as arrays.

    Ids of images and categories are replaced by their places while they are Python integers: a
    float cannot represent every id of more than 53 bits.

    Args:
        entries: COCOeval's ``evalImgs``, without None.
        places: category id -> place, and image id -> place.
        num_ious: T.

    Returns:
        The detections (3, D) int64: category's place, image's place and id; their scores (D,)
        float64; the objects, crowds left out, (3, G) int64: category's place, image's place and
        id; whether a detection is ignored (T, D) bool; the id of the detection that found an
        object, 0 if none did (T, G) int64.
    """

    def joined(key: str, dtype: type, shape: tuple[int, ...] = (0,)) -> np.ndarray:
        parts: list[np.ndarray] = [np.empty(shape, dtype)]
        parts += (np.asarray(entry[key], dtype) for entry in entries)
        return np.concatenate(parts, axis=-1)

    categories, images = places
    place = (
        np.array(
            [(categories[entry["category_id"]], images[entry["image_id"]]) for entry in entries],
            np.int64,
        )
        .reshape(-1, 2)
        .T
    )
    sizes = [len(entry["dtIds"]) for entry in entries]
    detections = np.vstack([np.repeat(place, sizes, axis=1), joined("dtIds", np.int64)])
    is_ignored = np.zeros((num_ious, sum(sizes)), bool)
    for entry, end, size in zip(entries, itertools.accumulate(sizes), sizes, strict=True):
        if any(map(any, entry["dtIgnore"])):  # few or none
            is_ignored[:, end - size : end] = entry["dtIgnore"]
    counts = joined("gtIgnore", np.int64) == 0
    num_objects = [len(entry["gtIds"]) for entry in entries]
    objects = np.vstack([np.repeat(place, num_objects, axis=1), joined("gtIds", np.int64)])
    finder = joined("gtMatches", np.int64, (num_ious, 0))
    return (
        detections,
        joined("dtScores", np.float64),
        objects[:, counts],
        is_ignored,
        finder[:, counts],
    )
