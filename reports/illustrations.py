"""Which figures a report has, and the numbers that each is drawn from."""

import math
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from ablations.grid import Grid, Row
from ablations.record import DIVERGED, Record
from ablations.status import STALE
from reports import captions, drawing, figures, formulas
from reports.labels import (
    LOSSES,
    MAIN_METRIC,
    PROPOSAL_FIGURE_4,
    SPEED,
    STALE_COLOUR,
    UNORDERED_COLOUR,
    axis_text,
    loss_label,
    setting_text,
)
from reports.load import Results
from reports.rows import paper_label, row_label, value_text
from reports.states import absence
from reports.statistics import window_medians
from reports.tables import GridTable

CURVE = "loss_cls"
"""The entry of a record's curves that is drawn."""

CURVE_POINTS = 120
"""A longer training curve is thinned to so many points."""


_TOLD_APART = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."))
"""Marks and dashes of the curves of a figure: what tells them apart in grey."""


@dataclass(frozen=True)
class Illustration:
    """A drawn figure.

    Attributes:
        name: the stem of its files and its anchor.
        alternative: what it shows, in words.
        svg: the file.
        png: the same, for where SVG is not shown.
        window: how many points of a curve its medians are over, 1 for all points as they are.
    """

    name: str
    alternative: str
    svg: str
    png: bytes
    window: int = 1

    @property
    def inline(self) -> Markup:
        """To stand in a page."""
        return Markup(drawing.inline_svg(self.svg, self.name))


def loss_over_p_t() -> Illustration:
    """The proposal's figure 4: CE, FL and FL* with alpha_t = 1."""
    p_t = np.linspace(0.002, 1.0, 500)
    lines = []
    for loss, gamma, colour, dashes in PROPOSAL_FIGURE_4:
        label = LOSSES[loss].short + (
            "" if gamma is None else f", {setting_text({'gamma': gamma})}"
        )
        lines.append(figures.Line(label, p_t, formulas.LOSSES[loss](p_t, gamma), colour, dashes))
    return _drawn(
        figures.loss_over_p_t(lines).figure,
        name="loss_over_p_t",
        alternative="Loss over p_t, the probability given to the true label, for "
        + "; ".join(line.label for line in lines)
        + ". All fall to 0 at p_t = 1. FL* lies above CE where p_t is under 0.5 and below it where "
        "p_t is over 0.5, the more so the larger γ; FL lies below CE everywhere.",
    )


def ap_over_rows(results: Results, grid: Grid, table: GridTable) -> Illustration:
    """Our AP of each row and, where there are any, the published values beside it."""
    found = results.of_grid(grid).groupby("row")["state"].agg(set)
    values = table.values
    ours = values[MAIN_METRIC].where(
        [not stale for stale in table.stale], values[f"{MAIN_METRIC}_stale"]
    )
    series = [
        figures.Dots(
            f"{MAIN_METRIC} (%), ours",
            ours,
            [
                STALE_COLOUR if stale else _colour(row)
                for row, stale in zip(grid.rows, table.stale, strict=True)
            ],
            spread=values[f"{MAIN_METRIC}_sd"],
            crossed=[DIVERGED in states for states in found],
            notes=[
                STALE if stale
                else DIVERGED if DIVERGED in states
                else "" if math.isfinite(value)
                else absence(states)
                for states, value, stale in zip(found, ours, table.stale, strict=True)
            ],
        )
    ]  # fmt: skip
    if table.has_published:
        series.append(
            figures.Dots(
                f"{MAIN_METRIC} (%), published",
                values[f"{MAIN_METRIC}_published"],
                [UNORDERED_COLOUR] * len(grid.rows),
                filled=False,
            )
        )
    return _drawn(
        figures.ap_over_rows(table.row_labels, series)[0].figure,
        name=grid.name,
        alternative=captions.dots_alternative(table),
    )


