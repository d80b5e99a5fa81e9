"""A data loader whose worker processes end with it.

torch's workers die of a SIGTERM or SIGINT that a cluster or a terminal sends to every process of a
training, which then cannot finish its iteration. Workers that ignore these signals altogether
outlive the training, which ends its workers by SIGTERM.
"""

import errno
import multiprocessing.queues
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from torch.utils.data import DataLoader

_SIGNALS = {signal.SIGTERM, signal.SIGINT}

_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}

WATCH_SECONDS = 1.0
"""Interval at which a worker checks whether its training is alive."""


class EndingLoader(DataLoader):
    """torch's loader; its workers end with the iteration over it, however that ends.

    They also end with the process that iterates, even where it is killed, and by nothing else. They
    are forked, so that they share the records of a large data set with it: Python 3.14, and a
    process that a fork server started, would send each of them a copy.
    """

    def __init__(self, *args: Any, num_workers: int = 0, **kwargs: Any):
        super().__init__(
            *args,
            num_workers=num_workers,
            multiprocessing_context="fork" if num_workers else None,
            worker_init_fn=_end_with_parent,
            **kwargs,
        )

    def __iter__(self) -> Iterator[Any]:
        with _signals_wait():
            batches = super().__iter__()
        try:
            yield from batches
        finally:
            if self.num_workers:
                batches._shutdown_workers()  # a traceback may keep the iterator from being deleted


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Make workers that start within the block hold back SIGTERM and SIGINT from the start.

    In this process, Ctrl-C waits for the end of the block: Python ignores what its handler raises
    while it forks.
    """
    received = []
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if is_main else None
    if callable(handler):
        signal.signal(signal.SIGINT, lambda *arguments: received.append(arguments))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if callable(handler):
            signal.signal(signal.SIGINT, handler)
            if received:
                handler(*received[0])


def _end_with_parent(worker: int) -> None:
    sys.excepthook = _report
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(  # type: ignore[attr-defined]  # private
        _end_without_batch
    )
    signal.set_wakeup_fd(-1)  # the parent's, which must not get a worker's signals
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _end_without_batch(error: BaseException, batch: object) -> None:
    """End this worker where a batch cannot be sent, for lack of file handles or shared memory.

    multiprocessing would drop the batch, and the training would wait for it forever. The end
    of a worker ends the training.
    """
    traceback.print_exception(error)
    os._exit(1)


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback, but not where the training has hung up: it is ending, on purpose."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)
    if isinstance(error, OSError) and error.errno in _TOO_MANY_FILES:
        os._exit(1)  # multiprocessing's thread that hands out batches would retry forever


def _watch(parent: int) -> None:
    """End this process when its parent dies, or sends SIGTERM, as torch and multiprocessing do."""
    process = multiprocessing.parent_process()
    assert process is not None, "this runs in a worker, which has a parent"
    while os.getppid() == parent and process.is_alive():
        received = signal.sigtimedwait({signal.SIGTERM}, WATCH_SECONDS)
        if received is not None and received.si_pid == process.pid:
            break
    os._exit(0)
