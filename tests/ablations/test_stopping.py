"""The runner in a process of its own, which is told to stop while its cells run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablations import __main__ as command
from ablations.cell import Layout
from ablations.plan import load_study
from ablations.record import DONE, load_folder

WAIT_SECONDS = 60
"""Only a test that is about to fail waits as long."""

RUNNER = """
import signal, sys
from pathlib import Path
from ablations import __main__ as command, run as runner
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" would have it ignored
command.ROOT = runner.ROOT = Path.cwd()
runner.TRAIN_NET = "train_net.py"
runner.POLL_SECONDS = 0.01
runner.STOP_SECONDS = float(sys.argv[1])
sys.exit(command.main(sys.argv[2:]))
"""


class Runner:
    """A runner at work on the mini study with the stand-in of train_net.py."""

    def __init__(self, root: Path, stop_seconds: float):
        self.root = root
        flags = ["--study", "mini", "--jobs", "2"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(stop_seconds), *flags],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(Path(command.__file__).parents[1])},
            stdout=(root / "runner.log").open("w"),
            stderr=subprocess.STDOUT,
        )

    def log(self) -> str:
        return (self.root / "runner.log").read_text(encoding="utf-8")

    def wait_for(self, path: str) -> Path:
        deadline = time.monotonic() + WAIT_SECONDS
        while not (self.root / path).exists():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, f"no {path}; {self.log()}"
            time.sleep(0.01)
        return self.root / path

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)


@pytest.fixture
def cells():
    return [cell.id for cell in load_study("mini").cells()]


@pytest.fixture
def start(workplace):
    runners = []

    def start(actions, stop_seconds=30.0):
        workplace.act(actions)
        runners.append(Runner(workplace.root, stop_seconds))
        return runners[-1]

    yield start
    for runner in runners:
        runner.process.kill()
        runner.process.wait()
    for path in (workplace.root / "pids").glob("*"):
        if is_alive(int(path.read_text())):
            os.kill(int(path.read_text()), signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be collected does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_cells_and_keeps_what_is_done(workplace, start, cells, number):
    first, *hanging = cells[:3]
    runner = start(dict.fromkeys(hanging, "hang"))
    layout = Layout(workplace.root / "output" / "mini")
    pids = [int(runner.wait_for(f"pids/{cell}").read_text()) for cell in hanging]
    assert all(is_alive(pid) for pid in pids)
    assert runner.stop(number) == 130
    assert not any(is_alive(pid) for pid in pids)
    records, refused = load_folder(layout.records)
    assert {cell: record.status for cell, record in records.items()} == {first: DONE}
    assert refused == [] and len(list(layout.records.iterdir())) == 1
    # Two start at once: which of them is first to say so is open.
    assert sorted(workplace.started()) == sorted(cells[:3]), "nothing was started after it"
    log = runner.log()
    assert "interrupted; the same command goes on from here" in log and "Traceback" not in log

    assert start({}).process.wait(WAIT_SECONDS) == 0
    assert sorted(workplace.started()[3:]) == sorted(cells[1:]), "what is done is not run again"
    assert set(load_folder(layout.records)[0]) == set(cells)


def test_a_second_ctrl_c_waits_no_longer(start, cells):
    runner = start({cells[0]: "deaf", cells[1]: "hang"}, stop_seconds=WAIT_SECONDS)
    pids = [int(runner.wait_for(f"pids/{cell}").read_text()) for cell in cells[:2]]
    runner.process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + WAIT_SECONDS
    while is_alive(pids[1]):  # until the runner has told the cells to stop
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert runner.process.poll() is None, "it waits for the one that does not listen"
    assert runner.stop(signal.SIGINT) == 130
    assert not is_alive(pids[0])


def test_a_cell_that_does_not_listen_is_killed(start, cells):
    runner = start({cells[0]: "deaf", cells[1]: "hang"}, stop_seconds=0.2)
    pids = [int(runner.wait_for(f"pids/{cell}").read_text()) for cell in cells[:2]]
    assert runner.stop(signal.SIGTERM) == 130
    assert not any(is_alive(pid) for pid in pids)


def test_a_signal_stops_the_preparation(workplace, start):
    runner = start({"prepare": "hang"})
    pid = int(runner.wait_for("pids/prepare").read_text())
    assert runner.stop(signal.SIGTERM) == 130
    assert not is_alive(pid)
    assert workplace.started() == []
