"""Losses over p_t, and cumulative losses."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from reports.plots.drawing import NARROW, WIDTH, Numbers, legend_outside, styled

HIGHEST = 5.0
"""Where the view of losses ends; all of them grow without bound as p_t falls to 0."""


@dataclass(frozen=True)
class Line:
    """A curve; the dashes (matplotlib's line style) and the marker distinguish it in grey.

    Attributes:
        label: the text in the legend.
        x: a value per point.
        y: a value per point.
        colour: the colour of line and marks.
        dashes: the dashes of the line.
        marker: the marker of its points, "" for none.
        low: lower edge of a band around the line; empty for no band.
        high: upper edge.
    """

    label: str
    x: Numbers
    y: Numbers
    colour: str
    dashes: str | tuple = "-"
    marker: str = ""
    low: Numbers = ()
    high: Numbers = ()


@styled
def loss_over_p_t(lines: Sequence[Line], width: float = WIDTH) -> Axes:
    """Losses over the probability of the true label, cut off at ``HIGHEST``."""
    axes = Figure(figsize=(width, 4.2)).subplots()
    draw_lines(axes, lines)
    axes.set(xlim=(0, 1), ylim=(0, HIGHEST), ylabel="loss")
    axes.set_xlabel("pₜ, probability given to the true label")
    if width > NARROW:
        axes.legend(loc="upper right", handlelength=3.2, labelspacing=0.7)
    else:
        legend_outside(axes)
    return axes


@styled
def loss_share_over_examples(
    rows: Mapping[str, Mapping[str, Sequence[Line]]],
    hardest_first: Collection[str] = (),
    width: float = WIDTH,
) -> list[Axes]:
    """The share of a loss that the easiest examples contribute, or the hardest.

    Args:
        rows: title of a row of panels -> title of a panel -> its lines, shares of the loss over
            the share of the examples, easiest first; all rows have panels of the same titles,
            those of a row lines of the same labels.
        hardest_first: the titles of the panels that start with the hardest examples, on a
            logarithmic scale.
        width: the width of the figure, in inches; in a narrow one, the panels are in one column.

    Returns:
        The panels, row by row.
    """
    columns = max(len(panels) for panels in rows.values())
    if width > NARROW:
        figure = Figure(figsize=(width, 0.3 + 2.7 * len(rows)))
        shape = len(rows), columns
    else:
        figure = Figure(figsize=(width, 0.3 + 2.2 * len(rows) * columns))
        shape = len(rows) * columns, 1
    grid = figure.subplots(*shape, sharey=True, squeeze=False).reshape(len(rows), columns)
    for line, (title, panels) in zip(grid, rows.items(), strict=True):
        for axes, (name, lines) in zip(line, panels.items(), strict=True):
            axes.set_title(f"{title}: {name}", loc="left")
            if name in hardest_first:
                draw_lines(axes, list(map(_hardest_first, lines)))
                axes.set(xscale="log", xlabel="share of the examples, hardest first")
                axes.set_xlim(right=1)
                axes.xaxis.set_major_locator(LogLocator(numticks=4))
                axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
                axes.xaxis.set_minor_locator(NullLocator())
            else:
                draw_lines(axes, lines)
                axes.set(xlim=(0, 1), xlabel="share of the examples, easiest first")
        line[0].set_ylabel("share of the loss")
        line[0].legend(loc="upper left", handlelength=3.2, fontsize=9)
    grid[0, 0].set_ylim(0, 1.02)
    return list(grid.ravel())


def _hardest_first(line: Line) -> Line:
    """The same shares, counted from the other end, without the point at 0 examples."""
    x, y = 1 - np.asarray(line.x)[::-1], 1 - np.asarray(line.y)[::-1]
    return replace(line, x=x[x > 0], y=y[x > 0])


def draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """Lines with their bands."""
    for line in lines:
        if len(line.low):
            axes.fill_between(
                line.x, line.low, line.high, color=line.colour, alpha=0.13, linewidth=0
            )
        axes.plot(
            line.x, line.y, color=line.colour, linestyle=line.dashes, linewidth=1.8,
            marker=line.marker, markersize=5.5, label=line.label,
        )  # fmt: skip
