"""Decides whether the rows of a table have learnt enough to be compared."""

import math
from collections.abc import Sequence

from reports.statistics.comparisons import Comparison

LEARNING_FLOOR_AP = 5.0
"""AP, percent; see docs/metrics.md. Rows below it are compared only if a test finds a difference.
"""


def highest_unlearnt_ap(comparisons: Sequence[Comparison], margin: float) -> float | None:
    """The highest AP of a table whose rows are all at the floor; None if they are not.

    All rows are at the floor if no mean reaches ``LEARNING_FLOOR_AP`` and no row differs from the
    reference row significantly and by at least the margin. While a row has no value, nothing is
    said.

    Args:
        comparisons: the rows of the table.
        margin: the equivalence margin, AP.
    """
    means = [row.mean for row in comparisons]
    differs = any(row.survives and abs(row.difference) >= margin for row in comparisons)
    is_known = bool(means) and all(map(math.isfinite, means))
    if not is_known or differs or max(means) >= LEARNING_FLOOR_AP:
        return None
    return max(means)
