"""Runs the cells of a study that have no record yet, several side by side."""

import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ablations.cell import Cell, Layout
from ablations.plan import Study
from ablations.progress import Progress
from ablations.record import DIVERGED, DONE, FAILED, Record, load_folder, save, write_json

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = Path("projects/focal_star/configs")
TRAIN_NET = "projects/focal_star/train_net.py"
POLL_SECONDS = 0.2
STOP_SECONDS = 8.0


class RunError(RuntimeError):
    """The study cannot be started; the message says why."""


@dataclass(frozen=True)
class Request:
    """What one call of the runner was asked for.

    Attributes:
        study: the cells to run.
        layout: where they are kept.
        dataset: folder of own data that takes the place of the study's; None for the study's.
        jobs: how many cells run side by side.
        cache: where the data set and the pretrained backbones are kept.
    """

    study: Study
    layout: Layout
    dataset: Path | None
    jobs: int
    cache: Path

    def config_file(self) -> Path:
        return CONFIGS / self.study.config

    def data_overrides(self) -> list[str]:
        """The ``KEY VALUE`` pairs that say where the data are."""
        own = ["DATASETS.FOLDER", str(self.dataset)] if self.dataset else []
        return ["CACHE_DIR", str(self.cache), *own]


def run(request: Request) -> int:
    """Run every cell that has no record of its fingerprint.

    Returns:
        0 if every cell ended with a result (done or diverged), 1 if some failed.

    Raises:
        RunError: the folder is in use, or the data set or the config cannot be used.
        KeyboardInterrupt: after the running cells were stopped.
    """
    layout = request.layout
    layout.root.mkdir(parents=True, exist_ok=True)
    with _sole_owner(layout), _signals_as_ctrl_c():
        prepared = _prepare(request)
        write_json(layout.study, _study_file(request))
        common = {
            "config": prepared["config_sha256"],
            "dataset": prepared["dataset"]["sha256"],
            "weights": prepared["weights"]["sha256"],
        }
        fingerprints = {cell: cell.fingerprint(common) for cell in request.study.cells()}
        records, _ = load_folder(layout.records)
        states = [_state(cell, fingerprints[cell], records) for cell in fingerprints]
        waiting = [
            cell
            for cell, state in zip(fingerprints, states, strict=True)
            if state not in (DONE, DIVERGED)
        ]
        stale = states.count("stale")
        print(
            f"{request.study.name}: {len(fingerprints)} cells, "
            f"{len(fingerprints) - len(waiting)} done, {len(waiting)} to run"
            + (f" ({stale} stale: what determines them has changed)" if stale else ""),
            flush=True,
        )
        failed = _run_cells(request, waiting, fingerprints, prepared)
    return 1 if failed else 0


def _state(cell: Cell, fingerprint: str, records: dict[str, Record]) -> str:
    """``done``, ``diverged``, ``failed``, ``missing`` or ``stale``."""
    record = records.get(cell.id)
    if record is None:
        return "missing"
    return record.status if record.fingerprint == fingerprint else "stale"


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


def _prepare(request: Request) -> dict[str, Any]:
    """Have the data set and the initial weights made in a process of their own."""
    command = [
        sys.executable, "-m", "focal_star.prepare",
        "--config-file", str(request.config_file()), "--json", str(request.layout.prepared),
        *request.data_overrides(),
    ]  # fmt: skip
    print("Preparing the data set and the initial weights", flush=True)
    request.layout.prepared.unlink(missing_ok=True)
    with request.layout.prepare_log.open("w") as log:
        code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    text = request.layout.prepare_log.read_text(encoding="utf-8", errors="replace")
    if code:
        _, found, message = text.rpartition("\nerror: " if "\nerror: " in text else "error: ")
        raise RunError(message if found and code == 2 else f"preparing failed:\n{_tail(text)}")
    return json.loads(request.layout.prepared.read_text(encoding="utf-8"))


@dataclass
class _Running:
    cell: Cell
    process: subprocess.Popen
    started: float = field(default_factory=time.monotonic)


