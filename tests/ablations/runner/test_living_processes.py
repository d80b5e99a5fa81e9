"""The lock of a cell, and processes that outlive their runner."""

import os
import signal
from dataclasses import replace

import pytest

from ablations.records import earlier
from ablations.records.record import DONE
from ablations.runner import cell_run as cell_runs
from ablations.runner.cell_run import CellRun
from ablations.storage.locks import is_running
from tests.ablations.processes import (
    children_of,
    end_of,
    is_alive,
    steps_of,
    wait_for,
    with_other_data,
)


@pytest.fixture
def start(job):
    """A function that starts a run of the cell; its processes are killed at the end."""
    runs = []

    def start(changed=None):
        runs.append(CellRun(changed or job))
        record = runs[-1].poll()
        assert record is None
        return runs[-1]

    yield start
    for cell_run in runs:
        cell_run.kill()


@pytest.mark.parametrize("text", ["", "garbage", "0", "99999999999999999999", "\x00"])
def test_a_lock_file_that_nobody_holds_is_taken_over(job, text):
    job.layout.cell_lock(job.cell.id).parent.mkdir(parents=True)
    job.layout.cell_lock(job.cell.id).write_text(text)
    assert not is_running(job.layout, job.cell.id)
    assert end_of(job).status == DONE


@pytest.fixture
def living(job, workplace, start):
    """A cell's process that waits for a file ``go`` and has no runner."""
    workplace.act({0.5: ["wait"]})
    start()
    path = workplace.root / "pids" / job.cell.id
    wait_for(path.exists)
    return int(path.read_text())


def test_a_living_process_is_waited_for(job, workplace, undisturbed, living):
    second = CellRun(job)
    for _ in range(5):
        assert second.poll() is None
    assert second.is_alive() and is_running(job.layout, job.cell.id)
    assert job.layout.cell_lock(job.cell.id).read_text() == f"{living} {os.uname().nodename}\n"
    (workplace.root / "go").touch()
    record = wait_for(second.poll)
    assert record.status == DONE and record.result == undisturbed
    assert workplace.started() == workplace.ended() == [job.cell.id], "it was not started twice"
    assert not second.is_alive() and not is_running(job.layout, job.cell.id)


def test_a_living_process_that_dies_is_started_again(job, workplace, undisturbed, living):
    second = CellRun(job)
    assert second.poll() is None
    os.kill(living, signal.SIGKILL)
    record = wait_for(second.poll)
    assert record.status == DONE and record.result == undisturbed
    assert steps_of(job) == [1, 2, 3, 4] and len(workplace.started()) == 2


def test_living_process_of_another_fingerprint_gets_its_own_record(job, workplace, living):
    other = with_other_data(job)
    other = replace(other, code=replace(job.code, commit="later"))
    second = CellRun(other)
    assert second.poll() is None
    (workplace.root / "go").touch()
    record = wait_for(second.poll)
    assert (record.identity["dataset"], record.run["commit"]) == ("other", "later")
    assert len(workplace.ended()) == 2 and steps_of(job) == [1, 2, 3, 4]
    # What the living process was started with, whatever run waited for it.
    kept = earlier.record_of(job.layout, job.cell.id, job.identity.fingerprint)
    assert (kept.identity, kept.run["commit"]) == (job.identity.as_dict(), "c0ffee")
    assert end_of(job) == kept and len(workplace.started()) == 2


@pytest.mark.parametrize("signalled", [CellRun.stop, CellRun.kill])
def test_a_living_process_of_another_run_can_be_ended(job, living, signalled):
    second = CellRun(job)
    assert second.poll() is None
    signalled(second)
    wait_for(lambda: not second.is_alive())


@pytest.mark.parametrize(
    "text", ["", "garbage", "{pid}", "0 {host}", "-1 {host}", "{pid} another", "{pid} {host} x"]
)
def test_lock_without_a_readable_holder(job, living, monkeypatch, text):
    text = text.format(pid=living, host=os.uname().nodename)
    job.layout.cell_lock(job.cell.id).write_text(text)
    second = CellRun(job)
    signals = []
    with monkeypatch.context() as patch:
        for name in ("kill", "killpg"):
            patch.setattr(cell_runs.os, name, lambda pid, number: signals.append(pid))
        second.stop()
        second.kill()
    assert second.is_alive() and signals == []


def test_stopped_process_resumes_later(job, workplace, start):
    workplace.act({0.5: ["hang"]})
    first = start()
    wait_for((workplace.root / "pids" / job.cell.id).exists)
    first.stop()
    wait_for(lambda: not first.is_alive())
    first.stop(), first.kill()  # what is dead takes no harm
    assert end_of(job).status == DONE and steps_of(job) == [1, 2, 3, 4]


def test_child_processes_are_killed_too(job, workplace, start):
    child = "import subprocess, sys; subprocess.run(['sleep', '600'])"
    workplace.train_net.write_text(child)
    first = start()
    pid = wait_for(lambda: children_of(first._process.pid))[0]
    first.kill()
    wait_for(lambda: not is_alive(pid))


def test_status_needs_no_write_permission(job, living):
    job.layout.cell_lock(job.cell.id).chmod(0o444)
    assert is_running(job.layout, job.cell.id)
