"""Small multiples of the ablation tables: a dot per row, on an axis that all tables share.

A page shows a drawing per table and one of the key; a file has all of them, three in a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from reports.plots.drawing import GREY, styled, wrapped
from reports.plots.svg import MARK
from reports.results.colours import INK, PAPER

WIDTH = 3.6
"""The width of a table's drawing, in inches: that of a phone, and a third of a page."""

COLUMNS = 3
"""Tables in a row of the file."""

FONT_SIZE = 10.5
"""The size of the text, in points. A laptop shows the drawings at 0.87 of their size, so that the
text has 12 px.
"""

NOISE_SHADE = 0.2

TICK = ((-0.3, -1.0), (0.3, -1.0), (0.3, 1.0), (-0.3, 1.0), (-0.3, -1.0))
"""The outline of the tick of the published order."""

RING: dict[str, Any] = {
    "marker": "o", "markersize": 11.5, "markerfacecolor": "none", "markeredgewidth": 1.3,
}  # fmt: skip
"""What surrounds the dot of a chosen setting."""

_ROW, _LINE, _HEAD, _AXIS, _GAP = 0.29, 0.18, 0.27, 0.3, 0.3
"""The heights of a row, of each further line of its label, of the names of the columns, of the
axis, and the gap between two drawings, in inches."""

_KEY = 0.22
"""The height of an entry of the key, in inches."""

_VALUE, _MAX_LABEL, _SPACE = 0.42, 1.5, 0.12
"""The widths of the values, of the labels at most, and the space around the dots, in inches."""


@dataclass(frozen=True)
class Mark:
    """A row of a table; NaN for what is unknown.

    Attributes:
        label: the values of its columns.
        value: where its dot is.
        text: the value in words, at the right of the row.
        colour: the colour of its loss.
        low: lower end of its interval.
        high: upper end.
        published: where its dot would be in the published order.
        note: why the value is special or missing, beside the dot.
        is_reference: whether it is the reference row.
        is_crossed: whether it has a cross instead of a dot.
        is_chosen: whether it has a ring: the study chose its setting for its loss.
    """

    label: str
    value: float
    text: str
    colour: str
    low: float = np.nan
    high: float = np.nan
    published: float = np.nan
    note: str = ""
    is_reference: bool = False
    is_crossed: bool = False
    is_chosen: bool = False


@dataclass(frozen=True)
class MapPanel:
    """A table.

    Attributes:
        title: its title.
        columns: the names of its columns, above the labels.
        marks: its rows, from top to bottom.
        reference: the value of the reference row; NaN without one.
        noise: half the width of the grey band around it; NaN for no band.
    """

    title: str
    columns: str
    marks: Sequence[Mark]
    reference: float = np.nan
    noise: float = np.nan


@dataclass(frozen=True)
class Frame:
    """What all drawings share.

    Attributes:
        unit: the quantity of the axis.
        low: the lower end of the axis.
        high: its upper end.
        labels: the width of the labels, in inches.
    """

    unit: str
    low: float
    high: float
    labels: float

    @property
    def left(self) -> float:
        """The distance of the dots' area from the left edge, in inches."""
        return self.labels + _SPACE

    @property
    def width(self) -> float:
        """The width of the dots' area, in inches."""
        return WIDTH - self.left - _VALUE - _SPACE


@dataclass(frozen=True)
class Keys:
    """The entries of the key.

    Attributes:
        colours: name of a loss or a detector -> its colour.
        marks: all rows that are drawn.
        noise: the text of the grey band; "" for none.
    """

    colours: dict[str, str]
    marks: Sequence[Mark]
    noise: str = ""


@styled
def frame_of(panels: Sequence[MapPanel], unit: str) -> Frame:
    """The axis and the labels' width that suit all of these tables."""
    ends = [
        value
        for panel in panels
        for value in (
            *(one for m in panel.marks for one in (m.value, m.low, m.high, m.published)),
            panel.reference - panel.noise,
            panel.reference + panel.noise,
        )
        if np.isfinite(value)
    ]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    space = max(0.05 * (high - low), 0.1)
    labels = [text for p in panels for text in (p.columns, *(m.label for m in p.marks))]
    width = max(map(_length, labels), default=0.5)
    return Frame(unit, max(low - space, -space), high + space, min(width + 0.05, _MAX_LABEL))


