"""The figures of a table."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle

import numpy as np

from ablations.records.record import DIVERGED
from ablations.status.status import STALE
from ablations.study.grid import Grid, Row
from reports.figures.illustration import Illustration, drawn
from reports.plots.curves import Curve, SpeedPanel, ap_over_ms
from reports.plots.pareto import pareto_front
from reports.plots.rows import Dots, ap_over_rows
from reports.results.labels import (
    MAIN_METRIC,
    SPEED,
    STALE_COLOUR,
    UNORDERED_COLOUR,
    axis_text,
    loss_label,
    other_detector,
    setting_colour,
)
from reports.results.load import Results
from reports.results.rows import paper_label, row_label, value_text
from reports.results.states import absence
from reports.statistics.comparisons import Comparison
from reports.tables import captions
from reports.tables.grids import GridTable
from reports.tables.references import reference_rows

DETECTORS_FILE = "published_detectors.csv"
"""The detectors of the focal loss paper's figure 2."""

NO_LINE = "none"
"""The dashes of points without a line."""

_STYLES = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."))
"""Marker and dashes of the curves of a figure, for print in grey."""


def ap_over_rows_figure(
    results: Results, grid: Grid, table: GridTable, linked_only: bool = False
) -> Illustration:
    """Our AP of each row with its interval, and its effect beside the published effect.

    A table without a reference row has the published AP instead of the effects.
    """
    states_of_rows = results.of_grid(grid).groupby("row")["state"].agg(set)
    values = table.values
    ours = values[MAIN_METRIC].mask(table.stale, values[f"{MAIN_METRIC}_stale"])
    low, high = intervals(table.comparisons)
    series = [
        Dots(
            f"{MAIN_METRIC} (%), ours",
            ours.to_list(),
            [
                STALE_COLOUR if stale else _colour(row)
                for row, stale in zip(grid.rows, table.stale, strict=True)
            ],
            low=low,
            high=high,
            crossed=[DIVERGED in states for states in states_of_rows],
            notes=[
                STALE if stale
                else DIVERGED if DIVERGED in states
                else "" if math.isfinite(value)
                else absence(states)
                for states, value, stale in zip(states_of_rows, ours, table.stale, strict=True)
            ],
        )
    ]  # fmt: skip
    effects = _effects(table, [_colour(row) for row in grid.rows])
    if table.has_published and not effects:
        series.append(
            Dots(
                f"{MAIN_METRIC} (%), published",
                values[f"{MAIN_METRIC}_published"].to_list(),
                [UNORDERED_COLOUR] * len(grid.rows),
                filled=False,
            )
        )
    return drawn(
        grid.name,
        captions.dots_alternative(table),
        ap_over_rows,
        table.row_labels,
        series,
        effects,
        linked_only=linked_only,
    )


def _effects(table: GridTable, colours: list[str]) -> list[Dots]:
    """Each row's difference from the reference row with its interval, and the published difference.

    Returns:
        Nothing if the table has no reference row or no other row has a difference.
    """
    comparisons = table.comparisons
    if not table.has_effects:
        return []
    ours = [math.nan if row.is_reference else row.difference for row in comparisons]
    label = f"effect on {MAIN_METRIC} vs reference"
    bounds = [
        (row.difference_low, row.difference_high) if row.tested else (math.nan, math.nan)
        for row in comparisons
    ]
    series = [
        Dots(
            f"{label}, ours",
            ours,
            colours,
            low=[low for low, _ in bounds],
            high=[high for _, high in bounds],
            notes=["reference" if row.is_reference else "" for row in comparisons],
            filled=[row.survives for row in comparisons],
        )
    ]  # fmt: skip
    if any(map(math.isfinite, table.published_effects)):
        series.append(
            Dots(
                f"{label}, published",
                table.published_effects,
                [UNORDERED_COLOUR] * len(comparisons),
                filled=False,
                marker="D",
            )
        )
    return series


def ap_over_ms_figure(grid: Grid, table: GridTable) -> Illustration | None:
    """AP over speed: a curve over the last column for each value of the other columns.

    Returns:
        None if the table has no speed or no row has both values.
    """
    ours = [curve for _, curve in curves(grid, table)]
    if not ours:
        return None
    return drawn(
        f"{grid.name}_speed",
        captions.speed_alternative(table),
        ap_over_ms,
        [panel("ours", ours), *published_panel([(grid, table)])],
    )


def intervals(comparisons: list[Comparison]) -> tuple[list[float], list[float]]:
    """The bounds of each row's interval; NaN for one seed, see ``interval_cells``."""
    bounds = [(row.low, row.high) if row.seeds > 1 else (math.nan, math.nan) for row in comparisons]
    return [low for low, _ in bounds], [high for _, high in bounds]


