"""Draws the figures about the length of training."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

from ablations.status.status import ENDED
from ablations.study.grid import Grid
from ablations.study.study import schedule_name
from reports.figures.grids import curves_over
from reports.figures.illustration import Illustrated, drawn
from reports.plots.curves import Curve, over_schedule
from reports.results import provenance
from reports.results.labels import (
    MAIN_METRIC,
    UNORDERED_COLOUR,
    with_true_minus,
)
from reports.results.load import Results
from reports.statistics.schedules import SCHEDULE, agreements, schedule_of, scheduled
from reports.tables.grids import GridTable
from reports.text.sentences import CI

_STYLES: tuple[tuple[str, str | tuple], ...] = (
    ("o", "-"),
    ("s", "--"),
    ("^", ":"),
    ("D", "-."),
    ("v", (0, (5, 1, 1, 1, 1, 1))),
)
"""Marker and dashes of the lines of a figure, for print in grey."""


def ap_over_schedule_figure(
    results: Results, tables: Sequence[tuple[Grid, GridTable]]
) -> Illustrated:
    """AP over the schedule with intervals, a line per setting."""
    names = {grid.name for grid in scheduled(results)}
    varied = [(grid, table) for grid, table in tables if grid.name in names]
    curves = [
        curve
        for grid, table in varied
        for _, curve in curves_over(
            SCHEDULE, grid, table, lambda row: schedule_of(results, row.values)
        )
    ]
    lines = [
        replace(curve, marker=marker, dashes=dashes)
        for curve, (marker, dashes) in zip(curves, cycle(_STYLES), strict=False)
    ]
    if not lines:
        return Illustrated(None, "No table that varies the schedule has a result yet.")
    points = [f"{line.label}: {_points(line, '.1f')}" for line in lines]
    frame = results.frame[results.frame["grid"].isin(names)]
    note = f"{MAIN_METRIC} over the schedule"
    if frame.loc[frame["state"].isin(ENDED), "seed"].nunique() > 1:
        note += f", means over seeds with their {CI}"
    return Illustrated(
        drawn(
            "ap_over_schedule",
            f"{MAIN_METRIC} over the schedule. {'; '.join(points)}.",
            over_schedule,
            lines,
            f"{MAIN_METRIC} (%)",
        ),
        f"{note}. {provenance.caption(results, results.ended_records_of(frame))}.",
    )


def tau_over_schedule_figure(results: Results) -> Illustrated:
    """Kendall's tau-b between our AP and the published AP over the schedule, a line per table."""
    lines = [
        Curve(
            f"table {name}, {agreement.rows} rows",
            x=agreement.schedules,
            y=agreement.taus,
            notes=[""] * len(agreement.taus),
            colour=UNORDERED_COLOUR,
            marker=marker,
            dashes=dashes,
        )
        for (name, agreement), (marker, dashes) in zip(
            agreements(results).items(), cycle(_STYLES), strict=False
        )
    ]
    if not lines:
        return Illustrated(
            None, "No table with published values has enough rows at several schedules yet."
        )
    points = [f"{line.label}: {_points(line, '.2f')}" for line in lines]
    return Illustrated(
        drawn(
            "tau_over_schedule",
            f"Kendall's tau-b over the schedule. {'; '.join(points)}.",
            over_schedule,
            lines,
            "Kendall's τ-b",
            limits=(-1.05, 1.05),
        ),
        "Rank correlation between our AP and the published AP (Kendall's τ-b) over the schedule, "
        "for the rows of a table that have a value at every schedule. 1 means the same order, 0 no "
        "relation, −1 the reverse order.",
    )


def _points(line: Curve, digits: str) -> str:
    pairs = zip(line.x, line.y, strict=True)
    return ", ".join(
        f"{with_true_minus(format(y, digits))} at {schedule_name(x)}" for x, y in pairs
    )
