"""One cell, with a stand-in for train_net.py: its process ends, fails, dies or is replaced."""

import errno
import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ablations.identity import environment, snapshot
from ablations.records import earlier
from ablations.records.record import DIVERGED, DONE, FAILED, load
from ablations.runner import cell_run as cell_runs
from ablations.runner import processes
from ablations.runner.cell_run import CellRun
from ablations.runner.job import inputs_of
from ablations.storage.json_files import write_json
from ablations.storage.locks import is_running
from tests.ablations.processes import end_of, steps_of, wait_for, with_other_data


def test_cell_ends_with_a_done_record(job, workplace):
    cell_run = CellRun(job)
    assert workplace.started() == [], "nothing is started before the first poll"
    record = wait_for(cell_run.poll)
    assert load(job.layout.record(job.cell.id)) == record
    assert (record.status, record.error, record.cell) == (DONE, "", job.cell.id)
    assert (record.fingerprint, record.identity) == (
        job.identity.fingerprint, job.identity.as_dict(),
    )  # fmt: skip
    assert record.dataset == job.dataset
    assert record.run["attempts"] == 1 and record.run["commit"] == "c0ffee"
    assert record.run["wall_seconds"] > 0 and record.run["train_seconds"] == 1.5
    assert record.run["disk_bytes"] == sum(
        path.stat().st_size for path in job.layout.cell(job.cell.id).rglob("*") if path.is_file()
    )
    assert cell_run.attempts == 1 and not cell_run.is_alive()


def test_killed_process_resumes_from_its_checkpoint(job, workplace, undisturbed):
    workplace.act({0.5: ["killed", "killed"]})
    record = end_of(job)
    assert (record.status, record.run["attempts"]) == (DONE, 3)
    assert record.result == undisturbed, "to the bit"
    assert steps_of(job) == [1, 2, 3, 4], "no step was taken twice"
    assert workplace.ended() == [job.cell.id]
    assert record.run["wall_seconds"] == 1.5 + 0.5, "of training and evaluation, over all processes"


