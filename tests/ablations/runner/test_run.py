import fcntl
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ablations.identity import snapshot
from ablations.identity.snapshot import Code
from ablations.records.record import DIVERGED, DONE, FAILED
from ablations.runner import run as runner
from ablations.runner.cell_run import CellRun
from ablations.runner.gpus import TooFewGpus
from ablations.runner.processes import ForkServer
from ablations.runner.request import RunError
from ablations.runner.run import run
from ablations.storage.layout import Layout
from ablations.study.slurm_options import SlurmOptions


def test_done_cells_are_recorded(workplace):
    request = workplace.request(0.5, 0.75, seeds=2)
    assert run(request) == 0
    cells = request.study.cells()
    records = workplace.records()
    assert workplace.started() == [cell.id for cell in cells]
    assert set(records) == {cell.id for cell in cells}
    for cell in cells:
        record = records[cell.id]
        assert (record.status, record.error) == (DONE, "")
        assert (record.setting, record.seed) == (cell.setting.as_dict(), cell.seed)
        assert record.result["metrics"]["AP"] == 10 + cell.seed, "the result is this cell's"
        assert record.dataset == workplace.prepared.dataset


def test_done_cells_are_not_run_again(workplace, capsys):
    request = workplace.request(0.5, 0.75)
    run(request)
    files = {path: path.read_bytes() for path in request.layout.records.iterdir()}
    started = workplace.started()
    assert run(request) == 0
    assert workplace.started() == started
    assert {path: path.read_bytes() for path in request.layout.records.iterdir()} == files
    assert "2 cells, 2 done, 0 to run\n" in capsys.readouterr().out


def test_only_missing_cells_are_run(workplace):
    run(workplace.request(0.5))
    run(workplace.request(0.25, 0.5, seeds=2))
    assert sorted(workplace.started()) == sorted(
        workplace.cell(alpha, seed).id for alpha in (0.25, 0.5) for seed in (1, 2)
    )


@pytest.mark.parametrize("part", ["config", "dataset", "weights"])
def test_stale_cells_are_run_again(workplace, capsys, part):
    request = workplace.request(0.5, 0.75)
    run(request)
    before = workplace.records()
    prepared = workplace.prepared
    {
        "config": prepared.config["SOLVER"],
        "dataset": prepared.dataset,
        "weights": prepared.weights[""],
    }[part]["BASE_LR" if part == "config" else "sha256"] = "other"
    (workplace.root / "config.json").write_text(json.dumps(prepared.config))
    capsys.readouterr()
    assert run(request) == 0
    assert f"0 done, 2 to run (2 stale: {part} changed)" in capsys.readouterr().out
    assert len(workplace.ended()) == 4, "no process resumed what was there"
    for cell, record in workplace.records().items():
        changed = {n for n, v in record.identity.items() if before[cell].identity[n] != v}
        assert changed == {part} and record.fingerprint != before[cell].fingerprint


def test_change_without_effect_runs_nothing_again(workplace):
    request = workplace.request(0.5)
    run(request)
    workplace.prepared.config["OUTPUT_DIR"] = "elsewhere"
    workplace.prepared.config["SOLVER"]["MAX_ITER"] = 500.0
    workplace.prepared.config["SOLVER"] = dict(
        reversed(workplace.prepared.config["SOLVER"].items())
    )
    workplace.prepared.weights[""]["path"] = "elsewhere/weights.pth"
    assert run(request) == 0
    assert len(workplace.started()) == 1


def test_a_cell_that_diverged_has_a_result(workplace):
    workplace.act({0.5: "diverged"})
    request = workplace.request(0.5)
    assert run(request) == 0
    record = workplace.records()[workplace.cell(0.5).id]
    assert (record.status, record.result["metrics"]["AP"]) == (DIVERGED, 0.0)
    assert run(request) == 0
    assert len(workplace.started()) == 1, "it would diverge again"


