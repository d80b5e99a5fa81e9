"""Which sources a process runs: a hash that it reports with its result."""

import hashlib
from pathlib import Path


def sources_sha256(folder: Path = Path(__file__).parents[1]) -> str:
    """SHA-256 of the names and contents of a package's Python files, in the order of their names.

    Args:
        folder: the package's; by default this one.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    digest = hashlib.sha256()
    for name in sorted(files):
        content = files[name].read_bytes()
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


SHA256 = sources_sha256()
"""Hash of this package's sources, taken when they are imported: later edits do not count."""
