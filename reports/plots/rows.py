"""Dot plots of a table's rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.plots.drawing import GREY, WIDTH, Numbers, reach, styled


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
        filled: False draws rings.
    """

    label: str
    values: Numbers
    colours: Sequence[str]
    low: Numbers = ()
    high: Numbers = ()
    crossed: Sequence[bool] = ()
    notes: Sequence[str] = ()
    filled: bool = True


@styled
def ap_over_rows(labels: Sequence[str], series: Sequence[Dots]) -> list[Axes]:
    """A panel of dots per series, the rows in the table's order from top to bottom.

    Each panel has its own scale from 0: the series may come from different data.
    """
    height = 1.0 + 0.34 * max(len(labels), 2)
    figure = Figure(figsize=(WIDTH, height))
    panels = list(figure.subplots(1, len(series), sharey=True, squeeze=False)[0])
    for axes, dots in zip(panels, series, strict=True):
        axes.grid(False, axis="x")
        _draw(axes, dots)
        highest = max(reach(dots.values), reach(dots.high))
        axes.set_xlim(0, 1.08 * highest if highest > 0 else 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.set_xlabel(dots.label)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, pad=9)
    panels[0].set_yticks(np.arange(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.4, -0.6)
    return panels


def _draw(axes: Axes, dots: Dots) -> None:
    for row, (value, colour) in enumerate(zip(dots.values, dots.colours, strict=True)):
        known = np.isfinite(value)
        if known:
            crossed = bool(dots.crossed) and dots.crossed[row]
            if len(dots.low) and np.isfinite(dots.low[row]):
                bar = [[value - dots.low[row]], [dots.high[row] - value]]
                axes.errorbar(value, row, xerr=bar, color=colour, linewidth=1.5, capsize=3)
            axes.plot(
                value, row, linestyle="none", color=colour, clip_on=False, zorder=3,
                marker="X" if crossed else "o", markersize=8 if crossed else 7,
                markerfacecolor=colour if dots.filled else "white", markeredgewidth=1.5,
            )  # fmt: skip
        if dots.notes and dots.notes[row]:
            axes.annotate(
                dots.notes[row], (value if known else 0, row), xytext=(9, 0),
                textcoords="offset points", va="center", color=GREY, fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            )  # fmt: skip
