"""Which tables of a study fit into a budget of time, the main question first."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ablations.status.costs import Estimate
from ablations.study.cell import Cell
from ablations.study.study import Study

HOURS = {"h": 1.0, "d": 24.0}


@dataclass(frozen=True)
class Item:
    """A table, and what it costs beyond the tables before it that fit.

    Attributes:
        grids: the table's grid, followed by the grids that its settings are tuned on.
        cells: the number of cells that no earlier table has.
        hours: their time, h; None if it is unknown.
        fits: whether they fit into what is left of the budget.
    """

    grids: tuple[str, ...]
    cells: int
    hours: float | None
    fits: bool


def hours_of(text: str) -> float:
    """The hours of a budget: 100 for ``100h``, 48 for ``2d``.

    Raises:
        argparse.ArgumentTypeError: it is not a number above 0 with the unit h or d.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([hd]?)", text.strip().lower())
    hours = float(match[1]) * HOURS[match[2] or "h"] if match else 0.0
    if not hours:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a budget; valid: hours or days, such as 100h or 4d"
        )
    return hours


def items(study: Study, estimate: Estimate, budget: float, gpus: int = 0) -> list[Item]:
    """Spend a budget on the tables of a study.

    Tables with tuned rows, which ask the main question, come first; then the study's order. A table
    that does not fit is left out, and a later, cheaper one may fit.

    Args:
        study: the study.
        estimate: the cost of the cells to run.
        budget: GPU-hours; without GPUs, hours of one cell after another.
        gpus: GPUs per cell; 0 for the CPU.
    """
    left, paid, tables = budget, set[Cell](), []
    for names, cells in _tables(study):
        new = [c for c in dict.fromkeys(cells) if c not in paid and c in estimate.of_cells]
        known = [s for c in new if (s := estimate.of_cells[c]) is not None]
        hours = sum(known) * max(1, gpus) / 3600 if len(known) == len(new) else None
        fits = hours is not None and hours <= left
        tables.append(Item(names, len(new), hours, fits))
        if fits and hours is not None:
            left -= hours
            paid.update(new)
    return tables


def _tables(study: Study) -> Iterator[tuple[tuple[str, ...], list[Cell]]]:
    """The grids of each table, and its cells."""
    by_name = {grid.name: grid for grid in study.grids}
    tuning = {grid.name for grid in study.tuning}
    shown = [grid for grid in study.grids if grid.name not in tuning]
    for grid in sorted(shown, key=lambda grid: not grid.is_tuned):
        names = dict.fromkeys(row.tune for row in grid.rows if row.tune)
        grids = [grid, *(by_name[name] for name in names)]
        yield tuple(g.name for g in grids), [c for g in grids for c in study.cells_of(g)]
