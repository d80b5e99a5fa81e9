"""Gives a reader many cases, and counts them."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.readers import Reader

PERIOD = 10_000
"""The number of cases between two progress reports."""


@dataclass
class Count:
    """The progress of a reader."""

    cases: int = 0
    accepted: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        rate = self.cases / self.seconds if self.seconds else 0.0
        share = 100 * self.accepted / self.cases if self.cases else 0.0
        return f"{self.cases:,} cases, {share:.1f} % accepted, {rate:,.0f} cases a second"


class FuzzError(AssertionError):
    """A reader treated a case in an undocumented way; the message has the case."""


def fuzz(
    reader: Reader, cases: int, seed: int, progress: Callable[[Count], None] = lambda _: None
) -> Count:
    """Give a reader this many cases.

    Args:
        reader: the reader.
        cases: how many.
        seed: the same one gives the same cases.
        progress: called now and then, and at the end.

    Raises:
        FuzzError: the first case at fault, from what the reader raised.
    """
    count, generator = Count(), random.Random(f"{reader.name} {seed}")
    started = time.perf_counter()
    while count.cases < cases:
        case = reader.cases(generator)
        try:
            count.accepted += reader.accepts(case)
        except Exception as error:
            raise FuzzError(
                f"{reader.name}, case {count.cases} of seed {seed}: "
                f"{type(error).__name__}: {error}\n{case!r}"
            ) from error
        count.cases += 1
        if count.cases % PERIOD == 0 or count.cases == cases:
            count.seconds = time.perf_counter() - started
            progress(count)
    return count
