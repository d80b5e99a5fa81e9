from pathlib import Path

import pytest

from ablations.status import overview, units
from ablations.status.costs import Estimate, Kind, estimate
from ablations.status.status import STATES, UNCHOSEN, UNJUDGED, Status
from ablations.storage.layout import Layout
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from ablations.study.study import Study

UNTUNED = tuple(state for state in STATES if state not in (UNCHOSEN, UNJUDGED))
"""The states that a study without tuned rows can have."""

ALPHAS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def study_of(*alphas, seeds=1):
    rows = tuple(Row({}, Setting.of(loss="ce", alpha=alpha)) for alpha in alphas)
    grids = (Grid("alpha", "", (), rows), Grid("both", "", (), rows[:2]))
    more = {"both": tuple(range(1, seeds + 2))}
    return Study("tiny", "", "tiny.yaml", "digits", grids, tuple(range(1, seeds + 1)), more)


@pytest.fixture
def mixed(make_record):
    """A cell in every state, a second seed of two cells, and the measured costs."""
    study = study_of(*ALPHAS)
    states = dict(zip(study.cells(), (*UNTUNED, "done", "missing"), strict=True))
    records = {
        cell.id: make_record(
            cell=cell.id,
            status=state if state in ("diverged", "failed") else "done",
            error="it ended\nand a log" if state == "failed" else "",
            result={"metrics": {"AP": 20.0}, "iterations": 100, "error_iteration": 37},
            run={"wall_seconds": 60.0, "train_seconds": 5.0, "disk_bytes": 3e6},
        )
        for cell, state in states.items()
        if state not in ("running", "missing")
    }
    stale = study.cells()[3]
    return Status(study, states, records, ["records/x.json: not a record"], {stale: ["dataset"]})


@pytest.fixture
def printed(capsys, monkeypatch):
    """A function that calls a function: the lines that it prints on 80 columns."""

    def printed(function, *arguments):
        monkeypatch.setenv("COLUMNS", "80")
        function(*arguments)
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return printed


def test_the_plan(mixed, printed):
    lines = printed(overview.print_plan, mixed, estimate(mixed), 2)
    assert lines[0] == (
        "tiny: 10 cells requested, 8 unique: 2 done, 1 diverged, 1 failed, 1 stale, 1 running, "
        "2 missing"
    )
    assert lines[1:4] == [
        "grid rows seeds cells done diverged failed stale running missing",
        "alpha 6 1 6 1 1 1 1 1 1",
        "both 2 2 4 2 1 0 0 0 1",
    ]
    # 5 to run of 60 s and 3 MB each, two side by side; 5 s for 100 iterations.
    assert lines[4] == (
        "5 cells to run: about 2 min 30 s with 2 side by side and 15 MB of disk, from 3 measured "
        "cells (50 ms per iteration)."
    )
    assert lines[5:] == ["stale: ce-alpha0.75-seed1: dataset"]


def test_some_states_are_shown_even_if_zero(mixed, printed):
    study = study_of(0.5)
    missing = Status(study, dict.fromkeys(study.cells(), "missing"), {}, [], {})
    lines = printed(overview.print_plan, missing, estimate(missing), 1)
    assert lines[0] == ("tiny: 3 cells requested, 2 unique: 0 done, 0 failed, 0 stale, 2 missing")
    assert lines[-1] == "2 cells to run; no cell has been measured here yet."
    by_data = printed(
        lambda *args: overview.print_plan(*args, training_seconds=600.0),
        missing, estimate(missing), 4,
    )  # fmt: skip
    assert by_data[-1].startswith(
        "2 cells to run: about 5 min 00 s of training with 4 side by side"
    )
    done = Status(study, dict.fromkeys(study.cells(), "done"), {}, [], {})
    assert printed(overview.print_plan, done, estimate(done), 1)[-1] == "Nothing to run."


