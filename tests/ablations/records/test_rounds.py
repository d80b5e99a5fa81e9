"""Medians of rounds, and why ratios are taken within a round."""

import math
import random
import statistics

import pytest
from scipy import stats

from ablations.records.rounds import centre, ratios, spread


@pytest.mark.parametrize("number", [6, 7, 10, 11, 25])
def test_interval_of_the_median_is_scipys(number):
    values = [random.Random(seed).random() for seed in range(number)]
    found = centre(values)
    theirs = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    assert found.median == statistics.median(values)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def test_interval_covers_the_median_as_often_as_it_says():
    rng = random.Random(0)
    found = [centre([rng.expovariate(1) for _ in range(10)]) for _ in range(4000)]
    covered = statistics.mean(one.low <= math.log(2) <= one.high for one in found)
    # k = 2 of 10: 1 - 2 (1 + 10) / 2^10 = 0.9785, here within four standard errors
    assert covered == pytest.approx(1 - 22 / 1024, abs=4 * math.sqrt(0.9785 * 0.0215 / 4000))


def test_few_rounds_have_no_interval():
    # The smallest and the largest of 5 values enclose the median with 1 - 2 / 2^5 = 0.9375.
    assert math.isnan(centre([1.0, 2.0, 3.0, 4.0, 5.0]).low)
    assert centre([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).low == 1.0


def test_spread_is_the_distance_of_the_quartiles_over_the_median():
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((4 - 2) / 3)
    assert spread([7.0] * 10) == 0


class Neighbour:
    """A process beside the measurement, at work a third of the time, which makes it slower."""

    SLOWER, BUSY_SECONDS, IDLE_SECONDS = 1.5, 20.0, 40.0

    def __init__(self, rng: random.Random):
        self._rng, self.now = rng, 0.0
        self._is_busy = rng.random() < 1 / 3
        self._until = self._duration()

    def _duration(self) -> float:
        mean = self.BUSY_SECONDS if self._is_busy else self.IDLE_SECONDS
        return self.now + self._rng.expovariate(1 / mean)

    def time(self, ms: float, seconds: float = 0.5) -> float:
        """A measurement of this many seconds of something that takes so many ms by itself."""
        self.now += seconds
        while self.now > self._until:
            self._is_busy = not self._is_busy
            self._until += self._rng.expovariate(
                1 / (self.BUSY_SECONDS if self._is_busy else self.IDLE_SECONDS)
            )
        return ms * (self.SLOWER if self._is_busy else 1) * self._rng.gauss(1, 0.01)


def test_ratios_within_rounds_withstand_a_busy_neighbour():
    """Against timing A ten times, and then B ten times; B takes 1.1 times as long."""
    one_by_one, paired = [], []
    for seed in range(400):
        busy = Neighbour(random.Random(seed))
        first = [busy.time(5.0) for _ in range(10)]
        second = [busy.time(5.5) for _ in range(10)]
        one_by_one.append(statistics.median(second) / statistics.median(first))
        busy = Neighbour(random.Random(seed))
        pairs = [(busy.time(5.0), busy.time(5.5)) for _ in range(10)]
        a, b = zip(*pairs, strict=True)
        paired.append(centre(ratios(b, a)).median)
    assert statistics.stdev(one_by_one) > 0.05
    assert statistics.stdev(paired) < 0.01
    assert statistics.mean(paired) == pytest.approx(1.1, abs=0.002)
