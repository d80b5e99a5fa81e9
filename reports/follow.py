"""Renders the report of a study that is being run again and again, beside the run."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reports.page.render import write_report
from reports.results.load import Results

NICENESS = 10
"""The cells come first, but a reader should not wait for minutes."""

WATCH_SECONDS = 1.0
"""How often it is looked whether the process that started this one still lives."""


CLEAN_UP_SECONDS = 5.0
"""How long the removal of a half-written file may take before it is told again to end."""


class _Over(BaseException):
    """This process is to end. No ``Exception``, so that nothing on the way takes it for its own."""


def follow(read: Callable[[], Results], seconds: float, parent: int | None = None) -> None:
    """Render now and whenever something has changed, until told to end.

    It ends on SIGTERM, on Ctrl-C and when the process that started it is gone, also in the middle
    of a rendering: every file is written whole or not at all. Nothing that a study's folder holds
    makes it end or speak: what cannot be rendered now may be the next time, and who renders the
    report at the end is told.

    Args:
        read: reads the study; called every time.
        seconds: from the end of one look to the next.
        parent: the process that started this one; without it, the one that is its parent now.
    """
    with _ending(os.getppid() if parent is None else parent):
        os.nice(NICENESS)
        shown = None
        while True:
            shown = _render(read, shown)
            time.sleep(seconds)


def _render(read: Callable[[], Results], shown: Any) -> Any:
    """Render if there is something that is not shown yet.

    Returns:
        What is shown now: the states, the records and what was refused.
    """
    try:
        results = read()
        found = (results.status.states, results.records, results.refused, results.request)
        if found != shown:
            write_report(results, at_work=True)
        return found
    except Exception:  # whatever it is, it must not disturb the run
        return shown


@contextmanager
def _ending(parent: int) -> Iterator[None]:
    """Leave the block when this process is to end, or ``parent`` no longer is its parent."""
    told = []

    def over(*_: Any) -> None:
        told.append(True)
        signal.setitimer(signal.ITIMER_REAL, CLEAN_UP_SECONDS, CLEAN_UP_SECONDS)
        raise _Over

    def watch(*_: Any) -> None:  # looks again for what was told: Python drops it in a destructor
        if told or os.getppid() != parent:
            raise _Over

    handlers = {signal.SIGTERM: over, signal.SIGALRM: watch}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.setitimer(signal.ITIMER_REAL, WATCH_SECONDS, WATCH_SECONDS)
    try:
        yield
    except (_Over, KeyboardInterrupt):
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)
