"""The job arrays of a study: which SLURM task runs which cell, and the state of each task.

submitit submits the arrays. Their states come from squeue, not from submitit. submitit asks sacct,
which needs an accounting database that many clusters do not have, and it cannot find an array whose
submitter died before the cluster returned the id.
"""

import re
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from submitit import AutoExecutor
from submitit.core.utils import JobPaths

from ablations.runner.job import Job
from ablations.runner.request import RunError
from ablations.storage.json_files import write_json
from ablations.storage.layout import tail

MAX_CELLS = 1000
"""The maximum number of cells in an array; this is the usual limit of clusters."""

MAX_TIMEOUTS = 100
"""The maximum number of times that a cell reaches the time limit and is requeued."""

STOP_SECONDS = 8.0
LOOK_SECONDS = 0.5

ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
}  # fmt: skip
"""SLURM's states of a task that has ended."""

GONE = "GONE"
"""The state of a task that SLURM does not list."""


class Task(NamedTuple):
    """SLURM's state and exit code of a cell's task."""

    state: str
    exit_code: str = "unknown"

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED or self.state == GONE


class Array(msgspec.Struct):
    """A job array.

    Attributes:
        name: the unique name of SLURM's job.
        cells: cell id -> fingerprint, in the order of the tasks.
        job_id: SLURM's id; None until it is known.
    """

    name: str
    cells: dict[str, str]
    job_id: str | None = None

    def task_id(self, index: int) -> str:
        """SLURM's name of a task; an array of one cell is a plain job."""
        return f"{self.job_id}_{index}" if len(self.cells) > 1 else str(self.job_id)


class Arrays:
    """The arrays of a study's folder, including those of an earlier run that died.

    An array is written to ``arrays.json`` before it is submitted. Its state is queried by its name,
    so that a later run finds every array on the cluster.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._file = folder / "arrays.json"
        try:
            self._arrays = msgspec.json.decode(self._file.read_bytes(), type=list[Array])
        except (OSError, ValueError, RecursionError):
            self._arrays = []
        self._tasks: dict[tuple[str, int], Task] = {}

    def look(self) -> None:
        """Query the cluster for the states of the tasks.

        Raises:
            RunError: the cluster does not answer; the last known states are kept.
        """
        if not self._arrays:
            return
        by_name = {array.name: array for array in self._arrays}
        listed = _call(
            "squeue", "--me", "--array", "--noheader", "--states=all",
            "--name=" + ",".join(by_name),
            "--Format=Name:100,ArrayJobID:20,ArrayTaskID:20,State:20,exit_code:20",
        )  # fmt: skip
        self._tasks = {}
        for line in listed.splitlines():
            name, job_id, index, state, exit_code = line.split()
            by_name[name].job_id = job_id
            self._tasks[name, int(index) if index.isdecimal() else 0] = Task(state, exit_code)

    def task(self, job: Job) -> Task:
        """The cell's latest task at the last :meth:`look`."""
        array, index = self._place(job)
        return self._task(array, index) if array else Task(GONE)

    def describe_end(self, job: Job) -> str:
        """The end of the cell's latest task, and the last lines of its logs."""
        array, index = self._place(job)
        assert array is not None, f"{job.cell.id} was never submitted"
        task, paths = self._task(array, index), JobPaths(self._folder, array.task_id(index))
        logs = [paths.stderr, job.layout.cell_log(job.cell.id)]
        ends = [tail(log.read_text(errors="replace")) for log in logs if log.exists()]
        ended = f"SLURM's task {paths.job_id} ended as {task.state}, exit code {task.exit_code}"
        return "\n".join([f"{ended}, without a result:", *ends])

    def submit(
        self,
        study: str,
        jobs: list[Job],
        make_task: Callable[[Job], Callable[[], None]],
        parameters: dict[str, Any],
    ) -> None:
        """Put cells into the cluster's queue.

        Args:
            study: a part of the arrays' names.
            jobs: one job per cell.
            make_task: job -> the function that its task calls.
            parameters: submitit's parameters.

        Raises:
            RunError: the cluster refuses an array; the arrays before it are in the queue.
        """
        for start in range(0, len(jobs), MAX_CELLS):
            part = jobs[start : start + MAX_CELLS]
            name = re.sub(r"[^\w.-]", "_", study)[:60] + "-" + uuid.uuid4().hex[:12]
            array = Array(name, {job.cell.id: job.identity.fingerprint for job in part})
            self._arrays.append(array)
            self._write()
            try:
                executor = AutoExecutor(
                    self._folder, cluster="slurm", slurm_max_num_timeout=MAX_TIMEOUTS
                )
                executor.update_parameters(name=name, **parameters)
                with executor.batch():
                    submitted = [executor.submit(make_task(job)) for job in part]
            except RuntimeError as error:
                queued = f"; {start} are in the queue" if start else ""
                raise RunError(
                    f"{len(jobs) - start} cells cannot be submitted: {error}{queued}"
                ) from None
            array.job_id = submitted[0].job_id.partition("_")[0]
            self._tasks |= {(name, index): Task("PENDING") for index in range(len(part))}
            self._write()

    def cancel_outdated(self, jobs: list[Job]) -> None:
        """End the tasks that train these cells with another fingerprint."""
        wanted = {job.cell.id: job.identity.fingerprint for job in jobs}
        outdated = [
            array.task_id(index)
            for array in self._arrays
            for index, (cell, fingerprint) in enumerate(array.cells.items())
            if wanted.get(cell, fingerprint) != fingerprint
            and not self._task(array, index).has_ended
        ]
        if outdated:
            _call("scancel", *outdated)

    def forget_ended(self) -> None:
        """Remove the arrays whose tasks have all ended."""
        self._arrays = self._at_work()
        self._write()

    def cancel(self) -> None:
        """End all tasks; wait up to ``STOP_SECONDS`` for their cells to write a checkpoint."""
        with suppress(RunError):
            self.look()
            job_ids = [array.job_id for array in self._at_work() if array.job_id]
            if job_ids:
                _call("scancel", *job_ids)
            deadline = time.monotonic() + STOP_SECONDS
            while self._at_work() and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
                self.look()

    def _place(self, job: Job) -> tuple[Array | None, int]:
        for array in reversed(self._arrays):
            if array.cells.get(job.cell.id) == job.identity.fingerprint:
                return array, list(array.cells).index(job.cell.id)
        return None, 0

    def _task(self, array: Array, index: int) -> Task:
        return self._tasks.get((array.name, index), Task(GONE))

    def _at_work(self) -> list[Array]:
        return [
            array
            for array in self._arrays
            if any(not self._task(array, index).has_ended for index in range(len(array.cells)))
        ]

    def _write(self) -> None:
        write_json(self._file, msgspec.to_builtins(self._arrays))


def state_of(task_id: str) -> str:
    """SLURM's state of one task; empty if SLURM does not answer."""
    try:
        return _call("squeue", "--noheader", f"--jobs={task_id}", "--Format=State").strip()
    except RunError:
        return ""


def _call(*command: str) -> str:
    """The output of one of SLURM's commands."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RunError(
            f"there is no {command[0]}: this machine is not part of a SLURM cluster"
        ) from None
    if ended.returncode:
        raise RunError(f"{command[0]}: {ended.stderr.strip()}")
    return ended.stdout
