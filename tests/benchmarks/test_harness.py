"""Timing side by side, with a clock that is told what to show."""

from dataclasses import replace

import pytest

from benchmarks.harness import MIN_ROUNDS, Side, Spread, time_sides, times_as_fast


class Clock:
    """Stands still, but for what a side is said to take."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def side(self, name, seconds, calls):
        """Takes the next of ``seconds`` at each call."""
        left = iter(seconds)

        def run():
            calls.append(name)
            self.now += next(left)

        return Side(name, run)


@pytest.fixture
def clock():
    return Clock()


def test_each_side_has_its_own_times_without_the_warm_up(clock):
    sides = [clock.side("a", [9, 1, 2, 3], []), clock.side("b", [9, 4, 10, 9], [])]
    assert time_sides(sides, rounds=3, warmup=1, clock=clock) == [[1, 2, 3], [4, 10, 9]]


def test_the_order_alternates_and_all_have_the_same_warm_up(clock):
    calls = []
    sides = [clock.side(name, [1] * 9, calls) for name in "abc"]
    time_sides(sides, rounds=2, warmup=2, clock=clock)
    assert "".join(calls) == "abc" "cba" "abc" "cba"  # fmt: skip


def test_a_share_of_the_work_is_shown_as_the_whole(clock):
    side = clock.side("a third", [1.0, 2.0], [])
    (times,) = time_sides([replace(side, whole=3.0)], rounds=2, warmup=0, clock=clock)
    assert times == [3.0, 6.0]


def test_no_round_is_begun_after_the_budget(clock):
    sides = [clock.side("a", [2.0] * 50, []), clock.side("b", [3.0] * 50, [])]
    a, b = time_sides(sides, rounds=50, warmup=0, budget_seconds=24.0, clock=clock)
    assert len(a) == len(b) == 5  # the sixth would begin after 25 seconds


def test_some_rounds_are_run_whatever_the_budget(clock):
    (times,) = time_sides(
        [clock.side("a", [7.0] * 9, [])], rounds=9, warmup=2, budget_seconds=1.0, clock=clock
    )
    assert len(times) == MIN_ROUNDS


def test_a_ratio_is_of_two_times_of_one_round():
    ours, theirs = [1.0, 2.0, 10.0], [4.0, 10.0, 30.0]
    # 4 / 1, 10 / 2 and 30 / 10; that of the two medians would be 10 / 2 as well, so:
    assert times_as_fast(ours, theirs) == Spread(median=4.0, least=3.0, most=5.0)


def test_rounds_that_do_not_pair_up_are_refused():
    with pytest.raises(ValueError):
        times_as_fast([1.0], [1.0, 2.0])