def test_failed_cell_does_not_affect_the_others(workplace, capsys):
    workplace.act({0.5: "crash"})
    assert run(workplace.request(0.25, 0.5, 0.75, retries=1)) == 1
    records = workplace.records()
    assert [records[workplace.cell(a).id].status for a in (0.25, 0.5, 0.75)] == [DONE, FAILED, DONE]
    assert "ended with exit code 1, in the last of 2 tries:\n" in (
        records[workplace.cell(0.5).id].error
    )
    shown = capsys.readouterr().out
    assert "ce-alpha0.5-seed1: its process died, restarted (1 so far)" in shown
    assert "[2/3] ce-alpha0.5-seed1: failed" in shown


def test_died_process_is_restarted(workplace, capsys):
    workplace.act({0.5: ["killed"]})
    assert run(workplace.request(0.25, 0.5, 0.75, jobs=2)) == 0
    assert {record.status for record in workplace.records().values()} == {DONE}
    assert workplace.records()[workplace.cell(0.5).id].run["attempts"] == 2
    assert capsys.readouterr().out.count("its process died") == 1


def test_failed_cell_resumes_from_its_checkpoint(workplace):
    workplace.act({0.5: "killed"})
    request = workplace.request(0.25, 0.5, retries=0)
    assert run(request) == 1
    workplace.act({})
    assert run(request) == 0
    assert workplace.started()[2:] == [workplace.cell(0.5).id]
    lines = request.layout.cell_metrics(workplace.cell(0.5).id).read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3, 4]
    assert workplace.records()[workplace.cell(0.5).id].status == DONE


def test_failure_leaves_no_earlier_result(workplace):
    request = workplace.request(0.5)
    run(request)
    workplace.prepared.dataset["sha256"] = "other"
    workplace.act({0.5: "crash"})
    assert run(request) == 1
    assert workplace.records()[workplace.cell(0.5).id].status == FAILED


@pytest.mark.parametrize("text", ["", '{"cell": "ce', "[]", "{}", "\x00\xff", "null"])
def test_broken_record_is_written_again_without_training(workplace, text):
    request = workplace.request(0.5)
    run(request)
    whole = workplace.records()
    request.layout.record(workplace.cell(0.5).id).write_bytes(text.encode("latin-1"))
    assert run(request) == 0
    assert len(workplace.started()) == 1
    assert workplace.records() == {
        cell: msgspec.structs.replace(record, run=workplace.records()[cell].run)
        for cell, record in whole.items()
    }


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff", "null"])
@pytest.mark.parametrize("name", ["study", "prepared", "lock", "prepare_log"])
def test_broken_study_file_is_written_again(workplace, name, text):
    request = workplace.request(0.5)
    run(request)
    path = getattr(request.layout, name)
    path.write_bytes(text.encode("latin-1"))
    assert run(request) == 0
    assert len(workplace.started()) == 1
    if name in ("study", "prepared"):
        assert isinstance(json.loads(path.read_text()), dict)


def test_no_more_than_jobs_cells_run_side_by_side(workplace, monkeypatch):
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


def test_running_cells_are_taken_over_first(workplace, monkeypatch, capsys):
    workplace.act({0.75: ["wait"]})
    request, cell, order = workplace.request(0.25, 0.5, 0.75), workplace.cell(0.75), []
    identity = workplace.prepared.identities([cell])[cell]
    job = runner._job(request, cell, identity, workplace.prepared, Code(workplace.root))
    of_earlier_run = CellRun(job)
    assert of_earlier_run.poll() is None

    class Watch(runner.Progress):
        def started(self, cell):
            order.append(cell)
            (workplace.root / "go").touch()
            super().started(cell)

    monkeypatch.setattr(runner, "Progress", Watch)
    assert run(request) == 0
    assert order == [workplace.cell(alpha).id for alpha in (0.75, 0.25, 0.5)]
    assert sorted(workplace.started()) == sorted(order), "each was started once"
    assert "1 already running, started by a run that was killed" in capsys.readouterr().out


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


