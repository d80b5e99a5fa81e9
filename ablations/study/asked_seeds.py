"""Numbers of seeds as they are given on a command line: ``3``, or ``1 alpha=3 headline=8``."""

import argparse
from collections.abc import Mapping

ALL = ""
"""The key of the number that applies to every grid without a number of its own."""

MAX_SEEDS = 1000
"""The maximum number of seeds per setting."""


def asked_seeds(text: str) -> dict[str, int]:
    """Grid -> number of seeds; ``ALL`` -> the number for all other grids, if the text has one.

    Raises:
        argparse.ArgumentTypeError: it is not such a text, or a number is out of range.
    """
    numbers: dict[str, int] = {}
    for word in text.split():
        grid, equals, number = word.rpartition("=")
        valid = number.isdecimal() and 1 <= int(number) <= MAX_SEEDS and bool(grid) == bool(equals)
        if not valid or grid in numbers:
            raise argparse.ArgumentTypeError(
                f"{word!r} is not a number of seeds from 1 to {MAX_SEEDS}, one per grid; "
                "valid: 3, or alpha=3 gamma=3, or 1 alpha=3"
            )
        numbers[grid] = int(number)
    if not numbers:
        raise argparse.ArgumentTypeError(f"{text!r} has no number of seeds; valid: 3, or alpha=3")
    return numbers


def seeds_text(asked: Mapping[str, int]) -> str:
    """The text that :func:`asked_seeds` reads as these numbers."""
    return " ".join(f"{grid}={number}" if grid else str(number) for grid, number in asked.items())
