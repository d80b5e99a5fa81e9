"""Numbers from numbers: spread over seeds and agreement of orders. Knows nothing of labels."""

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
