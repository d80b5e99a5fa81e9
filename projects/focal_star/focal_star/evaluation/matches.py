"""Which detection found which object, as COCO's evaluation decides it, in compact arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np

IMAGES_AT_ONCE = 500
"""COCOeval's Python objects of 5,000 images take gigabytes; those of some images are read, and
freed, before those of the next."""

_FALSE, _TRUE, _IGNORED = 0, 1, 2


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
    image_ids = np.unique(evaluation.cocoGt.getImgIds())
    category_ids = np.unique(evaluation.cocoGt.getCatIds())
    num_ious = len(params.iouThrs)
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("detections", "objects")}
    states: list[np.ndarray] = []
    found_scores: list[np.ndarray] = []
    for start in range(0, len(image_ids), IMAGES_AT_ONCE):
        params.imgIds = image_ids[start : start + IMAGES_AT_ONCE].tolist()
        evaluation.evaluate()
        for entry in evaluation.evalImgs:
            if entry is None:
                continue
            place = (entry["category_id"], entry["image_id"])
            detections, objects, state, scores = _read(entry, num_ious)
            found["detections"].append(_with_place(place, detections))
            found["objects"].append(_with_place(place, objects))
            states.append(state)
            found_scores.append(scores)
    detections = np.concatenate([np.empty((0, 3)), *found["detections"]])
    objects = np.concatenate([np.empty((0, 3)), *found["objects"]])
    state = np.concatenate([np.empty((num_ious, 0), np.int8), *states], axis=1)
    found_score = np.concatenate([np.empty((num_ious, 0)), *found_scores], axis=1)
    # lexsort is stable: where scores are equal, the order by image and within it stays.
    by_score = np.lexsort((detections[:, 1], -detections[:, 2], detections[:, 0]))
    by_image = np.lexsort((objects[:, 1], objects[:, 0]))
    detections, objects, state = detections[by_score], objects[by_image], state[:, by_score]
    return Matches(
        image_ids=image_ids,
        category_ids=category_ids,
        ious=np.asarray(params.iouThrs, float),
        recalls=np.asarray(params.recThrs, float),
        score=detections[:, 2],
        image=np.searchsorted(image_ids, detections[:, 1]),
        category=np.searchsorted(category_ids, detections[:, 0]),
        is_true=state == _TRUE,
        is_ignored=state == _IGNORED,
        object_image=np.searchsorted(image_ids, objects[:, 1]),
        object_category=np.searchsorted(category_ids, objects[:, 0]),
        object_id=objects[:, 2].astype(np.int64),
        found_score=found_score[:, by_image],
    )


def _read(entry: dict[str, Any], num_ious: int) -> tuple[np.ndarray, ...]:
    """Of one image and category: scores (D,), objects' ids (G,), states (T, D) of the detections,
    and the scores (T, G) that found the objects."""
    scores, detection_ids = np.asarray(entry["dtScores"], float), np.asarray(entry["dtIds"], int)
    matched = np.asarray(entry["dtMatches"]).reshape(num_ious, -1) > 0
    ignored = np.asarray(entry["dtIgnore"], bool).reshape(num_ious, -1)
    state = np.where(ignored, _IGNORED, np.where(matched, _TRUE, _FALSE)).astype(np.int8)
    counts = ~np.asarray(entry["gtIgnore"], bool)
    finders = np.asarray(entry["gtMatches"], int).reshape(num_ious, -1)[:, counts]
    found_score = np.full(finders.shape, np.nan)
    if len(detection_ids):
        order = np.argsort(detection_ids)
        place = order[np.searchsorted(detection_ids[order], finders).clip(max=len(order) - 1)]
        found_score = np.where(finders > 0, scores[place], np.nan)
    return scores, np.asarray(entry["gtIds"], int)[counts], state, found_score


def _with_place(place: tuple[int, int], values: np.ndarray) -> np.ndarray:
    """(N, 3): category id, image id and value. Ids are exact in float64 up to 2^53."""
    return np.column_stack([np.full((len(values), 2), place, float), values])
