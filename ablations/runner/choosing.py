"""Chooses settings after the tuning cells of a run have ended, and judges the chosen ones."""

from ablations.identity.prepared import Prepared
from ablations.identity.snapshot import Code
from ablations.runner.request import Request
from ablations.status.status import ENDED, UNJUDGED, Status
from ablations.study.cell import Cell
from ablations.study.choice import Choice
from ablations.study.study import Study
from ablations.tuning import halves, selection
from ablations.tuning.halves import TuningError


def choose(request: Request, status: Status, prepared: Prepared, code: Code) -> Study:
    """Choose a setting from each tuning grid whose cells have all ended, and write the choices.

    What prevents a choice is printed; the other losses are not affected.

    Args:
        request: the request; its study has no stale choices.
        status: the state of the study's cells.
        prepared: the prepared data, which names the validation split.
        code: the code that runs the evaluation.

    Returns:
        The study with all choices.
    """
    study, layout = request.study, request.layout
    choices, complete = dict(study.choices), []
    for grid in study.tuning:
        cells = study.cells_of(grid)
        done = sum(status.states[cell] in ENDED for cell in cells)
        if done == len(cells):
            complete.append(grid)
        else:
            _say(f"{grid.name}: {done} of {len(cells)} cells have a result; no setting is chosen")
    _measure(
        request,
        status,
        [cell for grid in complete for cell in study.cells_of(grid)],
        prepared,
        code,
        whole=False,
    )
    for grid in complete:
        if grid.name in choices:
            continue
        try:
            choices[grid.name] = selection.choose(study, grid, layout, status.records)
            _say(f"{grid.name}: {_words(choices[grid.name])}")
        except TuningError as error:
            _say(f"{grid.name}: no setting can be chosen: {error}")
    if choices != study.choices:
        keyed = {selection.key_of(study, name): choice for name, choice in choices.items()}
        selection.write(layout, keyed)
    return study.with_choices(choices)


def judge(request: Request, status: Status, prepared: Prepared, code: Code) -> None:
    """Compute AP on the reporting half for the trained cells of tuned grids."""
    cells = [cell for cell, state in status.states.items() if state == UNJUDGED]
    _measure(request, status, cells, prepared, code, whole=True)


def _measure(
    request: Request,
    status: Status,
    cells: list[Cell],
    prepared: Prepared,
    code: Code,
    whole: bool,
) -> None:
    """Compute AP on halves of the images for these cells; print what prevents it."""
    try:
        halves.measure(
            request.layout,
            [status.records[cell.id] for cell in dict.fromkeys(cells)],
            request.study.selection_seed,
            whole=whole,
            prepared=prepared,
            code=code,
            jobs=request.jobs,
        )
    except TuningError as error:
        _say(f"halves of the images: {error}")


def _words(choice: Choice) -> str:
    """For example ``chosen focal-alpha0.25-gamma1 of 9 settings``."""
    number = f"{len(choice.ranked)} settings"
    if choice.best is None:
        return f"no setting can be chosen: every run of its {number} diverged"
    if len(choice.ranked) == 1:
        second = ""
    else:
        second = f"; next is {choice.ranked[1].setting} with {choice.ranked[1].selection:.1f}"
    return (
        f"chosen {choice.best.setting} of {number}, {selection.METRIC} "
        f"{choice.best.selection:.1f} on the selection half of the images{second}"
    )


def _say(text: str) -> None:
    print(text, flush=True)
