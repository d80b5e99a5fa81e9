"""Equivalence within a margin, and the number of seeds that decides a comparison."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ablations.study.asked_seeds import MAX_SEEDS
from reports.statistics.inference import SIGNIFICANCE, Estimate


def equivalence(estimate: Estimate, margin: float) -> float:
    """The p-value of the hypothesis that two settings differ by at least ``margin``.

    Two one-sided t-tests, of difference <= -margin and of difference >= margin, with the error and
    the degrees of freedom of the difference; the larger p-value counts. Source: Schuirmann (1987),
    A comparison of the two one-sided tests procedure and the power approach.

    Args:
        estimate: the estimate of the difference.
        margin: the margin, positive, in the unit of the difference.

    Returns:
        NaN if the difference has no error.
    """
    if not float(estimate.error) > 0:
        return math.nan
    above = stats.t.sf((estimate.value + margin) / estimate.error, estimate.freedom)
    below = stats.t.cdf((estimate.value - margin) / estimate.error, estimate.freedom)
    return float(max(above, below))


@dataclass(frozen=True)
class Needed:
    """The number of seeds, or of images, that would decide a comparison.

    Attributes:
        seeds: the number of seeds per row; None if not even ``MAX_SEEDS`` seeds decide it.
        images: if ``seeds`` is None, the number of validation images below which no number of seeds
            decides it; else None.
    """

    seeds: int | None
    images: int | None = None


def needed_to_decide(
    variances: Sequence[float], of_images: float, images: int, margin: float, tests: int
) -> Needed:
    """The number of seeds per row with which a difference of any size is decided.

    A difference d is significant if |d| > t_1 e, and equivalent to 0 if |d| < margin - t_2 e, with
    its standard error e, t_1 the two-sided and t_2 the one-sided quantile. If (t_1 + t_2) e is at
    most the margin, one of the two holds for any d. Both quantiles are those of the smallest
    p-value of Holm's correction, so that the number holds for any order of the p-values.

    Args:
        variances: the variance between seeds of each row, see :attr:`~.inference.Runs.between`.
        of_images: the part of the difference's variance that comes from the images.
        images: the number of images.
        margin: see :func:`equivalence`.
        tests: the number of rows that are tested.
    """
    seeds = np.arange(2, MAX_SEEDS + 1)
    parts = [(variance / seeds, seeds - 1) for variance in variances]
    parts.append((np.full(len(seeds), of_images), np.full(len(seeds), max(images - 1, 1))))
    variance = sum(part for part, _ in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = 1 / sum((part / variance) ** 2 / free for part, free in parts)
    width = _quantiles(freedom, tests) * np.sqrt(variance)
    enough = np.flatnonzero(width <= margin)
    if len(enough):
        return Needed(int(seeds[enough[0]]))
    limit = float(_quantiles(math.inf, tests)) * math.sqrt(of_images)
    return Needed(None, math.ceil(images * (limit / margin) ** 2) if limit > margin else None)


def _quantiles(freedom: np.ndarray | float, tests: int) -> np.ndarray:
    """The sum of the two-sided and the one-sided quantile after Bonferroni's correction."""
    level = SIGNIFICANCE / tests
    return stats.t.ppf(1 - level / 2, freedom) + stats.t.ppf(1 - level, freedom)


def smallest_permutation_p(ours: int, theirs: int) -> float:
    """The smallest two-sided p-value of a permutation test of two groups of runs.

    Such a test assumes no distribution. Only one of the C(n + m, n) divisions of the runs is as
    extreme as groups that do not overlap, or two if the groups are equally large.
    """
    return (2 if ours == theirs else 1) / math.comb(ours + theirs, ours)
