"""Drawn figures with their texts."""

import hashlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.plots import drawing, svg

_T = TypeVar("_T")

MARKERS = ("o", "s", "^", "D", "v", "P")
"""The markers of the curves of a figure, for print in grey."""


@dataclass(frozen=True)
class Illustration:
    """A drawn figure.

    Attributes:
        name: the stem of its files and its anchor.
        alternative: its content for readers who cannot see it.
        svg: the file.
        narrow: the same, as SVG for a phone; "" if the page does not show it.
        png: the same, for Markdown.
        pdf: the same, for LaTeX.
    """

    name: str
    alternative: str
    svg: str
    narrow: str
    png: bytes
    pdf: bytes

    @property
    def inline(self) -> Markup:
        """Its elements in a page, of which the style sheet shows the one that fits."""
        wide = svg.inline(self.svg, self.name, "wide")
        return Markup(wide + svg.inline(self.narrow, f"{self.name}-narrow", "narrow"))


@dataclass(frozen=True)
class Illustrated:
    """A figure and its caption.

    Attributes:
        figure: None if there are no data; the note says why.
        note: plain text.
    """

    figure: Illustration | None
    note: str


def drawn(
    name: str,
    alternative: str,
    draw: Callable[..., Axes | Sequence[Axes]],
    *numbers: Any,
    linked_only: bool = False,
    **options: Any,
) -> Illustration:
    """Draw a figure for both widths, unless this process has drawn it from the same numbers.

    ``draw`` takes the width in inches as ``width``. A figure whose files the page only links
    (``linked_only``) is not drawn for a phone.
    """
    files = drawn_once(name, drawing.to_files, draw, *numbers, width=drawing.WIDTH, **options)
    small = ""
    if not linked_only:
        small = drawn_once(
            f"{name}{_NARROW}", drawing.to_svg, draw, *numbers, width=drawing.NARROW, **options
        )
    return Illustration(name, alternative, files.svg, small, files.png, files.pdf)


def drawn_once(
    name: str,
    written: Callable[[Figure, str], _T],
    draw: Callable[..., Axes | Sequence[Axes]],
    *numbers: Any,
    **options: Any,
) -> _T:
    """Draw and write a figure, unless this process has drawn it from the same numbers.

    The report of a running study is rendered often with few new numbers, and drawing takes most of
    the time.

    Args:
        name: no other drawing of the page has it.
        written: writes the figure; it gets the figure and the name without its ending for a phone.
        draw: draws it.
        numbers: the arguments of ``draw``.
        options: its arguments by name.
    """
    content = pickle.dumps((draw.__qualname__, numbers, options))
    digest = hashlib.sha256(content).digest()
    known = _KNOWN.get(name)
    if known is None or known[0] != digest:
        figure = _figure(draw(*numbers, **options))
        known = digest, written(figure, name.removesuffix(_NARROW))
        _KNOWN[name] = known
    return known[1]


def _figure(drawn: Axes | Sequence[Axes]) -> Figure:
    return drawing.figure_of(drawn if isinstance(drawn, Axes) else drawn[0])


_NARROW = " for a phone"

_KNOWN: dict[str, tuple[bytes, Any]] = {}
"""Name -> the hash of the numbers of its last drawing, and what was written of it."""
