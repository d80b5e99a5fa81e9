"""Small random edits of losses.py, and the module that each makes."""

import importlib.util
import io
import random
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from focal_star.identity.loss_code import LOSSES_FILE

OPERATORS = ("+", "-", "*", "/", "**", "//", "%", "<", ">", "<=", ">=", "==", "!=")
WORDS = ("not", "and", "or", "is", "in", "if", "else", "None", "True", "False")
CHARACTERS = "0123456789.-+*/<>=es,()"
FAR = (
    "{0}.clamp(max=25.0)", "{0}.clamp(min=-25.0)", "{0}.clamp(max=300.0)", "{0}.clamp(min=-2e3)",
    "torch.where({0} < -40, {0} * 0.5, {0})", "torch.where({0} > 9e3, 1.0 * {0}, {0} + 1)",
    "{0} - ({0} > 5000) * 1.0", "{0}.clamp(max=9.9e3)", "torch.where({0} == -21.0, 0.0, {0})",
)  # fmt: skip
"""Edits that change a formula far out on the line of logits alone."""


def edits(number: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Deterministic edits of the code of losses.py: what was done, and the text."""
    source = LOSSES_FILE.read_text(encoding="utf-8")
    draw = random.Random(seed)
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    tokens = [
        (token.type, token.string, starts[token.start[0] - 1] + token.start[1])
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER)
    ]
    names = sorted({text for kind, text, _ in tokens if kind == tokenize.NAME})
    kinds = (_another_token, _another_character, _without, *2 * (_another_number, _far_out))
    for _ in range(number):
        kind, text, start = draw.choice(tokens)
        change = draw.choice(kinds)
        if change in (_another_number, _far_out):  # these are rare in a file: chosen more often
            wanted = tokenize.NUMBER if change is _another_number else tokenize.NAME
            pool = [t for t in tokens if t[0] == wanted and (t[0] != tokenize.NAME or t[1] in "sx")]
            kind, text, start = draw.choice(pool)
        new = change(draw, kind, text, names)
        line = source.count("\n", 0, start) + 1
        yield f"line {line}: {text} -> {new}", source[:start] + new + source[start + len(text) :]


def load(path: Path, text: str) -> ModuleType:
    """The module that a text makes, imported from a file."""
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
