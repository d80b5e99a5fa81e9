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
    finite = [v for heat_map in maps for v in np.ravel(heat_map.values) if np.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    norm = Normalize(low, high if high > low else low + 1)
    tallest = max(len(heat_map.rows) for heat_map in maps)
    columns = [max(len(heat_map.columns), 2) for heat_map in maps]
    beside = sum(columns) <= MAX_COLUMNS and width > NARROW
    lines = 1 if beside else len(maps)
    figure = Figure(figsize=(width, (1.15 + 0.36 * max(tallest, 3)) * lines))
    shape = {"ncols": len(maps), "width_ratios": columns} if beside else {"nrows": len(maps)}
    all_axes = list(figure.subplots(**shape, squeeze=False).ravel())
    for axes, heat_map in zip(all_axes, maps, strict=True):
        axes.set_title(heat_map.title, loc="left")
        axes.grid(False)
        axes.set(xlim=(0, len(heat_map.columns)), ylim=(tallest, 0), xlabel=column_name)
        upright = sum(map(len, heat_map.columns)) < LETTERS * lines / len(maps) * width / WIDTH
        axes.set_xticks(
            np.arange(len(heat_map.columns)) + 0.5, heat_map.columns, rotation=0 if upright else 90
        )
        axes.set_yticks(np.arange(len(heat_map.rows)) + 0.5, heat_map.rows)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for row in range(len(heat_map.rows)):
            for column in range(len(heat_map.columns)):
                _cell(axes, heat_map, row, column, norm)
    for axes in all_axes[:lines]:
        axes.set_ylabel(row_name)
    return all_axes


def _cell(axes: Axes, heat_map: HeatMap, row: int, column: int, norm: Normalize) -> None:
    value, mark = heat_map.values[row][column], heat_map.marks[row][column]
    at = (column + 0.03, row + 0.03)
    if np.isfinite(value):
        colour = colormaps[COLOURS](norm(value))
        name = heat_map.names[row][column] if heat_map.names else None
        axes.add_patch(Rectangle(at, 0.94, 0.94, facecolor=colour, edgecolor="none", gid=name))
        axes.text(
            column + 0.5, row + 0.5, f"{value:.1f}\n{mark}".rstrip(),
            ha="center", va="center", fontsize=9,
            color=max((BLACK, WHITE), key=lambda ink: contrast(ink, colour[:3])),
        )  # fmt: skip
    elif heat_map.planned[row][column]:
        axes.add_patch(
            Rectangle(at, 0.94, 0.94, facecolor=PAPER.light, edgecolor=FRAME.light, hatch="////",
                      linewidth=0.6)
        )  # fmt: skip
    else:
        axes.plot(column + 0.5, row + 0.5, marker=".", markersize=2, color=GREY)
