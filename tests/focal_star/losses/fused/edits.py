"""Small random edits of the losses, and the package that each makes."""

import importlib
import io
import random
import sys
import tokenize
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import focal_star
from focal_star import losses
from focal_star.identity import running_loss
from focal_star.identity.loss_code import Sources

FOLDER = Path(losses.__file__).parent
FILES = ("base", "cross_entropy", "focal", "focal_star", "focal_appendix")

OPERATORS = ("+", "-", "*", "/", "**", "//", "%", "<", ">", "<=", ">=", "==", "!=")
WORDS = ("not", "and", "or", "is", "in", "if", "else", "None", "True", "False")
CHARACTERS = "0123456789.-+*/<>=es,()"
FAR = (
    "{0}.clamp(max=25.0)", "{0}.clamp(min=-25.0)", "{0}.clamp(max=300.0)", "{0}.clamp(min=-2e3)",
    "torch.where({0} < -40, {0} * 0.5, {0})", "torch.where({0} > 9e3, 1.0 * {0}, {0} + 1)",
    "{0} - ({0} > 5000) * 1.0", "{0}.clamp(max=9.9e3)", "torch.where({0} == -21.0, 0.0, {0})",
)  # fmt: skip
"""Edits that change a formula far out on the line of logits alone."""


def edits(number: int, seed: int = 0) -> Iterator[tuple[str, str, str]]:
    """Deterministic edits of the files: the name of a file, what was done, and the text."""
    draw = random.Random(seed)
    sources = {f"{name}.py": (FOLDER / f"{name}.py").read_text(encoding="utf-8") for name in FILES}
    tokens = [(file, *token) for file, source in sources.items() for token in _tokens(source)]
    names = sorted({text for _, kind, text, _ in tokens if kind == tokenize.NAME})
    numbers = [token for token in tokens if token[1] == tokenize.NUMBER]
    logits = [token for token in tokens if token[1] == tokenize.NAME and token[2] in "sx"]
    kinds = (_another_token, _another_character, _without, *2 * (_another_number, _far_out))
    for _ in range(number):
        change = draw.choice(kinds)  # those of rare tokens are chosen more often
        pool = {_another_number: numbers, _far_out: logits}.get(change, tokens)
        file, kind, text, start = draw.choice(pool)
        source, new = sources[file], change(draw, kind, text, names)
        what = f"{file}:{1 + source.count(chr(10), 0, start)}: {text} -> {new}"
        yield file, what, source[:start] + new + source[start + len(text) :]


def _tokens(source: str) -> Iterator[tuple[int, str, int]]:
    """Kind, text and place of the names, operators and numbers."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER):
            yield token.type, token.string, starts[token.start[0] - 1] + token.start[1]


@contextmanager
def imported(folder: Path, changes: Mapping[str, str]) -> Iterator[ModuleType]:
    """``focal_star.losses``, imported from a copy with some of its files changed.

    Args:
        folder: of the package ``focal_star`` of the copy; made if it is not there.
        changes: name of a file -> its text.
    """
    files = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")} | changes
    (folder / "losses").mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
    for name, text in files.items():
        (folder / "losses" / name).write_text(text, encoding="utf-8")

    def loaded() -> list[str]:
        return [name for name in sys.modules if f"{name}.".startswith("focal_star.losses.")]

    kept = {name: sys.modules.pop(name) for name in loaded()}
    try:
        with (
            patch.object(focal_star, "__path__", [str(folder)]),
            patch.object(sys, "dont_write_bytecode", True),
            patch.object(running_loss, "_SOURCES", Sources()),
        ):
            yield importlib.import_module("focal_star.losses")
    finally:
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(kept)
        focal_star.losses = kept["focal_star.losses"]


def _another_token(draw: random.Random, kind: int, text: str, names: list[str]) -> str:
    if kind == tokenize.OP:
        return draw.choice(OPERATORS)
    return draw.choice([*names, *WORDS])


def _another_number(draw: random.Random, kind: int, text: str, names: list[str]) -> str:
    value = float(text)
    return draw.choice(
        [
            repr(value * 1.0001), repr(value + 1), repr(-value), repr(value * 10), repr(value / 10),
            "0", "1", "25.0", "1e300", f"{value}e1", str(int(value)), repr(value),
        ]
    )  # fmt: skip


def _another_character(draw: random.Random, kind: int, text: str, names: list[str]) -> str:
    place = draw.randrange(len(text) + 1)
    return text[:place] + draw.choice(CHARACTERS) + text[place + draw.randrange(2) :]


def _without(draw: random.Random, kind: int, text: str, names: list[str]) -> str:
    place = draw.randrange(len(text))
    return draw.choice(["", text[:place] + text[place + 1 :]])


def _far_out(draw: random.Random, kind: int, text: str, names: list[str]) -> str:
    return draw.choice(FAR).format(text)
