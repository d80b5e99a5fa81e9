"""The stage that measures the time per image, with a stand-in for the process that is timed."""

import json
import random
import signal
import threading
from dataclasses import replace

import pytest

from ablations.identity import machine
from ablations.records.speed import BASE, CONTROL, load, load_folder
from ablations.runner import speed as stage
from ablations.runner.request import RunError
from ablations.runner.run import run
from ablations.runner.speed import images_of, measure, rounds, rounds_of
from ablations.storage.locks import take
from ablations.study.cell import Cell, Setting
from ablations.study.grid import Grid, Row
from tests.ablations.speeds import sample


@pytest.fixture
def trained(workplace, monkeypatch):
    """A request of two losses and two depths, whose cells are done: 5 ms, and 8 ms for depth 34."""
    monkeypatch.setattr(machine, "describe", lambda: {"cpu": "Example CPU"})
    monkeypatch.setattr(stage, "MIN_IMAGES", 2)
    monkeypatch.setattr(stage, "IMAGES", 2)
    monkeypatch.setattr(stage, "MAX_ROUNDS", 10)
    request = workplace.request(0.5)
    values = [{"alpha": 0.25}, {"alpha": 0.5}, {"alpha": 0.25, "depth": 34}]
    rows = tuple(Row(v, Setting.of(loss="ce", **v)) for v in values)
    grids = (Grid("alpha", "Varying alpha", ("alpha",), rows, metrics=("AP", "ms_per_image")),)
    object.__setattr__(request.study, "grids", grids)
    workplace.prepared.weights["MODEL.RESNETS.DEPTH 34"] = {"path": "w34.pth", "sha256": "34" * 32}
    assert run(request) == 0
    for row in rows:
        cell = Cell(row.setting, 1)
        ms = "8.0" if "depth" in row.values else "5.0"
        request.layout.cell_weights(cell.id).write_text(ms, encoding="utf-8")
    return request


def found(request):
    (speed,), refused = load_folder(request.layout.speed)
    assert not refused
    return speed


def timed(workplace):
    """The cells of each process that timed something."""
    path = workplace.root / "timed.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def test_each_architecture_is_timed_once_and_one_is_the_control(trained, workplace, capsys):
    assert measure(trained) == 0
    speed = found(trained)
    assert timed(workplace) == [
        ["ce-alpha0.25-seed1", "ce-alpha0.25-depth34-seed1", "ce-alpha0.25-seed1"]
    ]
    assert list(speed.entries) == sorted(["depth34", BASE, CONTROL])
    assert speed.times["depth34"].ms_per_image == 8.0
    assert speed.times["depth34"].ratio == pytest.approx(1.6)
    assert speed.control.ratio == 1.0 and speed.reference == BASE
    assert (speed.rounds, speed.images, len(speed.attempts)) == (10, 2, 1)
    assert len(speed.attempts[0].samples[BASE][0].ms) == 2, "every time is kept"
    printed = capsys.readouterr().out
    assert "2 architectures and a control" in printed
    assert "10 rounds of 2 images each: about" in printed


def test_only_the_architectures_of_tables_with_times_are_timed(trained, workplace):
    (grid,) = trained.study.grids
    of_base, of_depth = replace(grid, rows=grid.rows[:2]), replace(grid, rows=grid.rows[2:])
    of_depth = replace(of_depth, name="depth", metrics=("AP",))
    object.__setattr__(trained.study, "grids", (of_base, of_depth))
    assert measure(trained, again=False) == 0
    assert list(found(trained).entries) == [BASE, CONTROL]


def test_without_a_table_of_times_they_are_measured_only_if_asked_for(trained, workplace, capsys):
    (grid,) = trained.study.grids
    object.__setattr__(trained.study, "grids", (replace(grid, metrics=("AP",)),))
    capsys.readouterr()
    assert measure(trained, again=False) == 0
    assert capsys.readouterr().out == "" and timed(workplace) == []
    assert measure(trained) == 0
    assert list(found(trained).entries) == sorted(["depth34", BASE, CONTROL])


def test_checkpoints_are_of_the_loss_that_most_architectures_have(trained, workplace):
    values = [{"alpha": 0.75}, {"alpha": 0.25}, {"alpha": 0.25, "depth": 34}]
    rows = tuple(Row(v, Setting.of(loss="ce", **v)) for v in values)
    object.__setattr__(trained.study, "grids", (Grid("other", "", ("alpha",), rows),))
    assert run(trained) == 0
    trained.layout.cell_weights(Cell(rows[0].setting, 1).id).write_text("9.0", encoding="utf-8")
    measure(trained)
    assert found(trained).entries[BASE].cell == "ce-alpha0.25-seed1", "though it is the second"


