"""Plots AP over time per image, over image size and over the schedule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from reports.plots.drawing import (
    WIDTH,
    Numbers,
    figure_of,
    is_narrow,
    settle,
    styled,
    wrapped,
    write_notes,
)
from reports.results.colours import FRAME, PAPER


@dataclass(frozen=True)
class Curve:
    """Points with or without a line.

    Attributes:
        label: the text in the legend.
        x: a value per point; a point without both values is left out.
        y: a value per point.
        notes: a label per point, drawn if there is room.
        colour: the colour of line and marks.
        marker: a marker of matplotlib.
        dashes: the dashes of the line; "none" for no line.
        low: lower end of each point's bar, NaN for no bar; empty for no bars.
        high: upper end.
        x_low: left end of each point's horizontal bar, NaN for no bar; empty for no bars.
        x_high: right end.
        filled: whether marks are filled; False draws rings.
    """

    label: str
    x: Numbers
    y: Numbers
    notes: Sequence[str]
    colour: str
    marker: str = "o"
    dashes: str | tuple = "-"
    low: Numbers = ()
    high: Numbers = ()
    x_low: Numbers = ()
    x_high: Numbers = ()
    filled: bool = True


@dataclass(frozen=True)
class SpeedPanel:
    """Curves of the same data and hardware.

    Attributes:
        title: the title of the panel.
        curves: the most important labels first.
        pareto_front: x and y of the points for which none is higher and not further right.
    """

    title: str
    curves: Sequence[Curve]
    pareto_front: tuple[Numbers, Numbers] = ((), ())


@styled
def ap_over_ms(panels: Sequence[SpeedPanel], width: float = WIDTH) -> list[Axes]:
    """AP over time, a column of panels with their own scales."""
    figure = Figure(figsize=(width, 3.1 * len(panels)))
    all_axes = list(figure.subplots(len(panels), 1, squeeze=False)[:, 0])
    for axes, panel in zip(all_axes, panels, strict=True):
        axes.set_title(panel.title, loc="left")
        axes.set(xlabel="ms per image", ylabel="AP (%)")
        axes.margins(0.08, 0.16)
        axes.step(
            *panel.pareto_front, where="post", color=FRAME.light, linewidth=1, zorder=1,
            linestyle=(0, (1, 2)), solid_joinstyle="miter",
            label="Pareto front" if len(panel.pareto_front[0]) else None,
        )  # fmt: skip
        _draw(axes, panel.curves)
        _legend_beside(axes)
    settle(figure)  # positions are final from here on
    for axes, panel in zip(all_axes, panels, strict=True):
        notes = [n for c in panel.curves for n in zip(c.x, c.y, c.notes, strict=True)]
        write_notes(axes, notes, [line for c in panel.curves for line in _lines(c)])
    return all_axes


@styled
def ap_over_scale(curves: Sequence[Curve], width: float = WIDTH) -> Axes:
    """AP over the image size, all curves on one scale.

    With bars, points of the same size are drawn side by side so that no bar hides another.
    """
    axes = Figure(figsize=(width, 3.6)).subplots()
    sizes = np.unique(np.concatenate([np.asarray(curve.x, float) for curve in curves]))
    has_bars = any(np.isfinite(curve.low).any() for curve in curves)
    step = 0.1 * np.diff(sizes).min() if len(sizes) > 1 and has_bars else 0.0
    offsets = step * (np.arange(len(curves)) - (len(curves) - 1) / 2)
    _draw(axes, curves, offsets)
    axes.set(xlabel="short edge of the image (px)", ylabel="AP (%)")
    axes.set_xticks(sizes)
    _legend_beside(axes)
    return axes


@styled
def over_schedule(
    curves: Sequence[Curve],
    label: str,
    limits: tuple[float, float] | None = None,
    width: float = WIDTH,
) -> Axes:
    """A quantity over the schedule, on a logarithmic scale with a tick at each schedule.

    Args:
        curves: the curves; x is the multiple of the 1x schedule.
        label: the name of the quantity.
        limits: the ends of the quantity's axis; None for those of the curves.
        width: the width of the figure, in inches.
    """
    axes = Figure(figsize=(width, 3.6)).subplots()
    _draw(axes, curves)
    axes.set_ylim(limits)
    schedules = np.unique(np.concatenate([np.asarray(curve.x, float) for curve in curves]))
    axes.set_xscale("log")
    axes.set_xticks(schedules, [f"{schedule:g}x" for schedule in schedules])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="schedule", ylabel=label)
    _legend_beside(axes)
    return axes


def _draw(axes: Axes, curves: Sequence[Curve], offsets: Numbers = ()) -> None:
    for number, curve in enumerate(curves):
        x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
        usable = np.isfinite(x) & np.isfinite(y)
        x = x + (offsets[number] if len(offsets) else 0)
        axes.plot(
            x[usable], y[usable], color=curve.colour, linestyle=curve.dashes, linewidth=1.5,
            marker=curve.marker, markersize=6.5, label=curve.label, zorder=3,
            markerfacecolor=curve.colour if curve.filled else PAPER.light,
        )  # fmt: skip
        for at, *ends in ((y, curve.low, curve.high), (x, curve.x_low, curve.x_high)):
            if not len(ends[0]):
                continue
            low, high = (np.asarray(end, float) for end in ends)
            barred = usable & np.isfinite(low) & np.isfinite(high)
            error = [(at - low)[barred], (high - at)[barred]]
            axes.errorbar(
                x[barred], y[barred],
                xerr=error if at is x else None, yerr=error if at is y else None,
                color=curve.colour, fmt="none", elinewidth=1.2, capsize=3, zorder=2,
            )  # fmt: skip


def _lines(curve: Curve) -> list[np.ndarray]:
    """The line or points of a curve, and its bars."""
    points = np.array([curve.x, curve.y], float).T
    points = points[np.isfinite(points).all(axis=1)]
    ends = zip(curve.x, curve.low, curve.high, strict=False)
    bars = [np.array([[x, low], [x, high]], float) for x, low, high in ends]
    sides = zip(curve.y, curve.x_low, curve.x_high, strict=False)
    bars += [np.array([[left, y], [right, y]], float) for y, left, right in sides]
    joined = list(points[:, None]) if curve.dashes == "none" else [points]
    return joined + [bar for bar in bars if np.isfinite(bar).all()]


def _legend_beside(axes: Axes) -> None:
    """A legend at the right of the axes, or below those of a narrow figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure = figure_of(axes)
    place, anchor, room = "upper left", (1.02, 1.0), 1.8
    if is_narrow(figure):
        place, anchor, room = "upper left", (0.0, -0.22), 2.4
        lines = sum(1 + label.count("\n") for label in labels)
        figure.set_figheight(figure.get_figheight() + 0.19 * lines)
    axes.legend(
        handles, [wrapped(label, room) for label in labels], loc=place, bbox_to_anchor=anchor,
        fontsize=9, handlelength=3, borderaxespad=0, borderpad=0,
    )  # fmt: skip
