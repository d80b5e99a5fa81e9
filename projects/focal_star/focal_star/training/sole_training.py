"""Lets one training at a time work in a folder.

Two in one ``OUTPUT_DIR`` would move each other's files away, and remove each other's checkpoints.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from focal_star.errors import ConfigError
from focal_star.io.temporary import NO_LOCKS, locked
from focal_star.training.ranks import on_main_process

LOCK_FILE = ".lock"

MAX_SECONDS = 10.0
"""How long a training waits: the data workers of one that was killed end within two seconds."""

POLL_SECONDS = 0.1


@contextmanager
def sole_training(folder: Path) -> Iterator[None]:
    """Hold a folder within the block; the system releases it when the process is killed.

    Every process of a training must call this; the main one holds the folder.

    Raises:
        ConfigError: another training holds it; nothing in it has changed.
    """
    with ExitStack() as stack:
        on_main_process(lambda: _hold(folder, stack))
        yield


def _hold(folder: Path, stack: ExitStack) -> None:
    deadline = time.monotonic() + MAX_SECONDS
    while True:
        try:
            stack.enter_context(locked(folder / LOCK_FILE, wait=False))
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"OUTPUT_DIR is {folder}, which another training run is using; wait until it "
                    "ends, or use another OUTPUT_DIR"
                ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return  # training runs on such a disk are not kept apart
        time.sleep(POLL_SECONDS)
