"""Which detection found which object, as COCO's evaluation decides it, in compact arrays."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

IMAGES_AT_ONCE = 25
"""COCOeval's Python objects of 5,000 images take gigabytes; those of some images are read, and
freed, before those of the next. With few at once, memory is used again and the garbage collector
seldom runs."""


@dataclass(frozen=True)
class Matches:
    """What AP, miss rate and recall are computed from: I images, K categories, T IoU thresholds.

    Of the D detections (at most 100 an image and category) those of a category follow each other,
    highest score first, equal scores in the order of COCOeval: by image, then as they were given.
    Of the G objects, crowds left out, those of a category follow each other, by image.

    Attributes:
        image_ids: (I,) int64, ascending; ``*_image`` below are positions here.
        category_ids: (K,) int64, ascending; ``*_category`` below are positions here.
        ious: (T,) float64, the IoU thresholds.
        recalls: (R,) float64, the recalls that AP averages precision over.
        score: (D,) float64.
        image: (D,) int64.
        category: (D,) int64.
        is_true: (T, D) bool, whether it found an object.
        is_ignored: (T, D) bool, whether it counts neither as true nor as false: it is on a crowd.
        object_image: (G,) int64.
        object_category: (G,) int64.
        object_id: (G,) int64, the annotation's id.
        found_score: (T, G) float64, the score of the detection that found it, NaN if none did.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    ious: np.ndarray
    recalls: np.ndarray
    score: np.ndarray
    image: np.ndarray
    category: np.ndarray
    is_true: np.ndarray
    is_ignored: np.ndarray
    object_image: np.ndarray
    object_category: np.ndarray
    object_id: np.ndarray
    found_score: np.ndarray

    def at(self, iou: float) -> int:
        """The position of an IoU threshold."""
        return int(np.flatnonzero(np.isclose(self.ious, iou))[0])

    @property
    def category_starts(self) -> np.ndarray:
        """(K + 1,) int64: detections n to m of a category are its entries ``starts[k]`` and
        ``starts[k + 1]``."""
        return np.searchsorted(self.category, np.arange(len(self.category_ids) + 1))


def find_matches(evaluation) -> Matches:
    """Evaluate over objects of all sizes, and keep what matched.

    Args:
        evaluation: a COCOeval of boxes, hotcoco's or pycocotools', with its truth and detections.
            It is evaluated here; its parameters are left changed.
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
    # By the detection's id. Ids start from 1; the finder 0 is none.
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
        is_true=finds[:, ids],
        is_ignored=is_ignored,
        object_image=objects[1],
        object_category=objects[0],
        object_id=objects[2],
        found_score=score_of_id[finder],
    )


def _read(
    entries: list[dict[str, Any]],
    places: tuple[dict[int, int], dict[int, int]],
    num_ious: int,
) -> tuple[np.ndarray, ...]:
    """What COCOeval says about some images and categories.

    Ids of images and categories are replaced by their places at once, as Python's integers: an id
    of more than 53 bits that goes through a float becomes its neighbour's.

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
        parts = [np.empty(shape, dtype), *(np.asarray(entry[key], dtype) for entry in entries)]
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
