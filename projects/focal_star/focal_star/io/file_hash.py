"""Hashes the content of files."""

import hashlib
from pathlib import Path

_BLOCK_BYTES = 2**20


def file_sha256(*paths: Path) -> str:
    """SHA-256, in hex, of the bytes of a file, or of several one after the other.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
