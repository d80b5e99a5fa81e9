"""Ends a training on SIGTERM or Ctrl-C, so that ``--resume`` can continue it.

SIGTERM ends it at once or after a checkpoint, Ctrl-C always at once. A separate thread waits for
the signals: Python's handlers run only in the main thread, which may be deep in a library, or wait
for another process in vain.

This module needs only the standard library, so that it can be imported before torch, which takes
seconds.
"""

import multiprocessing
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 4
"""Exit code of a training that SIGTERM ended: ``--resume`` continues it."""

CTRL_C = 128 + signal.SIGINT
"""Exit code of a training that Ctrl-C ended, as shells have it."""

CTRL_C_SECONDS = 5.0
"""A process that has not ended this long after Ctrl-C is killed."""

REPEAT_SECONDS = 1.0
"""A SIGTERM within this time of another is the same one: it may come from a cluster and from a
parent process that the cluster signalled too."""

MAX_SECONDS = 20.0
"""An iteration that has not ended this long after SIGTERM is abandoned."""


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


def exit_with_parent() -> None:
    """From now on, this process ends when the one that started it has ended, even by a kill."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def end() -> None:
        parent.join()
        _exit()

    threading.Thread(target=end, daemon=True).start()


@contextmanager
def ctrl_c_ends() -> Iterator[None]:
    """Have Ctrl-C within end this process with ``CTRL_C`` and one line instead of a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending already
        _end_children()
        _report_ctrl_c()
        sys.exit(CTRL_C)


@contextmanager
def deferred() -> Iterator[None]:
    """Within the block, SIGTERM is only noted (:func:`is_requested`).

    A second SIGTERM, or ``MAX_SECONDS`` after the first, ends the process."""
    _State.deferred, _State.requested = True, False
    try:
        yield
    finally:
        _State.deferred = False


@contextmanager
def not_deferred() -> Iterator[None]:
    """Let SIGTERM end the process at once, within :func:`deferred`: the block can be repeated."""
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
        if _comes_within(MAX_SECONDS):
            _State.react()


def _comes_within(seconds: float) -> bool:
    """Whether SIGTERM comes in that time, which is then cut short.

    Ctrl-C starts a time limit, after which the process ends if the main thread has not ended it.
    """
    end = time.monotonic() + seconds
    while select.select([_State.signals], [], [], max(0.0, end - time.monotonic()))[0]:
        signals = os.read(_State.signals, 1024)
        if signal.SIGINT in signals:
            _end_after_ctrl_c()
        if signal.SIGTERM in signals:
            return True
    return False


def _end_after_ctrl_c() -> None:
    """End this process after a while, if the main thread is stuck or has lost the exception."""

    def end() -> None:
        _report_ctrl_c()
        os._exit(CTRL_C)

    timer = threading.Timer(CTRL_C_SECONDS, end)
    timer.daemon = True
    timer.start()


def _report_ctrl_c() -> None:
    message = "interrupted by Ctrl-C; --resume continues from the last checkpoint"
    print(f"train_net.py: {message}", file=sys.stderr, flush=True)


def _end_children() -> None:
    """Wait for the processes that this one started, which got Ctrl-C as well, and kill the rest."""
    end = time.monotonic() + CTRL_C_SECONDS / 2
    children = [child for child in multiprocessing.active_children() if not child.daemon]
    for child in children:
        child.join(max(0.0, end - time.monotonic()))
        if child.is_alive():
            child.kill()


def _end() -> None:
    if not _State.deferred:
        _exit()
    _State.requested = True
    time.sleep(REPEAT_SECONDS)
    _comes_within(0)
    _comes_within(MAX_SECONDS - REPEAT_SECONDS)
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
