import os
import subprocess
import sys
from pathlib import Path

import pytest

from ablations import __main__ as command
from ablations.run import RunError


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """The requests that reach the runner, which runs nothing."""
    requests = []
    monkeypatch.chdir(tmp_path)  # and back, after the command has gone to the root
    monkeypatch.setattr(command, "run", lambda request: requests.append(request) or 0)
    return requests


def test_an_unknown_study_is_one_line(asked, capsys):
    assert command.main(["--study", "mnii"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("ablations: ")
    assert "mnii" in lines[0] and "mini" in lines[0].replace("mnii", "")
    assert asked == []


def test_an_unknown_grid_is_one_line(asked, capsys):
    assert command.main(["--study", "mini", "--grids", "alpha gama"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "gama;" in lines[0] and "gamma_star" in lines[0]
    assert asked == []


@pytest.mark.parametrize("flag", ["--seeds", "--jobs"])
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", ""])
def test_a_number_that_is_none_is_refused(asked, capsys, flag, value):
    with pytest.raises(SystemExit) as refused:
        command.main(["--study", "mini", f"{flag}={value}"])
    assert refused.value.code == 2
    error = capsys.readouterr().err
    assert flag in error and "at least 1" in error and "_positive" not in error
    assert asked == []


def test_what_was_asked_for_reaches_the_runner(asked, monkeypatch):
    monkeypatch.chdir(command.ROOT)
    code = command.main(
        ["--study", "mini", "--grids", "gamma alpha", "--seeds", "2", "--jobs", "3"]
    )
    assert code == 0
    (request,) = asked
    assert [grid.name for grid in request.study.grids] == ["gamma", "alpha"]
    assert (request.study.seeds, request.jobs, request.dataset) == ((1, 2), 3, None)
    assert request.layout.root == Path("output/mini") and request.cache == Path("output/cache")


@pytest.mark.parametrize("grids", [[], ["--grids", ""], ["--grids", " "]])
def test_without_grids_the_study_has_its_own(asked, grids):
    command.main(["--study", "mini", *grids])
    assert len(asked[0].study.grids) > 1


def test_paths_mean_the_same_from_wherever_it_is_called(asked, tmp_path):
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
        (RunError("another run is at work"), 2, "another run is at work"),
        (PermissionError(13, "Permission denied", "output"), 2, "Permission denied: 'output'"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_stops_the_runner_is_one_line(asked, monkeypatch, capsys, error, code, words):
    def stop(request):
        raise error

    monkeypatch.setattr(command, "run", stop)
    assert command.main(["--study", "mini"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and words in lines[0]


def test_failed_cells_are_the_exit_code(asked, monkeypatch):
    monkeypatch.setattr(command, "run", lambda request: 1)
    assert command.main(["--study", "mini"]) == 1


def test_help():
    shown = subprocess.run(
        [sys.executable, "-m", "ablations", "--help"],
        cwd=command.ROOT,
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for flag in ("--study", "--grids", "--seeds", "--dataset", "--output", "--jobs"):
        assert flag in shown
