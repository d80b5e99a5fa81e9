"""The style of the figures and their files.

A figure is drawn for two widths: that of a page, and ``NARROW``, that of a phone.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Annotation
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox

from reports.plots import svg
from reports.results.colours import FRAME, GRID, INK, SOFT

Numbers = Sequence[float] | np.ndarray
"""A number per point, row or bin."""

WIDTH, NARROW = 7.6, 3.54
"""The widths of a figure, in inches: on a page, and on a phone or in a column of paper.

At 96 px per inch, 9 points are 12 px.
"""

PNG_DPI = 160

_P = ParamSpec("_P")
_T = TypeVar("_T")

_LEGEND_MARK = 0.95
"""The width of a legend's line with its gaps, in inches."""

GREY = SOFT.light
_FONT = "DejaVu Sans"
_STYLE = {
    "axes.edgecolor": FRAME.light,
    "axes.grid": True,
    "axes.labelcolor": INK.light,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titley": 1.0,  # no tick is above the axes; a search for one takes time
    "figure.constrained_layout.use": True,
    "font.family": _FONT,
    "font.size": 10,
    "grid.color": GRID.light,
    "grid.linewidth": 0.8,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "mathtext.fontset": "dejavusans",
    "svg.fonttype": "none",
    "text.color": INK.light,
    "text.parse_math": False,  # a name with two $ in it is a name
    "xtick.color": FRAME.light,
    "xtick.labelcolor": INK.light,
    "xtick.labelsize": 9,
    "ytick.color": FRAME.light,
    "ytick.labelcolor": INK.light,
    "ytick.labelsize": 9,
}


