"""A drawn figure, and what is told of it."""

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
        alternative: what it shows, in words.
        svg: the file.
        png: the same, for where SVG is not shown.
        pdf: the same, for LaTeX.
        window: how many points of a curve its medians are over, 1 for all points as they are.
    """

    name: str
    alternative: str
    svg: str
    png: bytes
    pdf: bytes
    window: int = 1

    @property
    def inline(self) -> Markup:
        """To stand in a page."""
        return Markup(drawing.inline_svg(self.svg, self.name))


@dataclass(frozen=True)
class Illustrated:
    """A figure and its caption; where there is no figure, why.

    Attributes:
        figure: None where nothing is known that could be drawn.
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
    """Draw a figure, unless this process has drawn the same numbers under this name before.

    While a study runs its report is rendered again and again, each time with few new numbers, and
    drawing is what takes the time.
    """
    content = pickle.dumps((draw.__qualname__, numbers, options))
    digest = hashlib.sha256(content).digest()
    known = _KNOWN.get(name)
    if known is None or known[0] != digest:
        with _uncollected():
            found = draw(*numbers, **options)
            axes = found if isinstance(found, Axes) else found[0]
            _KNOWN[name] = known = digest, drawing.to_files(axes.figure, name)
    files = known[1]
    return Illustration(name, alternative, files.svg, files.png, files.pdf, window)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would go through all records many times a figure."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


_KNOWN: dict[str, tuple[bytes, drawing.Files]] = {}
"""Name -> what its figure was drawn from last, and its files."""