def test_the_plan_of_a_study_on_gpus(mixed, printed):
    kinds = (
        Kind("retinanet", 50, 600, 2, 7200.0, 0),
        Kind("retinanet", 101, 600, 1, 14_400.0, 0),
    )
    found = Estimate(3, 28_800.0, None, 3e9, 1e9, 0, kinds, zoo=True)
    lines = printed(overview.print_plan, mixed, found, 2, 4)[4:]
    assert lines[0] == (
        "3 cells to run: about 32 GPU-hours (V100), which is 4 h 00 min with 2 side by side on 4 "
        "GPUs each, and 3.0 GB of disk (2.0 GB more while they run)."
    )
    assert lines[1:4] == [
        "detector depth short edge cells per cell GPU-hours from",
        "retinanet 50 600 px 2 2 h 00 min 16 model zoo",
        "retinanet 101 600 px 1 4 h 00 min 16 model zoo",
    ]
    assert "retinanet 50: 0.205 s, retinanet 101: 0.291 s" in lines[4]
    assert "The first cell takes the zoo's place after 100 iterations" in lines[4]


def test_plan_distinguishes_measured_from_estimated_cells(mixed, printed):
    kinds = (
        Kind("retinanet", 18, 128, 2, 60.0, 2),
        Kind("retinanet", 18, 168, 3, 100.0, 1),
        Kind("retinanet", 34, 128, 1, 90.0, 0),
    )
    found = Estimate(6, 510.0, 0.05, None, 0, 4, kinds, zoo=False)
    lines = printed(overview.print_plan, mixed, found, 1)[4:]
    assert lines[0] == (
        "6 cells to run: about 8 min 30 s with 1 side by side, from 4 measured cells (50 ms per "
        "iteration)."
    )
    assert lines[2:5] == [
        "retinanet 18 128 px 2 1 min 00 s measured",
        "retinanet 18 168 px 3 1 min 40 s 1 measured",
        "retinanet 34 128 px 1 1 min 30 s others, measured",
    ]


def test_the_status(mixed, tmp_path, printed):
    layout = Layout(tmp_path)
    lines = printed(overview.print_status, mixed, layout)
    assert lines[0].startswith("tiny: 10 cells requested, 8 unique: ")
    running = mixed.study.cells()[4].id
    assert lines[4:] == [
        f"running: {running}: starting",
        "failed: ce-alpha0.5-seed1: it ended and a log",
        "diverged: ce-alpha0.25-seed1: diverged at iteration 37",
        "stale: ce-alpha0.75-seed1: dataset",
        "refused: records/x.json: not a record",
    ]
    layout.cell(running).mkdir(parents=True)
    layout.cell_metrics(running).write_text('{"iteration": 39, "loss_cls": 0.12345}\n')
    assert f"running: {running}: iteration 39, loss_cls 0.123" in printed(
        overview.print_status, mixed, layout
    )


def test_metrics_line_without_a_loss(mixed, tmp_path, printed):
    layout = Layout(tmp_path)
    running = mixed.study.cells()[4].id
    layout.cell(running).mkdir(parents=True)
    layout.cell_metrics(running).write_text('{"iteration": 500, "bbox/AP": 20.0}\n')
    assert f"running: {running}: iteration 500" in printed(overview.print_status, mixed, layout)


def test_a_failed_record_without_a_message(make_record, printed):
    study = study_of(0.5)
    cell, *others = study.cells()
    records = {cell.id: make_record(cell=cell.id, error="")}
    found = Status(study, {cell: "failed"} | dict.fromkeys(others, "missing"), records, [], {})
    lines = printed(overview.print_status, found, Layout(Path("x")))
    assert f"failed: {cell.id}: the record has no error message" in lines


def test_long_lists_are_cut(make_record, printed):
    study = study_of(*(number / 100 for number in range(overview.MAX_LINES + 5)))
    states = dict.fromkeys(study.cells(), "failed")
    records = {cell.id: make_record(cell=cell.id, error="it ended") for cell in states}
    lines = printed(
        overview.print_status, Status(study, states, records, [], {}), Layout(Path("x"))
    )
    named = [line for line in lines if line.startswith("failed: ce-")]
    assert len(named) == overview.MAX_LINES
    assert lines[-1] == f"failed: and {len(states) - overview.MAX_LINES} more"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 MB"), (15.4e6, "15 MB"), (1.9e9, "1900 MB"), (2.35e9, "2.4 GB")]
)
def test_sizes(number, text):
    assert units.megabytes(number) == text
