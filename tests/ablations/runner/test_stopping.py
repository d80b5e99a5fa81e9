"""The runner in a separate process, which is stopped or killed while its cells run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablations import __main__ as command
from ablations.records.record import DONE, load_folder
from ablations.runner import run as runner_module
from ablations.storage.layout import Layout
from ablations.study.study import load_study
from tests.ablations.processes import WAIT_SECONDS, is_alive, wait_for

RUNNER = """
import functools, signal, sys
from pathlib import Path
from ablations import __main__ as command
from ablations.identity import prepared, snapshot
from ablations.runner import job, processes, run as runner
from ablations.storage import layout
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" would have it ignored
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup this one
for module in (command, job, layout, prepared, processes, snapshot):
    module.ROOT = Path.cwd()
command.load_study = functools.partial(command.load_study, folder=Path.cwd())
runner.POLL_SECONDS = 0.01
runner.STOP_SECONDS = float(sys.argv[1])
sys.exit(command.main(sys.argv[2:]))
"""


class Runner:
    """A running runner on the workplace's study."""

    def __init__(self, root: Path, stop_seconds: float, what: str = "run"):
        self.root = root
        self.log_file = root / f"runner{len(list(root.glob('runner*')))}.log"
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(stop_seconds), what]
            + ["--study", "tiny", "--jobs", "2"],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(Path(command.__file__).parents[1])},
            stdout=self.log_file.open("w"),
            stderr=subprocess.STDOUT,
        )

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def wait_for(self, what) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not what():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.01)

    def pids(self, *names: str) -> list[int]:
        """The processes of cells, or of the preparation, as soon as all have started."""
        paths = [self.root / "pids" / name for name in names]
        self.wait_for(lambda: all(path.exists() for path in paths))
        return [int(path.read_text()) for path in paths]

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        return self.process.wait(WAIT_SECONDS)


@pytest.fixture
def cells(in_root):
    return [cell.id for cell in load_study("tiny", folder=in_root.root).cells()]


@pytest.fixture
def layout(in_root):
    return Layout(in_root.root / "output" / "tiny")


@pytest.fixture
def start(in_root):
    runners = []

    def start(actions, stop_seconds=30.0, what="run"):
        in_root.act(actions)
        runners.append(Runner(in_root.root, stop_seconds, what))
        return runners[-1]

    yield start
    for runner in runners:
        runner.process.kill()
        runner.process.wait()
    for path in (in_root.root / "pids").glob("*"):
        if is_alive(int(path.read_text())):
            os.kill(int(path.read_text()), signal.SIGKILL)


def wait_until_dead(*pids: int) -> None:
    wait_for(lambda: not any(is_alive(pid) for pid in pids))


def states(layout):
    records, refused = load_folder(layout.records)
    assert refused == [] and len(list(layout.records.glob("*"))) == len(records)
    return {cell: record.status for cell, record in records.items()}


def test_stopping_takes_less_than_ten_seconds():
    assert runner_module.STOP_SECONDS + 2 * runner_module.POLL_SECONDS < 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_stops_the_cells_and_keeps_their_work(in_root, layout, start, cells, number):
    first, *hanging = cells[:3]
    runner = start(dict.fromkeys(hanging, ["hang"]))
    pids = runner.pids(*hanging)
    assert all(is_alive(pid) for pid in pids)
    assert runner.stop(number) == 130
    assert not any(is_alive(pid) for pid in pids)
    assert states(layout) == {first: DONE}
    # Two start at once: which of them is first to say so is open.
    assert sorted(in_root.started()) == sorted(cells[:3]), "nothing was started after it"
    assert "interrupted; the same command resumes from here" in runner.log()
    assert "Traceback" not in runner.log()

    second = start(dict.fromkeys(hanging, ["hang"]))
    assert second.end() == 0, second.log()
    assert sorted(in_root.started()[3:]) == sorted(cells[1:]), "what is done is not run again"
    assert sorted(in_root.ended()) == sorted(cells)
    assert states(layout) == dict.fromkeys(cells, DONE)


def test_a_second_ctrl_c_waits_no_longer(start, cells):
    runner = start({cells[0]: "deaf", cells[1]: "hang"}, stop_seconds=WAIT_SECONDS)
    pids = runner.pids(*cells[:2])
    runner.process.send_signal(signal.SIGINT)
    wait_until_dead(pids[1])  # the runner has stopped the cells
    assert runner.process.poll() is None, "it waits for the one that does not listen"
    assert runner.stop(signal.SIGINT) == 130
    wait_until_dead(pids[0])


def test_cell_that_ignores_the_signal_is_killed(start, cells):
    runner = start({cells[0]: "deaf", cells[1]: "hang"}, stop_seconds=0.2)
    pids = runner.pids(*cells[:2])
    assert runner.stop(signal.SIGTERM) == 130
    wait_until_dead(*pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_preparation(in_root, start, number):
    runner = start({"prepare": "hang"})
    (pid,) = runner.pids("prepare")
    assert runner.stop(number) == 130
    wait_until_dead(pid)
    assert in_root.started() == []


def test_cells_of_a_runner_that_was_killed_are_waited_for(in_root, layout, start, cells):
    waiting = dict.fromkeys(cells[:2], ["wait"])
    first = start(waiting)
    pids = first.pids(*cells[:2])
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert all(is_alive(pid) for pid in pids), "they go on"

    second = start(waiting)
    second.wait_for(lambda: "2 already running" in second.log())
    (in_root.root / "go").touch()
    assert second.end() == 0, second.log()
    assert sorted(in_root.started()) == sorted(in_root.ended()) == sorted(cells), "each once"
    assert states(layout) == dict.fromkeys(cells, DONE)


@pytest.mark.parametrize("action", ["hang", "deaf"])
def test_a_signal_stops_cells_of_a_runner_that_was_killed(in_root, start, cells, action):
    hanging = dict.fromkeys(cells[:2], [action])
    first = start(hanging)
    pids = first.pids(*cells[:2])
    first.stop(signal.SIGKILL)
    second = start(hanging, stop_seconds=30.0 if action == "hang" else 0.2)
    second.wait_for(lambda: "2 already running" in second.log())
    assert second.stop(signal.SIGTERM) == 130, second.log()
    wait_until_dead(*pids)
    assert sorted(in_root.started()) == cells[:2]


def test_run_resumes_after_everything_was_killed(in_root, layout, start, cells):
    hanging = dict.fromkeys(cells[:2], ["hang"])
    first = start(hanging)
    pids = first.pids(*cells[:2])
    first.stop(signal.SIGKILL)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until_dead(*pids)
    second = start(hanging)
    assert second.end() == 0, second.log()
    assert sorted(in_root.ended()) == sorted(cells)
    for cell in cells[:2]:
        assert len(layout.cell_metrics(cell).read_text().splitlines()) == 4, "no step twice"


def test_second_runner_is_refused_but_status_works(in_root, start, cells):
    waiting = dict.fromkeys(cells[:2], ["wait"])
    first = start(waiting)
    first.pids(*cells[:2])
    second = start(waiting)
    assert second.end() == 2
    assert second.log() == "ablations: another run is at work in output/tiny; wait for it\n"
    status = start(waiting, what="status")
    assert status.end() == 1, "cells are still to be run"
    assert f"running: {cells[0]}: iteration 2" in status.log()
    (in_root.root / "go").touch()
    assert first.end() == 0, first.log()
    assert sorted(in_root.started()) == sorted(cells)
