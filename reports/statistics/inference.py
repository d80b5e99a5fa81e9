"""Numbers from numbers: spread, intervals, tests and agreement of orders. Knows no labels.

The model behind the intervals. The value of run s of setting i, on the images that it was
evaluated on, is

    A_is = mu_i + (seed s) + (images, alike for all seeds of i) + (images, for seed s alone)

Other seeds and other images of the same kind would give other values; the intervals say how far.
They say nothing of other training data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats


def over_seeds(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Mean and spread of every row of a grid over its seeds.

    Args:
        frame: a line per (row, seed) with the columns ``row`` and ``metrics``, NaN where a seed
            has no result.
        metrics: the columns to average.

    Returns:
        A line per row, in order, with columns ``<metric>`` (mean), ``<metric>_sd`` (sample
        standard deviation, n - 1 in the denominator, NaN where n < 2) and ``<metric>_n``.
    """
    groups = frame.groupby("row", sort=True)
    columns = {}
    for metric in metrics:
        columns[metric] = groups[metric].mean()
        columns[f"{metric}_sd"] = groups[metric].std(ddof=1)
        columns[f"{metric}_n"] = groups[metric].count()
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class PooledSpread:
    """The noise floor of a table.

    Attributes:
        sd: the pooled standard deviation, in the unit of the values.
        groups: how many groups it is from.
        degrees_of_freedom: the sum of n - 1 over them.
    """

    sd: float
    groups: int
    degrees_of_freedom: int


def pooled_spread(groups: Sequence[Sequence[float]]) -> PooledSpread | None:
    """Standard deviation within groups: sqrt(sum of (n - 1) s^2 / sum of (n - 1)).

    Args:
        groups: the values of each setting's seeds; groups of fewer than two are left out.

    Returns:
        None where no group has two values.
    """
    usable = [np.asarray(group, dtype=float) for group in groups if len(group) > 1]
    if not usable:
        return None
    freedom = sum(len(group) - 1 for group in usable)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in usable)
    return PooledSpread(math.sqrt(squares / freedom), len(usable), freedom)


SIGNIFICANCE = 0.05
"""A difference survives where its p-value, after Holm's correction, is below this."""

CONFIDENCE = 1 - SIGNIFICANCE
"""Of every interval."""


@dataclass(frozen=True)
class Runs:
    """The runs of one setting, or of many at once along leading axes.

    Attributes:
        values: (..., n), one for each of n seeds, on all images.
        replicates: (..., n, B), the same runs on B resamples of the images; None without any.
            Resample b is of the same images in every run of every setting.
        images: how many images there are.
    """

    values: np.ndarray
    replicates: np.ndarray | None = None
    images: int = 0

    @property
    def seeds(self) -> int:
        return self.values.shape[-1]

    @property
    def own(self) -> np.ndarray:
        """(...,): what the choice of images adds to the variance of one run alone.

        By the resamples: their variance within a run less what all seeds have in common.
        """
        centred = self.replicates - self.replicates.mean(-1, keepdims=True)
        apart = centred - centred.mean(-2, keepdims=True)
        return (apart**2).sum((-1, -2)) / ((self.seeds - 1) * (centred.shape[-1] - 1))

    @property
    def between(self) -> np.ndarray:
        """(...,): variance of one run, from seed to seed.

        The sample variance over the seeds holds the part of the images that a seed has for
        itself. Where the two or three seeds happen to lie closer together than that part alone
        lets them, it is that part.
        """
        variance = self.values.var(-1, ddof=1)
        return variance if self.replicates is None else np.maximum(variance, self.own)