def _run_cells(
    request: Request,
    waiting: list[Cell],
    fingerprints: dict[Cell, str],
    prepared: dict[str, Any],
) -> int:
    """Run the cells; return how many failed."""
    layout, running, failed = request.layout, [], 0
    queue = list(waiting)
    with Progress(layout, len(waiting), request.jobs) as progress, _stopping(running):
        while queue or running:
            while queue and len(running) < request.jobs:
                cell = queue.pop(0)
                running.append(_start(request, cell, prepared))
                progress.started(cell.id)
            time.sleep(POLL_SECONDS)
            for job in [job for job in running if job.process.poll() is not None]:
                running.remove(job)
                record = _record(request, job, fingerprints[job.cell], prepared)
                save(record, layout.record(job.cell.id))
                failed += record.status == FAILED
                progress.ended(record, time.monotonic() - job.started)
            progress.update()
    return failed


@contextmanager
def _stopping(running: list[_Running]) -> Iterator[None]:
    """Leave no process behind, however the block ends."""
    try:
        yield
    finally:
        try:
            for job in running:
                job.process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            with suppress(subprocess.TimeoutExpired):
                for job in running:
                    job.process.wait(max(0.0, deadline - time.monotonic()))
        finally:  # also where a second Ctrl-C cuts the wait short
            for job in running:
                job.process.kill()
                job.process.wait()


def _command(request: Request, cell: Cell, output: str) -> list[str]:
    return [
        TRAIN_NET, "--config-file", str(request.config_file()),
        *cell.overrides(), *request.data_overrides(), "OUTPUT_DIR", output,
    ]  # fmt: skip


def _start(request: Request, cell: Cell, prepared: dict[str, Any]) -> _Running:
    folder = request.layout.cell(cell.id)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # What was prepared need not be looked at again by each cell.
    known = ["DATASETS.CHECK", "False", "MODEL.WEIGHTS", prepared["weights"]["path"]]
    command = [sys.executable, *_command(request, cell, str(folder)), *known]
    threads = str(max(1, len(os.sched_getaffinity(0)) // request.jobs))
    with request.layout.cell_log(cell.id).open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"OMP_NUM_THREADS": threads},
            start_new_session=True,  # Ctrl-C reaches the runner alone, which then stops them
        )
    return _Running(cell, process)


def _record(request: Request, job: _Running, fingerprint: str, prepared: dict[str, Any]) -> Record:
    """The record of a cell whose process has ended."""
    layout, cell = request.layout, job.cell
    status, error, result, run = FAILED, "", {}, {}
    try:
        outcome = json.loads(layout.cell_result(cell.id).read_text(encoding="utf-8"))
        status, error, result, run = (outcome[k] for k in ("status", "error", "result", "run"))
    except (OSError, ValueError, KeyError, TypeError):
        log = layout.cell_log(cell.id).read_text(encoding="utf-8", errors="replace")
        error = f"the process ended with exit code {job.process.returncode}:\n{_tail(log)}"
    threads = run.get("environment", {}).get("num_threads", "1")
    command = shlex.join(_command(request, cell, f"{layout.root}/repeated/{cell.id}"))
    return Record(
        cell=cell.id,
        fingerprint=fingerprint,
        setting=cell.setting.as_dict(),
        seed=cell.seed,
        status=status,
        error=error,
        command=f"OMP_NUM_THREADS={threads} python {command}",
        result=result,
        run=run
        | {
            "wall_seconds": time.monotonic() - job.started,
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "commit": commit(),
        },
        dataset=prepared["dataset"],
    )


def _study_file(request: Request) -> dict[str, Any]:
    return {
        "study": request.study.name,
        "grids": [grid.name for grid in request.study.grids],
        "seeds": len(request.study.seeds),
        "dataset": str(request.dataset or ""),
        "command": shlex.join(["make", "ablations", *_make_arguments(request)]),
    }


def _make_arguments(request: Request) -> list[str]:
    arguments = [
        f"STUDY={request.study.name}",
        "GRIDS=" + " ".join(grid.name for grid in request.study.grids),
        f"SEEDS={len(request.study.seeds)}",
    ]
    return arguments + ([f"DATASET={request.dataset}"] if request.dataset else [])


def commit() -> str:
    """The commit of this checkout, with "-dirty" where files differ from it; "" outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return ended.stdout.strip()


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
