"""Folders that are kept for later processes, up to a size of all together.

Each has a lock file beside it while a process makes it, or is about to use it.
"""

import logging
from contextlib import suppress
from pathlib import Path

from focal_star.io.temporary import locked, remove_abandoned, temporaries, temporary_folder

logger = logging.getLogger(__name__)


def forget_oldest(stores: Path, most_bytes: int, keep: Path) -> None:
    """Remove what was used longest ago, until the rest is not too large.

    What killed processes left goes first, their lock files with it. What others write just now
    counts, and stays. A training that uses what is removed goes on: it holds the files open. One
    that is about to use it holds its lock, and it stays.

    Args:
        stores: the folder of all.
        most_bytes: of all that stay.
        keep: one that stays however large it is; its lock is held.
    """
    remove_abandoned(stores)
    for lock in stores.glob("*.lock"):
        with suppress(OSError), locked(lock, wait=False):
            pass  # nobody holds it, and it is removed
    written = temporaries(stores)
    found = sorted(
        (folder.stat().st_mtime, folder, _num_bytes(folder))
        for folder in stores.iterdir()
        if folder.is_dir() and folder not in written
    )
    total = sum(size for *_, size in found) + sum(map(_num_bytes, written))
    for _, folder, size in found:
        if total <= most_bytes:
            return
        if folder != keep:
            with suppress(BlockingIOError), locked(lock_of(folder), wait=False):
                with temporary_folder(folder) as away:  # a kill leaves no half of a kept folder
                    folder.rename(away / folder.name)
                logger.info("Removed %s, which was used longest ago", folder)
                total -= size


def lock_of(folder: Path) -> Path:
    """The lock file of a kept folder, for :func:`focal_star.io.temporary.locked`."""
    return folder.with_suffix(".lock")


def _num_bytes(path: Path) -> int:
    """The size of a file, or of a folder's files; what is removed meanwhile does not count."""
    total = 0
    for file in [path, *path.rglob("*")]:
        with suppress(FileNotFoundError):
            total += 0 if file.is_dir() else file.stat().st_size
    return total
