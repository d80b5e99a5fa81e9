"""Differences of rows from a reference row, with their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from reports.plots.drawing import GREY, Numbers, figure_of, styled, wrapped
from reports.results.colours import INK, PAPER

WIDTH = 4.0
"""The width of the figure, in inches: that of a phone, so that its text is not scaled down."""

FONT_SIZE = 10.5

NOISE_SHADE, MARGIN_SHADE = 0.2, 0.07
"""The opacities of the bands of the noise and of the margin, both in ``GREY``."""

_LABEL, _LINE, _MARK = 0.12, 0.19, 0.42
"""The gap above a row's label, the height of a line of it, and that of its mark, in inches."""


@dataclass(frozen=True)
class Effect:
    """A row of the figure; NaN for what is unknown.

    Attributes:
        label: the name of the row.
        text: its difference and verdict in words, at the right of the label.
        value: the difference from the reference row.
        low: lower end of its interval.
        high: upper end.
        seeds: the difference of each run from the mean of the reference row.
        colour: the colour of the row.
        is_reference: whether it is the reference row, whose line is at 0.
        partial: whether the interval does not cover the variation between seeds.
    """

    label: str
    text: str
    value: float
    low: float
    high: float
    seeds: Numbers
    colour: str
    is_reference: bool = False
    partial: bool = False


@styled
def forest(
    rows: Sequence[Effect], unit: str, noise: float, margin: float, width: float = WIDTH
) -> Axes:
    """Each row with its label above, and the zero line of the reference row.

    Args:
        rows: from top to bottom.
        unit: the label of the axis.
        noise: half the width of the grey band; NaN for no band.
        margin: half the distance of the dashed lines.
        width: in inches; the figure is at most ``WIDTH`` wide.
    """
    width = min(width, WIDTH)
    labels = [wrapped(row.label, _label_width(row, width), FONT_SIZE) for row in rows]
    lines = [1 + label.count("\n") for label in labels]
    heights = [_LABEL + _LINE * number + _MARK for number in lines]
    keys = _keys(rows, noise, margin)
    columns = 1 if any(row.partial for row in rows) else 2  # two long labels do not fit
    below = 0.62 + 0.2 * math.ceil(len(keys) / columns)
    figure = Figure(figsize=(width, sum(heights) + below))
    axes = figure.subplots()
    axes.set_ylim(sum(heights), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    shade: dict[str, Any] = {"facecolor": GREY, "edgecolor": "none"}
    axes.axvspan(-margin, margin, alpha=MARGIN_SHADE, zorder=1, **shade)
    for side in (-margin, margin):
        axes.axvline(side, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1.2)
    if np.isfinite(noise):
        axes.axvspan(-noise, noise, alpha=NOISE_SHADE, zorder=1, **shade)
    axes.axvline(0, color=INK.light, linewidth=1.2, zorder=1.5)
    top = 0.0
    for row, label, number, height in zip(rows, labels, lines, heights, strict=True):
        _write(axes, row, label, top + _LABEL)
        _mark(axes, row, top + _LABEL + _LINE * number + 0.45 * _MARK)
        top += height
    axes.set_xlim(*_limits(rows, noise, margin))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="x", labelsize=FONT_SIZE)
    axes.set_xlabel(unit, fontsize=FONT_SIZE)
    figure_of(axes).legend(
        handles=keys, loc="outside lower left", fontsize=FONT_SIZE - 0.5,
        ncols=columns,
        handlelength=1.5, handletextpad=0.5, columnspacing=1.2, borderpad=0.2, labelspacing=0.35,
    )  # fmt: skip
    return axes


def _label_width(row: Effect, width: float) -> float:
    """The room for a label beside the row's text, in inches."""
    return width - 0.25 - 0.085 * len(row.text)


def _write(axes: Axes, row: Effect, label: str, top: float) -> None:
    across = blended_transform_factory(axes.transAxes, axes.transData)
    box = {"facecolor": PAPER.light, "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
    style: dict[str, Any] = {
        "transform": across,
        "va": "top",
        "fontsize": FONT_SIZE,
        "bbox": box,
        "zorder": 2,
    }
    axes.text(0, top, label, ha="left", **style)
    axes.text(1, top, row.text, ha="right", weight="bold", **style)


def _mark(axes: Axes, row: Effect, middle: float) -> None:
    if np.isfinite(row.low):
        bar = [[row.value - row.low], [row.high - row.value]]
        drawn = axes.errorbar(
            row.value, middle, xerr=bar, color=row.colour, linewidth=2, capsize=3.5, zorder=3
        )
        if row.partial:
            drawn.lines[2][0].set_linestyle((0, (2, 2)))
    if np.isfinite(row.value) and not row.is_reference:
        axes.plot(row.value, middle, "D", color=row.colour, markersize=7, zorder=4)
    seeds = np.asarray(row.seeds, float)
    axes.plot(
        seeds, np.full(len(seeds), middle + 0.28 * _MARK), "o", color=row.colour, markersize=4.5,
        markerfacecolor=PAPER.light, markeredgewidth=1.1, zorder=5, clip_on=False,
    )  # fmt: skip


def _limits(rows: Sequence[Effect], noise: float, margin: float) -> tuple[float, float]:
    parts = [np.asarray(row.seeds, float) for row in rows]
    parts += [np.array([row.value, row.low, row.high]) for row in rows]
    every = np.concatenate([*parts, [-margin, margin, -noise, noise]])
    every = every[np.isfinite(every)]
    low, high = float(every.min()), float(every.max())
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def _keys(rows: Sequence[Effect], noise: float, margin: float) -> list[Line2D | Patch]:
    intervals = {row.partial for row in rows if np.isfinite(row.low)}
    keys: list[Line2D | Patch] = [
        Line2D([], [], color=GREY, linewidth=2, linestyle=(0, (2, 2)) if partial else "-",
               marker="D", markersize=6, label="95 % CI" + (", images only" if partial else ""))
        for partial in sorted(intervals)
    ]  # fmt: skip
    keys.append(
        Line2D([], [], linestyle="none", marker="o", markersize=4.5, color=GREY,
               markerfacecolor=PAPER.light, label="one seed")
    )  # fmt: skip
    if np.isfinite(noise):
        keys.append(Patch(facecolor=GREY, alpha=NOISE_SHADE, label="noise of seeds"))
    keys.append(
        Line2D([], [], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)),
               label=f"±{margin:g}: equivalent")
    )  # fmt: skip
    return keys
