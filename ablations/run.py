"""Runs the cells of a study that have no result yet, several side by side."""

import fcntl
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ablations import prepared as preparing
from ablations.cell import Cell, Layout
from ablations.execution import CellRun, Job, is_running
from ablations.gpus import Places
from ablations.prepared import CONFIGS, ROOT, Prepared, variant
from ablations.processes import ForkServer, start_new
from ablations.progress import Progress
from ablations.record import write_json
from ablations.request import Request, RunError
from ablations.status import STALE, status

POLL_SECONDS = 0.05
STOP_SECONDS = 8.0


def run(request: Request) -> int:
    """Run every cell that has no record of its fingerprint.

    Returns:
        0 if every cell ended with a result (done or diverged), 1 if some failed.

    Raises:
        RunError: the folder is in use.
        ablations.prepared.PrepareError: the data set or the config cannot be used.
        KeyboardInterrupt: after the running cells were stopped.
    """
    layout, study = request.layout, request.study
    layout.root.mkdir(parents=True, exist_ok=True)
    with _sole_owner(layout), _signals_as_ctrl_c():
        print(
            "Preparing the data set and the initial weights: minutes the first time, seconds later "
            f"({layout.prepare_log})",
            flush=True,
        )
        here = max(1, request.gpus) if request.engine == "local" else 0
        server = ForkServer(threads_of_cell(request.jobs), layout.workers_log)
        if here and not request.gpus:
            server.warm_up()  # while the data are prepared
        prepared = preparing.prepare(study, layout, request.data_overrides(), gpus=here)
        write_json(layout.study, study_file(request))
        identities = prepared.identities(study.cells())
        before = status(study, layout, identities)
        waiting, stale = before.to_run, before.counts[STALE]
        print(
            f"{study.name}: {len(before.states)} cells, "
            f"{len(before.states) - len(waiting)} done, {len(waiting)} to run"
            + (f" ({stale} stale: what determines them has changed)" if stale else ""),
            flush=True,
        )
        code = commit()
        jobs = [_job(request, cell, identities[cell], prepared, code) for cell in waiting]
        if request.engine == "slurm":
            from ablations.slurm import run_on_slurm

            run_on_slurm(request, jobs)
        else:
            _run_here(request, jobs, server)
        after = status(study, layout, identities)
    return 1 if after.to_run else 0


def study_file(request: Request) -> dict[str, Any]:
    """Content of ``study.json``: what was asked for."""
    study = request.study
    return {
        "study": study.name,
        "grids": [grid.name for grid in study.grids],
        "seeds": None if study.more_seeds else len(study.seeds),
        "dataset": str(request.dataset or ""),
        "command": shlex.join(["make", "ablations", *request.make_arguments()]),
    }


@contextmanager
def _signals_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, or a terminal that closes, end the block as Ctrl-C does: processes and all."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in previous.items():
        if handler is not signal.SIG_IGN:  # nohup has the terminal's end ignored
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _sole_owner(layout: Layout) -> Iterator[None]:
    """Hold the study's folder; the system lets go of it when the process ends, however it ends."""
    with layout.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another run is at work in {layout.root}; wait for it") from None
        yield


def _job(request: Request, cell: Cell, identity: Any, prepared: Prepared, code: str) -> Job:
    weights = prepared.weights.get(variant(cell.setting), {}).get("path", "")
    gpus = ["--num-gpus", str(request.gpus)] if request.gpus else []
    return Job(
        cell=cell,
        identity=identity,
        layout=request.layout,
        arguments=(
            "--config-file", str(CONFIGS / request.study.config), *gpus,
            *cell.overrides(), *request.data_overrides(),
        ),
        # What was prepared need not be looked at again by each cell.
        prepared=("DATASETS.CHECK", "False", *(("MODEL.WEIGHTS", weights) if weights else ())),
        dataset=prepared.dataset_of_record(),
        threads=threads_of_cell(request.jobs * max(1, request.gpus)),
        retries=request.retries,
        commit=code,
    )  # fmt: skip


def threads_of_cell(jobs: int) -> int:
    """CPU threads of a process of a cell where so many run side by side."""
    return max(1, len(os.sched_getaffinity(0)) // jobs)


def _run_here(request: Request, jobs: list[Job], server: ForkServer) -> None:
    """Run the cells as processes of this machine, ``request.jobs`` side by side."""
    alive = [job for job in jobs if is_running(request.layout, job.cell.id)]
    queue = [job for job in jobs if job not in alive]
    running = [CellRun(job) for job in alive]
    places = Places(request.jobs, request.gpus, held=len(alive))
    # A process that has imported torch need not be one that can fork for a GPU.
    start = start_new if request.gpus else server.start
    with Progress(request.layout, len(jobs), request.jobs) as progress, _stopping(running):
        if alive:
            print(f"{len(alive)} at work already, of a run that was killed", flush=True)
        for job in alive:
            progress.started(job.cell.id)
        while queue or running:
            while queue and len(running) < request.jobs:
                place = places.take()
                if place is None:
                    break
                running.append(CellRun(queue.pop(0), start, place))
                progress.started(running[-1].job.cell.id)
            for cell_run in list(running):
                attempts = cell_run.attempts
                record = cell_run.poll()
                if record is not None:
                    running.remove(cell_run)
                    places.give_back(cell_run.place)
                    progress.ended(record, time.monotonic() - cell_run.started)
                elif cell_run.attempts > max(attempts, 1):
                    progress.restarted(cell_run.job.cell.id, cell_run.attempts - 1)
            progress.update()
            time.sleep(POLL_SECONDS)


@contextmanager
def _stopping(running: list[CellRun]) -> Iterator[None]:
    """Leave no process behind, however the block ends."""
    try:
        yield
    finally:
        try:
            for cell_run in running:
                cell_run.stop()
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline and any(c.is_alive() for c in running):
                time.sleep(POLL_SECONDS / 4)
        finally:  # also where a second Ctrl-C cuts the wait short
            for cell_run in running:
                cell_run.kill()


def commit() -> str:
    """The commit of this checkout, with "-dirty" where files differ from it; "" outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return ended.stdout.strip()
