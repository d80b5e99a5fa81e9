"""Chooses the comparison that a report answers first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablations.study.axes import MODEL_AXES
from ablations.study.grid import Grid, Row
from ablations.study.study import Study
from reports.results.labels import CANDIDATE, HEADLINE, LOSSES

NAMING = ("method", "loss")
"""The columns of a table that compares losses. Any other table varies the options of one loss."""


@dataclass(frozen=True)
class Question:
    """Whether a row of a table is better than its reference row.

    Attributes:
        grid: the table.
        reference: the index of its reference row.
        candidate: the index of the row that the question is about; None if the table compares no
            other loss with the reference row at the same model, data and schedule.
    """

    grid: Grid
    reference: int
    candidate: int | None


def question(study: Study) -> Question | None:
    """The first question of a study.

    A table that compares losses comes before one that does not; of these, one whose file names a
    candidate, then the headline. The row is the named candidate, else that of ``CANDIDATE`` without
    a cap on its weight, else with one, else that of a loss without a label, which is a user's own,
    else that of any other loss.

    Returns:
        None if no table has a reference row.
    """
    questions = [
        Question(grid, grid.reference, _candidate(study, grid, grid.reference))
        for grid in study.grids
        if grid.reference is not None
    ]
    return min(
        questions,
        key=lambda asked: (
            asked.candidate is None,
            named_candidate(study, asked.grid) is None,
            asked.grid.name != HEADLINE,
        ),
        default=None,
    )


def loss_of(study: Study, row: Row) -> str:
    """The loss of a row, also of one whose setting is still to be chosen; "" if it has none."""
    values = row.setting.as_dict()
    if row.tune and "loss" not in values:
        settings = (
            tuning_row.setting.as_dict()
            for grid in study.tuning
            if grid.name == row.tune
            for tuning_row in grid.rows
        )
        values = next(settings, {})
    return str(values.get("loss") or "")


def named_candidate(study: Study, grid: Grid) -> int | None:
    """The row that a grid's file names; None if it names none, or if the row was tuned to the loss
    of the reference row."""
    if grid.candidate is None or grid.reference is None:
        return None
    losses = [loss_of(study, grid.rows[row]) for row in (grid.candidate, grid.reference)]
    return grid.candidate if losses[0] != losses[1] else None


def _candidate(study: Study, grid: Grid, reference: int) -> int | None:
    """The row to compare with the reference row; the first of the best kind."""
    named = named_candidate(study, grid)
    if named is not None:
        return named
    if not set(NAMING) & set(grid.columns):
        return None
    loss = loss_of(study, grid.rows[reference])
    model = model_of(grid.rows[reference].setting.as_dict())
    ranks = {}
    for number, row in enumerate(grid.rows):
        row_loss, values = loss_of(study, row), row.setting.as_dict()
        if row_loss and row_loss != loss and model_of(values) == model:
            is_capped = values.get("weight_cap") is not None
            ranks[number] = (row_loss != CANDIDATE, row_loss in LOSSES, is_capped)
    return min(ranks, key=ranks.__getitem__, default=None)


def model_of(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two settings must have in common, so that only their losses differ.

    Args:
        values: axis -> value of a setting.
    """
    return tuple(values.get(axis) for axis in MODEL_AXES)
