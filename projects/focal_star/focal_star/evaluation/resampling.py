"""Computes AP on bootstrap resamples of the images, which estimate its variation over images.

A resample of n images is n images drawn with replacement (Efron 1979), which is the same as a
weight for each image: the number of times it was drawn. COCOeval matches detections and objects
within an image, so the matches stay the same and only the weights change.
"""

import itertools
from dataclasses import replace

import numpy as np

from focal_star.evaluation.matches import Matches

SEED = 0


def image_weights(num_images: int, resamples: int, seed: int = SEED) -> np.ndarray:
    """The number of times that each image is drawn in each resample.

    The weights depend only on the arguments. So resample b has the same images in all cells that
    are evaluated on the same images, and differences between two cells are paired. The weights are
    computed from PCG64's raw stream, which is the same in all versions of NumPy (NEP 19), unlike
    the methods of ``Generator``.

    Args:
        num_images: n; images are ordered by id.
        resamples: B.
        seed: the seed of the stream.

    Returns:
        (B, n) uint16; every row sums to n.
    """
    stream = np.random.PCG64(seed)
    weights = np.empty((resamples, num_images), np.uint16)
    for row in weights:
        drawn = (stream.random_raw(num_images) >> np.uint64(11)) * 2.0**-53 * num_images
        row[:] = np.bincount(drawn.astype(np.int64), minlength=num_images)
    return weights


