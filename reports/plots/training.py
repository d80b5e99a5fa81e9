"""Training curves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from reports.plots.drawing import GREY, WIDTH, Numbers, styled, wrapped

VALIDATION_COLOUR = "#333333"
_DASHES = (0, (3, 1.5))
_INK, _FRAME, _GRID = "#333333", "#9a9a9a", "#e6e6e6"

_LEFT, _RIGHT, _BELOW, _APART, _TALL = 0.72, 0.12, 0.6, 0.5, 1.2
"""Inches: margins, the gap between panels, and their height."""


@dataclass(frozen=True)
class Run:
    """A training curve.

    Attributes:
        iterations: a value per point.
        loss: a value per iteration.
        colour: the colour of the line.
        diverged: draws a cross at the end.
        validation: (iterations, losses) on validation images, drawn dashed.
        validation_colour: the colour of the line of the validation loss.
    """

    iterations: Numbers
    loss: Numbers
    colour: str
    diverged: bool = False
    validation: tuple[Numbers, Numbers] = ((), ())
    validation_colour: str = VALIDATION_COLOUR


@dataclass(frozen=True)
class Panel:
    """The runs of a setting, or a note why there are none."""

    title: str
    runs: Sequence[Run] = field(default_factory=tuple)
    note: str = ""


@styled
def training_curves(panels: Sequence[Panel], label: str, columns: int = 4) -> Axes:
    """A small panel per setting.

    The panels share the scale of the iterations. Each has its own logarithmic scale of the loss, as
    different losses differ by orders of magnitude. Values that are not positive or not finite are
    left out.

    A report has nearly a hundred panels, and matplotlib's axes would take most of its time.
    Therefore the panels are lines and texts of one Axes, whose unit is the inch.

    Returns:
        That Axes; the lines are in its collections, which are labelled ``grid``, ``frame``,
        ``training`` and ``validation``.
    """
    wide = (WIDTH - _LEFT - _RIGHT - (columns - 1) * _APART) / columns
    titles = [wrapped(panel.title, wide + _RIGHT) for panel in panels]
    above = 0.24 + 0.15 * max(title.count("\n") for title in titles)
    lines = -(-len(panels) // columns)
    height = lines * (above + _TALL) + (lines - 1) * 0.12 + _BELOW
    figure = Figure(
        figsize=(WIDTH, height),
        layout="none",  # type: ignore[arg-type]  # matplotlib's types lack "none"
    )
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.set(xlim=(0, WIDTH), ylim=(0, height))
    end = max([1.0, *(x[-1] for p in panels for r in p.runs for x, _ in _lines(r) if len(x))])
    ticks = [tick for tick in MaxNLocator(3, integer=True).tick_values(0, end) if 0 <= tick <= end]
    canvas = _Canvas(axes)
    for number, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        line, column = divmod(number, columns)
        left = _LEFT + column * (wide + _APART)
        bottom = height - (line + 1) * (above + _TALL) - line * 0.12
        # The lowest panel of a column carries the axis, also where the last line is not full.
        place = _Place(left, bottom, wide, ticks, end, number + columns >= len(panels))
        _draw(canvas, panel, title, place)
    canvas.finish()
    axes.text(WIDTH / 2, 0.06, "iteration", ha="center", va="bottom")
    middle = (height + _BELOW - above) / 2
    axes.text(0.06, middle, label, ha="left", va="center", rotation=90)
    if any(len(run.validation[0]) for panel in panels for run in panel.runs):
        _legend(axes)
    return axes


@dataclass(frozen=True)
class _Place:
    """The position of a panel (inches) and its scale of the iterations."""

    left: float
    bottom: float
    wide: float
    ticks: Numbers
    end: float
    is_lowest: bool


class _Canvas:
    """Collects lines and draws those of one kind together."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self._lines: dict[str, list[tuple[np.ndarray, str]]] = {
            kind: [] for kind in ("grid", "frame", "training", "validation")
        }

    def line(self, kind: str, x: Numbers, y: Numbers, colour: str) -> None:
        self._lines[kind].append((np.column_stack([x, y]), colour))

    def finish(self) -> None:
        """Draw the collected lines."""
        for kind, lines in self._lines.items():
            self.axes.add_collection(
                LineCollection(
                    [points for points, _ in lines],
                    colors=[colour for _, colour in lines],
                    linewidths=0.8 if kind in ("grid", "frame") else 1.1,
                    linestyles=[_DASHES] if kind == "validation" else "solid",
                    label=kind,
                    clip_on=False,
                ),
                autolim=False,
            )


