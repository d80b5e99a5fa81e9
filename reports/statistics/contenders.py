"""The settings of the detailed comparisons (per class, errors, misses) and their runs."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ablations.records.record import DIVERGED, DONE, Record
from ablations.study.grid import Grid
from reports.results.labels import (
    HEADLINE,
    loss_label,
    one_decimal,
    setting_text,
    with_spread,
)
from reports.results.load import Results, part
from reports.results.rows import row_label, value_text
from reports.statistics.best import Best, best_of_losses

NAN = float("nan")
METHOD = "method"
"""The column of a grid with names for its rows."""


@dataclass(frozen=True)
class Contender:
    """A setting and its runs.

    Attributes:
        name: for example ``FL*``.
        records: the records of the runs that are done.
        diverged: the number of runs that diverged.
        planned: the number of seeds.
    """

    name: str
    records: list[Record]
    diverged: int
    planned: int

    @property
    def seeds(self) -> str:
        """For example ``2 of 3``; the first number includes the diverged runs."""
        return f"{len(self.records) + self.diverged} of {self.planned}"


@dataclass(frozen=True)
class Measured:
    """A quantity of several contenders as texts with one decimal, "" for no value.

    Attributes:
        means: over the seeds.
        sds: sample standard deviations, "" for one seed.
    """

    means: list[str]
    sds: list[str]

    def __bool__(self) -> bool:
        return any(self.means)

    @property
    def texts(self) -> list[str]:
        """Means with their spread."""
        return list(map(with_spread, self.means, self.sds))


def contenders(results: Results) -> list[Contender]:
    """The rows of the headline grid, or the best setting of each loss if there is no such grid."""
    grid = next((grid for grid in results.study.grids if grid.name == HEADLINE), None)
    if grid is not None:
        rows = [row for _, row in results.of_grid(grid).groupby("row", sort=True)]
        names = _row_names(grid)
    else:
        best = best_of_losses(results)
        rows, names = [best_of_loss.runs for best_of_loss in best], list(map(_name, best))
    return [_contender(results, name, row) for name, row in zip(names, rows, strict=True)]


def with_entry(settings: Sequence[Contender], *keys: str) -> list[Contender]:
    """The contenders with only those records whose result has a mapping at ``keys``."""
    return [
        replace(
            setting, records=[r for r in setting.records if isinstance(value_at(r, *keys), dict)]
        )
        for setting in settings
    ]


def measure(
    settings: Sequence[Contender],
    value: Callable[[Record], float],
    *,
    diverged: float = NAN,
    scale: float = 1.0,
) -> Measured:
    """Mean and spread of a number in the records.

    Args:
        settings: the contenders.
        value: returns the number of a record, NaN if it has none.
        diverged: the number of a diverged run; NaN excludes it.
        scale: a factor, 100 for a fraction in percent.
    """
    columns = [
        pd.Series(
            [scale * value(record) for record in setting.records]
            + [scale * diverged] * setting.diverged,
            dtype=float,
        )
        for setting in settings
    ]
    return Measured(
        [one_decimal(column.mean()) for column in columns],
        [one_decimal(column.std(ddof=1)) for column in columns],
    )


def categories(results: Results, records: Iterable[Record], *keys: str) -> list[str]:
    """The categories in the order of the data set, then those that only records have.

    Args:
        results: the study.
        records: its records.
        keys: of an entry of a record, category -> value.
    """
    prepared = results.prepared.dataset if results.prepared else {}
    named = [str(name) for name in prepared.get("categories") or ()]
    for record in records:
        measured = value_at(record, *keys)
        named += measured if isinstance(measured, dict) else ()
    return list(dict.fromkeys(named))


def number_at(record: Record, *keys: str) -> float:
    """The number at ``keys`` in a record's result; NaN if there is none."""
    value = value_at(record, *keys)
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and math.isfinite(value) else NAN


def value_at(record: Record, *keys: str) -> Any:
    """The value at ``keys`` in a record's result, else None."""
    return part(record.result, *keys[:-1]).get(keys[-1])


def _contender(results: Results, name: str, row: pd.DataFrame) -> Contender:
    done = row[row["state"] == DONE]
    return Contender(
        name=name,
        records=results.records_of(done),
        diverged=int((row["state"] == DIVERGED).sum()),
        planned=len(row),
    )


def _row_names(grid: Grid) -> list[str]:
    """The rows' names in ``METHOD`` if they are complete and unique, else the rows' labels."""
    names = [value_text(row, METHOD) if METHOD in grid.columns else "" for row in grid.rows]
    if all(names) and len(set(names)) == len(names):
        return names
    return [row_label(row, grid.columns) for row in grid.rows]


def _name(best: Best) -> str:
    """For example ``FL (α = 0.25, γ = 2)``."""
    short, setting = loss_label(best.loss).short, setting_text(best.setting.as_dict())
    return f"{short} ({setting})" if setting else short
