"""Precision, reliability, error types and miss rate."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from reports.plots.drawing import (
    NARROW,
    WIDTH,
    Numbers,
    legend_outside,
    reach,
    styled,
    wrapped,
)
from reports.plots.losses import Line, draw_lines
from reports.results.colours import FRAME, GRID, INK

MISS_RATES = (0.1, 0.2, 0.5, 1, 2, 5, 7, 10, 15, 20, 30, 40, 50, 60, 80, 100)
"""Percent: the possible lower ends of the axis of miss rates, and its ticks."""

MIN_MISS_RATE = MISS_RATES[0]

_ENDS = ("y", "low", "high")


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram.

    Attributes:
        title: the title of the panel.
        edges: (N + 1,) of the bins of confidence, in percent.
        confidence: (N,) mean confidence of a bin's detections, NaN for an empty bin.
        accuracy: (N,) share of true positives among them, in percent.
        counts: (N,) number of detections.
        colour: the colour of the line.
    """

    title: str
    edges: Numbers
    confidence: Numbers
    accuracy: Numbers
    counts: Numbers
    colour: str


@dataclass(frozen=True)
class ErrorBars:
    """A bar per type of error.

    Attributes:
        title: the title of the panel.
        values: a value per type, NaN for no bar.
        low: lower end of the whiskers; there is none if ``high`` is not above it.
        high: upper end.
        colour: the colour of the bars.
    """

    title: str
    values: Numbers
    low: Numbers
    high: Numbers
    colour: str


@styled
def precision_recall(panels: Mapping[str, Sequence[Line]], width: float = WIDTH) -> list[Axes]:
    """Precision–recall curves in percent, a panel per title, all on the same scales."""
    lines = max(len(of_panel) for of_panel in panels.values())
    shape, tall = (1, len(panels)), 2.75
    if width <= NARROW:
        shape, tall = (len(panels), 1), 2.1 * len(panels) + 0.4
    figure = Figure(figsize=(width, tall + 0.1 * lines))
    all_axes = list(figure.subplots(*shape, sharex=True, sharey=True, squeeze=False).ravel())
    for axes, (title, of_panel) in zip(all_axes, panels.items(), strict=True):
        axes.set_title(title, loc="left")
        draw_lines(axes, of_panel)
        axes.set(xlim=(0, 100), ylim=(0, 102))
        axes.set_xticks(range(0, 101, 25))
    for axes in all_axes[-1:] if width <= NARROW else all_axes:
        axes.set_xlabel("recall (%)")
    for axes in all_axes if width <= NARROW else all_axes[:1]:
        axes.set_ylabel("precision (%)")
    legend_outside(all_axes[0])
    return all_axes


