"""Prints the plan and the status of a study."""

import shlex
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from ablations.records import earlier
from ablations.records.record import DIVERGED, DONE, FAILED
from ablations.status.budget import Item
from ablations.status.cards import REFERENCE, canonical, speed_of
from ablations.status.cost_model import ZOO_GPUS, ZOO_IMAGES, ZOO_TRAIN_EDGES, zoo_models
from ablations.status.costs import Estimate
from ablations.status.progress import failure, last_line, outcome
from ablations.status.status import ENDED, MISSING, RUNNING, STALE, STATES, Status
from ablations.status.units import duration, megabytes
from ablations.storage.layout import Layout
from ablations.study.axes import AXES
from ablations.study.cell import Cell
from ablations.study.choice import CHOSEN_LATER
from ablations.study.grid import Row
from focal_star.io.pipes import PipedConsole

EXAMPLES = ("A100", "RTX3090")
"""Cards that a message names."""

MAX_LINES = 20
"""Cells of one state that are listed by name."""


def print_plan(
    status: Status,
    estimate: Estimate,
    jobs: int,
    gpus: int = 0,
    card: str = REFERENCE,
    training_seconds: float | None = None,
) -> None:
    """Print what ``run`` would do: cells by state and grid, and an estimate of time and disk.

    Args:
        status: the cells' states.
        estimate: the cost of the cells to run.
        jobs: the number of cells side by side.
        gpus: GPUs per cell; 0 for the CPU.
        card: the GPU whose published speed the estimate uses.
        training_seconds: the training time of a cell at 1x that is proposed for the data; used
            where the estimate has no time.
    """
    console = _console()
    _print_counts(status, console)
    if not estimate.cells:
        console.print("Nothing to run.")
    elif estimate.seconds is None:
        console.print(_unmeasured(estimate, jobs, training_seconds))
    else:
        _print_estimate(estimate, jobs, gpus, card, console)
    _print_named(status, STALE, console, lambda cell: "; ".join(status.changed[cell]))


def print_budget(items: list[Item], budget: float, gpus: int = 0) -> None:
    """Print which tables fit into a budget, and the value of GRIDS that trains them.

    Args:
        items: the tables, the main question first.
        budget: h, as :func:`ablations.status.budget.items` takes it.
        gpus: GPUs per cell; 0 for the CPU.
    """
    console = _console()
    unit = "GPU-hours" if gpus else "hours of one cell after another"
    table = Table(box=None, title=f"A budget of {budget:,g} {unit}:", title_justify="left")
    for name in ("table", "further cells", "GPU-hours" if gpus else "hours", "sum", "fits"):
        table.add_column(name, justify="left" if name in ("table", "fits") else "right")
    spent = 0.0
    for item in items:
        hours = item.hours or 0.0
        spent += hours if item.fits else 0.0
        first, *tuned_on = item.grids
        table.add_row(
            f"{first} and its tuning" if tuned_on else first,
            str(item.cells),
            "unknown" if item.hours is None else f"{hours:,.1f}",
            f"{spent:,.1f}" if item.fits else "",
            "yes" if item.fits else "no",
        )
    console.print(table)
    fitting = " ".join(item.grids[0] for item in items if item.fits)
    if fitting:
        console.print(f'What fits: make ablations ... GRIDS="{fitting}"')
    else:
        console.print("No table fits; a shorter SCHEDULE or fewer SEEDS cost less.")


def _print_estimate(estimate: Estimate, jobs: int, gpus: int, card: str, console: Console) -> None:
    assert estimate.seconds is not None
    per_iteration = estimate.seconds_per_iteration
    ends = f"{duration(estimate.seconds / jobs)} with {jobs} side by side"
    if gpus:
        hours = f"{estimate.seconds * gpus / 3600:,.0f} GPU-hours"
        hours += "" if estimate.measured or estimate.running else f" ({canonical(card)})"
        each = "1 GPU" if gpus == 1 else f"{gpus} GPUs"
        ends = f"{hours}, which is {ends} on {each} each,"
    words = f"{estimate.cells} cells to run: about {ends}"
    if estimate.disk_bytes is not None:
        words += f" and {megabytes(estimate.disk_bytes)} of disk"
    if estimate.running_bytes:
        words += f" ({megabytes(jobs * estimate.running_bytes)} more while they run)"
    if estimate.measured:
        words += f", from {estimate.measured} measured cells"
        words += " of the published report, on another machine" if estimate.elsewhere else ""
    if estimate.running:
        words += f", from the time per iteration of {estimate.running} unfinished cells"
    if per_iteration:
        words += f" ({1000 * per_iteration:.0f} ms per iteration)"
    console.print(words + ".")
    if any(kind.measured < kind.cells for kind in estimate.kinds):
        console.print(_kinds(estimate, gpus))
    if estimate.zoo:
        console.print(_zoo_note(estimate, card))


def _unmeasured(estimate: Estimate, jobs: int, training_seconds: float | None) -> str:
    if training_seconds is None:
        return f"{estimate.cells} cells to run; no cell has been measured here yet."
    seconds = training_seconds * sum(cell.setting.schedule for cell in estimate.of_cells)
    return (
        f"{estimate.cells} cells to run: about {duration(seconds / jobs)} of training with {jobs} "
        "side by side, and their evaluation. No cell has been measured here yet; this is an "
        "estimate from the data, for idle cores."
    )