def styled(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Apply the style of all figures to a drawing function."""

    @wraps(function)
    def draw(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with matplotlib.rc_context(_STYLE):
            return function(*args, **kwargs)

    return draw


_PLACES = (
    (0, 7, "center", "bottom"), (0, -7, "center", "top"), (-7, 4, "right", "bottom"),
    (7, -4, "left", "top"), (7, 4, "left", "bottom"), (-7, -4, "right", "top"),
    (9, 0, "left", "center"), (-9, 0, "right", "center"),
)  # fmt: skip
"""The places of a label: offset from its point in points, and alignment."""

_TOWARDS = {"left": 0, "bottom": 0, "center": -0.5, "right": -1, "top": -1}
"""Alignment -> the offset of a text's box from its anchor, in its own size."""


def write_notes(
    axes: Axes, notes: Sequence[tuple[float, float, str]], lines: Sequence[np.ndarray]
) -> None:
    """Label points where the labels cover no line, no legend and no other label.

    Labels with the fewest free places are placed first; a label without a free place is omitted.

    Args:
        axes: the axes of a figure that has been laid out, see :func:`settle`.
        notes: x, y and a word for each point; points that are not finite are ignored.
        lines: the points (N, 2) of each line that must not be covered.
    """
    paths = [_along(axes.transData.transform(line)) for line in lines if len(line)]
    covered = np.concatenate(paths or [np.empty((0, 2))])
    waiting = []
    for x, y, word in notes:
        if word and math.isfinite(x) and math.isfinite(y):
            text = axes.annotate(
                word, (x, y), xytext=(0, 0), textcoords="offset points", color=GREY, fontsize=9
            )
            text.set_in_layout(False)
            waiting.append((text, list(_places(axes, text, covered))))
    taken = [legend.get_window_extent()] if (legend := axes.get_legend()) else []
    for text, places in sorted(waiting, key=lambda text_and_places: len(text_and_places[1])):
        place = next((p for p in places if not p[1].count_overlaps(taken)), None)
        if place is None:
            text.remove()
            continue
        (right, up, horizontal, vertical), box = place
        text.set(position=(right, up), horizontalalignment=horizontal, verticalalignment=vertical)
        taken.append(box)


def _places(axes: Axes, text: Annotation, covered: np.ndarray) -> Iterator[tuple[tuple, Bbox]]:
    """The places where a text is inside the axes and covers none of the points."""
    size, pixels = np.asarray(text.get_window_extent().size), axes.figure.dpi / 72
    anchor = axes.transData.transform(text.xy)
    for place in _PLACES:
        right, up, horizontal, vertical = place
        corner = anchor + np.array([right, up]) * pixels
        corner = corner + size * (_TOWARDS[horizontal], _TOWARDS[vertical])
        box = Bbox([corner, corner + size]).padded(2)
        inside = np.all(box.min >= axes.bbox.min) and np.all(box.max <= axes.bbox.max)
        if inside and not np.all((covered > box.min) & (covered < box.max), axis=1).any():
            yield place, box


def _along(points: np.ndarray, steps: int = 40) -> np.ndarray:
    """Points (N, 2) with interpolated points between them."""
    at = np.linspace(0, len(points) - 1, (len(points) - 1) * steps + 1)
    return np.stack([np.interp(at, range(len(points)), values) for values in points.T], axis=1)


def wrapped(text: str, inches: float, size: float = 9) -> str:
    """A text in lines of limited length, broken at commas, else between words or letters.

    Args:
        text: on one line.
        inches: the maximum length of a line.
        size: the size of the font, in points.
    """
    font = FontProperties(family=_FONT, size=size)

    def fits(line: str) -> bool:
        width, _, _ = text_to_path.get_text_width_height_descent(line, font, ismath=False)
        return width <= 72 * inches

    return "\n".join(_broken(text, fits, (", ", " ", "")))


def _broken(text: str, fits: Callable[[str], bool], joints: Sequence[str]) -> list[str]:
    """The lines of a text, broken at the first joint that suffices."""
    if fits(text) or not joints:
        return [text]
    joint, *finer = joints
    lines: list[str] = []
    for part in text.split(joint) if joint else text:
        longer = f"{lines[-1]}{joint}{part}" if lines else part
        if lines and fits(longer):
            lines[-1] = longer
            continue
        lines[-1:] = [f"{line}{joint.rstrip()}" for line in lines[-1:]]
        lines += _broken(part, fits, finer)
    return lines


def reach(values: Numbers) -> float:
    """The largest finite value, 0 if there is none."""
    return max((float(value) for value in values if np.isfinite(value)), default=0.0)


def is_narrow(figure: Figure) -> bool:
    """Whether a figure is drawn for a phone, where panels and legends stand below each other."""
    return figure.get_figwidth() < WIDTH


def legend_outside(axes: Axes, columns: int = 3) -> None:
    """A common legend below the panels of a figure."""
    figure = figure_of(axes)
    width = figure.get_figwidth()
    columns = 1 if is_narrow(figure) else columns
    handles, labels = axes.get_legend_handles_labels()
    expected = -(-len(labels) // columns)
    most = min(columns, len(labels))
    for columns in range(most, 0, -1):
        texts = [wrapped(label, width / columns - _LEGEND_MARK) for label in labels]
        if texts == labels:
            break
    lines = -(-len(texts) // columns) * (1 + max(text.count("\n") for text in texts))
    # A legend with wrapped labels must not shrink the panels.
    figure.set_figheight(figure.get_figheight() + 0.17 * (lines - expected))
    figure.legend(
        handles, texts, loc="outside lower center", ncols=columns, fontsize=9, handlelength=3.6
    )


def figure_of(axes: Axes) -> Figure:
    """The figure of these axes; no figure here has subfigures."""
    assert isinstance(axes.figure, Figure)
    return axes.figure


@dataclass(frozen=True)
class Files:
    """A figure as files, the same bytes for the same numbers.

    Attributes:
        svg: for the HTML page.
        png: for the Markdown page.
        pdf: for LaTeX.
    """

    svg: str
    png: bytes
    pdf: bytes


def to_files(figure: Figure, name: str) -> Files:
    """The figure as files; ``name`` salts the SVG's ids.

    The canvases' own methods each draw the figure once; ``savefig`` does so twice, and lays it out
    again for each file.
    """
    pdf, dpi = io.BytesIO(), figure.dpi
    drawing = to_svg(figure, name)
    with matplotlib.rc_context(_STYLE):
        nothing = dict.fromkeys(("CreationDate", "Creator", "Producer"))
        FigureCanvasPdf(figure).print_pdf(pdf, metadata=nothing)
    figure.dpi = dpi  # the canvas has set its own
    return Files(drawing, to_png(figure), pdf.getvalue())


def to_svg(figure: Figure, name: str) -> str:
    """The figure as SVG; ``name`` salts its ids."""
    text, dpi = io.StringIO(), figure.dpi
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        settle(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(text, metadata=nothing)
    figure.dpi = dpi  # the canvas has set its own
    return svg.compact(text.getvalue())


def to_png(figure: Figure) -> bytes:
    """The figure as PNG."""
    buffer, dpi = io.BytesIO(), figure.dpi
    with matplotlib.rc_context(_STYLE):
        settle(figure)
        figure.dpi = PNG_DPI
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
        figure.dpi = dpi
    return buffer.getvalue()


def settle(figure: Figure) -> None:
    """Compute the layout once; it takes most of the time of a drawing."""
    engine = figure.get_layout_engine()
    if engine is None or not figure.get_constrained_layout():
        return
    FigureCanvasAgg(figure)  # keeps its renderer, and with it the sizes of all texts
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.get_tightbbox()  # places the labels of the axes
        for axis in (axes.xaxis, axes.yaxis):
            label = axis.label
            place = label.get_transform().transform(label.get_position())
            axis.set_label_coords(*axes.transAxes.inverted().transform(place))