def test_a_restarted_process_keeps_freed_memory_as_well(job, workplace, monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    workplace.act({0.5: ["killed"]})
    note = "import os; print(os.environ.get('GLIBC_TUNABLES'), file=open('tunables.txt', 'a'))\n"
    workplace.train_net.write_text(note + workplace.train_net.read_text())
    assert end_of(job).run["attempts"] == 2
    lines = (workplace.root / "tunables.txt").read_text().splitlines()
    assert lines == [environment.KEPT_MEMORY] * 2


def test_retries_are_limited(job, workplace):
    workplace.act({0.5: "killed"})
    record = end_of(job)
    assert workplace.started() == [job.cell.id] * (1 + job.retries)
    assert (record.status, record.result) == (FAILED, {})
    assert record.error.startswith(
        f"the process ended with exit code -9 (SIGKILL), in the last of {1 + job.retries} tries:\n"
    )
    assert record.error.endswith("a line before the end")
    assert record.error.count("a line before the end") == 1, "only the last process's log"
    assert record.run["attempts"] == 1 + job.retries


def test_zero_retries_means_one_attempt(job, workplace):
    workplace.act({0.5: "crash"})
    record = end_of(replace(job, retries=0))
    assert workplace.started() == [job.cell.id]
    assert record.error.startswith("the process ended with exit code 1:\n")
    assert record.error.endswith("MemoryError: no room for the anchors")
    assert "line 99" in record.error and "line 1\n" not in record.error, "only the log's end"


def test_unusable_config_is_not_retried(job, workplace):
    workplace.act({0.5: "unusable"})
    record = end_of(job)
    assert workplace.started() == [job.cell.id]
    assert record.error == (
        "the process ended with exit code 2:\ntrain_net.py: error: config: MODEL.DEVICE is 'gpu'"
    )


def test_divergence_is_a_result(job, workplace):
    workplace.act({0.5: "diverged"})
    record = end_of(job)
    assert (record.status, record.error) == (DIVERGED, "FloatingPointError: loss_cls is nan")
    assert record.result["error_iteration"] == 37 and workplace.started() == [job.cell.id]


@pytest.mark.parametrize("action", ["truncated", "a list", "half a result"])
def test_broken_result_is_computed_again(job, workplace, undisturbed, action):
    workplace.act({0.5: [action]})
    record = end_of(job)
    assert (record.status, record.run["attempts"]) == (DONE, 2)
    assert record.result == undisturbed


@pytest.mark.parametrize("action", ["truncated", "a list", "half a result"])
def test_repeatedly_broken_result_is_a_failure(job, workplace, action):
    workplace.act({0.5: action})
    record = end_of(job)
    assert (record.status, record.result) == (FAILED, {})
    assert "exit code 0, in the last of 3 tries" in record.error


def test_process_killed_after_its_result_counts(job, workplace, undisturbed):
    workplace.act({0.5: "killed at the end"})
    record = end_of(job)
    assert record.status == DONE and record.result == undisturbed
    assert workplace.started() == [job.cell.id]


def test_a_result_without_a_record_is_recorded_without_training(job, workplace):
    expected = end_of(job)
    job.layout.record(job.cell.id).unlink()
    record = CellRun(job).poll()
    assert record.result == expected.result and record.status == DONE
    assert record.run["wall_seconds"] == 2.5, "as the process itself has it"
    assert workplace.started() == [job.cell.id]
    assert load(job.layout.record(job.cell.id)) == record


def test_files_of_another_fingerprint_are_set_aside_and_moved_back(job, workplace):
    workplace.act({0.5: ["killed"]})
    end_of(replace(job, retries=0))
    assert steps_of(job) == [1, 2]
    (job.layout.cell(job.cell.id) / "left_over").mkdir()
    other = with_other_data(job)
    record = end_of(other)
    assert record.status == DONE and record.identity["dataset"] == "other"
    assert steps_of(job) == [1, 2, 3, 4], "from the start"
    assert not (job.layout.cell(job.cell.id) / "left_over").exists()
    # And a result of another fingerprint is none.
    again = end_of(job)
    assert again.fingerprint == job.identity.fingerprint and again.run["resumed_at"] == [2]
    assert (job.layout.cell(job.cell.id) / "left_over").is_dir()
    assert len(workplace.ended()) == 2
    # Both are done: switching to and fro trains nothing, and gives the same records.
    assert end_of(other) == record and end_of(job) == again
    assert len(workplace.started()) == 3
    assert earlier.disk_use(job.layout)[0] == 1


def test_set_aside_files_are_not_overwritten(job, workplace):
    folder, log = job.layout.cell(job.cell.id), job.layout.cell_log(job.cell.id)
    for number in range(3):
        folder.mkdir(parents=True)
        log.write_text(f"training {number}")
        assert end_of(job).status == DONE
        folder.rename(workplace.root / f"done{number}")
    kept = sorted(job.layout.earlier.glob("*/*/cell/process.log"))
    assert [path.read_text() for path in kept] == [f"training {n}" for n in range(3)]
    assert {path.parts[-3] for path in kept} == {"unknown", "unknown-2", "unknown-3"}


def test_a_kill_between_two_moves_loses_nothing(job, workplace, monkeypatch):
    other, real = with_other_data(job), earlier._move
    first, second = end_of(job), end_of(other)

    class Killed(BaseException):
        pass

    for dies_at in range(4):
        moves = iter(range(9))

        def move(*paths, moves=moves, dies_at=dies_at):
            if next(moves) == dies_at:
                raise Killed
            real(*paths)

        with monkeypatch.context() as patch:
            patch.setattr(earlier, "_move", move)
            with pytest.raises(Killed):
                end_of(job)
        assert end_of(job) == first and end_of(other) == second
    assert len(workplace.started()) == 2


def test_files_that_cannot_be_set_aside_are_not_resumed(job, monkeypatch):
    end_of(job)

    def refuse(path, _):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(PermissionError):
            CellRun(with_other_data(job)).poll()
    assert end_of(job).status == DONE


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fingerprint": "another"}', "\x00\xff"])
def test_files_without_a_readable_fingerprint_are_set_aside(job, workplace, text):
    workplace.act({0.5: ["killed"]})
    end_of(replace(job, retries=0))
    job.layout.cell_fingerprint(job.cell.id).write_bytes(text.encode("latin-1"))
    assert end_of(job).status == DONE
    assert steps_of(job) == [1, 2, 3, 4]
    (kept,) = job.layout.earlier.glob("*/*/cell/metrics.json")
    assert len(kept.read_text().splitlines()) == 2


def test_the_record_says_what_the_process_was_started_with(job):
    first = end_of(job)
    job.layout.record(job.cell.id).unlink()
    later = replace(
        job, code=replace(job.code, commit="later", sha256="5a"), dataset={"name": "renamed"}
    )
    record = CellRun(later).poll()
    assert (record.run["commit"], record.dataset) == ("c0ffee", first.dataset)


def test_result_of_other_code_is_refused(job, workplace):
    planned = replace(job, code=replace(job.code, package_sha256="5a" * 32))
    record = end_of(planned)
    assert (record.status, record.result) == (FAILED, {})
    assert "trained with other sources of focal_star" in record.error and "5a5a5a" in record.error
    (kept,) = job.layout.earlier.glob("*/foreign/cell/result.json")
    assert str(kept.parent) in record.error
    # It is no result of any fingerprint: the next try trains from the beginning.
    assert end_of(job).status == DONE and len(workplace.ended()) == 2
    assert kept.exists()


def test_result_of_another_loss_is_refused(job, workplace):
    workplace.act({0.5: ["other loss", "diverged", "other loss"]})
    planned, own = (
        replace(job, identity=replace(job.identity, loss=code * 32)) for code in ("5a", "0b")
    )
    record = end_of(planned)
    assert (record.status, record.result) == (FAILED, {})
    assert "the code of the loss changed while the cell waited" in record.error
    assert "5a5a5a" in record.error and "0b0b0b" in record.error
    assert list(job.layout.earlier.glob("*/foreign/cell/result.json"))
    assert end_of(planned).status == DIVERGED, "a result that names no loss counts"
    assert end_of(own).status == DONE and len(workplace.started()) == 3


FOREIGN = {
    "alpha": ["MODEL.RETINANET.FOCAL_LOSS_ALPHA", "0.9"],
    "an axis that the setting leaves to the config": ["MODEL.RETINANET.PRIOR_PROB", "0.1"],
    "seed": ["SEED", "2"],
    "schedule": ["SOLVER.MAX_ITER", "10"],
}


def run_by_hand(job, workplace, pairs):
    """Run train_net.py in the cell's folder, with other values of the config."""
    folder = str(job.layout.cell(job.cell.id))
    words = [*job.arguments, *pairs, "OUTPUT_DIR", folder]
    env = os.environ | {"OMP_NUM_THREADS": "1"} | job.code.variables()
    subprocess.run([sys.executable, workplace.train_net, *words], check=True, env=env)


@pytest.mark.parametrize("pairs", FOREIGN.values(), ids=FOREIGN)
def test_a_result_of_another_config_is_set_aside_and_the_cell_trained(job, workplace, pairs):
    workplace.act({0.5: ["killed"]})
    assert end_of(replace(job, retries=0)).status == FAILED
    run_by_hand(job, workplace, pairs)
    record = end_of(job)
    assert record.status == DONE and len(workplace.started()) == 3
    assert record.run["resumed_at"] == [], "not from the checkpoint of the other config"
    (kept,) = job.layout.earlier.glob("*/foreign/cell/result.json")
    assert end_of(job).result == record.result and kept.exists()


def test_a_result_of_the_same_config_counts_whoever_started_it(job, workplace):
    workplace.act({0.5: ["killed"]})
    assert end_of(replace(job, retries=0)).status == FAILED
    run_by_hand(job, workplace, [])
    assert end_of(job).status == DONE and len(workplace.started()) == 2


def with_another_schedule(job):
    """The same cell with another config, fingerprint, and values that its config must have."""
    return replace(
        with_other_data(job),
        arguments=(*job.arguments, "SOLVER.MAX_ITER", "10"),
        config_values=job.config_values | {"SOLVER.MAX_ITER": 10},
    )


def test_a_mark_without_values_of_the_config_does_not_take_those_of_another_job(job, workplace):
    expected = end_of(job)
    job.layout.record(job.cell.id).unlink()
    path = job.layout.cell_fingerprint(job.cell.id)
    mark = json.loads(path.read_text())
    del mark["config_values"]
    write_json(path, mark)
    assert end_of(with_another_schedule(job)).status == DONE
    assert end_of(job).result == expected.result and len(workplace.started()) == 2


def test_a_recorded_training_stays_that_of_its_fingerprint(job, workplace):
    record, other = end_of(job), with_another_schedule(job)
    config = job.layout.cell_config(job.cell.id)
    config.write_text(json.dumps({"SEED": 2}))  # a person started train_net.py here and stopped it
    assert end_of(other).status == DONE and end_of(job) == record
    assert config.read_text() == json.dumps({"SEED": 2}), "its folder was moved back"
    assert len(workplace.started()) == 2


def test_a_process_that_trains_with_another_config_fails(job, workplace):
    other = replace(job, arguments=(*job.arguments, "SOLVER.MAX_ITER", "10"))
    record = end_of(other)
    assert (record.status, record.result) == (FAILED, {})
    assert "trained with another config: SOLVER.MAX_ITER is 10, not 500" in record.error
    (kept,) = job.layout.earlier.glob("*/foreign/cell")
    assert str(kept) in record.error
    assert end_of(job).status == DONE


def test_changed_data_are_not_trained_on(job, workplace):
    path = workplace.root / "instances_train.json"
    path.write_text("{}")
    job = replace(job, inputs=inputs_of([path, "there is no such file"]))
    path.write_text("[]")
    os.utime(path, ns=(1, 1))
    record = end_of(job)
    assert record.status == FAILED and workplace.started() == []
    assert "instances_train.json changed since this run read it" in record.error
    assert end_of(replace(job, inputs=inputs_of([path]))).status == DONE


def test_data_rewritten_with_equal_content_are_trained_on(job, workplace):
    path = workplace.root / "instances_train.json"
    path.write_text("{}")
    job = replace(job, inputs=inputs_of([path]))
    path.write_text("{}")
    os.utime(path, ns=(1, 1))
    assert end_of(job).status == DONE


INVALID_RESULTS = [
    "", '{"status": "do', "[]", "{}", "\x00", "null", '{"result": {}, "run": {}}',
    '{"status": "over", "error": "", "result": {}, "run": {}}',
    '{"status": "done", "error": null, "result": {}, "run": {}}',
    '{"status": "failed", "error": "", "result": {}, "run": {}}',
]  # fmt: skip


@pytest.mark.parametrize("text", INVALID_RESULTS)
def test_invalid_result_file_is_computed_again(job, workplace, text):
    expected = end_of(job)
    path = job.layout.cell_result(job.cell.id)
    path.write_text(text)
    job.layout.record(job.cell.id).unlink()
    record = end_of(job)
    assert path.with_name("result.broken.json").read_text() == text
    assert record.result == expected.result
    assert workplace.started() == [job.cell.id] * 2 and steps_of(job) == [1, 2, 3, 4]


def test_cells_on_another_disk_than_those_set_aside_are_named(job, monkeypatch):
    end_of(job)

    def rename(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(source), None, str(target))

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="cells and earlier must be on one disk: 'output/tiny/cells/"):
        CellRun(with_other_data(job)).poll()