@styled
def reliability(panels: Sequence[Reliability], width: float = WIDTH) -> list[Axes]:
    """Accuracy over confidence, all on the same scales, with the number of detections as bars.

    The bars share a logarithmic scale: 0 for a single detection, a third of the panel's height for
    the fullest bin of all panels.
    """
    columns = min(3 if width > NARROW else 2, len(panels))
    lines = -(-len(panels) // columns)
    titles = [wrapped(panel.title, (width - 1.3) / columns) for panel in panels]
    extra = max(title.count("\n") for title in titles)
    tall = 2.05 if width > NARROW else 1.6
    figure = Figure(figsize=(width, 0.5 + (tall + 0.15 * extra) * lines))
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    fullest = max(10.0, *(reach(panel.counts) for panel in panels))
    for axes, panel, title in zip(grid, panels, titles, strict=False):
        axes.set_title(title, loc="left", fontsize=9)
        axes.plot([0, 100], [0, 100], color=FRAME.light, linestyle=(0, (4, 3)), linewidth=1)
        counts = np.maximum(np.asarray(panel.counts, float), 1)
        edges = np.asarray(panel.edges, float)
        axes.bar(
            edges[:-1], 100 / 3 * np.log(counts) / np.log(fullest), width=0.92 * np.diff(edges),
            align="edge", facecolor=GRID.light, edgecolor=FRAME.light, linewidth=0.5, zorder=1,
        )  # fmt: skip
        confidence, accuracy = (np.asarray(v, float) for v in (panel.confidence, panel.accuracy))
        usable = np.isfinite(confidence) & np.isfinite(accuracy)
        if usable.any():  # an empty line without clipping breaks the layout
            axes.plot(
                confidence[usable], accuracy[usable], color=panel.colour, marker="o",
                markersize=4.5, linewidth=1.6, zorder=3, clip_on=False,
            )  # fmt: skip
    grid[0].set(xlim=(0, 100), ylim=(0, 100), xticks=range(0, 101, 25), yticks=range(0, 101, 25))
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for number in range(max(len(panels) - columns, 0), len(panels)):
        grid[number].tick_params(axis="x", labelbottom=True)
    figure.supxlabel("confidence (%)", fontsize=10)
    figure.supylabel("true positives (%)", fontsize=10)
    return list(grid[: len(panels)])


@styled
def error_types(
    kinds: Sequence[str],
    panels: Sequence[ErrorBars],
    label: str,
    width: float = WIDTH,
) -> list[Axes]:
    """A panel of bars per setting, all on the same scale.

    Args:
        kinds: types of errors, from top to bottom; "" leaves a gap.
        panels: the settings.
        label: the label of the bars' axis.
        width: the width of the figure, in inches.
    """
    columns = min(3 if width > NARROW else 1, len(panels))
    lines = -(-len(panels) // columns)
    titles = [wrapped(panel.title, (width - 1.9 if columns > 1 else width - 1.2) / columns)
              for panel in panels]  # fmt: skip
    extra = max(title.count("\n") for title in titles)
    figure = Figure(figsize=(width, 0.5 + (0.35 + 0.15 * extra + 0.2 * len(kinds)) * lines))
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    places = range(len(kinds))
    highest = max((max(reach(panel.values), reach(panel.high)) for panel in panels), default=0)
    for axes, panel, title in zip(grid, panels, titles, strict=False):
        axes.set_title(title, loc="left", fontsize=9)
        axes.grid(False, axis="y")
        values = np.asarray(panel.values, float)
        axes.barh(places, np.nan_to_num(values), height=0.72, color=panel.colour, zorder=2)
        for place, value in enumerate(values):
            if not np.isfinite(value):
                continue
            end = value
            low, high = panel.low[place], panel.high[place]
            if high > low:
                end = max(high, value)
                axes.plot([low, high], [place, place], color=INK.light, linewidth=1, zorder=3)
            axes.annotate(
                f"{value:.1f}", (end, place), xytext=(3, 0), textcoords="offset points",
                va="center", fontsize=9,
            )  # fmt: skip
    grid[0].set_xlim(0, 1.28 * highest if highest > 0 else 1.0)
    grid[0].set_yticks([place for place in places if kinds[place]], list(filter(None, kinds)))
    grid[0].set_ylim(len(kinds) - 0.5, -0.5)
    for axes in grid:
        axes.tick_params(axis="y", length=0)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for number in range(max(len(panels) - columns, 0), len(panels)):
        grid[number].tick_params(axis="x", labelbottom=True)
    figure.supxlabel(label, fontsize=10)
    return list(grid[: len(panels)])


@styled
def miss_rate(lines: Sequence[Line], width: float = WIDTH) -> Axes:
    """Miss rate in percent over false positives per image, both on logarithmic scales.

    Values below ``MIN_MISS_RATE`` are drawn at ``MIN_MISS_RATE``.
    """
    axes = Figure(figsize=(width, 3.6 + 0.11 * len(lines))).subplots()
    held = [
        replace(line, **{end: np.maximum(getattr(line, end), MIN_MISS_RATE) for end in _ENDS})
        for line in lines
    ]
    draw_lines(axes, held)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(xlabel="false positives per image (FPPI)", ylabel="miss rate (%)")
    lowest = min(
        float(np.min(values))
        for line in held
        for values in (line.y, *([line.low] if len(line.low) else []))
    )
    shown: Sequence[float] = MISS_RATES[max(bisect_right(MISS_RATES, lowest) - 1, 0) :]
    if len(shown) > 8:
        shown = [rate for rate in shown if f"{rate:g}".strip("0.") in {*"125"}]
    axes.set_ylim(0.98 * shown[0], 105)
    axes.set_yticks(shown, [f"{rate:g}" for rate in shown])
    axes.set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.set_xlim(0.009, 1.12)
    legend_outside(axes, columns=2)
    return axes
