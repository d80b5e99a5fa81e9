"""Runs cells as tasks of a SLURM job array, submitted through submitit.

A task runs its cell as a local run does, with :class:`ablations.runner.cell_run.CellRun`. Its
result is the cell's record on the shared disk, which the submitter waits for.
"""

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from submitit import JobEnvironment
from submitit.helpers import Checkpointable

from ablations.records.record import FAILED, Record, RecordError, load
from ablations.runner.cell_run import CellRun
from ablations.runner.job import Job
from ablations.runner.request import Request, RunError
from ablations.runner.slurm_arrays import Arrays, state_of
from ablations.status.progress import Progress
from ablations.storage.locks import is_running

POLL_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""The time between two queries of the cluster's queue."""

SETTLE_SECONDS = 15.0
"""The delay with which a shared disk shows the record of a task that has ended."""


class CellTask(Checkpointable):
    """The function of an array's task: it runs one cell.

    At SIGTERM (scancel, preemption), and at SIGUSR2, which SLURM sends before the time limit, the
    cell writes a checkpoint and ends. Submitit requeues the task if SLURM does not.
    """

    def __init__(self, job: Job):
        self.job = job

    def __call__(self) -> None:
        near_limit = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
        requeue = signal.getsignal(near_limit)
        received: set[int] = set()
        for number in (signal.SIGTERM, near_limit):
            signal.signal(number, lambda number, _: received.add(number))
        cell_run = CellRun(self.job)
        while not received:
            # SLURM also sends the signal to the cell's process, which must not end: a signal that
            # is blocked when a process starts stays blocked in it.
            signal.pthread_sigmask(signal.SIG_BLOCK, {near_limit})
            record = cell_run.poll()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {near_limit})
            if record is not None:
                return
            time.sleep(POLL_SECONDS)
        cell_run.stop()
        while cell_run.is_alive():  # SLURM kills a process that does not end
            time.sleep(POLL_SECONDS / 4)
        # A task that received SIGTERM and is still RUNNING is preempted. Other tasks are cancelled,
        # or already requeued.
        if near_limit in received or state_of(JobEnvironment().job_id) == "RUNNING":
            assert callable(requeue)  # submitit's handler
            requeue(near_limit, None)
        sys.exit(128 + signal.SIGTERM)


def run_on_slurm(request: Request, jobs: list[Job]) -> None:
    """Submit the cells that no task is running, and wait until all have a record.

    Raises:
        RunError: the cluster refuses cells; those in its queue keep running.
        KeyboardInterrupt: after the tasks were cancelled.
    """
    if not jobs:
        return
    gpus = {"gpus_per_node": request.gpus} if request.gpus else {}
    options = request.study.slurm.given() | gpus
    jobs = [_as_task(job, request, options) for job in jobs]
    arrays = Arrays(request.layout.slurm)
    with _cancelling(arrays):
        arrays.look()
        arrays.cancel_outdated(jobs)
        arrays.forget_ended()
        new = [job for job in jobs if arrays.task(job).has_ended and not _has_result(job)]
        _submit(arrays, request, new, options)
        print(
            f"{len(new)} cells submitted, {len(jobs) - len(new)} already in the queue", flush=True
        )
        with Progress(
            request.layout, len(jobs), min(len(jobs), options["array_parallelism"])
        ) as progress:
            _wait(arrays, request, jobs, options, progress)


def _wait(
    arrays: Arrays,
    request: Request,
    jobs: list[Job],
    options: dict[str, Any],
    progress: Progress,
) -> None:
    """Wait for the cells' records; submit lost cells again."""
    waiting = {job.cell.id: job for job in jobs}
    started: dict[str, float] = {}
    ended: dict[str, float] = {}  # when the task was seen to have ended without a record
    times_lost: Counter[str] = Counter()
    refused: set[str] = set()  # lost cells that the cluster did not accept
    looked = time.monotonic()
    while waiting:
        now = time.monotonic()
        if now - looked > LOOK_SECONDS:
            with suppress(RunError):  # the cluster may answer later
                arrays.look()
            looked = now
        lost = []
        for cell, job in list(waiting.items()):
            task = arrays.task(job)
            if task.state == "PENDING":
                continue
            if cell not in started:
                started[cell] = now
                progress.started(cell)
            record = _record_of(job)
            if record is not None:
                del waiting[cell]
                progress.ended(record, now - started[cell])
            elif not task.has_ended or is_running(job.layout, cell):
                ended.pop(cell, None)
                refused.discard(cell)
            elif now - ended.setdefault(cell, now) > SETTLE_SECONDS:
                del ended[cell]
                if cell in refused:
                    lost.append(job)
                    continue
                is_preempted = task.state == "PREEMPTED"  # which is no failed attempt
                times_lost[cell] += not is_preempted
                if times_lost[cell] > job.retries:
                    del waiting[cell]
                    record = CellRun(job).fail(arrays.describe_end(job))
                    progress.ended(record, now - started[cell])
                    continue
                lost.append(job)
                if is_preempted:
                    progress.print(f"{cell}: preempted, submitted again")
                else:
                    progress.restarted(cell, times_lost[cell])
        try:
            _submit(arrays, request, lost, options)
        except RunError as error:
            if not refused:
                progress.print(f"{error}; trying until the cluster accepts them")
        refused -= {job.cell.id for job in lost}
        # A cluster that reports an error may have accepted them: then arrays.look() finds them.
        refused |= {job.cell.id for job in lost if arrays.task(job).has_ended}
        progress.update()
        time.sleep(POLL_SECONDS)


@contextmanager
def _cancelling(arrays: Arrays) -> Iterator[None]:
    """Cancel all tasks if the block is interrupted; after an error, they keep running."""
    try:
        yield
    except KeyboardInterrupt:
        arrays.cancel()
        raise


def _submit(arrays: Arrays, request: Request, jobs: list[Job], options: dict[str, Any]) -> None:
    for job in jobs:
        if _record_of(job) is not None:  # an earlier failure; it is not the result of the new task
            job.layout.record(job.cell.id).unlink()
    arrays.submit(request.study.name, jobs, CellTask, _parameters(options))


def _as_task(job: Job, request: Request, options: dict[str, Any]) -> Job:
    """The job with its task's GPUs, and the CPUs divided among its processes."""
    gpus = options.get("gpus_per_node")
    threads = max(1, options["cpus_per_task"] // (gpus or 1))
    more = () if request.gpus or not gpus else ("--num-gpus", str(gpus))
    return replace(job, threads=threads, arguments=(*more, *job.arguments))


def _parameters(options: dict[str, Any]) -> dict[str, Any]:
    """The options as submitit's AutoExecutor takes them."""
    general = ("timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb")
    named = {name if name in general else f"slurm_{name}": v for name, v in options.items()}
    # Newer versions of srun ignore the array's number of CPUs.
    cpus = [f"--cpus-per-task={options['cpus_per_task']}"]
    return named | {"nodes": 1, "tasks_per_node": 1, "slurm_srun_args": cpus}


def _has_result(job: Job) -> bool:
    record = _record_of(job)
    return record is not None and record.status != FAILED


def _record_of(job: Job) -> Record | None:
    """The cell's record, if it has one of the job's fingerprint."""
    try:
        record = load(job.layout.record(job.cell.id))
    except RecordError:
        return None
    return record if record.fingerprint == job.identity.fingerprint else None
