"""Our values in the order of other values."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def at_ranks(ours: Sequence[float], theirs: Sequence[float]) -> np.ndarray:
    """Our value at the rank of each of their values, among the rows that have both.

    The result has our values in their order: it equals ``ours`` if both orders agree. Values of
    theirs that are tied get the value at their mean rank, interpolated between ours.

    Returns:
        A value per row; NaN for a row that lacks a value, and for all rows if fewer than two have
        both.
    """
    x, y = np.asarray(ours, float), np.asarray(theirs, float)
    placed, both = np.full(len(x), np.nan), np.isfinite(x) & np.isfinite(y)
    if both.sum() > 1:
        ranks = stats.rankdata(y[both])
        placed[both] = np.interp(ranks, np.arange(1, both.sum() + 1), np.sort(x[both]))
    return placed
