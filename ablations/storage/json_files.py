"""Reads and writes the JSON files of a study's folder."""

import json
from pathlib import Path
from typing import Any

from focal_star.io.writing import write_whole


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if the file cannot be read or has no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as JSON; see :func:`focal_star.io.writing.write_whole`."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_whole(path, f"{text}\n".encode())
