"""Draws numbers: every function takes them and returns matplotlib Axes. Knows no records."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from reports.drawing import GREY, WIDTH, styled, write_notes


@dataclass(frozen=True)
class Line:
    """A curve; the dashes (matplotlib's line style) tell it apart in grey."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashes: str | tuple = "-"


@dataclass(frozen=True)
class Dots:
    """One value per row, NaN where there is none.

    Attributes:
        label: what the values are, with their unit.
        values: a value per row.
        colours: a colour per row.
        spread: half a bar's length per row, NaN for no bar.
        crossed: rows that are marked by a cross instead of a dot.
        notes: per row, a word to be written beside its mark.
        filled: False draws rings.
    """

    label: str
    values: Sequence[float]
    colours: Sequence[str]
    spread: Sequence[float] = ()
    crossed: Sequence[bool] = ()
    notes: Sequence[str] = ()
    filled: bool = True


@dataclass(frozen=True)
class Curve:
    """Points that are joined, in two dimensions.

    Attributes:
        label: for the legend.
        x: a value per point; a point without both values is left out.
        y: likewise.
        notes: per point, a word to be written beside it where there is room.
        colour: of line and marks.
        marker: matplotlib's; it tells curves of one colour apart.
        dashes: of the line, likewise.
        spread: half a bar's length in y per point, NaN for no bar.
        filled: False draws rings.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    notes: Sequence[str]
    colour: str
    marker: str = "o"
    dashes: str = "-"
    spread: Sequence[float] = ()
    filled: bool = True


@dataclass(frozen=True)
class Run:
    """A training curve; ``diverged`` ends it with a cross."""

    iterations: Sequence[float]
    loss: Sequence[float]
    colour: str
    diverged: bool = False


@dataclass(frozen=True)
class Panel:
    """The runs of one setting; a note says why there are none."""

    title: str
    runs: Sequence[Run] = field(default_factory=tuple)
    note: str = ""


@styled
def loss_over_p_t(lines: Sequence[Line], highest: float = 5.0) -> Axes:
    """Losses over the probability of the true label, cut off at ``highest``."""
    axes = Figure(figsize=(WIDTH, 4.2)).subplots()
    for line in lines:
        axes.plot(
            line.x, line.y, color=line.colour, linestyle=line.dashes, linewidth=2, label=line.label
        )
    axes.set(xlim=(0, 1), ylim=(0, highest), ylabel="loss")
    axes.set_xlabel("$p_t$, probability given to the true label")
    axes.legend(loc="upper right", handlelength=3.2, labelspacing=0.7)
    return axes


@styled
def ap_over_rows(labels: Sequence[str], series: Sequence[Dots]) -> list[Axes]:
    """A panel of dots for each series, the rows in the table's order from top to bottom.

    Each panel has its own scale from 0, as the series may be of different data.
    """
    height = 1.0 + 0.34 * max(len(labels), 2)
    figure = Figure(figsize=(WIDTH, height))
    panels = list(figure.subplots(1, len(series), sharey=True, squeeze=False)[0])
    rows = np.arange(len(labels))
    for axes, dots in zip(panels, series, strict=True):
        values, spread = np.asarray(dots.values, float), np.asarray(dots.spread, float)
        axes.grid(False, axis="x")
        for row, (value, colour) in enumerate(zip(values, dots.colours, strict=True)):
            note = dots.notes[row] if dots.notes else ""
            if np.isfinite(value):
                crossed = bool(dots.crossed) and dots.crossed[row]
                if len(spread) and np.isfinite(spread[row]):
                    axes.errorbar(
                        value, row, xerr=spread[row], color=colour, linewidth=1.5, capsize=3
                    )
                axes.plot(
                    value, row, linestyle="none", color=colour, clip_on=False, zorder=3,
                    marker="X" if crossed else "o", markersize=8 if crossed else 7,
                    markerfacecolor=colour if dots.filled else "white", markeredgewidth=1.5,
                )  # fmt: skip
            if note:
                axes.annotate(
                    note, (value if np.isfinite(value) else 0, row), xytext=(9, 0),
                    textcoords="offset points", va="center", color=GREY, fontsize=9,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
                )  # fmt: skip
        reach = values + (np.nan_to_num(spread) if len(spread) else 0)
        highest = np.nanmax(reach) if np.isfinite(reach).any() else 0.0
        axes.set_xlim(0, 1.08 * highest if highest > 0 else 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.set_xlabel(dots.label)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, pad=9)
    panels[0].set_yticks(rows, labels)
    panels[0].set_ylim(len(labels) - 0.4, -0.6)
    return panels


@styled
def ap_over_ms(panels: Mapping[str, Sequence[Curve]]) -> list[Axes]:
    """AP over time, a panel for each title with scales of its own."""
    figure = Figure(figsize=(WIDTH, 3.6))
    found = list(figure.subplots(1, len(panels), squeeze=False)[0])
    for axes, (title, curves) in zip(found, panels.items(), strict=True):
        axes.set_title(title, loc="left")
        axes.set(xlabel="ms per image", ylabel="AP (%)")
        axes.margins(0.12, 0.16)
        for curve in curves:
            x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
            usable = np.isfinite(x) & np.isfinite(y)
            axes.plot(
                x[usable], y[usable], color=curve.colour, linestyle=curve.dashes, linewidth=1.5,
                marker=curve.marker, markersize=6.5, label=curve.label,
                markerfacecolor=curve.colour if curve.filled else "white",
            )  # fmt: skip
            spread = np.asarray(curve.spread, float)
            if len(spread):
                axes.errorbar(
                    x[usable], y[usable], yerr=spread[usable], color=curve.colour, fmt="none",
                    elinewidth=1.2, capsize=3,
                )  # fmt: skip
        axes.legend(loc="lower right", fontsize=9)
    figure.draw_without_rendering()  # where things lie is known from here on
    for axes, curves in zip(found, panels.values(), strict=True):
        write_notes(axes, [n for c in curves for n in zip(c.x, c.y, c.notes, strict=True)])
    return found


@styled
def training_curves(panels: Sequence[Panel], label: str, columns: int = 4) -> list[Axes]:
    """A small panel for each setting; see :class:`Run`.

    The iterations are on one scale. The losses are on logarithmic scales of their own, as
    settings that train on different losses differ in level by orders of magnitude. Values that
    are not positive or not finite are left out.
    """
    columns = min(columns, max(len(panels), 1))
    lines = -(-len(panels) // columns)
    titles = [_wrapped(panel.title) for panel in panels]
    extra = max((title.count("\n") for title in titles), default=0)
    figure = Figure(figsize=(WIDTH, 0.5 + (1.6 + 0.15 * extra) * lines))
    grid = figure.subplots(lines, columns, sharex=True, squeeze=False).ravel()
    ends = [1.0]
    for axes, panel, title in zip(grid, panels, titles, strict=False):
        axes.set_title(title, loc="left", fontsize=9)
        losses = []
        for run in panel.runs:
            x, y = np.asarray(run.iterations, float), np.asarray(run.loss, float)
            usable = np.isfinite(y) & (y > 0)
            x, y = x[usable], y[usable]
            if not len(x):
                continue
            axes.plot(x, y, color=run.colour, linewidth=1.1)
            if run.diverged:
                axes.plot(
                    x[-1], y[-1], marker="X", markersize=8, color=run.colour,
                    markeredgecolor="white", markeredgewidth=0.8, clip_on=False, zorder=3,
                )  # fmt: skip
            ends.append(x[-1])
            losses.extend((y.min(), y.max()))
        _log_scale(axes, losses)
        if panel.note:
            axes.text(
                0.5, 0.5, panel.note, transform=axes.transAxes, ha="center", va="center",
                color=GREY, fontsize=9,
            )  # fmt: skip
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for column in range(columns):
        # The lowest panel of a column carries the axis, also where the last line is not full.
        lowest = grid[(len(panels) - 1 - column) // columns * columns + column]
        lowest.tick_params(axis="x", labelbottom=True)
    grid[0].set_xlim(0, max(ends))
    grid[0].xaxis.set_major_locator(MaxNLocator(3, integer=True))
    figure.supxlabel("iteration", fontsize=10)
    figure.supylabel(label, fontsize=10)
    return list(grid[: len(panels)])


def _wrapped(title: str, width: int = 20) -> str:
    """A title on lines that end at its commas, each as long as ``width`` allows."""
    lines = [""]
    for part in title.split(", "):
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        if lines[-1] and len(longer) > width:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _log_scale(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis around the values, with a few plain numbers; none without values."""
    axes.yaxis.set_minor_locator(NullLocator())
    if not values:
        axes.set_yticks([])
        return
    lowest, highest = min(values) / 1.3, max(values) * 1.3
    axes.set_yscale("log")
    axes.set_ylim(lowest, highest)
    decades = math.log10(highest / lowest)
    axes.yaxis.set_major_locator(
        LogLocator(subs=(1,) if decades > 2 else (1, 3) if decades > 1 else (1, 2, 5), numticks=5)
        if decades > 0.5
        else MaxNLocator(4)
    )
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
