import fcntl
import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ablations import run as runner
from ablations.record import DIVERGED, DONE, FAILED
from ablations.run import RunError, run

REAL_PREPARE = runner._prepare


def test_done_cells_are_recorded(workplace):
    request = workplace.request(0.5, 0.75, seeds=2)
    assert run(request) == 0
    cells = request.study.cells()
    records = workplace.records()
    assert (
        workplace.started()
        == [cell.id for cell in cells]
        == list(dict.fromkeys(workplace.started()))
    )
    assert set(records) == {cell.id for cell in cells}
    for cell in cells:
        record = records[cell.id]
        assert (record.status, record.error) == (DONE, "")
        assert (record.setting, record.seed) == (cell.setting.as_dict(), cell.seed)
        assert record.result["metrics"]["AP"] == 10 + cell.seed, "the result is this cell's"
        assert record.dataset == workplace.prepared["dataset"]
        assert record.run["train_seconds"] == 1.5 and record.run["wall_seconds"] > 0


def test_what_is_done_is_not_run_again(workplace, capsys):
    request = workplace.request(0.5, 0.75)
    run(request)
    files = {path: path.read_bytes() for path in request.layout.records.iterdir()}
    started = workplace.started()
    assert run(request) == 0
    assert workplace.started() == started
    assert {path: path.read_bytes() for path in request.layout.records.iterdir()} == files
    assert "2 cells, 2 done, 0 to run\n" in capsys.readouterr().out


def test_only_what_is_missing_is_run(workplace):
    run(workplace.request(0.5))
    run(workplace.request(0.25, 0.5, seeds=2))
    assert sorted(workplace.started()) == sorted(
        workplace.cell(alpha, seed).id for alpha in (0.25, 0.5) for seed in (1, 2)
    )


@pytest.mark.parametrize("part", ["config_sha256", "dataset", "weights"])
def test_what_no_longer_holds_is_run_again(workplace, capsys, part):
    request = workplace.request(0.5, 0.75)
    run(request)
    before = workplace.records()
    if part == "config_sha256":
        workplace.prepared[part] = "other"
    else:
        workplace.prepared[part]["sha256"] = "other"
    capsys.readouterr()
    assert run(request) == 0
    assert "0 done, 2 to run (2 stale: what determines them has changed)" in capsys.readouterr().out
    assert len(workplace.started()) == 4
    for cell, record in workplace.records().items():
        assert record.fingerprint != before[cell].fingerprint


def test_a_cell_that_diverged_has_a_result(workplace):
    workplace.act({0.5: "diverged"})
    request = workplace.request(0.5)
    assert run(request) == 0
    record = workplace.records()[workplace.cell(0.5).id]
    assert (record.status, record.error) == (DIVERGED, "FloatingPointError: loss_cls is nan")
    assert record.result["metrics"]["AP"] == 0.0
    assert record.result["error_iteration"] == 37
    assert run(request) == 0
    assert len(workplace.started()) == 1, "it would diverge again"


def test_a_crash_is_recorded_and_the_others_go_on(workplace, capsys):
    workplace.act({0.5: "crash"})
    request = workplace.request(0.25, 0.5, 0.75)
    assert run(request) == 1
    records = workplace.records()
    assert [records[workplace.cell(a).id].status for a in (0.25, 0.5, 0.75)] == [DONE, FAILED, DONE]
    record = records[workplace.cell(0.5).id]
    assert "ended with exit code 1:\n" in record.error
    assert record.error.endswith("MemoryError: no room for the anchors"), "the log's end"
    assert "line 99" in record.error and "line 1\n" not in record.error, "the end alone"
    assert record.result == {}
    assert "[2/3] ce-alpha0.5-seed1: failed" in capsys.readouterr().out


def test_what_failed_is_tried_again(workplace):
    workplace.act({0.5: "crash"})
    request = workplace.request(0.25, 0.5)
    run(request)
    workplace.act({})
    assert run(request) == 0
    assert workplace.started()[2:] == [workplace.cell(0.5).id]
    assert workplace.records()[workplace.cell(0.5).id].status == DONE


@pytest.mark.parametrize("action", ["truncated", "a list", "half a result"])
def test_a_result_that_is_none_is_a_failure(workplace, action):
    workplace.act({0.5: action})
    assert run(workplace.request(0.5, 0.75)) == 1
    records = workplace.records()
    record = records[workplace.cell(0.5).id]
    assert (record.status, record.result) == (FAILED, {})
    assert "exit code 0" in record.error
    assert records[workplace.cell(0.75).id].status == DONE


def test_a_result_of_an_earlier_attempt_is_not_taken(workplace):
    request = workplace.request(0.5)
    run(request)
    workplace.prepared["config_sha256"] = "other"
    workplace.act({0.5: "crash"})
    assert run(request) == 1
    assert workplace.records()[workplace.cell(0.5).id].status == FAILED


@pytest.mark.parametrize("text", ["", '{"cell": "ce', "[]", "{}"])
def test_a_record_that_cannot_be_read_is_made_again(workplace, text):
    request = workplace.request(0.5)
    run(request)
    whole = workplace.records()
    request.layout.record(workplace.cell(0.5).id).write_text(text, encoding="utf-8")
    assert run(request) == 0
    assert (
        workplace.records()[workplace.cell(0.5).id].result == whole[workplace.cell(0.5).id].result
    )


