r"""A macro for each number of a table, which the text of a paper can quote.

``\reportvalue{headline/FL*/effect difference/low}`` is the lower bound of the effect of the row FL*
in the table ``headline``. The text then has the digits of the table, and the next version of the
table changes both. An unknown name is an error of LaTeX, not an empty place.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from anyascii import anyascii

from reports.tables import latex

COMMANDS = (
    r"\providecommand\setreportvalue[2]{\expandafter\gdef\csname report/#1\endcsname{#2}}",
    r"\providecommand\reportvalue[1]{\ifcsname report/#1\endcsname\csname report/#1\endcsname"
    r"\else\errmessage{There is no report value #1}\fi}",
)
"""What sets a value and what prints it; several tables may define them."""

_SPELLED = {
    letter: macro.removeprefix("\\") for letter, macro in latex.MATHS.items() if letter.isalpha()
}
_NUMBER = r"[+−-]?\d+(?:\.\d+)?"
_PARTS = (
    (re.compile(rf"({_NUMBER}) ± ({_NUMBER})"), ("mean", "sd")),
    (re.compile(rf"({_NUMBER}) \[({_NUMBER}), ({_NUMBER})\].*"), ("value", "low", "high")),
    (re.compile(rf"({_NUMBER}) \(.*\)"), ("value",)),
    (re.compile(rf"({_NUMBER}) to ({_NUMBER})"), ("low", "high")),
    (re.compile(rf"({_NUMBER}) of ({_NUMBER})"), ("number", "total")),
)
"""Texts of several numbers, and the names of these."""


def values(
    table: str,
    axes: Sequence[tuple[str, Sequence[str]]],
    columns: Sequence[tuple[str, str, Sequence[str]]],
) -> list[str]:
    """The lines that set the values of a table, after those that define the commands.

    Args:
        table: its name.
        axes: header and texts of each column that labels the rows.
        columns: group, header and texts of each column of numbers.
    """
    if not columns:
        return []
    rows, lines = _unique(_rows(axes, len(columns[0][2]))), []
    for name, texts in zip(_columns(columns), (column[2] for column in columns), strict=True):
        for row, text in zip(rows, texts, strict=True):
            for part, number in _numbers(text):
                key = "/".join(filter(None, (name_of(table), row, name, part)))
                lines.append(rf"\setreportvalue{{{key}}}{{{latex.escape(number)}}}")
    return [*COMMANDS, *lines] if lines else []


def name_of(text: str) -> str:
    """A text as a part of a name: ASCII without anything that LaTeX takes for a command."""
    spelled = "".join(_SPELLED.get(letter, letter) for letter in re.sub(r"\(.*?\)", "", text))
    plain = anyascii(unicodedata.normalize("NFKD", spelled))
    return " ".join(re.sub(r"[^A-Za-z0-9.,*+-]", " ", plain).split())


def _numbers(text: str) -> Iterator[tuple[str, str]]:
    """The name of a part ("" for the whole) and its text; nothing without a number."""
    if not re.search(r"\d", text):
        return
    yield "", text
    for pattern, names in _PARTS:
        if match := pattern.fullmatch(text):
            yield from zip(names, match.groups(), strict=True)


def _rows(axes: Sequence[tuple[str, Sequence[str]]], number: int) -> list[str]:
    """A name per row, of as few columns as tell the rows apart."""
    names = [""] * number
    for header, texts in axes:
        for row, text in enumerate(texts):
            is_word = not re.match(_NUMBER, text)
            name = name_of(text) if is_word else f"{name_of(header)} {name_of(text)}".strip()
            names[row] = ", ".join(filter(None, (names[row], name.strip("-"))))
        if len(set(names)) == number:
            break
    return names


def _columns(columns: Sequence[tuple[str, str, Sequence[str]]]) -> list[str]:
    """A name per column: the first word of its group, and its header without what is in brackets.

    Columns with equal names have their whole headers.
    """
    short = [
        name_of(f"{group.partition(' ')[0]} {header.partition('[')[0]}")
        for group, header, _ in columns
    ]
    counts = Counter(short)
    whole = [
        name if counts[name] == 1 else name_of(f"{group} {header}")
        for name, (group, header, _) in zip(short, columns, strict=True)
    ]
    return _unique(whole)


def _unique(names: Sequence[str]) -> list[str]:
    """The names, those that are equal with their number."""
    counts: Counter[str] = Counter()
    unique = []
    for name in names:
        counts[name] += 1
        unique.append(name if counts[name] == 1 else f"{name} {counts[name]}".strip())
    return unique
