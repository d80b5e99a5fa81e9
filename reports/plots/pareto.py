"""The Pareto front of models by cost and value."""

import numpy as np

from reports.plots.drawing import Numbers


def pareto_front(costs: Numbers, values: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """The Pareto front: the points for which no other point has a higher value at no higher cost.

    Args:
        costs: for example ms per image.
        values: for example AP; points without both numbers are left out.

    Returns:
        Costs and values of those points, both rising, without duplicates.
    """
    x, y = np.asarray(costs, float), np.asarray(values, float)
    usable = np.isfinite(x) & np.isfinite(y)
    x, y = x[usable], y[usable]
    order = np.lexsort((-y, x))
    x, y = x[order], y[order]
    on_front = y > np.concatenate([[-np.inf], np.maximum.accumulate(y)[:-1]])
    return x[on_front], y[on_front]
