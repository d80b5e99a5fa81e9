"""Escaping of text from records and data sets for LaTeX, and the parts that pandas does not set.

The output is ASCII, so that pdflatex, xelatex and lualatex accept it with any font. Letters of
other scripts are transliterated; the CSV has the original text.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from anyascii import anyascii

PREAMBLE = r"\usepackage{booktabs} \usepackage{graphicx} \usepackage{xcolor}"
"""The packages that a document needs for these tables."""

TABLE_STYLES = [
    {"selector": "smallskip", "props": ":;"},
    {"selector": "footnotesize", "props": ":;"},
    {"selector": "setlength", "props": r":{\tabcolsep}{4pt};"},
]
"""The commands before a tabular, for pandas' ``Styler.set_table_styles``."""

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\dots{}",
    "’": "'",
    **{character: f"\\{character}" for character in "{}#$%&_"},
}
MATHS = {
    "±": r"\pm", "−": "-", "×": r"\times", "·": r"\cdot", "≤": r"\leq", "≥": r"\geq",
    "→": r"\rightarrow", "↑": r"\uparrow", "↓": r"\downarrow", "†": r"\dagger",
}  # fmt: skip
_GREEK = (
    "αβγδεζηθικλμνξπρςστυφχψωΓΔΘΛΞΠΣΥΦΨΩ",
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho varsigma "
    "sigma tau upsilon phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega",
)
"""Letters and their macros; the other capitals look like Latin letters and have no macro."""

MATHS |= {letter: f"\\{name}" for letter, name in zip(_GREEK[0], _GREEK[1].split(), strict=True)}
_COMMANDS |= {character: rf"\ensuremath{{{macro}}}" for character, macro in MATHS.items()}

_ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327\u0304\u0307\u030b",
                    "`'^~\"rvc=.H", strict=True))  # fmt: skip
"""Combining character -> macro."""

_SHIFTED = {"<sub>": "textsubscript", "<super>": "textsuperscript"}
_LIGATURE = re.compile(r"([-'`,])(?=[-'`,])")


def escape(value: Any) -> str:
    """Escape text, on one line: no macro, no end of a cell or a row.

    Greek letters, sub- and superscripts, accents and mathematical signs become macros, letters of
    other scripts are transliterated, and what has no transliteration becomes "?".

    Args:
        value: anything.

    Returns:
        ASCII. It starts with {} where it would look like an option of the preceding ``\\\\``.
    """
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    escaped = _LIGATURE.sub(r"\1{}", "".join(map(_character, text))).strip()
    return "{}" + escaped if escaped.startswith(("[", "*")) else escaped


def strong(escaped: str) -> str:
    """In bold."""
    return rf"\textbf{{{escaped}}}"


def grey(escaped: str) -> str:
    """In grey."""
    return rf"\textcolor{{gray}}{{{escaped}}}"


def with_cmidrules(tabular: str, groups: Sequence[str]) -> str:
    """Add a rule under each group of columns to a table with two rows of headers.

    Args:
        tabular: from pandas.
        groups: the groups of the columns, "" for none; equal neighbours are one group.
    """
    rules, start = [], 0
    for end in range(1, len(groups) + 1):
        if end == len(groups) or groups[end] != groups[start]:
            if groups[start]:
                rules.append(rf"\cmidrule(lr){{{start + 1}-{end}}}")
            start = end
    head, top, rest = tabular.partition("\\toprule\n")
    first, end_of_row, body = rest.partition("\\\\\n")
    return "".join([head, top, first, end_of_row, " ".join(rules), "\n", body])


def fitted(table: str) -> str:
    """A table whose tabular is scaled down to the width of the text if it is wider."""
    begin, end = r"\begin{tabular}", r"\end{tabular}"
    scaled = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    return table.replace(begin, f"{scaled}\n{begin}", 1).replace(end, f"{end}}}", 1)


def _character(character: str) -> str:
    """A character in LaTeX; "" for control characters."""
    if character in _COMMANDS:
        return _COMMANDS[character]
    if character.isascii():
        return character if character.isprintable() else ""
    shift = _SHIFTED.get(unicodedata.decomposition(character).partition(" ")[0])
    if shift:
        plain = "".join(map(_character, unicodedata.normalize("NFKD", character)))
        return f"\\{shift}{{{plain}}}"
    letter, *marks = list(unicodedata.normalize("NFD", character))
    if len(marks) == 1 and marks[0] in _ACCENTS and letter.isascii():
        return f"\\{_ACCENTS[marks[0]]}{{{letter}}}"
    text = anyascii(character)
    if not text and not unicodedata.category(character).startswith(("C", "M")):
        text = "?"
    return "".join(_COMMANDS.get(part, part) for part in text)