def test_cells_run_side_by_side_and_no_more_than_asked_for(workplace, monkeypatch):
    # Each of the first two waits until it sees the other: one at a time would not end well.
    workplace.act({0.25: "meet", 0.5: "meet"})
    alive, most = set(), []

    class Watch(runner.Progress):
        def started(self, cell):
            alive.add(cell)
            most.append(len(alive))
            super().started(cell)

        def ended(self, record, seconds):
            alive.remove(record.cell)
            super().ended(record, seconds)

    monkeypatch.setattr(runner, "Progress", Watch)
    assert run(workplace.request(0.25, 0.5, 0.75, 0.9, 0.99, jobs=2)) == 0
    assert max(most) == 2
    assert [path.read_text() for path in (workplace.root / "met").iterdir()] == ["2", "2"]


def test_the_cores_are_shared(workplace, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    for jobs, alpha, threads in ((2, 0.25, 3), (4, 0.5, 1), (8, 0.75, 1)):
        run(workplace.request(alpha, jobs=jobs))
        record = workplace.records()[workplace.cell(alpha).id]
        assert record.run["environment"]["num_threads"] == str(threads)
        assert record.command.startswith(f"OMP_NUM_THREADS={threads} python ")


def test_a_second_run_in_the_folder_is_refused(workplace):
    request = workplace.request(0.5)
    request.layout.root.mkdir(parents=True)
    with request.layout.lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another run is at work in output/tiny"):
            run(request)
        assert workplace.started() == []
    assert run(request) == 0, "a lock that nobody holds is no hindrance"


def test_the_folder_is_held_while_cells_run(workplace, monkeypatch):
    refusals = []

    class Second(runner.Progress):
        def started(self, cell):
            with pytest.raises(RunError) as refused:
                run(workplace.request(0.5))
            refusals.append(str(refused.value))

    monkeypatch.setattr(runner, "Progress", Second)
    assert run(workplace.request(0.5)) == 0
    assert len(refusals) == 1 and len(workplace.started()) == 1


def test_another_folder_is_another_study(workplace):
    request = workplace.request(0.5)
    other = replace(request, layout=type(request.layout)(Path("output/other")))
    other.layout.root.mkdir(parents=True)
    with other.layout.lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run(request) == 0


def test_the_command_repeats_the_cell(workplace):
    request = workplace.request(0.5, seeds=2)
    run(request)
    cell = workplace.cell(0.5, 2)
    record = workplace.records()[cell.id]
    assert str(workplace.root) not in record.command
    words = shlex.split(record.command)
    assert not [word for word in words if word.startswith("/") or "=/" in word]
    overrides = cell.overrides()
    assert overrides and any(
        words[start : start + len(overrides)] == overrides for start in range(len(words))
    )
    assert str(runner.CONFIGS / "tiny.yaml") in words
    pythons = str(Path(sys.executable).parent)
    subprocess.run(
        ["bash", "-c", record.command],
        env=os.environ | {"PATH": f"{pythons}:{os.environ['PATH']}"},
        check=True,
    )
    folder = Path(words[words.index("OUTPUT_DIR") + 1])
    assert folder != request.layout.cell(cell.id), "what the record came from is left alone"
    assert json.loads((folder / "result.json").read_text())["result"] == record.result


def test_own_data_reach_the_cell(workplace):
    own = Path("data/own")
    run(workplace.request(0.5, dataset=own))
    words = shlex.split(workplace.records()[workplace.cell(0.5).id].command)
    assert words[words.index("DATASETS.FOLDER") + 1] == str(own)


def test_the_study_file_says_what_was_asked_for(workplace):
    request = workplace.request(0.5, seeds=2, dataset=Path("data/own"))
    run(request)
    content = json.loads(request.layout.study.read_text(encoding="utf-8"))
    assert (content["study"], content["grids"], content["seeds"]) == ("tiny", ["alpha"], 2)
    assert content["dataset"] == "data/own"
    assert shlex.split(content["command"]) == [
        "make", "ablations", "STUDY=tiny", "GRIDS=alpha", "SEEDS=2", "DATASET=data/own",
    ]  # fmt: skip


def test_outside_git_there_is_no_commit(workplace, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workplace.root.parent))
    assert runner.commit() == ""
    monkeypatch.setenv("PATH", "")
    assert runner.commit() == ""


@pytest.fixture
def preparing(workplace, monkeypatch):
    """The workplace with the real preparation, which calls the stand-in of focal_star.prepare."""
    monkeypatch.setattr(runner, "_prepare", REAL_PREPARE)
    return workplace


def test_what_was_prepared_is_kept_and_determines_the_cells(preparing):
    request = preparing.request(0.5)
    assert run(request) == 0
    prepared = json.loads(request.layout.prepared.read_text(encoding="utf-8"))
    assert prepared["config_sha256"] == str(request.config_file())
    assert prepared["weights"]["path"] == "output/cache/weights.pth"
    run(replace(request, dataset=Path("own")))
    assert len(preparing.started()) == 2, "other data, other result"


def test_data_that_cannot_be_used_are_one_message(preparing, capfd):
    preparing.act({"prepare": "refuse"})
    request = preparing.request(0.5)
    with pytest.raises(RunError) as refused:
        run(request)
    assert str(refused.value).strip() == (
        "own: 2 problems\n  - image 1 is missing\n  - box 7 is empty"
    )
    assert preparing.started() == [] and not request.layout.study.exists()
    assert capfd.readouterr().err == "", "the message comes with the error, not beside it"


def test_a_crash_of_the_preparation_shows_its_end(preparing):
    preparing.act({"prepare": "crash"})
    with pytest.raises(RunError) as refused:
        run(preparing.request(0.5))
    assert str(refused.value).startswith("preparing failed:\n")
    assert str(refused.value).endswith("MemoryError: no room for the images")
    assert preparing.started() == []


def test_what_an_earlier_run_prepared_is_not_taken(preparing):
    request = preparing.request(0.5)
    run(request)
    preparing.act({"prepare": "crash"})
    with pytest.raises(RunError):
        run(request)
    assert not request.layout.prepared.exists()
