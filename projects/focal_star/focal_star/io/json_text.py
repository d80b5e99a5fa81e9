"""Checks JSON while it is decoded."""

from collections.abc import Sequence
from typing import Any

MAX_SHOWN = 100


def without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of unique keys, as the ``object_pairs_hook`` of :func:`json.loads`.

    Raises:
        ValueError: a duplicate key; by itself, JSON keeps the last one.
    """
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in content if names.count(name) > 1)
        raise ValueError(f"duplicate key {twice[:MAX_SHOWN]!r} in an object")
    return content