def test_it_is_measured_again_only_if_needed(trained, workplace, capsys):
    measure(trained)
    assert measure(trained, again=False) == 0
    assert len(timed(workplace)) == 1
    assert "measured before on this machine" in capsys.readouterr().out
    deep = Cell(trained.study.grids[0].rows[2].setting, 1)
    trained.layout.cell_weights(deep.id).write_text("8.2", encoding="utf-8")
    measure(trained)
    assert len(timed(workplace)) == 2
    assert "the times are 1.000 to 1.025 of those" in capsys.readouterr().out, "8.2 / 8 = 1.025"


def test_another_machine_measures_for_itself(trained, workplace, monkeypatch):
    measure(trained)
    monkeypatch.setattr(machine, "describe", lambda: {"cpu": "Another CPU"})
    measure(trained, again=False)
    assert len(timed(workplace)) == 2
    files, _ = load_folder(trained.layout.speed)
    assert {speed.machine["cpu"] for speed in files} == {"Example CPU", "Another CPU"}


def test_a_cell_that_was_trained_anew_is_timed_anew(trained, workplace):
    measure(trained)
    cell = Cell(trained.study.grids[0].rows[0].setting, 1)
    workplace.prepared.dataset["sha256"] = "new"
    trained.layout.prepared.unlink()
    run(trained)
    trained.layout.cell_weights(cell.id).write_text("6.0", encoding="utf-8")
    for row in trained.study.grids[0].rows[1:]:
        trained.layout.cell_weights(Cell(row.setting, 1).id).write_text("7.0", encoding="utf-8")
    measure(trained, again=False)
    assert found(trained).times[BASE].ms_per_image == 6.0


def test_architectures_of_earlier_grids_stay_in_the_rounds(trained, workplace):
    measure(trained)
    grid = trained.study.grids[0]
    fewer = Grid("alpha", grid.title, grid.columns, grid.rows[:1])
    object.__setattr__(trained.study, "grids", (fewer,))
    assert measure(trained, again=False) == 0
    assert len(timed(workplace)) == 1, "everything that is asked for is there"
    measure(trained)
    assert "depth34" in found(trained).times


def test_a_checkpoint_that_cannot_be_timed_costs_no_other(trained, workplace, capsys):
    broken = Cell(trained.study.grids[0].rows[2].setting, 1)
    trained.layout.cell_weights(broken.id).write_text("", encoding="utf-8")
    assert measure(trained) == 1
    speed = found(trained)
    assert set(speed.times) == {BASE, CONTROL}
    assert speed.not_timed == {"depth34": "it has no weights"}
    assert "depth34 is not timed: it has no weights" in capsys.readouterr().out


def test_an_architecture_without_a_checkpoint_is_named(trained):
    missing = Cell(trained.study.grids[0].rows[2].setting, 1)
    trained.layout.cell_weights(missing.id).unlink()
    assert measure(trained) == 1
    assert found(trained).not_timed == {"depth34": "none of its cells is done and has a checkpoint"}


def test_without_any_checkpoint_nothing_can_be_measured(workplace):
    request = workplace.request(0.5)
    grids = tuple(replace(grid, metrics=("ms_per_image",)) for grid in request.study.grids)
    object.__setattr__(request.study, "grids", grids)
    with pytest.raises(RunError, match="no cell has a checkpoint"):
        measure(request)
    assert measure(request, again=False) == 1, "a run has said why"


def test_a_process_that_dies_leaves_the_earlier_file(trained, workplace):
    measure(trained)
    before = found(trained)
    workplace.act({"speed": "crash"})
    with pytest.raises(RunError, match="no memory left"):
        measure(trained)
    assert found(trained) == before
    workplace.act({"speed": "done"})
    assert measure(trained) == 0, "the next command measures from the beginning"


def test_a_process_that_died_before_it_was_asked_is_named(trained, workplace):
    workplace.act({"speed": "last"})
    with pytest.raises(RunError, match=r"measures times has died \(output/tiny/speed.log\)"):
        measure(trained)


