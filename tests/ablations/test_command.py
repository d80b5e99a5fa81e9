import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ablations import __main__ as command
from ablations.identity import prepared as preparing
from ablations.identity.prepared import PrepareError
from ablations.runner.request import RETRIES, RunError
from ablations.storage.locks import take
from ablations.study.slurm_options import SlurmOptions


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """The requests to the runner, which runs nothing."""
    requests = []
    monkeypatch.chdir(tmp_path)  # and back, after the command has gone to the root
    monkeypatch.setattr(command, "run", lambda request: requests.append(request) or 0)
    return requests


def test_unknown_study_prints_one_line(asked, capsys):
    assert command.main(["--study", "mnii"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("ablations: ")
    assert "mnii" in lines[0] and "mini" in lines[0].replace("mnii", "")
    assert asked == []


def test_unknown_grid_prints_one_line(asked, capsys):
    assert command.main(["--study", "mini", "--grids", "alpha gama"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "gama;" in lines[0] and "gamma_star" in lines[0]
    assert asked == []


def test_seeds_of_a_grid_that_is_not_run_are_refused(asked, capsys):
    assert command.main(["--study", "mini", "--grids", "alpha", "--seeds", "1 gamma=3"]) == 2
    assert "--seeds names gamma, which this command does not run" in capsys.readouterr().err
    assert command.main(["--study", "mini", "--grids", "alpha gamma", "--seeds", "gamma=3"]) == 0
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("flag", "valid"), [("--seeds", "from 1 to 1000"), ("--jobs", "at least 1")]
)
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_invalid_number_is_refused(asked, capsys, flag, valid, value):
    with pytest.raises(SystemExit) as refused:
        command.main(["--study", "mini", f"{flag}={value}"])
    assert refused.value.code == 2
    error = capsys.readouterr().err
    assert flag in error and valid in error and "_positive" not in error
    assert asked == []


def test_options_reach_the_runner(asked, monkeypatch):
    monkeypatch.chdir(command.ROOT)
    code = command.main(
        ["--study", "mini", "--grids", "gamma alpha", "--seeds", "2", "--jobs", "3"]
    )
    assert code == 0
    (request,) = asked
    assert [grid.name for grid in request.study.grids] == ["gamma", "alpha"]
    assert (request.study.seeds, request.jobs, request.dataset) == ((1, 2), 3, None)
    assert (request.engine, request.retries, request.gpus) == ("local", RETRIES, 0)
    assert request.layout.root == Path("output/mini") and request.cache == Path("output/cache")


@pytest.mark.parametrize(("flags", "again"), [([], True), (["--if-needed"], False)])
def test_speed_is_measured_again_unless_it_is_needed_alone(asked, monkeypatch, flags, again):
    calls = []
    monkeypatch.setattr(command, "measure", lambda *own, **named: calls.append((own, named)) or 1)
    assert command.main(["speed", "--study", "mini", "--grids", "gamma", *flags]) == 1
    ((request,), named) = calls[0]
    assert [grid.name for grid in request.study.grids] == ["gamma"] and named == {"again": again}
    assert asked == [], "nothing is trained"


def test_engine_options_reach_the_runner(asked):
    command.main(["--study", "mini", "--engine", "slurm", "--retries", "0", "--gpus", "2"])
    (request,) = asked
    assert (request.engine, request.retries, request.gpus) == ("slurm", 0, 2)


@pytest.mark.parametrize(
    "flags", [["--engine", "cloud"], ["--retries", "-1"], ["--retries", "x"], ["--gpus", "-1"]]
)
def test_invalid_option_is_refused(asked, capsys, flags):
    with pytest.raises(SystemExit) as refused:
        command.main(["--study", "mini", *flags])
    assert refused.value.code == 2 and asked == []
    assert flags[0] in capsys.readouterr().err


@pytest.mark.parametrize("grids", [[], ["--grids", ""], ["--grids", " "]])
def test_default_grids_are_the_studys(asked, grids):
    command.main(["--study", "mini", *grids])
    assert len(asked[0].study.grids) > 1


def test_paths_are_relative_to_the_callers_folder(asked, tmp_path):
    command.main(["--study", "mini", "--output", "here", "--dataset", "own/"])
    (request,) = asked
    assert Path.cwd() == command.ROOT
    assert request.layout.root.resolve() == tmp_path / "here" / "mini-own"
    assert request.cache.resolve() == tmp_path / "here" / "cache"
    assert request.dataset.resolve() == tmp_path / "own"
    assert not request.dataset.is_absolute(), "what is recorded names no machine's folder"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PrepareError("own: 2 problems"), 2, "own: 2 problems"),
        (OSError(28, "No space left on device", "x.json"), 2, "No space left on device: 'x.json'"),
        (RunError("another run is at work"), 2, "another run is at work"),
        (PermissionError(13, "Permission denied", "output"), 2, "Permission denied: 'output'"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_runner_error_prints_one_line(asked, monkeypatch, capsys, error, code, words):
    def stop(request):
        raise error

    monkeypatch.setattr(command, "run", stop)
    assert command.main(["--study", "mini"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and words in lines[0]


def test_failed_cells_set_the_exit_code(asked, monkeypatch):
    monkeypatch.setattr(command, "run", lambda request: 1)
    assert command.main(["--study", "mini"]) == 1


def contents(folder):
    """File -> content, for all files of a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def study(workplace, monkeypatch):
    """A study of the workplace, for the command to run, plan and show."""
    monkeypatch.setattr(command, "ROOT", workplace.root)
    request = workplace.request(0.5, 0.75)
    monkeypatch.setattr(command, "load_study", lambda *_: request.study)
    return request


def test_plan_and_status_run_nothing(study, workplace, capsys):
    assert command.main(["plan", "--study", "tiny"]) == 0
    assert command.main(["status", "--study", "tiny"]) == 1
    shown = capsys.readouterr().out
    assert shown.count("tiny: 2 cells requested, 2 unique: 0 done") == 2
    assert workplace.started() == [] and not study.layout.root.exists()


def test_status_returns_zero_if_all_cells_are_done(study, workplace, capsys):
    assert command.main(["run", "--study", "tiny"]) == 0
    assert command.main(["status", "--study", "tiny"]) == 0
    assert "2 unique: 2 done, 0 failed, 0 stale, 0 missing" in capsys.readouterr().out
    workplace.act({0.5: "crash"})
    workplace.prepared.dataset["sha256"] = "other"
    assert command.main(["run", "--study", "tiny"]) == 1
    assert command.main(["status", "--study", "tiny"]) == 1
    shown = capsys.readouterr().out
    assert "failed: ce-alpha0.5-seed1: the process ended with exit code 1" in shown


def test_a_config_that_changed_makes_records_stale_in_the_plan(study, workplace, capsys):
    assert command.main(["run", "--study", "tiny"]) == 0
    workplace.prepared.config["SOLVER"]["BASE_LR"] = 0.5
    config = workplace.root / preparing.CONFIGS / "tiny.yaml"
    config.write_text("# changed")
    capsys.readouterr()
    assert command.main(["plan", "--study", "tiny"]) == 0
    shown = capsys.readouterr().out
    assert "The config's files have changed" in shown and "2 stale" in shown
    assert "stale: ce-alpha0.5-seed1: config" in shown
    assert len(workplace.started()) == 2


@pytest.mark.parametrize(
    ("flags", "part"),
    [(["--keys", "SOLVER.BASE_LR 0.5"], "config"), (["--weights", "own.pth"], "weights")],
)
def test_plan_says_what_a_run_with_the_same_keys_would_do(
    in_root, monkeypatch, capsys, flags, part
):
    monkeypatch.setattr(command, "ROOT", in_root.root)
    request = in_root.request(0.5)
    monkeypatch.setattr(command, "load_study", lambda *_: request.study)
    assert command.main(["run", "--study", "tiny"]) == 0
    capsys.readouterr()
    assert command.main(["plan", "--study", "tiny"]) == 0
    shown = capsys.readouterr().out
    assert "1 done" in shown and "resolving" not in shown
    assert command.main(["plan", "--study", "tiny", *flags]) == 0
    shown = capsys.readouterr().out
    assert "KEYS, WEIGHTS or the folder of the data have changed" in shown
    assert f"stale: ce-alpha0.5-seed1: {part}" in shown and "Nothing to run" not in shown
    assert command.main(["run", "--study", "tiny", *flags]) == 0
    assert len(in_root.started()) == 2
    capsys.readouterr()
    assert command.main(["plan", "--study", "tiny", *flags]) == 0
    assert command.main(["status", "--study", "tiny"]) == 0, "of the last run"
    shown = capsys.readouterr().out
    assert shown.count("1 done") == 2 and "resolving" not in shown


@pytest.mark.parametrize("what", ["plan", "status"])
def test_plan_and_status_write_nothing(in_root, monkeypatch, capsys, what):
    """Also if the config has changed: the real preparation then resolves it in a process."""
    monkeypatch.setattr(command, "ROOT", in_root.root)
    request = in_root.request(0.5)
    monkeypatch.setattr(command, "load_study", lambda *_: request.study)
    assert command.main(["run", "--study", "tiny"]) == 0
    config = json.loads((in_root.root / "config.json").read_text())
    config["SOLVER"]["BASE_LR"] = 0.5
    (in_root.root / "config.json").write_text(json.dumps(config))
    (in_root.root / preparing.CONFIGS / "tiny.yaml").write_text("# changed")
    capsys.readouterr()
    before = contents(request.layout.root)
    with take(request.layout.lock):
        # While a run is at work, its snapshot counts; what the run resolved is current.
        assert command.main([what, "--study", "tiny"]) == 0
        assert "1 done" in capsys.readouterr().out
    command.main([what, "--study", "tiny"])
    assert "stale: ce-alpha0.5-seed1: config" in capsys.readouterr().out
    assert contents(request.layout.root) == before


def test_status_uses_the_last_number_of_processes(study, capsys):
    assert command.main(["run", "--study", "tiny", "--gpus", "4", "--jobs", "1"]) == 0
    assert command.main(["status", "--study", "tiny"]) == 0
    assert command.main(["status", "--study", "tiny", "--gpus", "8"]) == 1
    assert "stale: ce-alpha0.5-seed1: processes" in capsys.readouterr().out
    # What would run is asked of the plan, as of the run.
    assert command.main(["plan", "--study", "tiny"]) == 0
    assert "2 stale" in capsys.readouterr().out


def test_status_shows_set_aside_trainings(study, workplace, capsys):
    assert command.main(["run", "--study", "tiny"]) == 0
    workplace.prepared.dataset["sha256"] = "other"
    assert command.main(["run", "--study", "tiny"]) == 0
    capsys.readouterr()
    assert command.main(["status", "--study", "tiny"]) == 0
    shown = capsys.readouterr().out
    assert "2 earlier training runs set aside, 0 MB in output/tiny/earlier" in shown


def write_last_run(output, folder, **content):
    (output / folder).mkdir(parents=True)
    (output / folder / "study.json").write_text(json.dumps(content), encoding="utf-8")


def test_status_is_that_of_the_last_run(tmp_path, capsys):
    asked = {"grids": ["gamma"], "seeds": "2", "schedule": 1.0}
    write_last_run(tmp_path, "mini", study="mini", dataset="", **asked)
    assert command.main(["status", "--output", str(tmp_path)]) == 1
    assert "mini: 14 cells requested, 14 unique" in capsys.readouterr().out
    for flags, number in ((["--seeds", "1"], 7), (["--grids", "alpha gamma"], 14)):
        assert command.main(["status", "--output", str(tmp_path), *flags]) == 1
        assert f"mini: {number} cells requested" in capsys.readouterr().out


def test_status_names_the_other_studies(tmp_path, capsys):
    write_last_run(tmp_path, "mini", study="mini", dataset="", grids=["gamma"])
    write_last_run(tmp_path, "own_cpu-my data", study="own_cpu", dataset="my data")
    write_last_run(tmp_path, "own_cpu-odd", study="own_cpu", dataset="a\x1b[2Jb")
    write_last_run(tmp_path, "own_cpu-other", study="own_cpu", dataset=3)
    assert command.main(["status", "--output", str(tmp_path)]) == 1
    line = "another study is in this folder: make status STUDY=own_cpu DATASET='my data'"
    others = [text for text in capsys.readouterr().out.splitlines() if text.startswith("another")]
    assert others == [f"{line} OUTPUT={os.path.relpath(tmp_path, command.ROOT)}"]
    assert command.main(["status", "--study", "mini", "--output", str(tmp_path)]) == 1
    assert "another study" not in capsys.readouterr().out


def test_a_broken_last_run_is_named(tmp_path, capsys):
    write_last_run(tmp_path, "mini", study="mini", dataset="", grids="gamma")
    assert command.main(["status", "--output", str(tmp_path)]) == 2
    assert "study.json: grids is 'gamma', not a list of names" in capsys.readouterr().err


@pytest.mark.parametrize("what", [[], ["run"], ["speed"], ["plan"], ["status"]])
def test_help(what):
    shown = subprocess.run(
        [sys.executable, "-m", "ablations", *what, "--help"],
        cwd=command.ROOT,
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for flag in ("--study", "--grids", "--seeds", "--dataset", "--output", "--jobs", "--engine"):
        assert flag in shown


def test_default_gpus_are_the_studys(asked, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")
    for flags, expected in (
        ([], (8, 1)),
        (["--gpus", "2"], (2, 4)),
        (["--gpus", "2", "--jobs", "3"], (2, 3)),
        (["--gpus", "0", "--jobs", "5"], (0, 5)),
    ):
        command.main(["--study", "coco", *flags])
        assert (asked[-1].gpus, asked[-1].jobs) == expected, flags


def test_plan_of_a_cluster_is_not_that_of_this_machine(study, monkeypatch, capsys):
    plans = []
    monkeypatch.setattr(command.overview, "print_plan", lambda *about: plans.append(about))
    for parallelism, expected in ((1, 1), (256, 2)):
        options = SlurmOptions(gpus_per_node=4, array_parallelism=parallelism)
        object.__setattr__(study.study, "slurm", options)
        assert command.main(["plan", "--study", "tiny", "--engine", "slurm"]) == 0
        _, _, side_by_side, gpus, *_ = plans.pop()
        assert (side_by_side, gpus) == (expected, 4)
    assert "JOBS" not in capsys.readouterr().out
    assert command.main(["plan", "--study", "tiny", "--engine", "slurm", "--jobs", "9"]) == 0
    assert plans.pop()[2] == 2
    shown = capsys.readouterr().out
    assert (
        "JOBS does not limit the cells on the cluster: array_parallelism in studies/tiny" in shown
    )


def test_doctor_gets_the_studys_needs(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(command, "doctor", lambda *a, **k: calls.append((a, k)) or 1)
    flags = ["--study", "coco", "--output", str(tmp_path)]
    assert command.main(["doctor", *flags]) == 1
    assert command.main(["doctor", *flags, "--engine", "slurm", "--gpus", "2"]) == 1
    (study, overrides), about = calls[0]
    assert study.name == "coco" and "CACHE_DIR" in overrides
    assert about["output"].resolve() == tmp_path / "coco" and about["gpus"] == 8
    assert about["disk_bytes"] > 10e9
    assert calls[1][1]["gpus"] == 0, "another machine runs the cells"
    assert command.main(["doctor", "--study", "mini", "--output", str(tmp_path)]) == 1
    assert calls[2][1]["gpus"] == 1, "asked for where its config is for a GPU"
