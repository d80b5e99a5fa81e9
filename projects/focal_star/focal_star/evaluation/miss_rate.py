"""Miss rate over false positives per image, and its log-average, LAMR.

As Dollar, Wojek, Schiele and Perona measure it for pedestrian detection ("Pedestrian Detection: An
Evaluation of the State of the Art", TPAMI 34(4), 2012, section 3.1), a category at a time, with
these conventions:

- A detection is true where COCOeval matches it to an object at the IoU threshold; one on a crowd
  counts neither as true nor as false, and a crowd is not to be found.
- Detections of equal score are accepted together.
- False positives per image (FPPI) are over all images, with objects or without.
- The value at a reference point is the lowest miss rate at an FPPI that is not above it. Before
  the first detection the miss rate is 1, at FPPI 0.
- The log-average is the geometric mean over nine reference points. A miss rate below 1e-10 counts
  as 1e-10, as in the authors' own code, but where all nine are 0, so is the log-average.
"""

import numpy as np

from focal_star.evaluation.matches import Matches

REFERENCE_FPPI = np.array([10 ** (-2 + n / 4) for n in range(9)])
"""Evenly spaced in the logarithm, from 0.01 to 1 false positives per image."""

MIN_MISS_RATE = 1e-10


def miss_rates(matches: Matches, iou: float) -> np.ndarray:
    """The miss rate of every category at ``REFERENCE_FPPI``.

    Args:
        matches: what was found.
        iou: one of the IoU thresholds.

    Returns:
        (K, 9) float64 in 0..1; NaN for a category without objects.
    """
    threshold, starts = matches.at(iou), matches.category_starts
    num_objects = np.bincount(matches.object_category, minlength=len(matches.category_ids))
    rates = np.full((len(num_objects), len(REFERENCE_FPPI)), np.nan)
    for category in np.flatnonzero(num_objects):
        rows = slice(starts[category], starts[category + 1])
        counts = ~matches.is_ignored[threshold, rows]
        fppi, rate = curve(
            matches.score[rows][counts],
            matches.is_true[threshold, rows][counts],
            int(num_objects[category]),
            len(matches.image_ids),
        )
        rates[category] = rate[np.searchsorted(fppi, REFERENCE_FPPI, side="right") - 1]
    return rates


def curve(
    score: np.ndarray, is_true: np.ndarray, num_objects: int, num_images: int
) -> tuple[np.ndarray, np.ndarray]:
    """Miss rate over false positives per image, of one category.

    Args:
        score: (D,) of the detections, descending.
        is_true: (D,) bool.
        num_objects: to be found, at least 1.
        num_images: at least 1.

    Returns:
        FPPI, ascending, and miss rate in 0..1, descending: (N + 1,) each, for no detection at all
        and for all detections down to each of the N scores.
    """
    last = np.flatnonzero(np.diff(score, append=-np.inf))  # of those of equal score
    true, false = np.cumsum(is_true)[last], np.cumsum(~is_true)[last]
    return (
        np.concatenate([[0.0], false / num_images]),
        np.concatenate([[1.0], (num_objects - true) / num_objects]),
    )


def log_average(rates: np.ndarray) -> np.ndarray:
    """LAMR, 0..1, of miss rates (..., 9): 0 for a perfect detector, 1 for an empty one."""
    average = np.exp(np.log(np.maximum(rates, MIN_MISS_RATE)).mean(axis=-1))
    return np.where((rates == 0).all(axis=-1), 0.0, average)