def _draw(canvas: _Canvas, panel: Panel, title: str, place: _Place) -> None:
    left, right = place.left, place.left + place.wide
    bottom, top = place.bottom, place.bottom + _TALL
    text = canvas.axes.text
    text(left, top + 0.06, title, va="bottom", fontsize=9, color=_INK)
    canvas.line("frame", [left, left, right], [top, bottom, bottom], _FRAME)
    values = [y for run in panel.runs for _, losses in _lines(run) for y in losses]
    scale = _LogScale(values) if values else None
    for tick in place.ticks:
        at_tick = left + place.wide * tick / place.end
        if scale:
            canvas.line("grid", [at_tick, at_tick], [bottom, top], _GRID)
        canvas.line("frame", [at_tick, at_tick], [bottom, bottom - 0.04], _FRAME)
        if place.is_lowest:
            text(at_tick, bottom - 0.08, f"{tick:g}", ha="center", va="top", fontsize=9, color=_INK)
    if panel.note:
        at = (left + right) / 2, (bottom + top) / 2
        text(*at, panel.note, ha="center", va="center", color=GREY, fontsize=9)
    if scale is None:
        return
    for tick in scale.ticks:
        at_tick = bottom + _TALL * float(scale(tick))
        canvas.line("grid", [left, right], [at_tick, at_tick], _GRID)
        canvas.line("frame", [left - 0.04, left], [at_tick, at_tick], _FRAME)
        text(left - 0.08, at_tick, f"{tick:g}", ha="right", va="center", fontsize=9, color=_INK)
    for run in panel.runs:
        colours = run.colour, run.validation_colour
        for kind, (x, y), colour in zip(
            ("training", "validation"), _lines(run), colours, strict=True
        ):
            if not len(x):
                continue
            x, y = left + place.wide * x / place.end, bottom + _TALL * scale(y)
            canvas.line(kind, x, y, colour)
            if run.diverged and kind == "training":
                canvas.axes.plot(
                    x[-1], y[-1], marker="X", markersize=8, color=colour,
                    markeredgecolor="white", markeredgewidth=0.8, clip_on=False, zorder=3,
                )  # fmt: skip


def _lines(run: Run) -> list[tuple[np.ndarray, np.ndarray]]:
    """The drawable iterations and losses of training and validation."""
    found = []
    for iterations, losses in ((run.iterations, run.loss), run.validation):
        x, y = np.asarray(iterations, float), np.asarray(losses, float)
        usable = np.isfinite(y) & (y > 0)
        found.append((x[usable], y[usable]))
    return found


class _LogScale:
    """From 0 to 1 over some positive values, logarithmically, with a few plain numbers."""

    def __init__(self, values: Numbers) -> None:
        self.low, self.high = min(values) / 1.3, max(values) * 1.3
        decades = math.log10(self.high / self.low)
        locator: MaxNLocator | LogLocator = MaxNLocator(4)
        if decades > 0.5:
            subs = (1,) if decades > 2 else (1, 3) if decades > 1 else (1, 2, 5)
            locator = LogLocator(subs=subs, numticks=5)
        ticks = locator.tick_values(self.low, self.high)
        self.ticks = [tick for tick in ticks if self.low <= tick <= self.high]

    def __call__(self, value: float | np.ndarray) -> np.ndarray:
        return np.log(np.divide(value, self.low)) / math.log(self.high / self.low)


def _legend(axes: Axes) -> None:
    axes.legend(
        handles=[
            Line2D([], [], color=GREY, linewidth=1.1, label="training images"),
            Line2D([], [], color=VALIDATION_COLOUR, linewidth=1.1, linestyle=_DASHES,
                   label="validation images"),
        ],
        loc="lower right", ncols=2, fontsize=9, handlelength=2.5, borderaxespad=0.3,
    )  # fmt: skip
