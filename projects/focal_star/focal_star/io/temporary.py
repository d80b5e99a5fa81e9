"""Temporary files and folders that do not outlive a killed process for long, and lock files.

The process that makes a temporary file holds a lock (flock) on it. The system releases the lock
when the process ends, however it ends, so that the next process that looks there removes what
nobody holds. Where the file system has no such locks, nothing is removed.
"""

import errno
import fcntl
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""Error numbers of a file system that has no locks, such as Lustre without the option flock."""

_SUFFIX = ".tmp"
_NAME = re.compile(r"\..+\.[a-z0-9_]{8,32}\.tmp")  # tempfile's 8 characters, or 32 of a UUID
_OWNER, _CONTENT = "owner", "content"


@contextmanager
def temporary_file(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Make a file beside ``path``, to be moved to ``path`` once it is whole.

    It is removed at the end of the block where that fails. What killed processes left in the same
    folder is removed first.
    """
    _make_room(path)
    while True:
        # The name is known before the file exists: an interrupt at any moment leaves no file.
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{_SUFFIX}")
        try:
            with temporary.open("xb") as file:
                if _hold(file.fileno()):
                    yield file, temporary
                    return
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside ``path``, to be moved to ``path`` once it is whole.

    It is removed at the end of the block where it was not moved. What killed processes left in the
    same folder is removed first.
    """
    _make_room(path)
    outer, handle = _held_folder(path)
    try:
        content = outer / _CONTENT
        content.mkdir()
        yield content
    finally:
        shutil.rmtree(outer, ignore_errors=True)
        os.close(handle)


def temporaries(folder: Path) -> list[Path]:
    """The temporary files and folders in a folder, of living processes and of killed ones."""
    with suppress(OSError):  # it is not there, or may not be read
        return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return []


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files and folders in a folder that no living process holds."""
    for path in temporaries(folder):
        with suppress(OSError):  # it is held, another user's, or has just been removed
            if path.is_dir():
                _remove_abandoned_folder(path)
            else:
                with path.open("r+b") as file:
                    if lock(file):
                        path.unlink()


def lock(file: IO[Any] | int, *, wait: bool = False, shared: bool = False) -> bool:
    """Lock an open file until every process has closed it.

    Args:
        file: the file or its descriptor.
        wait: whether to wait for the process that holds it.
        shared: whether other processes may hold a shared lock at the same time; the file may then
            be open for reading only.

    Returns:
        Whether it is locked now; False if another process holds it.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock file within the block; it is removed at the end.

    Args:
        path: the path of the file.
        wait: whether to wait for the process that holds it.

    Raises:
        BlockingIOError: another process holds it, and ``wait`` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            if not lock(file, wait=wait):
                raise BlockingIOError(errno.EAGAIN, "another process holds the lock", str(path))
            if not _has_name(file.fileno()):
                continue  # who held it has removed it, and somebody may hold a new one
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _make_room(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent)


def _held_folder(path: Path) -> tuple[Path, int]:
    """A new folder, and the file descriptor that holds it."""
    while True:
        outer = Path(tempfile.mkdtemp(_SUFFIX, f".{path.name}.", path.parent))
        with suppress(FileNotFoundError):  # removed before it was held
            handle = os.open(outer / _OWNER, os.O_CREAT | os.O_RDWR)
            if _hold(handle):
                return outer, handle
            os.close(handle)


def _hold(handle: int) -> bool:
    """Lock a file; return whether it still has a name then."""
    with suppress(OSError):  # a file system without locks: nobody removes it either
        lock(handle, wait=True)
    return _has_name(handle)


def _has_name(handle: int) -> bool:
    return os.fstat(handle).st_nlink > 0


def _remove_abandoned_folder(outer: Path) -> None:
    """Remove a folder that nobody holds, its owner's file last, so that no half of it stays."""
    owner = outer / _OWNER
    if owner.exists():
        with owner.open("r+b") as file:
            if not lock(file):
                return
            if (outer / _CONTENT).exists():
                shutil.rmtree(outer / _CONTENT)
            owner.unlink()
    outer.rmdir()