def _length(text: str) -> float:
    """The width of a text in the page's font, in inches."""
    return 0.085 * len(text)


@styled
def map_panel(panel: MapPanel, frame: Frame) -> Axes:
    """A table, without its title."""
    figure = _figure(WIDTH, _height(panel, frame))
    return _draw(figure, panel, frame, 0.0, figure.get_figheight())


@styled
def map_key(keys: Keys) -> Axes:
    """What the marks mean."""
    handles = _handles(keys)
    figure = _figure(WIDTH, _KEY * len(handles))
    return _draw_key(figure, handles, 0.0, figure.get_figheight())


@styled
def ablation_map(panels: Sequence[MapPanel], frame: Frame, keys: Keys) -> list[Axes]:
    """The key and all tables with their titles, ``COLUMNS`` in a row."""
    handles = _handles(keys)
    titles = [wrapped(panel.title, WIDTH - 0.2, FONT_SIZE + 0.5) for panel in panels]
    heads = [0.1 + 0.2 * (1 + title.count("\n")) for title in titles]
    sizes = [_KEY * len(handles)]
    sizes += [h + _height(p, frame) for h, p in zip(heads, panels, strict=True)]
    rows = [range(at, min(at + COLUMNS, len(sizes))) for at in range(0, len(sizes), COLUMNS)]
    heights = [max(sizes[number] for number in row) + _GAP for row in rows]
    columns = min(COLUMNS, len(sizes))
    width = columns * WIDTH + (columns - 1) * _GAP
    figure = _figure(width + 0.2, sum(heights))
    drawn, top = [], figure.get_figheight() - 0.1
    for row, height in zip(rows, heights, strict=True):
        for column, number in enumerate(row):
            left = 0.1 + column * (WIDTH + _GAP)
            if not number:
                drawn.append(_draw_key(figure, handles, left, top))
                continue
            panel, title, head = panels[number - 1], titles[number - 1], heads[number - 1]
            _text(figure, left, top, title, va="top", weight="bold", fontsize=FONT_SIZE + 0.5)
            drawn.append(_draw(figure, panel, frame, left, top - head))
        top -= height
    return drawn


def _figure(width: float, height: float) -> Figure:
    """A figure whose parts are placed by hand; sizes in inches."""
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    return figure


def _lines(panel: MapPanel, frame: Frame) -> list[str]:
    """The labels of the rows, broken where they are too long."""
    return [
        wrapped(mark.label, 1.15 * frame.labels, FONT_SIZE) if _length(mark.label) > frame.labels
        else mark.label
        for mark in panel.marks
    ]  # fmt: skip


def _heights(labels: Sequence[str]) -> list[float]:
    return [_ROW + _LINE * label.count("\n") for label in labels]


def _height(panel: MapPanel, frame: Frame) -> float:
    return _HEAD + sum(_heights(_lines(panel, frame))) + _AXIS


