import fcntl
import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
from msgspec.structs import asdict

from ablations.identity.fingerprint import Identity
from ablations.records.record import save
from ablations.status.costs import estimate
from ablations.status.status import STATES, UNCHOSEN, UNJUDGED, status
from ablations.storage.layout import Layout
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from ablations.study.study import Study

ALPHAS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
STATE_OF = dict(
    zip(ALPHAS, ("done", "diverged", "failed", "stale", "running", "missing"), strict=True)
)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "tiny")


def make_study(*settings, seeds=1):
    rows = tuple(Row({}, setting) for setting in settings)
    grids = (Grid("all", "", (), rows), Grid("first", "", (), rows[:2]))
    return Study("tiny", "", "tiny.yaml", "digits", grids, tuple(range(1, seeds + 1)))


STUDY = make_study(*(Setting.of(loss="ce", alpha=alpha) for alpha in ALPHAS))


def identities(study=STUDY, **changes):
    return {
        cell: replace(Identity(cell.setting.id, "da", "3e", cell.seed), **changes)
        for cell in study.cells()
    }


@contextmanager
def held(layout, cell):
    """A process that runs the cell."""
    layout.cell_lock(cell.id).parent.mkdir(parents=True, exist_ok=True)
    with layout.cell_lock(cell.id).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def record_of(make_record, layout):
    """A function that saves a cell's record."""

    def record_of(cell, identity=None, **changes):
        identity = identity or Identity(cell.setting.id, "da", "3e", cell.seed)
        record = make_record(
            cell=cell.id, setting=cell.setting.as_dict(), seed=cell.seed,
            fingerprint=identity.fingerprint, identity=identity.as_dict(), **changes,
        )  # fmt: skip
        save(record, layout.record(cell.id))
        return record

    return record_of


@pytest.fixture
def mixed(layout, record_of):
    """A study with a cell in every state."""
    cells = dict(zip(ALPHAS, STUDY.cells(), strict=True))
    record_of(cells[0.1])
    record_of(cells[0.25], status="diverged")
    record_of(cells[0.5], status="failed")
    record_of(cells[0.75], replace(identities()[cells[0.75]], dataset="db", numerics=1))
    with held(layout, cells[0.9]):
        yield cells


def test_every_state(layout, mixed):
    found = status(STUDY, layout, identities())
    assert found.states == {mixed[alpha]: state for alpha, state in STATE_OF.items()}
    assert found.counts == dict.fromkeys(STATES, 1) | {UNCHOSEN: 0, UNJUDGED: 0}
    assert found.to_run == [mixed[alpha] for alpha in (0.5, 0.75, 0.9, 0.99)]
    assert not found.is_complete
    assert found.changed == {mixed[0.75]: ["dataset", "numerics"]}
    assert found.counts_of(STUDY.grids[0]) == found.counts
    assert found.counts_of(STUDY.grids[1]) == dict.fromkeys(STATES, 0) | {"done": 1, "diverged": 1}


@pytest.mark.parametrize("part", ["config", "dataset", "weights", "numerics"])
def test_each_part_of_the_identity_makes_a_record_stale(layout, record_of, part):
    for cell in STUDY.cells():
        record_of(cell)
    assert status(STUDY, layout, identities()).is_complete
    found = status(STUDY, layout, identities(**{part: "other"}))
    assert found.counts["stale"] == len(ALPHAS) == len(found.to_run)
    assert set(map(tuple, found.changed.values())) == {(part,)}


def test_nothing_is_stale_without_a_preparation(layout, mixed):
    found = status(STUDY, layout, None)
    assert found.states[mixed[0.75]] == "done" and found.changed == {}


@pytest.mark.parametrize("alpha", [0.5, 0.75])
def test_rerun_cell_is_running(layout, mixed, alpha):
    with held(layout, mixed[alpha]):
        assert status(STUDY, layout, identities()).states[mixed[alpha]] == "running"


def test_unheld_lock_is_ignored(layout):
    cell = STUDY.cells()[0]
    with held(layout, cell):
        pass
    assert layout.cell_lock(cell.id).exists()
    assert status(STUDY, layout, None).states[cell] == "missing"


def test_a_record_that_cannot_be_read_is_missing_and_named(layout, mixed):
    layout.record(mixed[0.1].id).write_text("{")
    found = status(STUDY, layout, identities())
    assert found.states[mixed[0.1]] == "missing"
    assert len(found.refused) == 1 and mixed[0.1].id in found.refused[0]


def test_study_that_was_never_run(layout):
    found = status(STUDY, layout, None)
    assert found.counts["missing"] == len(ALPHAS)
    assert found.to_run == STUDY.cells()
    assert not layout.root.exists(), "looking makes nothing"


def test_ten_thousand_cells(layout, record_of):
    num_settings, seeds = 5_000, 2
    settings = [
        Setting.of(loss="ce", alpha=number / num_settings) for number in range(num_settings)
    ]
    study = make_study(*settings, seeds=seeds)
    today = identities(study)
    first = study.cells()[0]
    record = asdict(record_of(first, run={"wall_seconds": 10.0}))
    for number, cell in enumerate(study.cells()[:3000]):
        fingerprint = today[cell].fingerprint if number < 2000 else ""
        changes = {"cell": cell.id, "seed": cell.seed, "fingerprint": fingerprint}
        layout.record(cell.id).write_text(json.dumps(record | changes))
    found = status(study, layout, today)
    assert found.counts == dict.fromkeys(STATES, 0) | {
        "done": 2000, "stale": 1000, "missing": 7000,
    }  # fmt: skip
    assert estimate(found).seconds == pytest.approx(8000 * 10.0)
    assert len(study.requested()) == seeds * (num_settings + 2)
