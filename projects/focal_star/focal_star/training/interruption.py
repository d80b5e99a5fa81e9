"""What SIGTERM does to a training: it ends, at once or after a checkpoint, and can be gone on with.

A thread of its own waits for the signal: Python's handlers run in the main thread alone, which may
be deep in a library, or wait for another process in vain.

Imported before torch, which takes seconds: this module needs the standard library alone.
"""

import multiprocessing
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 4
"""Exit code of a training that SIGTERM ended: ``--resume`` goes on with it."""

REPEAT_SECONDS = 1.0
"""A SIGTERM within this time of another is the same one: it may come from a cluster and from a
parent process that the cluster signalled too."""

MOST_SECONDS = 20.0
"""An iteration that is not over this long after SIGTERM is given up."""


class Interrupted(SystemExit):
    """Leaves the training loop after the checkpoint that SIGTERM asked for."""

    def __init__(self) -> None:
        super().__init__(INTERRUPTED)


class _State:
    process: int | None = None
    react: Callable[[], None]
    signals: int  # a pipe that gets the number of each signal
    deferred = False
    requested = False


def exit_on_sigterm() -> None:
    """From now on, SIGTERM ends this process with ``INTERRUPTED``, at once unless deferred."""
    _listen(_end)


def pass_sigterm_on() -> None:
    """From now on, SIGTERM is for the processes that this one started and waits for."""
    _listen(_pass_on)


@contextmanager
def deferred() -> Iterator[None]:
    """Within, SIGTERM is noted (:func:`is_requested`); a second one ends it, or a long time."""
    _State.deferred, _State.requested = True, False
    try:
        yield
    finally:
        _State.deferred = False


@contextmanager
def not_deferred() -> Iterator[None]:
    """Within a deferred stretch, a part that SIGTERM ends at once: it can simply be repeated."""
    before, _State.deferred = _State.deferred, False
    if is_requested():
        _exit()
    try:
        yield
    finally:
        _State.deferred = before


def is_requested() -> bool:
    """Whether SIGTERM came since it was deferred."""
    return _State.requested


def _listen(react: Callable[[], None]) -> None:
    _State.react = react
    if _State.process != os.getpid():  # a thread does not outlive a fork
        _State.process = os.getpid()
        _State.signals, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    while True:
        if _comes_within(MOST_SECONDS):
            _State.react()


def _comes_within(seconds: float) -> bool:
    """Whether SIGTERM comes in that time, which is then cut short. Other signals do not matter."""
    end = time.monotonic() + seconds
    while select.select([_State.signals], [], [], max(0.0, end - time.monotonic()))[0]:
        if signal.SIGTERM in os.read(_State.signals, 1024):
            return True
    return False


def _end() -> None:
    if not _State.deferred:
        _exit()
    _State.requested = True
    time.sleep(REPEAT_SECONDS)
    _comes_within(0)
    _comes_within(MOST_SECONDS - REPEAT_SECONDS)
    _exit()


def _pass_on() -> None:
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    if not children:
        _exit()


def _exit() -> None:
    """End without clean-up, which may be stuck in what was interrupted; all files are whole."""
    os._exit(INTERRUPTED)
