"""Escaping of text from records and data sets for a CSV that a spreadsheet opens."""

import re
from typing import Any

_FORMULA = re.compile(r"[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def cell(value: Any) -> str:
    """Text on one line that no spreadsheet takes for a formula.

    A category may be called ``=HYPERLINK(...)``. Text that begins like a formula and is no number
    gets an apostrophe, which marks text in spreadsheets. A lone surrogate becomes "?".
    """
    text = " ".join(str(value).encode("utf-8", "replace").decode("utf-8").split())
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
