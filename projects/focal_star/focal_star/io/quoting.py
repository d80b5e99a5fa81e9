"""Shortens values and errors for messages. It needs only the standard library."""

import reprlib
from typing import Any

MAX_SHOWN = 300
"""The maximum number of characters of a value in a message."""

_REPR = reprlib.Repr()
_REPR.maxlevel = 3  # nested YAML aliases can expand to billions of values
_REPR.maxstring = _REPR.maxother = 120
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 10


def shown(value: Any) -> str:
    """A value as a message shows it: quoted, on one line, and cut if it is long."""
    text = _REPR.repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class if it has none."""
    return str(error).partition("\n")[0] or type(error).__name__
