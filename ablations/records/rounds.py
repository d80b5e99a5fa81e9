"""Computes statistics of times that were measured in rounds.

In a round, every architecture is timed once, in random order. A machine that is slow for a while
slows all architectures of a round, so ratios within a round vary less than the times themselves.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, nan

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Centre:
    """A median over rounds, with its confidence interval.

    Attributes:
        median: the median of the rounds' values.
        low: lower end of the confidence interval; NaN for fewer than six values.
        high: upper end.
    """

    median: float
    low: float
    high: float


def centre(values: Sequence[float]) -> Centre:
    """The median of values and its distribution-free interval of at least 95 %.

    The ends are order statistics: the k-th smallest and the k-th largest value enclose the median
    with the probability 1 - 2 P(X < k), X binomial with n trials of 1/2 (Conover 1999, Practical
    Nonparametric Statistics, section 3.2). For 10 values, k is 2 and the level 97.9 %.
    """
    ordered, number = sorted(values), len(values)
    k, tail = 0, 0.0  # tail: P(X < k)
    while tail + comb(number, k) / 2**number <= (1 - CONFIDENCE) / 2:
        tail += comb(number, k) / 2**number
        k += 1
    low, high = (ordered[k - 1], ordered[-k]) if k else (nan, nan)
    return Centre(statistics.median(ordered), low, high)


def spread(values: Sequence[float]) -> float:
    """The interquartile range, divided by the median."""
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return (third - first) / median


def ratios(values: Sequence[float], references: Sequence[float]) -> list[float]:
    """The ratio of two series in each round; both have one value per round, in the same order."""
    return [value / reference for value, reference in zip(values, references, strict=True)]