def _kinds(estimate: Estimate, gpus: int) -> Table:
    table = Table(box=None)
    for name in ("detector", "depth", "short edge", "cells", "per cell", "GPU-hours", "from"):
        if gpus or name != "GPU-hours":
            left = name in ("detector", "from")
            table.add_column(name, justify="left" if left else "right")
    for kind in estimate.kinds:
        seconds = kind.seconds or 0.0
        if kind.measured == kind.cells:
            source = "measured"
        elif kind.measured:
            source = f"{kind.measured} measured"
        else:
            known = estimate.measured or estimate.running
            source = "others, measured" if known else "model zoo"
        table.add_row(
            kind.detector,
            str(kind.depth or ""),
            f"{kind.scale} px" if kind.scale else "",
            str(kind.cells),
            duration(seconds),
            *([f"{seconds * kind.cells * gpus / 3600:,.0f}"] if gpus else []),
            source,
        )
    return table


def _zoo_note(estimate: Estimate, card: str) -> str:
    zoo = zoo_models()
    models = dict.fromkeys((k.detector, k.depth) for k in estimate.kinds if k.depth is not None)
    seconds = ", ".join(
        f"{model[0]} {model[1]}: {zoo[model].seconds_per_iteration} s"
        for model in models
        if model in zoo
    )
    edges = f"{min(ZOO_TRAIN_EDGES)} to {max(ZOO_TRAIN_EDGES)} px"
    return (
        f"The model zoo is Detectron2's MODEL_ZOO.md: an iteration of {ZOO_IMAGES} images of "
        f"{edges}, on {ZOO_GPUS} {REFERENCE}: {seconds}. Times are in proportion to the input's "
        "pixels"
        + (
            ", multiplied by the ratio of the measured to the estimated times."
            if estimate.measured or estimate.running
            else f". {_card_note(card)} The first cell takes the zoo's place after 100 iterations."
        )
    )


def _card_note(card: str) -> str:
    name, speed = canonical(card), speed_of(card)
    if name == REFERENCE:
        return f"On other GPUs they differ: GPU={' or '.join(EXAMPLES)}."
    return (
        f"{name}: {speed:.1f} times the speed of a {REFERENCE}, by "
        "ablations/reference/gpu_speed.yaml."
    )


def print_status(status: Status, layout: Layout) -> None:
    """Print the number of cells by state and grid; list those that are not done or missing."""
    console = _console()
    _print_counts(status, console)

    def at_work(cell: Cell) -> str:
        line = last_line(layout.cell_metrics(cell.id))
        if "iteration" not in line:
            return "starting"
        loss = f", loss_cls {line['loss_cls']:.3g}" if "loss_cls" in line else ""
        return f"iteration {line['iteration']}{loss}"

    _print_named(status, RUNNING, console, at_work)
    _print_named(status, FAILED, console, lambda cell: failure(status.records[cell.id]))
    _print_named(status, DIVERGED, console, lambda cell: outcome(status.records[cell.id]))
    _print_named(status, STALE, console, lambda cell: "; ".join(status.changed[cell]))
    for line in status.refused:
        console.print(f"refused: {line}")
    print_set_aside(layout)


def print_others(studies: list[str], output: str) -> None:
    """Print the command that shows the status of each other study.

    Args:
        studies: the arguments of ``make`` for each study.
        output: the folder of all studies; "" for the default.
    """
    folder = f" OUTPUT={shlex.quote(output)}" if output else ""
    for arguments in studies:
        _console().print(f"another study is in this folder: make status {arguments}{folder}")


def print_set_aside(layout: Layout) -> None:
    """Print the disk use of the training runs that are set aside, if there are any."""
    number, size = earlier.disk_use(layout)
    if number:
        trainings = "1 earlier training run" if number == 1 else f"{number} earlier training runs"
        _console().print(
            f"{trainings} set aside, {megabytes(size)} in {layout.earlier}: used again where its "
            "fingerprint comes back; delete by hand what you do not need"
        )


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
    _print_tuned(status, console)


def _print_tuned(status: Status, console: Console) -> None:
    """Print a line for each tuned row: its setting, or the progress of its tuning."""
    study = status.study
    for grid in study.grids:
        for row in grid.rows:
            if row.tune:
                words = ", ".join(str(row.values[c]) for c in grid.columns if c not in AXES)
                console.print(f"{grid.name}: {words}: {_tuned_text(status, row)}")


def _tuned_text(status: Status, row: Row) -> str:
    """For example ``chosen after tuning (tune_fl: 3 of 9 cells have a result)``."""
    study, choice = status.study, status.study.choices.get(row.tune)
    if choice and not choice.stale:
        if choice.best is None:
            return f"no setting, since every run of {row.tune} diverged"
        return f"{choice.best.setting}, the best of {len(choice.ranked)} settings of {row.tune}"
    grid = next(grid for grid in study.grids if grid.name == row.tune)
    counts = status.counts_of(grid)
    ended = sum(counts[state] for state in ENDED)
    text = f"{CHOSEN_LATER} ({row.tune}: {ended} of {sum(counts.values())} cells have a result"
    changed = f"; the earlier choice is stale: {', '.join(choice.stale)}" if choice else ""
    return f"{text}{changed})"


def _print_named(status: Status, state: str, console: Console, text: Callable[[Cell], str]) -> None:
    """Print a line for each cell of a state: its id and ``text(cell)``."""
    cells = [cell for cell, current in status.states.items() if current == state]
    for cell in cells[:MAX_LINES]:
        console.print(f"{state}: {cell.id}: {text(cell)}")
    if len(cells) > MAX_LINES:
        console.print(f"{state}: and {len(cells) - MAX_LINES} more")


def _console() -> Console:
    return PipedConsole(highlight=False, markup=False, soft_wrap=True)
