"""File locks. The system releases a lock when its process ends, even after a kill."""

from pathlib import Path
from typing import IO

from ablations.storage.layout import Layout
from focal_star.io.temporary import NO_LOCKS, lock


def is_running(layout: Layout, cell_id: str) -> bool:
    """Whether a process holds the cell, on this machine or on another that shares the disk."""
    return _is_held(layout.cell_lock(cell_id))


def is_at_work(layout: Layout) -> bool:
    """Whether a run holds the study's folder."""
    return _is_held(layout.lock)


def take(path: Path) -> IO[str] | None:
    """The lock's file, locked until every process closes it; None if another process holds it.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        if lock(file):
            return file
    except OSError as error:
        file.close()
        if error.errno not in NO_LOCKS:
            raise
        reason = (
            "the output folder must be on a disk with file locks (flock), and this one has none"
        )
        raise OSError(error.errno, reason, str(path)) from None
    file.close()
    return None


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return not lock(file, shared=True)  # shared: the file may be read-only
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:  # no run can have taken it
            return False
        raise
