"""Text that comes from records and data sets, made safe for a CSV that a spreadsheet opens."""

import re
from typing import Any

_FORMULA = re.compile(r"[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def cell(value: Any) -> str:
    """Text of a field, on one line, that no spreadsheet takes for a formula.

    A category may be called ``=HYPERLINK(...)``. What begins like a formula and is no number gets
    an apostrophe before it, which spreadsheets know as the mark of text; numbers stay as they are.
    Half a surrogate pair, which no file in UTF-8 can hold, becomes a "?".
    """
    text = " ".join(str(value).encode("utf-8", "replace").decode("utf-8").split())
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
