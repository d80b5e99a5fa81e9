"""How every figure looks, and how a figure becomes a file.

Figures are drawn on white, with paths instead of fonts, so that they look the same everywhere.
"""

import io
import math
import re
from collections.abc import Sequence
from functools import wraps

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 7.6
"""Of every figure, in inches."""

GREY = "#6b6b6b"
_STYLE = {
    "axes.edgecolor": "#9a9a9a",
    "axes.grid": True,
    "axes.labelcolor": "#333333",
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "mathtext.fontset": "dejavusans",
    "svg.fonttype": "path",
    "text.color": "#333333",
    "xtick.color": "#9a9a9a",
    "xtick.labelcolor": "#333333",
    "xtick.labelsize": 9,
    "ytick.color": "#9a9a9a",
    "ytick.labelcolor": "#333333",
    "ytick.labelsize": 9,
}


def styled(function):
    """Draw with the style of all figures."""

    @wraps(function)
    def draw(*args, **kwargs):
        with matplotlib.rc_context(_STYLE):
            return function(*args, **kwargs)

    return draw


_PLACES = (
    (0, 7, "center", "bottom"), (0, -7, "center", "top"), (-7, 4, "right", "bottom"),
    (7, -4, "left", "top"), (7, 4, "left", "bottom"), (-7, -4, "right", "top"),
)  # fmt: skip
"""Where a note may stand: offsets from its point in points, and its alignment."""


def write_notes(axes: Axes, notes: Sequence[tuple[float, float, str]]) -> None:
    """Write words beside points, each where it covers no line, no legend and no other.

    One that has no such place is left out.

    Args:
        axes: of a figure that has been laid out, see ``draw_without_rendering``.
        notes: x, y and a word for each point; not finite: none.
    """
    lines = [axes.transData.transform(line.get_xydata()) for line in axes.lines]
    covered = np.concatenate([_along(line) for line in lines if len(line)] or [np.empty((0, 2))])
    taken = [legend.get_window_extent()] if (legend := axes.get_legend()) else []
    for x, y, word in notes:
        if not (math.isfinite(x) and math.isfinite(y)):
            continue
        for right, up, horizontal, vertical in _PLACES:
            text = axes.annotate(
                word, (x, y), xytext=(right, up), textcoords="offset points",
                ha=horizontal, va=vertical, color=GREY, fontsize=9,
            )  # fmt: skip
            text.set_in_layout(False)
            box = text.get_window_extent()
            on_lines = np.all((covered > box.min - 2) & (covered < box.max + 2), axis=1)
            inside = np.all(box.min >= axes.bbox.min) and np.all(box.max <= axes.bbox.max)
            if inside and not on_lines.any() and not box.count_overlaps(taken):
                taken.append(box.padded(2))
                break
            text.remove()


def _along(points: np.ndarray, steps: int = 40) -> np.ndarray:
    """Points (N, 2) with others on the lines between them."""
    at = np.linspace(0, len(points) - 1, (len(points) - 1) * steps + 1)
    return np.stack([np.interp(at, range(len(points)), values) for values in points.T], axis=1)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as SVG, the same bytes for the same numbers; ``name`` salts its ids."""
    buffer = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(
            buffer,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return buffer.getvalue()


def to_png(figure: Figure) -> bytes:
    """The figure as PNG, for where SVG is not shown."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
    return buffer.getvalue()


def inline_svg(svg: str, name: str) -> str:
    """The ``<svg>`` element alone, to stand in a page beside others.

    Ids are unique in a file, not among files: each gets ``name`` before it. The alternative text
    is the page's to give.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r'\bid="', f'id="{name}-', element)
    element = re.sub(r'href="#', f'href="#{name}-', element)
    element = re.sub(r"url\(#", f"url(#{name}-", element)
    return re.sub(r"^<svg ", '<svg aria-hidden="true" focusable="false" ', element).strip()
