"""The table of bad input; the other modules of this folder add its rows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Spoil = Callable[[Path], None]
"""A function that damages the valid input in a folder."""

Command = Callable[[Path, Path], int]
"""(folder of input, folder to write to) -> exit code."""

KINDS: dict[str, "Kind"] = {}
"""Name -> a kind of bad input."""


BILLION = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 15))
"""YAML of nested lists: short, but too long if every list is written out."""


@dataclass(frozen=True)
class Kind:
    """A kind of bad input.

    Attributes:
        spoil: makes the bad input.
        command: reads it.
        words: the message must contain each of them.
    """

    spoil: Spoil
    command: Command
    words: tuple[str, ...]


def kind(name: str, command: Command, spoil: Spoil, *words: str) -> None:
    """Add a row."""
    assert name not in KINDS and words, name
    KINDS[name] = Kind(spoil, command, words)


def file(path: str, content: bytes | str) -> Spoil:
    """A file has this content."""

    def spoil(folder: Path) -> None:
        encoded = content if isinstance(content, bytes) else content.encode()
        (folder / path).write_bytes(encoded)

    return spoil


def place(path: str, make: Callable[[Path], object]) -> Spoil:
    """In a file's place is something else, or nothing."""

    def spoil(folder: Path) -> None:
        (folder / path).unlink(missing_ok=True)
        make(folder / path)

    return spoil


def changed(path: str, change: Callable[[Any], object]) -> Spoil:
    """A JSON file's content is changed."""

    def spoil(folder: Path) -> None:
        content = json.loads((folder / path).read_bytes())
        change(content)
        (folder / path).write_text(json.dumps(content), "utf-8")

    return spoil


def nothing(folder: Path) -> None:
    """The input stays valid; the command's arguments are bad."""