def _text(figure: Figure, x: float, y: float, text: str, **style) -> None:
    """A text at a place in inches from the lower left corner."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, **{"fontsize": FONT_SIZE, **style})


def _draw(figure: Figure, panel: MapPanel, frame: Frame, left: float, top: float) -> Axes:
    """Draw a table; ``left`` and ``top``: its upper left corner, in inches."""
    labels = _lines(panel, frame)
    heights = _heights(labels)
    width, height = figure.get_size_inches()
    bottom = top - _HEAD - sum(heights)
    axes = figure.add_axes(
        ((left + frame.left) / width, bottom / height, frame.width / width, sum(heights) / height)
    )
    axes.set_xlim(frame.low, frame.high)
    axes.set_ylim(sum(heights), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="x", labelsize=FONT_SIZE)
    _text(figure, left, top - 0.05, panel.columns, va="top", color=GREY)
    right = left + WIDTH - 0.02
    _text(figure, right, top - 0.05, frame.unit, va="top", ha="right", color=GREY)
    if np.isfinite(panel.reference):
        if np.isfinite(panel.noise):
            axes.axvspan(panel.reference - panel.noise, panel.reference + panel.noise,
                         facecolor=GREY, edgecolor="none", alpha=NOISE_SHADE, zorder=1)  # fmt: skip
        axes.axvline(panel.reference, color=INK.light, linewidth=1.2, zorder=1.5)
    at = 0.0
    for number, (mark, label, tall) in enumerate(zip(panel.marks, labels, heights, strict=True)):
        middle = at + tall / 2
        weight = "bold" if mark.is_reference else "normal"
        y = top - _HEAD - middle
        style = {"va": "center", "weight": weight, "linespacing": 1.1}
        _text(figure, left, y, label, **style)
        _text(figure, right, y, mark.text, ha="right", **style)
        _mark(axes, mark, middle, f"{MARK}{number}")
        at += tall
    return axes


def _mark(axes: Axes, mark: Mark, middle: float, name: str) -> None:
    if np.isfinite(mark.low):
        bar = [mark.low, mark.high]
        axes.plot(bar, [middle] * 2, color=mark.colour, linewidth=1.6, zorder=2.5)
    if np.isfinite(mark.published):
        axes.plot(
            mark.published, middle, marker=TICK, linestyle="none", markersize=13, color=GREY,
            markerfacecolor=PAPER.light, markeredgewidth=1.1, zorder=2.8, clip_on=False,
        )  # fmt: skip
    if np.isfinite(mark.value):
        if mark.is_chosen:
            axes.plot(mark.value, middle, linestyle="none", color=mark.colour, zorder=3.5,
                      clip_on=False, **RING)  # fmt: skip
        axes.plot(
            mark.value, middle, linestyle="none", color=mark.colour, zorder=4, clip_on=False,
            gid=name, **_shape(mark),
        )  # fmt: skip
    if mark.note:
        _note(axes, mark, middle, "" if np.isfinite(mark.value) else name)


def _shape(mark: Mark) -> dict[str, Any]:
    if mark.is_crossed:
        return {"marker": "X", "markersize": 8, "markeredgewidth": 0}
    return {"marker": "D" if mark.is_reference else "o", "markersize": 6.5, "markeredgewidth": 0}


def _note(axes: Axes, mark: Mark, middle: float, name: str) -> None:
    """A word beside the dot, on the side that has more room; alone, at the left edge."""
    low, high = axes.get_xlim()
    known = np.isfinite(mark.value)
    is_left = known and mark.value > (low + high) / 2
    axes.annotate(
        mark.note, (mark.value if known else low, middle), va="center", fontsize=FONT_SIZE - 0.5,
        xytext=((-7 if is_left else 7) if known else 0, 0), textcoords="offset points",
        ha="right" if is_left else "left", color=GREY, annotation_clip=False, gid=name or None,
        zorder=5,
    )  # fmt: skip


def _handles(keys: Keys) -> list[Line2D | Patch]:
    def point(label: str, **style) -> Line2D:
        return Line2D([], [], **{"linestyle": "none", "color": GREY, "label": label, **style})

    marks = keys.marks
    handles: list[Line2D | Patch] = [
        point(name, color=colour, marker="o", markersize=6.5)
        for name, colour in keys.colours.items()
    ]
    if any(np.isfinite(mark.low) for mark in marks):
        handles.append(point("95 % CI", linestyle="-", linewidth=1.6))
    if any(mark.is_reference for mark in marks):
        handles.append(
            point("reference row and its value", linestyle="-", linewidth=1.2, color=INK.light,
                  marker="D", markersize=6.5)
        )  # fmt: skip
    if any(mark.is_chosen for mark in marks):
        handles.append(point("setting chosen for its loss", **RING))
    if any(mark.is_crossed for mark in marks):
        handles.append(point("diverged, counts as 0", marker="X", markersize=8))
    if any(np.isfinite(mark.published) for mark in marks):
        handles.append(
            point("place in the published order", marker=TICK, markersize=13,
                  markerfacecolor=PAPER.light, markeredgewidth=1.1)
        )  # fmt: skip
    if keys.noise:
        handles.append(Patch(facecolor=GREY, alpha=NOISE_SHADE, label=keys.noise))
    return handles


def key_texts(keys: Keys) -> list[str]:
    """The texts of the key."""
    return [str(handle.get_label()) for handle in _handles(keys)]


def _draw_key(figure: Figure, handles: list[Line2D | Patch], left: float, top: float) -> Axes:
    width, height = figure.get_size_inches()
    tall = _KEY * len(handles)
    axes = figure.add_axes((left / width, (top - tall) / height, WIDTH / width, tall / height))
    axes.set_axis_off()
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0, 1), borderaxespad=0, borderpad=0.1,
        fontsize=FONT_SIZE, handlelength=2.2, labelspacing=0.45,
    )  # fmt: skip
    return axes
