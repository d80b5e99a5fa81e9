"""Folders that are kept for later processes, up to a total size.

Each has a lock file beside it while a process makes it, or is about to use it.
"""

import logging
from contextlib import suppress
from pathlib import Path

from focal_star.io.temporary import locked, remove_abandoned, temporaries, temporary_folder

logger = logging.getLogger(__name__)


def forget_oldest(stores: Path, max_bytes: int, keep: Path) -> None:
    """Remove the least recently used folders until the others are small enough.

    Files of killed processes and their lock files are removed first. Files that other processes
    are writing count, and are kept. A training that uses a removed folder continues, because it
    holds the files open. A training that is about to use a folder holds its lock, which keeps it.

    Args:
        stores: the folder of all kept folders.
        max_bytes: the total size of the folders that are kept.
        keep: a folder that is kept however large it is; its lock is held.
    """
    remove_abandoned(stores)
    for lock in stores.glob("*.lock"):
        with suppress(OSError), locked(lock, wait=False):
            pass  # nobody holds it, and it is removed
    written = temporaries(stores)
    folders = sorted(
        (folder.stat().st_mtime, folder, _num_bytes(folder))
        for folder in stores.iterdir()
        if folder.is_dir() and folder not in written
    )
    total = sum(size for *_, size in folders) + sum(map(_num_bytes, written))
    for _, folder, size in folders:
        if total <= max_bytes:
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