def test_folder_is_locked_while_cells_run(workplace, monkeypatch):
    refusals = []

    class Second(runner.Progress):
        def started(self, cell):
            with pytest.raises(RunError) as refused:
                run(workplace.request(0.5))
            refusals.append(str(refused.value))

    monkeypatch.setattr(runner, "Progress", Second)
    assert run(workplace.request(0.5)) == 0
    assert len(refusals) == 1 and len(workplace.started()) == 1


def test_another_folder_can_run_at_the_same_time(workplace):
    request = workplace.request(0.5)
    other = Layout(Path("output/other"))
    other.root.mkdir(parents=True)
    with other.lock.open("a") as held:
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
    assert str(snapshot.CONFIGS / "tiny.yaml") in words
    pythons = str(Path(sys.executable).parent)
    subprocess.run(
        ["bash", "-c", record.command],
        env=os.environ | {"PATH": f"{pythons}:{os.environ['PATH']}"},
        check=True,
    )
    folder = Path(words[words.index("OUTPUT_DIR") + 1])
    assert folder != request.layout.cell(cell.id), "what the record came from is left alone"
    result = json.loads((folder / "result.json").read_text())["result"]
    assert result["metrics"] == record.result["metrics"]


def words_of(workplace, request, monkeypatch):
    """The arguments of the process of a cell."""
    (start,) = starts_of(request, monkeypatch)
    return start.arguments


def starts_of(request, monkeypatch):
    """The arguments of the processes of a run's cells."""
    starts = []

    def watched(real):
        def start(*server_and_start):
            starts.append(server_and_start[-1])
            return real(*server_and_start)

        return start

    with monkeypatch.context() as patch:
        patch.setattr(ForkServer, "start", watched(ForkServer.start))
        patch.setattr(runner, "start_new", watched(runner.start_new))
        run(request)
    return starts


def test_prepared_weights_reach_the_cell(workplace, monkeypatch):
    words = words_of(workplace, workplace.request(0.5), monkeypatch)
    for key, value in (
        ("MODEL.WEIGHTS", "output/cache/weights.pth"),
        ("CACHE_DIR", "output/cache"),
        ("DATASETS.CHECK", "False"),
    ):
        assert words[words.index(key) + 1] == value
    assert "--num-gpus" not in words


def test_user_data_and_gpus_reach_the_cell(workplace, monkeypatch):
    request = workplace.request(0.5, dataset=Path("data/own"), gpus=2)
    words = words_of(workplace, request, monkeypatch)
    assert words[words.index("DATASETS.FOLDER") + 1] == "data/own"
    assert words[words.index("--num-gpus") + 1] == "2"
    recorded = shlex.split(workplace.records()[workplace.cell(0.5).id].command)
    assert recorded[recorded.index("DATASETS.FOLDER") + 1] == "data/own"