def average_precision(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """COCO's AP with a weight for each image.

    It equals the AP that COCOeval computes if each image, with its objects and detections, is
    repeated as often as its weight, one copy after the other. Categories without objects in the
    resample are left out.

    The maxima of precision over recall are always at true detections, so only these are visited:
    each resample needs one cumulative sum over all detections and a few over the true ones.

    Args:
        matches: the matches of detections and objects.
        weights: (B, I) whole numbers >= 0.

    Returns:
        (B, T) float64 in 0..1: for each IoU threshold the mean over the categories with objects;
        NaN if there are none. The mean over T is AP.
    """
    matches, weights = _with_equal_scores_apart(matches, weights)
    curves = _Curves(matches)
    largest_sum = int(weights.max(initial=0)) * matches.is_true.size
    whole = np.int32 if largest_sum < 2**31 else np.int64
    aps = [curves.average_precision(row.astype(whole)) for row in weights]
    return np.array(aps).reshape(len(weights), len(matches.ious))


class _Curves:
    """The precision-recall curves of all IoU thresholds and categories, concatenated.

    A curve has the true detections of one threshold and category, highest score first. The S curves
    that are not empty are ordered by threshold, then by category, and have P detections in all.
    """

    def __init__(self, matches: Matches):
        num_detections, num_categories = matches.is_true.shape[1], len(matches.category_ids)
        starts, categories = matches.category_starts, np.arange(num_categories + 1)
        iou, place = np.nonzero(matches.is_true)
        curve = iou * num_categories + matches.category[place]
        curves, self._first, self._length = np.unique(curve, return_index=True, return_counts=True)
        iou_of_curve, self._category = np.divmod(curves, num_categories)
        self._image = matches.image
        self._next = place + 1
        self._start = starts[self._category]
        self._true_image = matches.image[place]
        self._object_image = matches.object_image
        self._object_starts = np.searchsorted(matches.object_category, categories)
        # One pass from the last curve to the first computes the running maxima of all curves. For
        # this, each curve is lifted above the curves after it.
        self._lift = np.repeat(np.arange(len(curves))[::-1].astype(float), self._length)
        of_iou = np.searchsorted(iou, np.arange(len(matches.ious) + 1))
        self._of_iou = list(itertools.starmap(slice, itertools.pairwise(of_iou)))
        # The number of ignored detections before each one, over all thresholds; there are few.
        ignored_iou, ignored_place = np.nonzero(matches.is_ignored)
        ignored = ignored_iou * num_detections + ignored_place
        self._ignored_image = matches.image[ignored_place]
        self._ignored_before = np.searchsorted(ignored, iou * num_detections + place)
        self._ignored_start = np.searchsorted(ignored, iou_of_curve * num_detections + self._start)
        self._recalls = matches.recalls
        steps = len(matches.recalls) - 1
        assert np.allclose(matches.recalls, np.arange(steps + 1) / steps), matches.recalls

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """The (T,) AP for (I,) weights. They are integers, whose sums are exact and fast."""
        objects = np.diff(_sums(weights.take(self._object_image))[self._object_starts])
        if not objects.any():
            return np.full(len(self._of_iou), np.nan)
        true = self._since(_sums(weights.take(self._true_image)), slice(1, None), self._first)
        counted = self._since(_sums(weights.take(self._image)), self._next, self._start)
        if len(self._ignored_image):
            ignored = _sums(weights.take(self._ignored_image))
            counted -= self._since(ignored, self._ignored_before, self._ignored_start)
        precision = true / np.maximum(counted, 1)  # 0 of 0 if all weights so far are 0
        recall = true / np.repeat(np.maximum(objects, 1)[self._category], self._length)
        # COCOeval's precision at a recall is the highest at that recall or above.
        precision += self._lift
        np.maximum.accumulate(precision[::-1], out=precision[::-1])
        precision -= self._lift
        # A leading detection of weight 0 reaches recall 0, with the precision of the next ones.
        reached = self._reached(recall)
        new = reached.copy()
        new[1:] -= reached[:-1]
        new[self._first] = reached[self._first]
        precision *= new
        sums = [precision[places].sum() for places in self._of_iou]
        return np.array(sums) / (len(self._recalls) * np.count_nonzero(objects))

    def _since(self, sums: np.ndarray, places: np.ndarray | slice, starts: np.ndarray):
        """(P,) running sums at some positions, counted from the start of their curve."""
        return sums[places] - np.repeat(sums[starts], self._length)

    def _reached(self, recall: np.ndarray) -> np.ndarray:
        """The number of COCOeval's recalls (0, .01 .. 1) <= a recall, with its comparison."""
        nearest = np.rint(recall * (len(self._recalls) - 1)).astype(np.intp)
        return nearest + (self._recalls[nearest] <= recall)


def _with_equal_scores_apart(matches: Matches, weights: np.ndarray) -> tuple[Matches, np.ndarray]:
    """The same matches and weights, with equal scores of repeated images in COCOeval's order.

    COCOeval orders equal scores by image. So a true and a false detection with the same score, in
    an image that counts twice, are ordered true, false, true, false; a weight of 2 would order them
    true, true, false, false. Therefore each copy of such detections becomes a detection of a
    separate image, whose weight is 1 if the original image has that many copies, else 0.
    """
    copies = int(weights.max(initial=0))
    place = np.column_stack([matches.category, matches.score, matches.image])
    run = np.cumsum(np.any(np.diff(place, axis=0, prepend=place[:1]) != 0, axis=1))
    mixed = (np.bincount(run) > 1) & (np.bincount(run, weights=matches.is_true.any(axis=0)) > 0)
    tied = mixed[run]
    if copies < 2 or not tied.any():
        return matches, weights
    members = np.flatnonzero(tied)
    index = np.concatenate([np.arange(len(run)), np.tile(members, copies - 1)])
    copy = np.repeat(np.arange(copies), [len(run), *[len(members)] * (copies - 1)])
    order = np.lexsort((index, copy, run[index]))
    index, copy = index[order], copy[order]
    images = np.unique(matches.image[members])
    image_of_copy = weights.shape[1] + copies * np.searchsorted(images, matches.image[index]) + copy
    counts = weights[:, images, None] > np.arange(copies)
    return (
        replace(
            matches,
            score=matches.score[index],
            image=np.where(tied[index], image_of_copy, matches.image[index]),
            category=matches.category[index],
            is_true=matches.is_true[:, index],
            is_ignored=matches.is_ignored[:, index],
        ),
        np.concatenate([weights, counts.reshape(len(weights), -1)], axis=1),
    )


def _sums(values: np.ndarray) -> np.ndarray:
    """(N + 1,) running sums from 0."""
    sums = np.zeros(len(values) + 1, values.dtype)
    np.cumsum(values, out=sums[1:])
    return sums