def ap_over_ms(grid: Grid, table: GridTable) -> Illustration | None:
    """AP over speed: points joined over the last column, a curve for each value of the others.

    Returns:
        None for a table without the speed, and where no row has both numbers.
    """
    if SPEED not in table.metrics:
        return None
    ours, theirs = _points(table, ""), _points(table, "_published")
    if not ours.any():
        return None
    panels = {"ours": _curves(grid, table, ours, "")}
    if theirs.any():
        panels["published"] = _curves(grid, table, theirs, "_published")
    return _drawn(
        figures.ap_over_ms(panels)[0].figure,
        name=f"{grid.name}_speed",
        alternative=captions.speed_alternative(table),
    )


def training_curves(results: Results, grid: Grid, table: GridTable) -> Illustration:
    """The classification loss of every run of a grid, a panel for each row."""
    panels, longest, frame = [], 1, results.of_grid(grid)
    for number, (row, title) in enumerate(zip(grid.rows, table.row_labels, strict=True)):
        cells = frame[frame["row"] == number]
        stale = set(cells.loc[cells["state"] == STALE, "cell"])
        runs = []
        for record in results.records_of(cells):
            iterations, loss = _curve(record)
            if iterations:
                x, y, window = window_medians(iterations, loss, CURVE_POINTS)
                colour = STALE_COLOUR if record.cell in stale else _colour(row)
                runs.append(figures.Run(x, y, colour, record.status == DIVERGED))
                longest = max(longest, window)
        note = "" if runs else absence(set(cells["state"]))
        panels.append(figures.Panel(title, runs, note))
    return _drawn(
        figures.training_curves(panels, "classification loss")[0].figure,
        name=f"{grid.name}_training",
        alternative=captions.curves_alternative(table, frame),
        window=longest,
    )


def _points(table: GridTable, of: str) -> np.ndarray:
    """Which rows have both AP and a speed, ours ("") or published."""
    return table.values[[f"{MAIN_METRIC}{of}", f"{SPEED}{of}"]].notna().all(axis=1).to_numpy()


def _curves(grid: Grid, table: GridTable, usable: np.ndarray, of: str) -> list[figures.Curve]:
    """A curve for each value of all columns but the last, whose values are beside the points."""
    *others, last = grid.columns
    groups: dict[str, list[int]] = {}
    for number in np.flatnonzero(usable):
        label = (paper_label if of else row_label)(grid.rows[number], tuple(others))
        groups.setdefault(label, []).append(number)
    curves = []
    for (label, numbers), (marker, dashes) in zip(groups.items(), cycle(_TOLD_APART), strict=False):
        rows, values = [grid.rows[number] for number in numbers], table.values.loc[numbers]
        curves.append(
            figures.Curve(
                label,
                x=values[f"{SPEED}{of}"].to_numpy(),
                y=values[f"{MAIN_METRIC}{of}"].to_numpy(),
                notes=[axis_text(last, row.values[last]) if of else value_text(row, last)
                       for row in rows],
                colour=UNORDERED_COLOUR if of else _colour(rows[0]),
                marker=marker,
                dashes=dashes,
                spread=() if of else values[f"{MAIN_METRIC}_sd"].to_numpy(),
                filled=not of,
            )
        )  # fmt: skip
    return curves


def _curve(record: Record) -> tuple[list[float], list[float]]:
    """Iterations and classification loss, without the values that are not finite."""
    curves = record.result.get("curves") or {}
    points = zip(curves.get("iteration") or (), curves.get(CURVE) or (), strict=False)
    pairs = [(x, y) for x, y in points if isinstance(y, int | float) and math.isfinite(y)]
    return [iteration for iteration, _ in pairs], [loss for _, loss in pairs]


def _colour(row: Row) -> str:
    return loss_label(row.setting.as_dict().get("loss", "")).colour


def _drawn(figure: Figure, name: str, alternative: str, window: int = 1) -> Illustration:
    return Illustration(
        name, alternative, drawing.to_svg(figure, name), drawing.to_png(figure), window
    )
