"""Chooses the best setting of each tuning grid, and stores the choices in ``selection.json``."""

import statistics
from collections.abc import Mapping

import msgspec

from ablations.identity.fingerprint import Identity
from ablations.identity.prepared import Prepared
from ablations.identity.snapshot import Code
from ablations.records.record import DIVERGED, Record
from ablations.storage.json_files import write_json
from ablations.storage.layout import Layout
from ablations.study.cell import Cell
from ablations.study.choice import Candidate, Choice, ranked, settings_of
from ablations.study.grid import Grid
from ablations.study.study import Study, schedule_name
from ablations.tuning import halves
from ablations.tuning.halves import TuningError

METRIC = "AP"
"""The metric that settings are chosen by."""


class _SelectionFile(msgspec.Struct):
    """Schema of ``selection.json``: the key of :func:`key_of` -> the choice."""

    choices: dict[str, Choice]


def choose(study: Study, grid: Grid, layout: Layout, records: Mapping[str, Record]) -> Choice:
    """Rank the settings of a tuning grid by mean AP on the selection half.

    Args:
        study: the study.
        grid: one of its tuning grids; all its cells are done or diverged.
        layout: the study's files, with those of :func:`halves.measure`.
        records: cell id -> record.

    Raises:
        TuningError: a cell has no AP on a half.
    """
    seeds, candidates = study.seeds_of(grid), []
    for setting in settings_of(grid):
        runs = [records[Cell(setting, seed).id] for seed in seeds]
        values = [_on_halves(layout, run, study.selection_seed) for run in runs]
        selection, reporting = map(statistics.fmean, zip(*values, strict=True))
        diverged = sum(run.status == DIVERGED for run in runs)
        candidates.append(Candidate(setting.id, selection, reporting, diverged))
    return Choice(
        ranked=ranked(candidates),
        seeds=tuple(seeds),
        selection_seed=study.selection_seed,
        fingerprints={cell.id: records[cell.id].fingerprint for cell in study.cells_of(grid)},
    )


def _on_halves(layout: Layout, record: Record, selection_seed: int) -> tuple[float, float]:
    """AP on the selection half and on the reporting half, percent."""
    if record.status == DIVERGED:
        return 0.0, 0.0
    cell_halves = halves.load(layout, record, selection_seed)
    if cell_halves is None:
        raise TuningError(f"{record.cell} has no AP on halves of the images")
    values = [half.metrics[METRIC] for half in (cell_halves.selection, cell_halves.reporting)]
    if None in values:
        raise TuningError(
            f"{METRIC} of {record.cell} is undefined on one half of the validation images, which "
            "has no objects; another selection_seed divides the images in another way"
        )
    selection, reporting = values
    assert selection is not None and reporting is not None
    return float(selection), float(reporting)


def read(layout: Layout) -> dict[str, Choice]:
    """The choices in ``selection.json``; empty if there is no such file or it is broken."""
    try:
        content = msgspec.json.decode(layout.selection.read_bytes(), type=_SelectionFile)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return {}
    return {
        name: msgspec.structs.replace(choice, stale=()) for name, choice in content.choices.items()
    }


def write(layout: Layout, choices: Mapping[str, Choice]) -> None:
    """Write ``selection.json``; the choices that are not among these are kept.

    Args:
        layout: the study's folder.
        choices: the key of :func:`key_of` -> choice.
    """
    content = msgspec.to_builtins(_SelectionFile(read(layout) | dict(choices)))
    for choice in content["choices"].values():
        del choice["stale"]
    write_json(layout.selection, content)


def key_of(study: Study, grid: str) -> str:
    """The name of a tuning grid's choice; each schedule and number of seeds has its own.

    For example ``tune_fl``, or ``tune_fl at 0.3x, 3 seeds``.
    """
    schedule = "" if study.schedule == 1 else f" at {schedule_name(study.schedule)}"
    seeds = next(len(study.seeds_of(tuning)) for tuning in study.tuning if tuning.name == grid)
    return grid + schedule + ("" if seeds == 1 else f", {seeds} seeds")


def with_stored(study: Study, layout: Layout, identities: Mapping[Cell, Identity] | None) -> Study:
    """The study with the choices of its folder, each marked with what has changed since.

    Args:
        study: the study.
        layout: the study's folder.
        identities: cell -> what determines its result today; None if that is unknown.
    """
    if not study.tuning:
        return study
    stored, choices = read(layout), {}
    for grid in study.tuning:
        if choice := stored.get(key_of(study, grid.name)):
            stale = _changes(study, grid, choice, identities)
            choices[grid.name] = msgspec.structs.replace(choice, stale=stale)
    return study.with_choices(choices)


def resolve(
    study: Study, layout: Layout, prepared: Prepared, processes: int, code: Code
) -> tuple[Study, dict[Cell, Identity]]:
    """:func:`with_stored`, and what determines the result of each of the study's cells."""
    identities = prepared.identities(study.cells(), processes, code)
    study = with_stored(study, layout, identities)
    if study.judged:
        identities |= prepared.identities(study.judged, processes, code)
    return study, identities


def current(study: Study) -> Study:
    """The study without its stale choices, whose rows are pending again."""
    return study.with_choices(
        {n: choice for n, choice in study.choices.items() if not choice.stale}
    )


def _changes(
    study: Study, grid: Grid, choice: Choice, identities: Mapping[Cell, Identity] | None
) -> tuple[str, ...]:
    """What has changed since the setting was chosen; empty if the choice is still current."""
    cells = study.cells_of(grid)
    changes = {
        "selection seed": choice.selection_seed != study.selection_seed,
        "tuning seeds": choice.seeds != tuple(study.seeds_of(grid)),
        "tuning grid": {candidate.setting for candidate in choice.ranked}
        != {setting.id for setting in settings_of(grid)},
        "tuning runs": identities is not None
        and any(
            choice.fingerprints.get(cell.id, identities[cell].fingerprint)
            != identities[cell].fingerprint
            for cell in cells
        ),
    }
    return tuple(what for what, changed in changes.items() if changed)
