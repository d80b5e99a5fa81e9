"""Runs the cells of a study that have no result yet, several side by side."""

import os
import shlex
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ablations.identity import prepared as preparing
from ablations.identity import snapshot
from ablations.identity.fingerprint import Identity
from ablations.identity.prepared import Prepared, config_files_beyond, variant
from ablations.identity.snapshot import Code
from ablations.records import earlier
from ablations.runner import choosing
from ablations.runner.cell_run import CellRun
from ablations.runner.gpus import Places
from ablations.runner.job import Input, Job, inputs_of
from ablations.runner.processes import ForkServer, start_new
from ablations.runner.request import Request
from ablations.runner.sole_run import signals_as_ctrl_c, sole_owner
from ablations.status import costs, fitted, overview, running_cells
from ablations.status.progress import Progress
from ablations.status.status import STALE, Status, status
from ablations.status.units import duration
from ablations.storage import locks
from ablations.storage.json_files import write_json
from ablations.storage.layout import Layout
from ablations.storage.locks import is_running
from ablations.study.asked_seeds import seeds_text
from ablations.study.cell import Cell
from ablations.study.choice import CHOSEN_LATER
from ablations.study.study import schedule_name
from ablations.tuning import selection

POLL_SECONDS = 0.05
STOP_SECONDS = 8.0


def run(request: Request) -> int:
    """Run every cell that has no record of its fingerprint.

    All processes run the snapshot of the code that is taken at the start. Cells of tuned rows are
    trained last, after their settings were chosen.

    Returns:
        0 if every cell has a result (done or diverged); 1 if a cell failed, a tuned row has no
        setting yet, or a cell of one has no AP on the reporting half.

    Raises:
        RunError: the folder is in use.
        ablations.identity.prepared.PrepareError: the data set or the config cannot be used.
        KeyboardInterrupt: after the running cells were stopped.
    """
    layout, study = request.layout, request.study
    layout.root.mkdir(parents=True, exist_ok=True)
    with sole_owner(layout), signals_as_ctrl_c():
        print(
            "Preparing the data set and the initial weights: minutes the first time, seconds later "
            f"({layout.prepare_log})",
            flush=True,
        )
        here = max(1, request.gpus) if request.engine == "local" else 0
        code = snapshot.take(layout)
        _prune_snapshots(layout, code)
        server = ForkServer(threads_of_cell(request.jobs), layout.workers_log, code)
        if here and not request.gpus:
            server.warm_up()  # while the data are prepared
        prepared = preparing.prepare(study, layout, request.data_overrides(), code=code, gpus=here)
        for words in ("text", "warning"):
            if line := prepared.proposed.get(words):
                print(f"{'Warning' if words == 'warning' else study.name}: {line}", flush=True)
        inputs = inputs_of([*prepared.files(), *config_files_beyond(code, study)])
        write_json(layout.study, study_file(request, code))
        study, identities = selection.resolve(study, layout, prepared, request.processes, code)
        request = replace(request, study=selection.current(study))
        tools = _Tools(prepared, code, inputs, server)
        after = _train(request, identities, tools)
        if study.tuning:
            request = replace(request, study=choosing.choose(request, after, prepared, code))
            identities |= prepared.identities(request.study.judged, request.processes, code)
            after = _train(request, identities, tools, tried=after.states)
            choosing.judge(request, after, prepared, code)
            after = status(request.study, layout, identities)
    overview.print_set_aside(layout)
    _print_longer(request, after)
    return 1 if after.to_run else 0


@dataclass(frozen=True)
class _Tools:
    """What all cells share while a run trains them."""

    prepared: Prepared
    code: Code
    inputs: tuple[Input, ...]
    server: ForkServer


def _train(
    request: Request,
    identities: dict[Cell, Identity],
    tools: _Tools,
    tried: Collection[Cell] = (),
) -> Status:
    """Train every cell that has a setting and no result; return the state of all cells.

    Args:
        request: the request.
        identities: cell -> what determines its result.
        tools: what all cells share.
        tried: the cells that this run has tried to train before. They are left alone, and it is
            not reported if there is nothing else to train.
    """
    study, layout = request.study, request.layout
    _restore(layout, identities)
    before = status(study, layout, identities)
    waiting = [c for c in before.to_train if not c.setting.pending and c not in tried]
    pending = sum(cell.setting.pending != "" for cell in before.to_run)
    stale = [cell for cell in waiting if before.states[cell] == STALE]
    changed = sorted({part for cell in stale for part in before.changed[cell]})
    if waiting or not tried:
        print(
            f"{study.name} at {schedule_name(study.schedule)}: {len(before.states)} cells, "
            f"{len(before.states) - len(before.to_run)} done, {len(waiting)} to run"
            + (f" ({len(stale)} stale: {' and '.join(changed)} changed)" if stale else "")
            + (f", {pending} {CHOSEN_LATER}" if pending else "")
            + _expected(request, before, tools.prepared),
            flush=True,
        )
    jobs = [
        _job(request, cell, identities[cell], tools.prepared, tools.code, tools.inputs)
        for cell in waiting
    ]
    if request.engine == "slurm":
        from ablations.runner.slurm import run_on_slurm

        run_on_slurm(request, jobs)
    else:
        _run_here(request, jobs, tools.server)
    return status(study, layout, identities)


