"""The time per iteration of cells that have not ended, and the plan that follows from it."""

import json
from dataclasses import replace

import pytest

from ablations.status.costs import estimate
from ablations.status.running_cells import IterationTime, iteration_times, seconds_per_iteration
from ablations.status.status import Status
from ablations.storage.layout import Layout
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from ablations.study.study import Study

COCO = {"depth": 50, "scale": 600}
FULL = {"SOLVER.MAX_ITER": 90_000, "SOLVER.IMS_PER_BATCH": 16}


def lines(*pairs):
    return "".join(json.dumps({"iteration": i, "time": t}) + "\n" for i, t in pairs)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        (lines((19, 0.5), (39, 0.5)), None),
        (lines((79, 0.5), (98, 0.5)), None),
        (lines((19, 9.0), (79, 0.5), (99, 0.7)), 0.7),
        (lines((19, 9.0), (79, 0.5), (99, 0.7)) + '{"iteration": 119, "ti', 0.7),
        (lines((99, 0.5)) + '{"iteration": 119}\n', 0.5),
        ('{"iteration": 119}\n', None),
        ('{"iteration": "x", "time": 1}\n', None),
        ("[1]\n\x00\n", None),
    ],
)
def test_seconds_per_iteration(tmp_path, text, seconds):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    assert seconds_per_iteration(path) == seconds


def test_no_file_is_no_measurement(tmp_path):
    assert seconds_per_iteration(tmp_path / "metrics.json") is None


@pytest.fixture
def status():
    rows = tuple(
        Row({}, Setting.of(COCO, loss="ce", alpha=a, **more))
        for a, more in ((0.1, {}), (0.2, {}), (0.3, {"depth": 101}))
    )
    study = Study("tiny", "", "tiny.yaml", "", (Grid("all", "", (), rows),), (1,), base=COCO)
    return Status(study, dict.fromkeys(study.cells(), "missing"), {}, [], {})


def test_a_cell_that_has_trained_100_iterations_takes_the_zoos_place(status, tmp_path):
    layout = Layout(tmp_path)
    first, *_ = status.states
    assert iteration_times(status, layout) == []
    layout.cell(first.id).mkdir(parents=True)
    layout.cell_metrics(first.id).write_text(lines((79, 0.4), (99, 0.4)))
    command = "projects/focal_star/train_net.py --num-gpus 4 SEED 1"
    layout.cell_fingerprint(first.id).write_text(json.dumps({"command": command}))
    found = iteration_times(status, layout)
    assert found == [IterationTime(first.setting.as_dict(), 0.4, 4)]
    by_zoo, measured = (estimate(status, FULL, 4, iteration_times=given) for given in ((), found))
    assert (by_zoo.running, measured.running) == (0, 1)
    shallow, deep = measured.kinds
    # 90,000 iterations of .4 s, and 5,000 images of .041 s at 600 of 800 px, on 4 GPUs.
    assert shallow.seconds == pytest.approx(90_000 * 0.4 + 5000 * 0.041 * 0.5625 / 4)
    assert (shallow.measured, deep.measured) == (2, 0)
    # Of the other network, the zoo's time is multiplied by the same factor.
    factor = shallow.seconds / by_zoo.kinds[0].seconds
    assert deep.seconds / by_zoo.kinds[1].seconds == pytest.approx(factor)


def test_a_finished_training_that_is_stale_is_no_unfinished_cell(status, tmp_path):
    layout, (first, second, _) = Layout(tmp_path), status.states
    for cell in (first, second):
        layout.cell(cell.id).mkdir(parents=True)
        layout.cell_metrics(cell.id).write_text(lines((99, 0.4)))
    found = replace(status, states=status.states | {first: "stale"})
    assert iteration_times(found, layout) == [IterationTime(second.setting.as_dict(), 0.4, 1)]


def test_linear_scaling_keeps_the_images(status):
    """With REFERENCE_WORLD_SIZE, one GPU trains four times the iterations of a quarter batch."""
    scaled = FULL | {"SOLVER.REFERENCE_WORLD_SIZE": 4}
    assert estimate(status, scaled, 1).seconds == pytest.approx(estimate(status, FULL, 1).seconds)
    first, *_ = status.states
    given = [IterationTime(first.setting.as_dict(), 0.2, 1)]
    seconds = estimate(status, scaled, 1, iteration_times=given).kinds[0].seconds
    assert seconds == pytest.approx(4 * 90_000 * 0.2 + 5000 * 0.041 * 0.5625)


def test_a_done_cell_goes_before_a_running_one(status, make_record):
    first, second, _ = status.states
    record = make_record(
        cell=first.id,
        setting=first.setting.as_dict(),
        status="done",
        command="train_net.py --num-gpus 1",
        run={"wall_seconds": 3600.0},
        result={"metrics": {"AP": 20.0}, "iterations": 90_000},
    )
    states = status.states | {first: "done"}
    found = Status(status.study, states, {first.id: record}, [], {})
    given = [IterationTime(second.setting.as_dict(), 9.0, 1)]
    assert estimate(found, FULL, 1, iteration_times=given).kinds[0].seconds == pytest.approx(3600)
