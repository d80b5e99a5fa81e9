"""Links to images: real ones, and those that git or an archive turned into texts."""

import os
from pathlib import Path

MAX_BYTES = 4096
"""The size of the largest link that was written as a text."""


def linked_text(path: Path) -> Path | None:
    """The existing file that a small file names in place of an image; None where it does not.

    Programs that cannot store a link write its target as the content of a text file.
    """
    try:
        if os.stat(path).st_size > MAX_BYTES:
            return None
        name = path.read_bytes().decode("utf-8").strip()
        if not name or "\n" in name or "\0" in name:
            return None
        target = path.parent.resolve() / name
        return Path(os.path.normpath(target)) if target.is_file() else None
    except (OSError, ValueError):
        return None
