"""Which figures a report has, and the numbers that each is drawn from."""

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from ablations.plan import Grid, Row
from ablations.record import DIVERGED, FAILED, Record
from reports import figures, formulas, sentences
from reports.labels import (
    AXES,
    LOSSES,
    MAIN_METRIC,
    PROPOSAL_FIGURE_4,
    UNORDERED_COLOUR,
    loss_label,
)
from reports.load import MISSING, Results
from reports.statistics import window_medians
from reports.tables import GridTable

CURVE = "loss_cls"
"""The entry of a record's curves that is drawn."""

CURVE_POINTS = 120
"""A longer training curve is thinned to so many points."""


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
        return Markup(figures.inline_svg(self.svg, self.name))


def loss_over_p_t() -> Illustration:
    """The proposal's figure 4: CE, FL and FL* with alpha_t = 1."""
    p_t = np.linspace(0.002, 1.0, 500)
    lines = []
    for loss, gamma, colour, dashes in PROPOSAL_FIGURE_4:
        label = LOSSES[loss].short + ("" if gamma is None else f", {AXES['gamma']} = {gamma:g}")
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
    values = table.values
    states = results.of_grid(grid).groupby("row")["state"].agg(set)
    series = [
        figures.Dots(
            f"{MAIN_METRIC} (%), ours",
            values[MAIN_METRIC],
            [_colour(row) for row in grid.rows],
            spread=values[f"{MAIN_METRIC}_sd"],
            crossed=[DIVERGED in state for state in states],
            notes=[
                DIVERGED if DIVERGED in state else "" if math.isfinite(value) else _absence(state)
                for state, value in zip(states, values[MAIN_METRIC], strict=True)
            ],
        )
    ]
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
        alternative=sentences.dots_alternative(table),
    )


def training_curves(results: Results, grid: Grid, table: GridTable) -> Illustration:
    """The classification loss of every run of a grid, a panel for each row."""
    panels, longest, frame = [], 1, results.of_grid(grid)
    for number, (row, title) in enumerate(zip(grid.rows, table.row_labels, strict=True)):
        cells = frame[frame["row"] == number]
        runs = []
        for record in results.records_of(cells):
            iterations, loss = _curve(record)
            if iterations:
                x, y, window = window_medians(iterations, loss, CURVE_POINTS)
                runs.append(figures.Run(x, y, record.status == DIVERGED))
                longest = max(longest, window)
        note = "" if runs else _absence(set(cells["state"]))
        panels.append(figures.Panel(title, _colour(row), runs, note))
    return _drawn(
        figures.training_curves(panels, "classification loss")[0].figure,
        name=f"{grid.name}_training",
        alternative=sentences.curves_alternative(table, frame),
        window=longest,
    )


def _curve(record: Record) -> tuple[list[float], list[float]]:
    """Iterations and classification loss, without the values that are not finite."""
    curves = record.result.get("curves") or {}
    points = zip(curves.get("iteration") or (), curves.get(CURVE) or (), strict=False)
    pairs = [(x, y) for x, y in points if isinstance(y, int | float) and math.isfinite(y)]
    return [iteration for iteration, _ in pairs], [loss for _, loss in pairs]


def _absence(states: set[str]) -> str:
    """Why a row of which nothing can be drawn is empty."""
    return next((state for state in (FAILED, MISSING) if state in states), "undefined")


def _colour(row: Row) -> str:
    return loss_label(row.setting.as_dict().get("loss", "")).colour


def _drawn(figure: Figure, name: str, alternative: str, window: int = 1) -> Illustration:
    return Illustration(
        name, alternative, figures.to_svg(figure, name), figures.to_png(figure), window
    )
