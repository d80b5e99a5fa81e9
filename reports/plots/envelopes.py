"""Which of several models none beats in speed and accuracy at once."""

from collections.abc import Sequence

import numpy as np


def envelope(costs: Sequence[float], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The points that no other point beats: none costs no more and has a higher value.

    Args:
        costs: for example ms per image, the lower the better.
        values: for example AP, the higher the better; a point without both numbers is left out.

    Returns:
        Costs and values of those points, both rising; equal points are one.
    """
    x, y = np.asarray(costs, float), np.asarray(values, float)
    usable = np.isfinite(x) & np.isfinite(y)
    x, y = x[usable], y[usable]
    order = np.lexsort((-y, x))
    x, y = x[order], y[order]
    kept = y > np.concatenate([[-np.inf], np.maximum.accumulate(y)[:-1]])
    return x[kept], y[kept]
