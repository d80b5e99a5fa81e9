"""Renders the report of a running study whenever something has changed."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reports.page.render import write_report
from reports.results.load import Results

NICENESS = 10
"""Training has priority, but a reader should not wait for minutes."""

MAX_SHARE = 0.05
"""The maximum share of a core's time that renderings take from the training."""

WATCH_SECONDS = 1.0
"""The interval between checks whether the parent process is alive."""

CLEAN_UP_SECONDS = 5.0
"""The time for removing a half-written file before the next signal to end."""


class _Over(BaseException):
    """This process has to end. It is no ``Exception``, so that no handler on the way catches it."""


def follow(
    read: Callable[[], Results],
    seconds: float,
    parent: int | None = None,
    max_share: float = MAX_SHARE,
) -> None:
    """Render now and whenever something has changed.

    It ends on SIGTERM, on Ctrl-C and when the parent process is gone, also during a rendering:
    every file is written atomically. A study that cannot be rendered is ignored until the next
    change; the final rendering reports its errors.

    Args:
        read: reads the study.
        seconds: the minimum between two looks at the study.
        parent: the process that started this one, by default the current parent.
        max_share: see ``MAX_SHARE``; the pause after a rendering is as long as that takes.
    """
    with _ending(os.getppid() if parent is None else parent):
        os.nice(NICENESS)
        shown = None
        while True:
            started = time.process_time()
            shown = _render(read, shown)
            time.sleep(pause(time.process_time() - started, seconds, max_share))


def pause(cpu_seconds: float, seconds: float, max_share: float) -> float:
    """The pause after a rendering of ``cpu_seconds``, see :func:`follow`."""
    return max(seconds, cpu_seconds * (1 / max_share - 1))


def _render(read: Callable[[], Results], shown: Any) -> Any:
    """Render if the study differs from what is shown.

    Returns:
        What is shown now: the states, records, refused records and request.
    """
    try:
        results = read()
        current = (results.status.states, results.records, results.refused, results.request)
        if current != shown:
            write_report(results, at_work=True)
        return current
    except Exception:  # an error here must not disturb the run
        return shown


@contextmanager
def _ending(parent: int) -> Iterator[None]:
    """Leave the block when this process has to end or ``parent`` is no longer its parent."""
    asked = []

    def over(*_: Any) -> None:
        asked.append(True)
        signal.setitimer(signal.ITIMER_REAL, CLEAN_UP_SECONDS, CLEAN_UP_SECONDS)
        raise _Over

    def watch(*_: Any) -> None:  # again: Python drops an exception in a destructor
        if asked or os.getppid() != parent:
            raise _Over

    def dropped(unraisable: Any) -> None:
        if unraisable.exc_type is not _Over:
            print_dropped(unraisable)

    handlers = {signal.SIGTERM: over, signal.SIGALRM: watch}
    print_dropped, sys.unraisablehook = sys.unraisablehook, dropped
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
        sys.unraisablehook = print_dropped
