"""Dot plots of a table's rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.plots.drawing import (
    GREY,
    NARROW,
    WIDTH,
    Numbers,
    figure_of,
    reach,
    styled,
    wrapped,
)
from reports.results.colours import PAPER


@dataclass(frozen=True)
class Dots:
    """One value per row, NaN for no value.

    Attributes:
        label: the quantity and its unit.
        values: a value per row.
        colours: a colour per row.
        low: lower end of each row's bar, NaN for no bar; empty for no bars.
        high: upper end.
        crossed: rows with a cross instead of a dot.
        notes: a label per row beside its mark.
        filled: False draws rings; a flag per row draws both.
        marker: a marker of matplotlib.
    """

    label: str
    values: Numbers
    colours: Sequence[str]
    low: Numbers = ()
    high: Numbers = ()
    crossed: Sequence[bool] = ()
    notes: Sequence[str] = ()
    filled: bool | Sequence[bool] = True
    marker: str = "o"


@styled
def ap_over_rows(
    labels: Sequence[str],
    series: Sequence[Dots],
    effects: Sequence[Dots] = (),
    width: float = WIDTH,
) -> list[Axes]:
    """A panel of dots per series, the rows in the table's order from top to bottom.

    Each panel has its own scale from 0: the series may come from different data.

    Args:
        labels: the labels of the rows.
        series: the dots of each panel.
        effects: differences from one row, which share a last panel and its scale.
        width: the width of the figure, in inches; in a narrow one, a label is above its row.
    """
    narrow = width <= NARROW
    height = (0.44 if narrow else 0.34) * max(len(labels), 2)
    height += (1.15 if narrow else 1.0) + (0.3 if len(effects) > 1 else 0)
    figure = Figure(figsize=(width, height))
    number = len(series) + bool(effects)
    panels = list(figure.subplots(1, number, sharey=True, squeeze=False)[0])
    for axes, dots in zip(panels, series, strict=False):
        axes.grid(False, axis="x")
        _draw(axes, dots)
        highest = max(reach(dots.values), reach(dots.high))
        axes.set_xlim(0, 1.08 * highest if highest > 0 else 1.0)
        axes.set_xlabel(dots.label)
    if effects:
        _draw_effects(panels[-1], effects)
    for axes in panels:
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, pad=9)
        axes.xaxis.set_major_locator(MaxNLocator(4 if narrow else 5, steps=[1, 2, 5, 10]))
        if narrow:
            axes.patch.set_visible(False)  # it would cover the labels
            axes.set_xlabel(wrapped(axes.get_xlabel(), width / number - 0.2, 10))
    panels[0].set_yticks(np.arange(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.4, -0.6)
    if narrow:
        _label_above(panels[0], labels)
    return panels


def _label_above(axes: Axes, labels: Sequence[str]) -> None:
    """Write the labels above their rows, from the left edge across all panels."""
    axes.tick_params(axis="y", labelleft=False)
    axes.set_ylim(len(labels) - 0.5, -0.85)
    for row, label in enumerate(labels):
        axes.annotate(
            label, (0, row), xycoords=("axes fraction", "data"), xytext=(0, 8), fontsize=9,
            textcoords="offset points", va="bottom", annotation_clip=False,
        ).set_in_layout(False)  # fmt: skip


def _draw_effects(axes: Axes, effects: Sequence[Dots]) -> None:
    """Several series side by side in each row, around a line at 0."""
    axes.grid(False, axis="x")
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    for number, dots in enumerate(effects):
        _draw(axes, dots, shift=0.2 * (number - (len(effects) - 1) / 2))
    axes.margins(x=0.08)
    axes.set_xlabel(effects[0].label)
    if len(effects) > 1:
        names = [
            Line2D([], [], linestyle="none", marker=dots.marker, color=dots.colours[0],
                   markerfacecolor=PAPER.light, label=dots.label.rpartition(", ")[2])
            for dots in effects
        ]  # fmt: skip
        figure_of(axes).legend(
            handles=names, loc="outside lower right", ncols=len(names), fontsize=9,
            handletextpad=0.2,
        )  # fmt: skip
        axes.set_xlabel(effects[0].label.rpartition(", ")[0])


def _draw(axes: Axes, dots: Dots, shift: float = 0.0) -> None:
    for number, (value, colour) in enumerate(zip(dots.values, dots.colours, strict=True)):
        row, known = number + shift, np.isfinite(value)
        filled = dots.filled if isinstance(dots.filled, bool) else dots.filled[number]
        if known:
            crossed = bool(dots.crossed) and dots.crossed[number]
            if len(dots.low) and np.isfinite(dots.low[number]):
                bar = [[value - dots.low[number]], [dots.high[number] - value]]
                axes.errorbar(value, row, xerr=bar, color=colour, linewidth=1.5, capsize=3)
            axes.plot(
                value, row, linestyle="none", color=colour, clip_on=False, zorder=3,
                marker="X" if crossed else dots.marker, markersize=8 if crossed else 7,
                markerfacecolor=colour if filled else PAPER.light, markeredgewidth=1.5,
            )  # fmt: skip
        if dots.notes and dots.notes[number]:
            axes.annotate(
                dots.notes[number], (value if known else 0, row), xytext=(9, 0),
                textcoords="offset points", va="center", color=GREY, fontsize=9,
                bbox={"facecolor": PAPER.light, "edgecolor": "none", "pad": 1.5},
            )  # fmt: skip