def test_full_disk_loses_only_the_record(job, workplace, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(cell_runs, "save", full)
        with pytest.raises(OSError, match="No space left on device"):
            end_of(job)
    assert end_of(job).status == DONE
    assert workplace.started() == [job.cell.id], "the result was kept"


def test_full_disk_before_the_start_loses_nothing(job, workplace, monkeypatch):
    real = Path.open

    def full(path, *arguments, **options):
        if path.name == "process.log":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space left on device.*process.log"):
            CellRun(job).poll()
    assert workplace.started() == [] and not is_running(job.layout, job.cell.id)
    assert end_of(job).status == DONE


def test_unstartable_process_loses_nothing(job, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(processes.subprocess, "Popen", refuse)
        with pytest.raises(OSError, match="Resource temporarily unavailable"):
            CellRun(job).poll()
    assert not is_running(job.layout, job.cell.id)
    assert end_of(job).status == DONE


def test_command_can_be_typed_by_hand(job):
    words = shlex.split(end_of(job).command)
    assert words[:3] == [f"OMP_NUM_THREADS={job.threads}", "python", snapshot.TRAIN_NET]
    assert words[3:5] == ["--config-file", str(snapshot.CONFIGS / job.config)]
    assert "--resume" not in words and "DATASETS.CHECK" not in words
    assert words[-2:] == ["OUTPUT_DIR", f"output/tiny/repeated/{job.cell.id}"]