def test_cells_side_by_side_have_their_own_gpus(workplace, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b,c,d,e")
    request = workplace.request(0.1, 0.2, 0.3, 0.4, jobs=2, gpus=2)
    starts = starts_of(request, monkeypatch)
    assert len(starts) == 4
    places = [start.environment["CUDA_VISIBLE_DEVICES"] for start in starts]
    assert places[:2] == ["a,b", "c,d"] and set(places) == {"a,b", "c,d"}
    for start in starts:
        assert start.arguments[start.arguments.index("--num-gpus") + 1] == "2"


def test_single_cell_has_all_gpus(workplace, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b")
    (start,) = starts_of(workplace.request(0.1, gpus=2), monkeypatch)
    assert "CUDA_VISIBLE_DEVICES" not in start.environment


def test_too_many_gpus_are_refused(workplace, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with pytest.raises(TooFewGpus, match="2 cells .* on 2 GPUs each need 4 GPUs, and there are 3"):
        run(workplace.request(0.1, jobs=2, gpus=2))
    assert workplace.started() == []
    assert run(workplace.request(0.1, gpus=2)) == 0
    assert run(workplace.request(0.1, jobs=2, gpus=2)) == 0, "nothing is to run"


def test_prepared_content_determines_the_cells(in_root):
    request = in_root.request(0.5)
    assert run(request) == 0
    assert run(request) == 0
    assert len(in_root.started()) == 1
    assert run(replace(request, dataset=Path("own"))) == 0
    assert len(in_root.started()) == 2, "other data, other result"


@pytest.mark.parametrize(
    ("name", "ending"),
    [("projects/focal_star/focal_star/losses/mine.py", "-dirty"), ("notes.txt", "")],
)
def test_new_files_of_the_code_are_part_of_the_commit(tmp_path, monkeypatch, name, ending):
    monkeypatch.setattr(snapshot, "ROOT", tmp_path)
    for command in ("init -q", "-c user.name=a -c user.email=b commit -q --allow-empty -m c"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    assert re.fullmatch(r"[0-9a-f]{12}", snapshot.commit())
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("")
    assert re.fullmatch(rf"[0-9a-f]{{12}}{ending}", snapshot.commit())


def test_outside_git_there_is_no_commit(workplace, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workplace.root.parent))
    assert snapshot.commit() == ""
    monkeypatch.setenv("PATH", "")
    assert snapshot.commit() == ""


def test_number_of_processes_is_part_of_the_fingerprint(workplace, capsys):
    workplace.act({0.5: "killed"})
    assert run(workplace.request(0.5, gpus=8, retries=0)) == 1
    cell, layout = workplace.cell(0.5).id, workplace.request(0.5).layout
    workplace.act({})
    assert run(workplace.request(0.5, gpus=4)) == 0
    record = workplace.records()[cell]
    assert record.identity["processes"] == 4 and record.run["resumed_at"] == []
    assert "1 earlier training run set aside" in capsys.readouterr().out
    # The one of eight goes on where it was.
    assert run(workplace.request(0.5, gpus=8)) == 0
    record = workplace.records()[cell]
    assert (record.identity["processes"], record.run["resumed_at"]) == (8, [2])
    assert json.loads(layout.study.read_text())["processes"] == 8


def test_one_gpu_and_cpu_are_one_process(workplace):
    run(workplace.request(0.5))
    run(workplace.request(0.5, gpus=1))
    assert len(workplace.started()) == 1
    slurm = SlurmOptions(gpus_per_node=4)
    request = workplace.request(0.5, engine="slurm")
    request = replace(request, study=replace(request.study, slurm=slurm))
    assert request.processes == 4 and replace(request, gpus=2).processes == 2


def test_data_changed_during_a_run_stop_later_cells(workplace, monkeypatch):
    path = workplace.root / "instances_val.json"
    path.write_text("{}")
    workplace.prepared.dataset["val"] = {"annotation_file": str(path)}

    class Edits(runner.Progress):
        def ended(self, record, seconds):
            path.write_text("[1]")
            super().ended(record, seconds)

    monkeypatch.setattr(runner, "Progress", Edits)
    assert run(workplace.request(0.5, 0.75)) == 1
    records = workplace.records()
    assert records[workplace.cell(0.5).id].status == DONE
    assert "instances_val.json changed" in records[workplace.cell(0.75).id].error


def test_config_outside_the_snapshot_is_watched(workplace):
    elsewhere = workplace.root / "mine" / "own.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(f"_BASE_: {workplace.root / snapshot.CONFIGS / 'tiny.yaml'}\n")
    request = workplace.request(0.5)
    study = replace(request.study, config=str(elsewhere))
    code = snapshot.take(request.layout)
    found = runner.config_files_beyond(code, study)
    assert [path.name for path in found] == ["own.yaml", "tiny.yaml"]
    assert runner.config_files_beyond(code, request.study) == []
