"""Spread, confidence intervals, tests and rank correlation of arrays of numbers.

The model behind the intervals. The value of run s of setting i, on the images that it was
evaluated on, is

    A_is = mu_i + (seed s) + (images, alike for all seeds of i) + (images, for seed s only)

The intervals cover the variation in seeds and in images of the same kind. They do not cover
variation in the training data.
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
        frame: a line per (row, seed) with the columns ``row`` and ``metrics``, NaN if a seed
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
    """The spread within groups of values.

    Attributes:
        sd: the pooled standard deviation, in the unit of the values.
        groups: their number.
        degrees_of_freedom: the sum of n - 1 over the groups.
    """

    sd: float
    groups: int
    degrees_of_freedom: int


def pooled_spread(groups: Sequence[Sequence[float]]) -> PooledSpread | None:
    """Standard deviation within groups: sqrt(sum of (n - 1) s^2 / sum of (n - 1)).

    Args:
        groups: the values of each setting's seeds; groups of fewer than two are left out.

    Returns:
        None if no group has two values.
    """
    usable = [np.asarray(group, dtype=float) for group in groups if len(group) > 1]
    if not usable:
        return None
    freedom = sum(len(group) - 1 for group in usable)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in usable)
    return PooledSpread(math.sqrt(squares / freedom), len(usable), freedom)


SIGNIFICANCE = 0.05
"""A difference is significant if its p-value after Holm's correction is below this."""

CONFIDENCE = 1 - SIGNIFICANCE
"""The confidence level of every interval."""


@dataclass(frozen=True)
class Runs:
    """The runs of one setting, or of several settings along leading axes.

    Attributes:
        values: (..., n), on all images, for each of n seeds.
        replicates: (..., n, B), on B resamples of the images, or None. Resample b has the same
            images in every run of every setting.
        images: the number of images.
    """

    values: np.ndarray
    replicates: np.ndarray | None = None
    images: int = 0

    @property
    def seeds(self) -> int:
        return self.values.shape[-1]

    @property
    def interaction(self) -> np.ndarray:
        """(...,): the part of a run's variance that its own reaction to the images contributes.

        It is the variance over the resamples within a run, without the part that all seeds share.
        """
        assert self.replicates is not None
        centred = self.replicates - self.replicates.mean(-1, keepdims=True)
        apart = centred - centred.mean(-2, keepdims=True)
        return (apart**2).sum((-1, -2)) / ((self.seeds - 1) * (centred.shape[-1] - 1))

    @property
    def between(self) -> np.ndarray:
        """(...,): the variance of a run between seeds.

        The sample variance over the seeds includes :attr:`interaction`. If a few seeds happen to
        lie closer together than :attr:`interaction` implies, the variance is :attr:`interaction`.
        """
        variance = self.values.var(-1, ddof=1)
        return variance if self.replicates is None else np.maximum(variance, self.interaction)


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; arrays if several are estimated at once.

    Attributes:
        value: the estimate.
        low: lower bound, NaN if there is none.
        high: upper bound.
        p_value: the p-value of the hypothesis that the true value is 0, from the t-distribution of
            the interval; NaN if there is none.
        over_seeds: whether the interval covers the variation in seeds.
        over_images: whether it covers the variation in images.
        error: the standard error, NaN if there is none.
        freedom: the degrees of freedom of the t-distribution.
        of_images: the part of the variance that comes from the images; 0 without resamples. If
            ``over_seeds``, it is the part that more seeds do not reduce; else it contains
            :attr:`Runs.interaction` as well.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    over_seeds: bool
    over_images: bool
    error: np.ndarray
    freedom: np.ndarray
    of_images: np.ndarray


def mean(runs: Runs) -> Estimate:
    """The mean over the seeds.

    Its interval is that of :func:`difference` with fewer degrees of freedom: the shares of the
    variance are not squared. A single s^2 of two or three seeds is often far too small, and squared
    shares would give too many degrees of freedom (if all spread comes from the seeds, an interval
    of two seeds would have a coverage of 89 % instead of 93 %).
    """
    return _estimate([(1, runs)], power=1)


def difference(ours: Runs, theirs: Runs) -> Estimate:
    """The difference of two settings' means over their seeds, ours - theirs.

    Its variance is s_i^2 / n_i + s_j^2 / n_j for the seeds plus, for the images, the variance of
    the difference over the resamples without the runs' own parts, which the s^2 already contain.
    The interval is Student's t with the degrees of freedom of Welch and Satterthwaite: n - 1 for
    each s^2, and at most the number of images - 1 for the images.

    Runs of equal seed are not paired. Two losses lead the same initial weights to different models
    within a few steps, so pairs share little, and pairing would leave n - 1 degrees of freedom
    instead of up to 2 (n - 1). If pairs do correlate, the interval is too wide, not too narrow.

    A percentile bootstrap over so few seeds would be too narrow: its variance is (n - 1) / n of
    s^2 / n (two thirds for three seeds), and its quantiles ignore the uncertainty of s^2.

    If a setting has one seed, its spread is unknown and the interval covers only the images.
    """
    return _estimate([(1, ours), (-1, theirs)], power=2)


