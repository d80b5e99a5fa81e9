"""Text that comes from records and data sets, made safe for LaTeX, and tables set with booktabs.

The output is ASCII, so that pdflatex, xelatex and lualatex all take it, whatever their fonts. What
they cannot be counted on to have a glyph for is transliterated: the exact name is in the CSV.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import chain, groupby
from typing import Any

from anyascii import anyascii

PREAMBLE = r"""\usepackage{booktabs}
\usepackage{xcolor}"""
"""What a document needs that takes in such a table."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    **{character: f"\\{character}" for character in "{}#$%&_"},
}

_SYMBOLS = {
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "→": r"\ensuremath{\rightarrow}",
    "↑": r"\ensuremath{\uparrow}",
    "↓": r"\ensuremath{\downarrow}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "†": r"\ensuremath{\dagger}",
    "…": r"\dots{}",
    "’": "'",
}

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta",
    "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi",
    "π": "pi", "ρ": "rho", "ς": "varsigma", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi",
    "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda",
    "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Υ": "Upsilon", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}  # fmt: skip
"""Letter -> macro; those that look like Latin ones have none."""
_SYMBOLS |= {letter: rf"\ensuremath{{\{name}}}" for letter, name in _GREEK.items()}

_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING CEDILLA}": "c",
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
}

_SHIFTED = {"<sub>": "textsubscript", "<super>": "textsuperscript"}

_LIGATURE = re.compile(r"([-'`,])(?=[-'`,])")


def escape(value: Any) -> str:
    """Show text as it is, on one line: no macro, no end of a cell or a row.

    Greek letters, sub- and superscripts, accents and the report's signs become macros of LaTeX's
    own, other letters their transliteration, half a surrogate pair and what has none a "?".

    Args:
        value: anything.

    Returns:
        ASCII. Where it would start like an option of the row's end before it, it starts with {}.
    """
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    parts = []
    for shift, run in groupby(text, _shift):
        plain = (unicodedata.normalize("NFKD", c) if shift else c for c in run)
        in_latex = "".join(map(_plain, chain.from_iterable(plain)))
        parts.append(f"\\{shift}{{{in_latex}}}" if shift else in_latex)
    escaped = _LIGATURE.sub(r"\1{}", "".join(parts)).strip()
    return "{}" + escaped if escaped.startswith(("[", "*")) else escaped


def strong(escaped: str) -> str:
    """In bold."""
    return rf"\textbf{{{escaped}}}"


def grey(escaped: str) -> str:
    """In grey."""
    return rf"\textcolor{{gray}}{{{escaped}}}"


def with_cmidrules(tabular: str, groups: Sequence[str]) -> str:
    """A tabular with a rule under each group of columns in its first row of headers.

    Args:
        tabular: as pandas sets it, with two rows of headers.
        groups: of the columns, "" where one has none; equal neighbours are one group.
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


def table(tabular: str, caption: str, label: str) -> str:
    """A floating table.

    Args:
        tabular: the table itself.
        caption: plain text.
        label: what ``\\ref`` calls it; letters, digits and ``:_-`` of it are kept.
    """
    needs = PREAMBLE.replace("\n", " ")
    return "\n".join(
        [
            f"% needs {needs}",
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{{re.sub('[^A-Za-z0-9:_-]', '', label)}}}",
            r"\smallskip",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{4pt}",
            tabular.strip(),
            r"\end{table}",
            "",
        ]
    )


def document(tables: Sequence[str]) -> str:
    """A whole document of some tables, to look at them."""
    return "\n".join(
        [
            r"\documentclass{article}",
            r"\usepackage[margin=1cm]{geometry}",
            PREAMBLE,
            r"\begin{document}",
            *tables,
            r"\end{document}",
            "",
        ]
    )


def _shift(character: str) -> str:
    """The macro that raises or lowers what this character stands for; "" for others."""
    return _SHIFTED.get(unicodedata.decomposition(character).partition(" ")[0], "")


def _plain(character: str) -> str:
    """One character in LaTeX; "" for control characters."""
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character in _SYMBOLS:
        return _SYMBOLS[character]
    if character.isascii():
        return character if character.isprintable() else ""
    letter, *marks = unicodedata.normalize("NFD", character)
    if len(marks) == 1 and marks[0] in _ACCENTS and letter.isascii():
        return f"\\{_ACCENTS[marks[0]]}{{{letter}}}"
    ascii_text = anyascii(character)
    if not ascii_text and not unicodedata.category(character).startswith(("C", "M")):
        ascii_text = "?"
    return "".join(_SPECIAL.get(own, own) for own in ascii_text)