def test_an_interrupted_measurement_writes_nothing(trained, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "rounds", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(trained)
    assert not trained.layout.speed.exists()
    monkeypatch.undo()


def test_sigterm_interrupts_it_as_ctrl_c_does(trained, monkeypatch):
    def asked(*_):
        signal.raise_signal(signal.SIGTERM)
        threading.Event().wait(5)

    monkeypatch.setattr(stage, "rounds", asked)
    with pytest.raises(KeyboardInterrupt):
        measure(trained)


def test_a_run_and_a_measurement_do_not_meet(trained):
    with take(trained.layout.lock), pytest.raises(RunError, match="another run is at work"):
        measure(trained)


def test_a_busy_machine_is_measured_again_and_marked(trained, workplace, capsys):
    workplace.act({"speed": "busy"})
    assert measure(trained) == 0
    speed = found(trained)
    assert len(speed.attempts) == stage.MAX_ATTEMPTS
    # Half of the rounds take three times as long: 5 and 15, with the median 10.
    assert speed.times[BASE].spread == pytest.approx(1.0) and not speed.times[BASE].is_shown
    out = capsys.readouterr().out
    assert "quartiles of the rounds are up to 100 % of the median apart; measuring again" in out
    assert f"too noisy to be drawn: {BASE}, depth34, {CONTROL}" in out


def test_the_calm_attempt_counts_and_the_other_is_kept(trained, workplace):
    workplace.act({"speed": "busy once"})
    assert measure(trained) == 0
    speed = found(trained)
    assert (len(speed.attempts), speed.counted) == (2, 1)
    assert speed.times[BASE].ms_per_image == 5.0 and speed.times[BASE].spread == 0
    assert 15.0 in speed.attempts[0].medians(BASE)


def test_rounds_have_everything_once_in_an_order_of_their_own():
    calls = []
    names = [str(number) for number in range(8)]
    made = rounds(lambda name, images: calls.append((name, images)) or sample(1.0), names, 7, 12, 3)
    assert [name for order in made.orders for name in order] == [name for name, _ in calls]
    assert {images for _, images in calls} == {7}
    assert all(sorted(order) == names for order in made.orders)
    assert len({tuple(order) for order in made.orders}) == len(made.orders) == 12
    again = rounds(lambda *_: sample(1.0), names, 7, 12, 3)
    assert again.orders == made.orders
    assert rounds(lambda *_: sample(1.0), names, 7, 12, 4).orders != made.orders


def test_images_per_round_follow_from_the_time():
    # 10 rounds of 50 + 20 images of 20 architectures at 5 ms take 70 s.
    assert images_of([5.0] * 20, 80) == 50
    # At 8 ms, 80 s are 50 images per round, of which 20 warm up.
    assert images_of([8.0] * 20, 80) == 30
    assert images_of([500.0] * 20, 80) == stage.MIN_IMAGES
    assert images_of([10.0] * 20, 500) == 50


@pytest.mark.parametrize(("seconds", "number"), [(80, 10), (250, 25), (10_000, 40)])
def test_rounds_follow_from_the_time(seconds, number):
    assert rounds_of(10.0, seconds) == number


def test_a_long_training_is_followed_by_more_rounds(trained, monkeypatch):
    monkeypatch.setattr(stage, "MAX_ROUNDS", 13)
    monkeypatch.setattr(stage, "SECONDS", 1e-9)
    for seconds, number in ((0.0, 10), (1e5, 13)):
        for path in trained.layout.records.iterdir():
            record = json.loads(path.read_text())
            record["run"]["train_seconds"] = seconds
            path.write_text(json.dumps(record))
        measure(trained)
        assert found(trained).rounds == number
    speed = found(trained)
    assert len(speed.attempts[0].samples[BASE]) == 13
    assert speed.times["depth34"].ratio == pytest.approx(1.6)


def test_a_broken_file_of_this_machine_is_replaced(trained):
    measure(trained)
    (path,) = trained.layout.speed.iterdir()
    path.write_text("{", encoding="utf-8")
    assert measure(trained, again=False) == 0
    assert load(path).times[BASE].ms_per_image == 5.0


def test_a_cluster_s_cells_are_not_timed_on_the_machine_that_submits_them(trained, capsys):
    assert measure(replace(trained, engine="slurm"), again=False) == 0
    assert not trained.layout.speed.exists()
    assert "make speed" in capsys.readouterr().out


def test_the_order_is_of_a_generator_of_its_own(trained):
    random.seed(0)
    state = random.getstate()
    measure(trained)
    assert random.getstate() == state
