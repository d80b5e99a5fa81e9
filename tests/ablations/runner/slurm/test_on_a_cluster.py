"""Arrays on a real SLURM, whose processes are killed, cancelled and requeued."""

import json
import os
import signal
from pathlib import Path

import pytest

from ablations.records.record import DONE
from ablations.storage.locks import is_running

pytestmark = pytest.mark.slow


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def task_of(checkout, alpha) -> str:
    """SLURM's name of the cell's first task."""
    array = checkout.arrays()[0]
    return array.task_id(list(array.cells).index(checkout.cell(alpha)))


def assert_whole(checkout, alphas):
    """Every cell has its result and did every step exactly once."""
    records = checkout.records()
    assert set(records) == {checkout.cell(alpha) for alpha in alphas}
    assert {record.status for record in records.values()} == {DONE}
    assert sorted(checkout.lines("ended.txt")) == sorted(records)
    for cell in records:
        lines = checkout.layout.cell_metrics(cell).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3, 4]


def test_killed_cancelled_and_timed_out_tasks(cluster, checkout):
    timed_out, cancelled, killed, died, *others = alphas = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    submitter = checkout.submit(
        alphas,
        {
            timed_out: ["hang"],
            cancelled: ["hang"],
            killed: ["hang"],
            died: ["killed"],  # the cell's process, not its task
        },
    )
    submitter.pid(cancelled)
    assert cluster.call("scancel", task_of(checkout, cancelled)) == ""
    pid = submitter.pid(killed)
    os.kill(parent_of(pid), signal.SIGKILL)
    # Where SLURM does not find what a dead task leaves behind, the next waits for it to end.
    submitter.wait_for(lambda: "ce-alpha0.95-seed1" in checkout.lines("ended.txt"))
    if is_running(checkout.layout, checkout.cell(killed)):
        os.kill(pid, signal.SIGKILL)
    assert submitter.end() == 0, submitter.log()
    assert_whole(checkout, alphas)
    started = checkout.lines("started.txt")
    assert [started.count(checkout.cell(alpha)) for alpha in alphas] == [2, 2, 2, 2, 1, 1]
    first, *again = checkout.arrays()
    assert list(first.cells) == [checkout.cell(alpha) for alpha in alphas]
    log = cluster.call("scontrol", "show", "job", task_of(checkout, timed_out))
    assert "Restarts=1" in log, "the same task, from SLURM's own queue"
    lost = [cell for array in again for cell in array.cells]
    assert sorted(lost) == sorted(checkout.cell(alpha) for alpha in (cancelled, killed))


def test_signal_cancels_the_array_and_the_same_command_resumes(cluster, checkout):
    alphas = [0.1, 0.25, 0.5]
    submitter = checkout.submit(alphas, {alpha: ["hang"] for alpha in alphas[:2]})
    pids = [submitter.pid(alpha) for alpha in alphas[:2]]
    submitter.process.send_signal(signal.SIGTERM)
    assert submitter.end() == 130, submitter.log()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert cluster.call("squeue", "--noheader") == ""
    assert checkout.records() == {}
    again = checkout.submit(alphas, {alpha: ["hang"] for alpha in alphas[:2]})
    assert again.end() == 0, again.log()
    assert_whole(checkout, alphas)
    for alpha in alphas[:2]:
        assert checkout.records()[checkout.cell(alpha)].run["resumed_at"] == [2]


def test_a_submitter_dies_and_tasks_are_preempted(cluster, checkout):
    alphas = [0.1, 0.25, 0.5]
    first = checkout.submit(alphas, {alpha: ["hang"] for alpha in alphas[:2]})
    for alpha in alphas[:2]:
        first.pid(alpha)
    first.process.kill()
    (array,) = checkout.arrays()
    urgent = ("sbatch", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null")
    assert "Submitted" in cluster.call(*urgent, "--wrap=true")
    second = checkout.submit(alphas, {alpha: ["hang"] for alpha in alphas[:2]})
    assert second.end() == 0, second.log()
    assert "0 cells submitted, 3 already in the queue" in second.log()
    assert checkout.arrays() == [array], "SLURM has put the same tasks into its queue again"
    assert_whole(checkout, alphas)
    for alpha in alphas[:2]:
        assert checkout.records()[checkout.cell(alpha)].run["resumed_at"] == [2]


def test_cluster_refuses_options(cluster, checkout):
    checkout.env["SBATCH_RESERVATION"] = "none"
    submitter = checkout.submit([0.1, 0.25], {})
    assert submitter.end() == 2
    assert "2 cells cannot be submitted: sbatch: error:" in submitter.log()
    assert "Traceback" not in submitter.log()
