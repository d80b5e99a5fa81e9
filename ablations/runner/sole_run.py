"""Lets one run at a time work in a study's folder, and makes signals stop it as Ctrl-C does."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ablations.runner.request import RunError
from ablations.storage import locks
from ablations.storage.layout import Layout

POLL_SECONDS = 0.05
OWNER_SECONDS = 0.5
"""The wait for the lock of the study's folder, which ``is_at_work`` holds for a moment."""


@contextmanager
def signals_as_ctrl_c() -> Iterator[None]:
    """Make SIGTERM and a closed terminal (SIGHUP) interrupt the block as Ctrl-C does."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in previous.items():
        if handler is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def sole_owner(layout: Layout) -> Iterator[None]:
    """Lock the study's folder; the system unlocks it when the process ends, even after a kill."""
    deadline = time.monotonic() + OWNER_SECONDS
    while (file := locks.take(layout.lock)) is None:
        if time.monotonic() > deadline:
            raise RunError(f"another run is at work in {layout.root}; wait for it")
        time.sleep(POLL_SECONDS)
    with file:
        yield
