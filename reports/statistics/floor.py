"""Whether the rows of a table have learnt anything that could be compared."""

import math
from collections.abc import Sequence

from reports.statistics.comparisons import Comparison

FLOOR_AP = 5.0
"""Percent; docs/metrics.md says why. Below it, only a difference that a test finds counts."""


def floor(found: Sequence[Comparison], margin: float) -> float | None:
    """The highest AP of a table whose rows are all at the floor; None if they are not.

    They are if no mean reaches ``FLOOR_AP`` and no row differs from the reference row
    significantly and by at least the margin.

    Args:
        found: the rows of the table.
        margin: the margin of equivalence, AP.
    """
    means = [one.mean for one in found if math.isfinite(one.mean)]
    differs = any(one.survives and abs(one.difference) >= margin for one in found)
    if not means or differs or max(means) >= FLOOR_AP:
        return None
    return max(means)
