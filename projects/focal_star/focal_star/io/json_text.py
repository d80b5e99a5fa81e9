"""Checks JSON while it is decoded, or after."""

from collections.abc import Sequence
from typing import Any

MAX_LEVELS = 20
"""The maximum number of levels of lists and objects; COCO's own files have five, records six."""

MAX_SHOWN = 100

_PLAIN = {bool, float, int, str, type(None)}


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


def is_too_deep(value: Any, max_levels: int = MAX_LEVELS) -> bool:
    """Whether lists and objects are nested deeper than this many levels."""
    if not isinstance(value, dict | list):
        return False
    if max_levels == 0:
        return True
    values = value.values() if isinstance(value, dict) else value
    return not _PLAIN.issuperset(map(type, values)) and any(
        is_too_deep(item, max_levels - 1) for item in values
    )
