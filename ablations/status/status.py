"""The state of every cell of a study."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ablations.identity.fingerprint import Identity
from ablations.records import earlier
from ablations.records.record import DIVERGED, DONE, FAILED, Record, load_folder
from ablations.storage.layout import Layout
from ablations.storage.locks import is_running
from ablations.study.cell import Cell
from ablations.study.choice import Choice
from ablations.study.grid import Grid
from ablations.study.study import Study
from ablations.tuning import halves

RUNNING = "running"
"""A process is running the cell."""

STALE = "stale"
"""The cell has a record, and what determines its result has changed since."""

MISSING = "missing"
"""The cell has no record that can be read."""

UNJUDGED = "not judged"
"""The cell of a tuned row is trained, but its AP on the reporting half is not computed yet."""

UNCHOSEN = "no setting"
"""The cell of a tuned row without a choice, since every run of its tuning grid diverged."""

STATES = (DONE, DIVERGED, UNCHOSEN, FAILED, STALE, UNJUDGED, RUNNING, MISSING)

ENDED = (DONE, DIVERGED)
"""The states of cells that have a result."""


@dataclass(frozen=True)
class Status:
    """The state of a study.

    Attributes:
        study: the study.
        states: cell -> one of ``STATES``, each cell once.
        records: cell id -> record, for every readable record of the folder. If a record of today's
            fingerprint is set aside, it is used instead: the next run moves it back.
        refused: one line for each record file that cannot be used.
        changed: stale cell -> the parts of its identity that have changed.
    """

    study: Study
    states: dict[Cell, str]
    records: dict[str, Record]
    refused: list[str]
    changed: dict[Cell, list[str]]

    @property
    def counts(self) -> dict[str, int]:
        """State -> number of cells, every state named."""
        return _counted(self.states.values())

    @property
    def to_run(self) -> list[Cell]:
        """The cells without a current result, in the study's order."""
        return [cell for cell, state in self.states.items() if state not in (*ENDED, UNCHOSEN)]

    @property
    def to_train(self) -> list[Cell]:
        """:attr:`to_run` without the cells that only lack their AP on the reporting half."""
        return [cell for cell in self.to_run if self.states[cell] != UNJUDGED]

    @property
    def is_complete(self) -> bool:
        return not self.to_run

    def counts_of(self, grid: Grid) -> dict[str, int]:
        """:attr:`counts` of one grid."""
        return _counted(self.states[cell] for cell in self.study.cells_of(grid))


def status(study: Study, layout: Layout, identities: dict[Cell, Identity] | None) -> Status:
    """Compare a study with the records in its folder.

    Args:
        study: the study.
        layout: the study's folder.
        identities: cell -> what determines its result today; None if that is unknown: then no
            record is stale.
    """
    records, refused = load_folder(layout.records)
    states, changed, set_aside = {}, {}, earlier.cells(layout)
    tuned = _tuned(study)
    for cell in study.cells():
        choice = tuned.get(cell)
        if cell.setting.pending:
            states[cell] = UNCHOSEN if choice and not choice.stale else MISSING
            continue
        if identities and cell.id in set_aside:
            records |= _set_aside(layout, cell, identities[cell].fingerprint, records)
        record = records.get(cell.id)
        if record is None:
            states[cell] = RUNNING if is_running(layout, cell.id) else MISSING
            continue
        states[cell] = record.status
        if identities and record.fingerprint != identities[cell].fingerprint:
            changed[cell] = identities[cell].changed(record.identity)
            states[cell] = STALE
        if choice and choice.stale:
            changed[cell] = [*choice.stale, *changed.get(cell, [])]
            states[cell] = STALE
        elif cell in tuned and states[cell] == DONE and not _is_judged(study, layout, record):
            states[cell] = UNJUDGED
        if states[cell] not in ENDED and is_running(layout, cell.id):
            states[cell] = RUNNING
    return Status(study, states, records, refused, changed)


def _tuned(study: Study) -> dict[Cell, Choice | None]:
    """Cell of a grid with tuned rows -> its choice; None if the row names its setting."""
    return {
        Cell(row.setting, seed): study.choices.get(row.tune)
        for grid in study.grids
        if grid.is_tuned
        for row in grid.rows
        for seed in study.seeds_of(grid)
    }


def _is_judged(study: Study, layout: Layout, record: Record) -> bool:
    return halves.load(layout, record, study.selection_seed, whole=True) is not None


def _set_aside(
    layout: Layout, cell: Cell, fingerprint: str, records: dict[str, Record]
) -> dict[str, Record]:
    """The cell's id and its set-aside record of this fingerprint, if the folder has none."""
    if cell.id in records and records[cell.id].fingerprint == fingerprint:
        return {}
    record = earlier.record_of(layout, cell.id, fingerprint)
    return {cell.id: record} if record else {}


def _counted(states: Iterable[str]) -> dict[str, int]:
    counts = Counter(states)
    return {state: counts[state] for state in STATES}
