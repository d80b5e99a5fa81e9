"""Drawn figures with their texts."""

import gc
import hashlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from reports.plots import drawing


@dataclass(frozen=True)
class Illustration:
    """A drawn figure.

    Attributes:
        name: the stem of its files and its anchor.
        alternative: its content for readers who cannot see it.
        svg: the file.
        png: the same, for Markdown.
        pdf: the same, for LaTeX.
        window: the number of points per median of a curve, 1 for unchanged points.
    """

    name: str
    alternative: str
    svg: str
    png: bytes
    pdf: bytes
    window: int = 1

    @property
    def inline(self) -> Markup:
        """An element of a page."""
        return Markup(drawing.inline_svg(self.svg, self.name))


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
    window: int = 1,
    **options: Any,
) -> Illustration:
    """Draw a figure, unless this process has already drawn it from the same numbers.

    The report of a running study is rendered often with few new numbers, and drawing takes most of
    the time.
    """
    content = pickle.dumps((draw.__qualname__, numbers, options))
    digest = hashlib.sha256(content).digest()
    known = _KNOWN.get(name)
    if known is None or known[0] != digest:
        with _uncollected():
            found = draw(*numbers, **options)
            axes = found if isinstance(found, Axes) else found[0]
            _KNOWN[name] = known = digest, drawing.to_files(drawing.figure_of(axes), name)
    files = known[1]
    return Illustration(name, alternative, files.svg, files.png, files.pdf, window)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would traverse all records many times per figure."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


_KNOWN: dict[str, tuple[bytes, drawing.Files]] = {}
"""Name -> the hash of the numbers of its last drawing, and its files."""