def paired_difference(ours: Runs, theirs: Runs) -> Estimate:
    """The mean over pairs of runs of ours - theirs.

    For two studies of one setting, where run s of both has the same seed. It is :func:`mean` of the
    differences, on each resample of the same images as well: whatever both runs of a pair share
    cancels out. If pairs share nothing, the interval is wider than that of :func:`difference`,
    which has more degrees of freedom.

    Args:
        ours: the runs of one setting.
        theirs: as many runs, in the order of the same seeds.
    """
    assert ours.seeds == theirs.seeds, f"{ours.seeds} runs against {theirs.seeds}"
    if ours.replicates is None or theirs.replicates is None:
        return mean(Runs(ours.values - theirs.values))
    resampled = ours.replicates - theirs.replicates
    return mean(Runs(ours.values - theirs.values, resampled, min(ours.images, theirs.images)))


def _estimate(terms: Sequence[tuple[int, Runs]], power: int) -> Estimate:
    """The sum of the signed means of these runs.

    Args:
        terms: signs and runs.
        power: the exponent of the variance shares in 1 / freedom = sum of share^power / freedom_k;
            it is 2 in Welch and Satterthwaite's formula.
    """
    value = np.sum([sign * runs.values.mean(-1) for sign, runs in terms], axis=0)
    over_seeds = all(runs.seeds > 1 for _, runs in terms)
    resamples = [(sign, runs.replicates) for sign, runs in terms if runs.replicates is not None]
    over_images = len(resamples) == len(terms)
    parts, of_images = [], np.zeros_like(value)
    if over_seeds:
        parts += [(runs.between / runs.seeds, runs.seeds - 1) for _, runs in terms]
    if over_images:
        resampled = np.sum([sign * one.mean(-2) for sign, one in resamples], axis=0)
        variance = resampled.var(-1, ddof=1)
        if over_seeds:
            variance = variance - sum(runs.interaction / runs.seeds for _, runs in terms)
        images = min(resampled.shape[-1], *(runs.images for _, runs in terms))
        of_images = np.maximum(variance, 0)
        parts.append((of_images, images - 1))
    if not parts:
        nothing = np.full_like(value, math.nan)
        return Estimate(
            value, nothing, nothing, nothing, False, False, nothing, nothing, of_images
        )  # fmt: skip
    variance = sum(part for part, _ in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.asarray(1 / sum((part / variance) ** power / free for part, free in parts))
        error = np.sqrt(variance)
        half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
        p_value = 2 * stats.t.sf(np.abs(value) / error, freedom)
    return Estimate(
        value, value - half, value + half, p_value, over_seeds, over_images, error, freedom,
        of_images,
    )  # fmt: skip


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values after Holm's correction (1979): the largest of min(1, (m - k) p_(k)) up to each.

    p_(0) <= p_(1) <= ... are the m defined values; NaN stays NaN and is not counted.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN is sorted last
    adjusted = np.full_like(p, math.nan)
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def least_difference(spread: PooledSpread, ours: int, theirs: int) -> float:
    """The smallest difference of two settings with so many runs that exceeds the noise.

    t sqrt(1 / n + 1 / m) sd with the t of a two-sided test at 5 % and the spread's degrees of
    freedom. It ignores the variation in images and is not corrected for several comparisons.
    """
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, spread.degrees_of_freedom)
    return float(quantile) * math.sqrt(1 / ours + 1 / theirs) * spread.sd


@dataclass(frozen=True)
class Agreement:
    """The rank correlation of two lists.

    Attributes:
        tau: Kendall's tau-b in [-1, 1], None if it is undefined.
        p_value: the p-value of the hypothesis that the orders are unrelated, None if tau is None.
        n: number of compared pairs of values.
        left_out: number of places where a value is missing.
        undefined: why there is no tau; else "".
    """

    tau: float | None
    p_value: float | None
    n: int
    left_out: int
    undefined: str = ""


def kendall(ours: Sequence[float], published: Sequence[float]) -> Agreement:
    """Kendall's tau-b between two lists of values, NaN for a missing value.

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
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    window = max(1, math.ceil(len(xs) / points))
    starts = range(0, len(xs), window)
    return (
        np.array([xs[start : start + window][-1] for start in starts]),
        np.array([np.median(ys[start : start + window]) for start in starts]),
        window,
    )
