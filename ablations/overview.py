"""Prints the plan and the status of a study."""

from rich.console import Console
from rich.table import Table

from ablations.cell import Layout
from ablations.progress import duration, last_line, outcome
from ablations.record import DIVERGED, DONE, FAILED
from ablations.status import MISSING, RUNNING, STALE, STATES, Status

MOST_LINES = 20
"""Of cells of one state that are listed by name."""


def print_plan(status: Status, jobs: int, console: Console | None = None) -> None:
    """What ``run`` would do: cells by state, by grid, and an estimate of time and disk.

    Args:
        status: where the study stands.
        jobs: how many cells run side by side.
    """
    console = console or _console()
    _print_counts(status, console)
    estimate = status.estimate()
    if not estimate.cells:
        console.print("Nothing is to be run.")
    elif estimate.seconds is None:
        console.print(f"{estimate.cells} cells to run; no cell has been measured here yet.")
    else:
        per_iteration = estimate.seconds_per_iteration
        console.print(
            f"{estimate.cells} cells to run: about {duration(estimate.seconds / jobs)} with "
            f"{jobs} side by side and {_megabytes(estimate.disk_bytes)} of disk, from "
            f"{estimate.measured} measured cells"
            + (f" ({1000 * per_iteration:.0f} ms an iteration)." if per_iteration else ".")
        )
    _print_named(status, STALE, console, lambda cell: "; ".join(status.changed[cell]))


def print_status(status: Status, layout: Layout, console: Console | None = None) -> None:
    """Where the study stands: cells by state, by grid, and those that run or failed by name."""
    console = console or _console()
    _print_counts(status, console)

    def at_work(cell) -> str:
        line = last_line(layout.cell_metrics(cell.id))
        if "iteration" not in line:
            return "starting"
        loss = f", loss_cls {line['loss_cls']:.3g}" if "loss_cls" in line else ""
        return f"iteration {line['iteration']}{loss}"

    def reason(cell) -> str:
        return status.records[cell.id].error.splitlines()[0]

    _print_named(status, RUNNING, console, at_work)
    _print_named(status, FAILED, console, reason)
    _print_named(status, DIVERGED, console, lambda cell: outcome(status.records[cell.id]))
    _print_named(status, STALE, console, lambda cell: "; ".join(status.changed[cell]))
    for line in status.refused:
        console.print(f"refused: {line}")


def _print_counts(status: Status, console: Console) -> None:
    study = status.study
    counts = status.counts
    console.print(
        f"{study.name}: {len(study.requested())} cells requested, {len(status.states)} unique: "
        + ", ".join(
            f"{number} {state}"
            for state, number in counts.items()
            if number or state in (DONE, MISSING, STALE, FAILED)
        )
    )
    table = Table(box=None)
    shown = [state for state in STATES if counts[state]]
    for name in ("grid", "rows", "seeds", "cells", *shown):
        table.add_column(name, justify="left" if name == "grid" else "right")
    for grid in study.grids:
        of_grid = status.counts_of(grid)
        table.add_row(
            grid.name,
            *map(str, (len(grid.rows), len(study.seeds_of(grid)), sum(of_grid.values()))),
            *(str(of_grid[state]) for state in shown),
        )
    console.print(table)


def _print_named(status: Status, state: str, console: Console, text) -> None:
    """A line for each cell of a state: its id and what ``text`` says of it."""
    cells = [cell for cell, found in status.states.items() if found == state]
    for cell in cells[:MOST_LINES]:
        console.print(f"{state}: {cell.id}: {text(cell)}")
    if len(cells) > MOST_LINES:
        console.print(f"{state}: and {len(cells) - MOST_LINES} more")


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _megabytes(number: float) -> str:
    return f"{number / 1e6:.0f} MB" if number < 2e9 else f"{number / 1e9:.1f} GB"