@dataclass(frozen=True)
class Estimate:
    """A value and how well it is known; arrays where many are estimated at once.

    Attributes:
        value: the estimate.
        low: of its interval, NaN where there is none.
        high: likewise.
        p_value: of the hypothesis that the truth is 0, by the same t; NaN where there is none.
        over_seeds: whether the interval is over other seeds.
        over_images: whether it is over other images.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    over_seeds: bool
    over_images: bool


def mean(runs: Runs) -> Estimate:
    """The mean over the seeds.

    Its interval is that of :func:`difference` with fewer degrees of freedom. The shares of the
    variance are not squared: a single s^2 of two or three seeds is often far too small, and the
    degrees of freedom, if its share is squared, too many (where the spread is all from the seeds,
    an interval of two seeds would cover 89 times in 100 and not 93).
    """
    return _estimate([(1, runs)], power=1)


def difference(ours: Runs, theirs: Runs) -> Estimate:
    """The difference of two settings' means over their seeds, ours - theirs.

    Its variance is s_i^2 / n_i + s_j^2 / n_j over the seeds and, for the images, the variance of
    the difference from resample to resample, less the parts that single runs have for themselves:
    those are in the s^2 already. The interval is Student's t with the degrees of freedom of
    Welch and Satterthwaite; n - 1 for each s^2, and no more for the images than there are of them.

    Runs of equal seed are not paired. Two losses send the same initial weights different ways
    within a few steps, so that pairs have little in common, and pairing would leave n - 1
    degrees of freedom where there are up to 2 (n - 1). What they may have in common makes the
    interval too wide, not too narrow.

    A percentile bootstrap over so few seeds would be too narrow: its variance is (n - 1) / n of
    s^2 / n, two thirds for three seeds, and its quantiles know nothing of how badly s^2 is known.

    Where a setting has one seed, its spread is unknown and the interval is over images alone.
    """
    return _estimate([(1, ours), (-1, theirs)], power=2)


def _estimate(terms: Sequence[tuple[int, Runs]], power: int) -> Estimate:
    """The sum of the means of these runs, each times its sign.

    Args:
        terms: signs and runs.
        power: of the shares of the variance in 1 / freedom = sum of share^power / freedom_k;
            2 is Welch and Satterthwaite's.
    """
    value = sum(sign * runs.values.mean(-1) for sign, runs in terms)
    over_seeds = all(runs.seeds > 1 for _, runs in terms)
    over_images = all(runs.replicates is not None for _, runs in terms)
    parts = []
    if over_seeds:
        parts += [(runs.between / runs.seeds, runs.seeds - 1) for _, runs in terms]
    if over_images:
        resampled = sum(sign * runs.replicates.mean(-2) for sign, runs in terms)
        variance = resampled.var(-1, ddof=1)
        if over_seeds:
            variance = variance - sum(runs.own / runs.seeds for _, runs in terms)
        images = min(resampled.shape[-1], *(runs.images for _, runs in terms))
        parts.append((np.maximum(variance, 0), images - 1))
    if not parts:
        nothing = np.full_like(value, math.nan)
        return Estimate(value, nothing, nothing, nothing, False, False)
    variance = sum(part for part, _ in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = 1 / sum((part / variance) ** power / freedom for part, freedom in parts)
        error = np.sqrt(variance)
        half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
        p_value = 2 * stats.t.sf(np.abs(value) / error, freedom)
    return Estimate(value, value - half, value + half, p_value, over_seeds, over_images)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values after Holm's correction (1979): the largest of min(1, (m - k) p_(k)) up to each.

    p_(0) <= p_(1) <= ... are the m that there are; NaN stays NaN and counts for none.
    """
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values)[: np.count_nonzero(~np.isnan(p_values))]  # NaN is sorted last
    adjusted = np.full_like(p_values, math.nan)
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def least_difference(spread: PooledSpread, seeds: int) -> float:
    """What two settings of so many seeds differ by at least if it is to exceed the noise.

    t sqrt(2 / n) sd with the t of a two-sided test at 5 % and the spread's degrees of freedom: of
    two settings alone, without the images and without a correction for comparing several.
    """
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, spread.degrees_of_freedom)
    return float(quantile) * math.sqrt(2 / seeds) * spread.sd


@dataclass(frozen=True)
class Agreement:
    """How far two lists have the same order.

    Attributes:
        tau: Kendall's tau-b in [-1, 1], None where it is undefined.
        p_value: of the hypothesis that the orders are unrelated, None where tau is.
        n: number of pairs of values that were compared.
        left_out: number of places where one of the two has no value.
        undefined: why there is no tau, else empty.
    """

    tau: float | None
    p_value: float | None
    n: int
    left_out: int
    undefined: str = ""


def kendall(ours: Sequence[float], published: Sequence[float]) -> Agreement:
    """Kendall's tau-b between two lists of values, NaN where there is none.

    tau-b = (C - D) / sqrt((P - T_x) (P - T_y)) with C concordant and D discordant pairs of the
    P = n (n - 1) / 2, and T_x and T_y the pairs tied in the one and the other list.
    """
    x, y = np.asarray(ours, dtype=float), np.asarray(published, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"{x.shape} values against {y.shape}: one published value per row")
    both = ~(np.isnan(x) | np.isnan(y))
    n, left_out = int(both.sum()), int((~both).sum())
    x, y = x[both], y[both]
    if n < 2:
        return Agreement(None, None, n, left_out, "fewer than two rows have both values")
    for values, whose in ((x, "our"), (y, "published")):
        if np.all(values == values[0]):
            return Agreement(None, None, n, left_out, f"all {whose} values are equal")
    tau, p_value = stats.kendalltau(x, y, variant="b")
    return Agreement(float(tau), float(p_value), n, left_out)


def window_medians(
    x: Sequence[float], y: Sequence[float], points: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Thin a curve to at most ``points`` by medians over windows of equal length.

    Returns:
        The last x of each window, the median y, and the windows' length (1: unchanged).
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    window = max(1, math.ceil(len(x) / points))
    starts = range(0, len(x), window)
    return (
        np.array([x[start : start + window][-1] for start in starts]),
        np.array([np.median(y[start : start + window]) for start in starts]),
        window,
    )
