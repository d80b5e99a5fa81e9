"""A task runs its cell and handles the signals that SLURM sends."""

import multiprocessing
import os
import pickle
import signal
import sys
import time
from pathlib import Path

import pytest

from ablations.identity.snapshot import Code
from ablations.records.record import DONE
from ablations.runner import slurm
from ablations.runner.run import _job
from ablations.runner.slurm import CellTask
from ablations.storage.locks import is_running

WAIT_SECONDS = 60
"""The max wait, which only a failing test reaches."""

REQUEUED = 7


@pytest.fixture
def job(workplace):
    request, cell = workplace.request(0.5), workplace.cell(0.5)
    identity = workplace.prepared.identities([cell])[cell]
    return _job(request, cell, identity, workplace.prepared, Code(workplace.root))


@pytest.fixture
def start(job, workplace, monkeypatch):
    """A function that starts the task in a process; SLURM reports this state of it."""
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.01)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    started = []

    def requeue(*_):
        """Replaces submitit's class."""
        sys.exit(1 if is_running(job.layout, job.cell.id) else REQUEUED)

    def in_process():
        signal.signal(signal.SIGUSR2, requeue)
        CellTask(job)()

    def start(state, action):
        monkeypatch.setattr(slurm, "state_of", lambda task_id: state)
        workplace.act({0.5: action})
        started.append(multiprocessing.get_context("fork").Process(target=in_process))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()
    for path in Path("pids").glob("*"):
        if is_running(job.layout, path.name):
            os.kill(int(path.read_text()), signal.SIGKILL)


def pid_of_cell(job) -> int:
    path = Path("pids") / job.cell.id
    deadline = time.monotonic() + WAIT_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())


def end(process) -> int:
    process.join(WAIT_SECONDS)
    return process.exitcode


def test_a_cell_is_run(job, workplace, start):
    assert end(start("RUNNING", "done")) == 0
    assert workplace.records()[job.cell.id].status == DONE


def test_before_the_time_limit_the_cell_stops_and_the_task_is_requeued(job, workplace, start):
    task = start("RUNNING", ["hang"])
    pid_of_cell(job)
    os.kill(task.pid, signal.SIGUSR2)
    assert end(task) == REQUEUED
    assert workplace.records() == {}
    assert end(start("RUNNING", ["hang"])) == 0
    assert workplace.records()[job.cell.id].run["resumed_at"] == [2]


@pytest.mark.parametrize(
    ("state", "code"),
    [("RUNNING", REQUEUED), ("COMPLETING", 143), ("PENDING", 143), ("", 143)],
)
def test_terminated_task_is_requeued_unless_cancelled(job, start, state, code):
    task = start(state, "hang")
    pid_of_cell(job)
    os.kill(task.pid, signal.SIGTERM)
    assert end(task) == code
    assert not is_running(job.layout, job.cell.id)


def test_signal_to_the_task_does_not_end_the_cell(job, start):
    task = start("RUNNING", "hang")
    pid = pid_of_cell(job)
    status = Path(f"/proc/{pid}/status").read_text().split("\n")
    (blocked,) = [int(line.split()[1], 16) for line in status if line.startswith("SigBlk:")]
    assert blocked == 1 << (signal.SIGUSR2 - 1), "and it hears all others"
    os.kill(pid, signal.SIGUSR2)
    os.kill(task.pid, signal.SIGTERM)
    assert end(task) == REQUEUED


def test_requeued_task_has_the_same_cell(job):
    task = pickle.loads(pickle.dumps(CellTask(job)))
    again = task.checkpoint()
    assert again.function.job == job and (again.args, again.kwargs) == ((), {})
