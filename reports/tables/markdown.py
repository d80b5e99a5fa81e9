"""Escaping of text from records and data sets for GitHub's Markdown."""

import re
from typing import Any

from markupsafe import Markup

_SPECIAL = re.compile(r"[\\`*\[\]|~$#]|(?<!\w)_|_(?!\w)")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(value: Any) -> Markup:
    """Escape text, on one line: no markup, no HTML, no end of a table's cell.

    Args:
        value: anything; ``Markup`` is taken to be escaped already.
    """
    if isinstance(value, Markup):
        return value
    text = " ".join(str(value).split())
    text = _SPECIAL.sub(lambda match: "\\" + match.group(), text)
    return Markup("".join(_ENTITIES.get(character, character) for character in text))


def code_block(text: str) -> Markup:
    """A fenced block, with a fence that the text cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}text\n{text.strip()}\n{fence}")


def link(label: str, target: str) -> Markup:
    """A link; the target is percent-quoted already."""
    return Markup(f"[{escape(label)}]({target})")