def _expected(request: Request, before: Status, prepared: Prepared) -> str:
    """The expected time of all cells that are to run, and what follows; "" if it is unknown."""
    config, test_images = fitted.config_and_images(request.study, prepared, keys=request.keys)
    left = costs.estimate(
        before,
        config,
        request.gpus,
        test_images,
        use_published=not request.dataset,
        iteration_times=running_cells.iteration_times(before, request.layout),
    )
    if not left.seconds or request.engine != "local":
        return ""
    words = f": about {duration(left.seconds / request.jobs)} with {request.jobs} side by side"
    if left.elsewhere:
        words += ", by the times of the published report"
    return f"{words}; then the times per image" if request.study.timed_grids else words


def _print_longer(request: Request, after: Status) -> None:
    """If the study is complete and was shorter than 1x, print how long it would take at 1x."""
    schedule = request.study.schedule
    if schedule < 1 and not after.to_run and request.engine == "local":
        at_1x = duration(costs.seconds_at_1x(after) / request.jobs)
        print(
            f"The schedule was {schedule_name(schedule)}. The order of the rows can change with "
            f"longer training: SCHEDULE=1x takes about {at_1x} and keeps these results"
        )


def study_file(request: Request, code: Code) -> dict[str, Any]:
    """Content of ``study.json``: the request and the code that trains."""
    study = request.study
    return {
        "study": study.name,
        "grids": [grid.name for grid in study.grids],
        "seeds": seeds_text(study.same_seeds),
        "schedule": study.schedule,
        "dataset": str(request.dataset or ""),
        "processes": request.processes,
        "snapshot_sha256": code.sha256,
        "command": shlex.join(["make", "ablations", *request.make_arguments()]),
    }


def _restore(layout: Layout, identities: dict[Cell, Identity]) -> None:
    """Move the set-aside records of the current fingerprints back."""
    set_aside = earlier.cells(layout)
    for cell, identity in identities.items():
        if cell.id not in set_aside:
            continue
        lock = locks.take(layout.cell_lock(cell.id))
        if lock is None:  # a process is running the cell; CellRun does this later
            continue
        with lock:
            if earlier.record_of(layout, cell.id, identity.fingerprint):
                earlier.switch(layout, cell.id, identity.fingerprint)


def _prune_snapshots(layout: Layout, code: Code) -> None:
    """Remove old snapshots that no process needs; keep all if a cluster's tasks may need them.

    Args:
        layout: the study's folder.
        code: the snapshot of this run. It need not be the newest if the clock went back.
    """
    if not snapshot.is_crowded(layout) or layout.slurm.is_dir():
        return
    at_work = [path.name for path in layout.locks.glob("*") if is_running(layout, path.name)]
    marks = [earlier.mark_in(layout.cell(cell_id)) for cell_id in at_work]
    needed = {str(mark.get("snapshot_sha256", "")) for mark in marks}
    snapshot.prune(layout, needed | {code.sha256})


def _job(
    request: Request,
    cell: Cell,
    identity: Identity,
    prepared: Prepared,
    code: Code,
    inputs: tuple[Input, ...] = (),
) -> Job:
    weights = prepared.weights.get(variant(cell.setting), {}).get("path", "")
    gpus = ["--num-gpus", str(request.gpus)] if request.gpus else []
    return Job(
        cell=cell,
        identity=identity,
        layout=request.layout,
        config=request.study.config,
        arguments=(
            *gpus,
            *prepared.proposed.get("overrides", ()),
            *cell.overrides(),
            *request.data_overrides(),
        ),  # fmt: skip
        # A cell need not repeat the checks of the preparation.
        prepared=("DATASETS.CHECK", "False", *(("MODEL.WEIGHTS", weights) if weights else ())),
        dataset=prepared.dataset_of_record(),
        threads=threads_of_cell(request.jobs * max(1, request.gpus)),
        retries=request.retries,
        code=code,
        inputs=inputs,
        config_values=prepared.config_values(request.study, cell),
    )


def threads_of_cell(jobs: int) -> int:
    """CPU threads per process if this number of processes run side by side."""
    return max(1, len(os.sched_getaffinity(0)) // jobs)


def _run_here(request: Request, jobs: list[Job], server: ForkServer) -> None:
    """Run the cells as processes of this machine, ``request.jobs`` side by side."""
    if not jobs:  # which need no GPUs
        return
    alive = [job for job in jobs if is_running(request.layout, job.cell.id)]
    queue = [job for job in jobs if job not in alive]
    running = [CellRun(job) for job in alive]
    places = Places(request.jobs, request.gpus, held=len(alive))
    # A process that has imported torch may be unable to fork for a GPU.
    start = start_new if request.gpus else server.start
    with Progress(request.layout, len(jobs), request.jobs) as progress, _stopping(running):
        if alive:
            print(f"{len(alive)} already running, started by a run that was killed", flush=True)
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
    """Stop all processes at the end of the block, even after an error."""
    try:
        yield
    finally:
        try:
            for cell_run in running:
                cell_run.stop()
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline and any(c.is_alive() for c in running):
                time.sleep(POLL_SECONDS / 4)
        finally:  # also if a second Ctrl-C ends the wait
            for cell_run in running:
                cell_run.kill()
