"""Writes files whole: a kill or a full disk leaves the old file, or none, but no half of one."""

import os
from pathlib import Path

from focal_star.io.temporary import temporary_file


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` to ``path``, through a temporary file beside it that is on the disk first.

    Raises:
        OSError: names ``path``, and why it cannot be written; an old file is unchanged.
    """
    try:
        _write_whole(path, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_whole(path: Path, content: bytes | memoryview) -> None:
    with temporary_file(path) as (file, temporary):
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # only its owner may read the temporary file; folders are shared
        os.replace(temporary, path)
