"""Heat maps over two axes of settings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports.plots.drawing import GREY, NARROW, WIDTH, styled
from reports.results.colours import BLACK, FRAME, PAPER, WHITE, contrast

COLOURS = "cividis"
"""A colour map for readers with and without colour vision."""

MAX_COLUMNS = 17
"""The number of cells with a value that fit side by side."""

LETTERS = 70
"""The number of letters that fit in a line below the cells."""


@dataclass(frozen=True)
class HeatMap:
    """A heat map.

    Attributes:
        title: the title of the map.
        rows: the rows' labels, from top to bottom.
        columns: the columns' labels.
        values: (rows, columns), NaN for no value.
        marks: (rows, columns), texts below the values.
        planned: (rows, columns), whether a value is expected; the cell of a missing one is
            hatched.
        names: (rows, columns), the ids of the cells with a value in the drawing; empty for none.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    marks: Sequence[Sequence[str]]
    planned: Sequence[Sequence[bool]]
    names: Sequence[Sequence[str]] = ()


@styled
def heat_maps(
    maps: Sequence[HeatMap], row_name: str, column_name: str, width: float = WIDTH
) -> list[Axes]:
    """Heat maps on one colour scale, each value printed in its cell.

    They are drawn side by side if they fit, else in a column.
    """
    finite = [v for one in maps for v in np.ravel(one.values) if np.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    norm = Normalize(low, high if high > low else low + 1)
    tallest = max(len(one.rows) for one in maps)
    columns = [max(len(one.columns), 2) for one in maps]
    beside = sum(columns) <= MAX_COLUMNS and width > NARROW
    lines = 1 if beside else len(maps)
    figure = Figure(figsize=(width, (1.15 + 0.36 * max(tallest, 3)) * lines))
    shape = {"ncols": len(maps), "width_ratios": columns} if beside else {"nrows": len(maps)}
    found = list(figure.subplots(**shape, squeeze=False).ravel())
    for axes, one in zip(found, maps, strict=True):
        axes.set_title(one.title, loc="left")
        axes.grid(False)
        axes.set(xlim=(0, len(one.columns)), ylim=(tallest, 0), xlabel=column_name)
        upright = sum(map(len, one.columns)) < LETTERS * lines / len(maps) * width / WIDTH
        axes.set_xticks(
            np.arange(len(one.columns)) + 0.5, one.columns, rotation=0 if upright else 90
        )
        axes.set_yticks(np.arange(len(one.rows)) + 0.5, one.rows)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for row in range(len(one.rows)):
            for column in range(len(one.columns)):
                _cell(axes, one, row, column, norm)
    for axes in found[:lines]:
        axes.set_ylabel(row_name)
    return found


def _cell(axes: Axes, one: HeatMap, row: int, column: int, norm: Normalize) -> None:
    value, mark = one.values[row][column], one.marks[row][column]
    at = (column + 0.03, row + 0.03)
    if np.isfinite(value):
        colour = colormaps[COLOURS](norm(value))
        name = one.names[row][column] if one.names else None
        axes.add_patch(Rectangle(at, 0.94, 0.94, facecolor=colour, edgecolor="none", gid=name))
        axes.text(
            column + 0.5, row + 0.5, f"{value:.1f}\n{mark}".rstrip(),
            ha="center", va="center", fontsize=9,
            color=max((BLACK, WHITE), key=lambda ink: contrast(ink, colour[:3])),
        )  # fmt: skip
    elif one.planned[row][column]:
        axes.add_patch(
            Rectangle(at, 0.94, 0.94, facecolor=PAPER.light, edgecolor=FRAME.light, hatch="////",
                      linewidth=0.6)
        )  # fmt: skip
    else:
        axes.plot(column + 0.5, row + 0.5, marker=".", markersize=2, color=GREY)