def curves(grid: Grid, table: GridTable, of: str = "") -> list[tuple[Row, Curve]]:
    """AP over speed, ours ("") or "_published": each curve with its first row.

    There is a curve for each value of all columns but the last, whose values label the points, and
    one for each detector that is not RetinaNet, from its fastest to its slowest row.
    """
    if SPEED not in table.metrics:
        return []
    usable = table.values[[f"{MAIN_METRIC}{of}", f"{SPEED}{of}"]].notna().all(axis=1)
    groups: dict[str, list[int]] = {}
    for number in np.flatnonzero(usable):
        row = grid.rows[number]
        columns, _ = _columns_of_curve(grid, row)
        label = (paper_label if of else row_label)(row, columns)
        groups.setdefault(label, []).append(int(number))
    low, high = (np.array(ends) for ends in intervals(table.comparisons))
    left, right = (
        np.array([getattr(time, end, None) for time in table.times], float)
        for end in ("low", "high")
    )
    pairs = []
    for (label, numbers), (marker, dashes) in zip(groups.items(), cycle(_STYLES), strict=False):
        other = other_detector(grid.rows[numbers[0]].setting.as_dict())
        if other:
            numbers.sort(key=lambda number: table.values.loc[number, f"{SPEED}{of}"])
        rows, values = [grid.rows[number] for number in numbers], table.values.loc[numbers]
        pairs.append(
            (rows[0], Curve(
                label,
                x=values[f"{SPEED}{of}"].to_numpy(),
                y=values[f"{MAIN_METRIC}{of}"].to_numpy(),
                notes=[_point_note(grid, row, of) for row in rows],
                colour=UNORDERED_COLOUR if of and not other else _colour(rows[0]),
                marker=marker,
                dashes=dashes,
                low=() if of else low[numbers],
                high=() if of else high[numbers],
                x_low=() if of else left[numbers],
                x_high=() if of else right[numbers],
                filled=not of,
            ))
        )  # fmt: skip
    return pairs


def curves_over(
    axis: str, grid: Grid, table: GridTable, x_of: Callable[[Row], float | None]
) -> list[tuple[Row, Curve]]:
    """AP over an axis: a curve for each value of the other columns, with its first row.

    A row without AP or x is left out: a tuned row of which the grid does not set the axis.

    Args:
        axis: a column of the grid.
        x_of: the value of a row on the axis.
    """
    low, high = (np.array(ends) for ends in intervals(table.comparisons))
    means = np.array([comparison.mean for comparison in table.comparisons])
    others = tuple(column for column in grid.columns if column != axis)
    groups: dict[str, dict[int, float]] = {}
    for number, row in enumerate(grid.rows):
        x = x_of(row)
        if x is not None and math.isfinite(means[number]):
            groups.setdefault(row_label(row, others), {})[number] = float(x)
    pairs = []
    for label, x_of_rows in groups.items():
        numbers = sorted(x_of_rows, key=x_of_rows.__getitem__)
        first = grid.rows[numbers[0]]
        curve = Curve(
            label,
            x=[x_of_rows[number] for number in numbers],
            y=means[numbers],
            notes=[""] * len(numbers),
            colour=_colour(first),
            low=low[numbers],
            high=high[numbers],
        )
        pairs.append((first, curve))
    return pairs


def _columns_of_curve(grid: Grid, row: Row) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that a row's curve is named after, and the columns that its points are named
    after.
    """
    columns = grid.columns
    if other_detector(row.setting.as_dict()) and "detector" in columns:
        return ("detector",), tuple(column for column in columns if column != "detector")
    return columns[:-1], columns[-1:]


def _point_note(grid: Grid, row: Row, of: str) -> str:
    """The label of a point: for example ``128``, or ``34, 128`` on the curve of a detector."""
    _, columns = _columns_of_curve(grid, row)
    return ", ".join(
        axis_text(column, row.values[column]) if of else value_text(row, column)
        for column in columns
        if column in row.values
    )


def panel(title: str, curves: list[Curve]) -> SpeedPanel:
    """Curves with the Pareto front of all their points."""
    x, y = (np.concatenate([getattr(curve, axis) for curve in curves]) for axis in ("x", "y"))
    return SpeedPanel(title, curves, pareto_front(x, y))


def published_panel(tables: list[tuple[Grid, GridTable]]) -> list[SpeedPanel]:
    """The panel of published curves and detectors; none if no table has published speeds."""
    retinanets = [
        replace(curve, label=", ".join(filter(None, (loss_of(grid, row), curve.label))))
        for grid, table in tables
        for row, curve in curves(grid, table, "_published")
    ]
    if not retinanets:
        return []
    shown = {point for curve in retinanets for point in zip(curve.x, curve.y, strict=True)}
    rows = [
        row
        for row in reference_rows(DETECTORS_FILE)
        if (float(row[SPEED]), float(row[MAIN_METRIC])) not in shown
    ]
    detectors = Curve(
        "other detectors",
        x=[float(row[SPEED]) for row in rows],
        y=[float(row[MAIN_METRIC]) for row in rows],
        notes=[row["detector"] for row in rows],
        colour=STALE_COLOUR,
        marker="D",
        dashes=NO_LINE,
    )
    return [panel("published", [detectors, *retinanets])]


def loss_of(grid: Grid, row: Row) -> str:
    """The loss of a row; "" if a column shows it, and for another detector."""
    values = row.setting.as_dict()
    shown = "loss" in grid.columns or other_detector(values)
    return "" if shown else loss_label(values.get("loss", "")).short


def _colour(row: Row) -> str:
    return setting_colour(row.setting.as_dict())
