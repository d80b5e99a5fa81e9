"""Which sources a process runs: a hash that it reports with its result."""

import hashlib
from collections.abc import Mapping
from pathlib import Path


def sha256_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 of the names and contents of files, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\n{len(files[name])}\n".encode())
        digest.update(files[name])
    return digest.hexdigest()


def sources_sha256(folder: Path) -> str:
    """SHA-256 of a package's Python files, named relative to its folder."""
    # The lock of an editor may be a link to nothing.
    paths = [path for path in folder.rglob("*.py") if path.is_file()]
    return sha256_of({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths})


SHA256 = sources_sha256(Path(__file__).parents[1])
"""Hash of this package's sources, taken when they are imported: later edits do not count."""
