"""Training curves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogLocator, MaxNLocator, NullLocator

from reports.plots.drawing import GREY, NARROW, WIDTH, Numbers, styled, wrapped

_LINE = 0.165
"""The height of a label, in inches."""

_LABEL = 1.15
"""The longest line of a label, in inches."""

_LEFT, _RIGHT, _ABOVE, _BELOW = 0.75, _LABEL + 0.3, 0.3, 0.5
"""The margins of a panel, in inches."""


@dataclass(frozen=True)
class Trace:
    """A curve of a loss.

    Attributes:
        label: written at its end; "" for none, which makes the line thin.
        iterations: a value per point.
        loss: a value per point; values that are not positive or not finite are left out.
        colour: the colour of line and label.
        dashes: the dashes of the line.
        diverged: draws a cross at the end.
    """

    label: str
    iterations: Numbers
    loss: Numbers
    colour: str
    dashes: str | tuple = "-"
    diverged: bool = False


@dataclass(frozen=True)
class Panel:
    """Curves on the same images."""

    title: str
    traces: Sequence[Trace]


@styled
def training_curves(panels: Sequence[Panel], label: str, width: float = WIDTH) -> list[Axes]:
    """Losses over iterations on one logarithmic scale, each line labelled at its end.

    Args:
        panels: side by side, or below each other in a narrow figure.
        label: the name of the loss.
        width: the width of the figure, in inches.
    """
    shape = (1, len(panels)) if width > NARROW else (len(panels), 1)
    labels = [[wrapped(trace.label, _LABEL) for trace in panel.traces] for panel in panels]
    lines = max(sum(text.count("\n") + 1 for text in of_panel if text) for of_panel in labels)
    tall, wide = max(2.3, _LINE * lines), width / shape[1] - _LEFT - _RIGHT
    height = shape[0] * (_ABOVE + tall + _BELOW)
    figure = Figure(
        figsize=(width, height),
        layout="none",  # type: ignore[arg-type]  # matplotlib's types lack "none"
    )
    grid = []
    for number in range(len(panels)):
        line, column = divmod(number, shape[1])
        left = column * width / shape[1] + _LEFT
        bottom = height - (line + 1) * (_ABOVE + tall + _BELOW) + _BELOW
        place = (left / width, bottom / height, wide / width, tall / height)
        grid.append(figure.add_axes(place))
    end = max((x[-1] for p in panels for t in p.traces if len(x := _points(t)[0])), default=1.0)
    for axes, panel in zip(grid, panels, strict=True):
        axes.set_title(panel.title, loc="left")
        for trace in panel.traces:
            _draw(axes, trace)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.set(xlim=(0, end), xlabel="iteration", ylabel=label)
        axes.yaxis.set_label_coords(-0.53 / wide, 0.5)
    values = [y for panel in panels for trace in panel.traces for y in _points(trace)[1]]
    for axes, panel, texts in zip(grid, panels, labels, strict=True):
        _scale(axes, values)
        _label_ends(axes, panel.traces, texts, tall)
    return grid


def spread(places: Sequence[float], sizes: Sequence[float], top: float) -> np.ndarray:
    """Move labels apart: the places nearest to the wanted ones, in their order.

    Args:
        places: (N,) the wanted middles, from 0 to ``top``.
        sizes: (N,) the labels' heights, which together are at most ``top``.
        top: the upper limit; the lower one is 0.
    """
    order = np.argsort(places, kind="stable")
    middles, half = np.asarray(places, float)[order], np.asarray(sizes, float)[order] / 2
    lowest = 0.0
    for number, place in enumerate(middles):
        middles[number] = max(place, lowest + half[number])
        lowest = middles[number] + half[number]
    highest = top
    for number in reversed(range(len(middles))):
        middles[number] = min(middles[number], highest - half[number])
        highest = middles[number] - half[number]
    placed = np.empty(len(middles))
    placed[order] = middles
    return placed


def _points(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(trace.iterations, float), np.asarray(trace.loss, float)
    usable = np.isfinite(y) & (y > 0)
    return x[usable], y[usable]


def _draw(axes: Axes, trace: Trace) -> None:
    x, y = _points(trace)
    axes.plot(
        x, y, color=trace.colour, linestyle=trace.dashes, label=trace.label or "_",
        linewidth=1.3 if trace.label else 0.6, zorder=2.5 if trace.label else 2,
    )  # fmt: skip
    if trace.diverged and len(x):
        axes.plot(x[-1], y[-1], marker="X", markersize=8, color=trace.colour, clip_on=False)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic scale of the loss with a few plain numbers."""
    axes.set_yscale("log")
    low, high = (min(values) / 1.2, max(values) * 1.2) if len(values) else (0.1, 1.0)
    axes.set_ylim(low, high)
    decades = np.log10(high / low)
    subs = (1,) if decades > 3 else (1, 3) if decades > 1.2 else (1, 2, 5)
    axes.yaxis.set_major_locator(
        LogLocator(subs=subs, numticks=8) if decades > 0.5 else MaxNLocator(4)
    )
    axes.yaxis.set_major_formatter(_Plain())
    axes.yaxis.set_minor_locator(NullLocator())


class _Plain(LogFormatter):
    """0.1, 1, 100 in place of powers of 10."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}"


def _label_ends(axes: Axes, traces: Sequence[Trace], texts: Sequence[str], tall: float) -> None:
    """Write each label at the right of the axes, at the height where its line ends."""
    low, high = np.log(axes.get_ylim())
    ends = []
    for trace, text in zip(traces, texts, strict=True):
        x, y = _points(trace)
        if text and len(x):
            at = tall * (np.log(y[-1]) - low) / (high - low)
            ends.append((trace, text, x[-1] / axes.get_xlim()[1], at))
    sizes = [_LINE * (text.count("\n") + 1) for _, text, *_ in ends]
    places = spread([at for *_, at in ends], sizes, tall)
    leaders = []
    for (trace, text, x, at), place in zip(ends, places, strict=True):
        axes.text(
            1.09, place / tall, text, fontsize=9, color=trace.colour, va="center",
            transform=axes.transAxes,
        )  # fmt: skip
        leaders.append([(x, at / tall), (1.07, place / tall)])
    axes.add_collection(
        LineCollection(
            leaders, colors=GREY, linewidths=0.5, transform=axes.transAxes, clip_on=False
        ),
        autolim=False,
    )
