"""Times several ways to do one thing, side by side."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MIN_ROUNDS = 3


@dataclass(frozen=True)
class Side:
    """One way to do it.

    Attributes:
        name: as the table shows it.
        run: does it once; on a GPU it waits until it is done.
        whole: factor of its time if it does only a share of the work; its name says so.
    """

    name: str
    run: Callable[[], object]
    whole: float = 1.0


@dataclass(frozen=True)
class Case:
    """What is compared.

    Attributes:
        title: names the case in the table: the shapes and the type.
        sides: the ways to do it.
        baseline: the side that the others are compared with; None where there is one side.
        rounds: number of timed rounds.
        budget_seconds: no round begins after this time.
        warmup: number of rounds before the timed ones.
        input_bytes: the unit that the peak memory is also shown in; None for no such unit.
        measure_memory: whether each side is run once more for its peak memory.
    """

    title: str
    sides: Sequence[Side]
    baseline: str | None
    rounds: int
    budget_seconds: float
    warmup: int = 2
    input_bytes: int | None = None
    measure_memory: bool = True


@dataclass(frozen=True)
class Spread:
    """The middle and the ends of some numbers."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        return cls(statistics.median(numbers), min(numbers), max(numbers))


def time_sides(
    sides: Sequence[Side],
    *,
    rounds: int,
    warmup: int,
    budget_seconds: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """The seconds of each side in each round.

    Each side runs once per round, in an order that is reversed every second round, so that other
    load on the machine affects all sides alike.

    Args:
        sides: at least one.
        rounds: how many are timed.
        warmup: rounds before them, which are not.
        budget_seconds: no round is begun after this time, but ``MIN_ROUNDS`` are run.
        clock: gives seconds.

    Returns:
        For each side, the time of each round.
    """
    times: list[list[float]] = [[] for _ in sides]
    first = clock()
    for number in range(warmup + rounds):
        timed = number - warmup
        if timed >= MIN_ROUNDS and clock() - first > budget_seconds:
            break
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for index in order:
            start = clock()
            sides[index].run()
            seconds = (clock() - start) * sides[index].whole
            if timed >= 0:
                times[index].append(seconds)
    return times


def times_as_fast(times: Sequence[float], baseline: Sequence[float]) -> Spread:
    """How many times as fast as the baseline a side is: the ratio of each round's two times."""
    return Spread.of([base / side for side, base in zip(times, baseline, strict=True)])
