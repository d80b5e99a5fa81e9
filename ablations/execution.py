"""One cell from its start to its record, however often its process dies on the way."""

import fcntl
import json
import os
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from ablations import environment
from ablations.cell import Cell, Layout
from ablations.fingerprint import Identity
from ablations.prepared import tail
from ablations.processes import TRAIN_NET, CellProcess, Start, start_new
from ablations.record import FAILED, Record, save, write_json

USELESS_TO_RETRY = (2, 5)
"""Exit codes of train_net.py: a config or data that cannot be used, a disk that does not take."""


@dataclass(frozen=True)
class Job:
    """Everything that a cell's process needs; it can be sent to another machine of one disk.

    Attributes:
        cell: the cell.
        identity: what determines its result.
        layout: where its files are.
        arguments: of train_net.py, as a person would repeat the cell with, without OUTPUT_DIR.
        prepared: ``KEY VALUE`` pairs that spare the process what was looked at before.
        dataset: the data set's description for the record.
        threads: CPU threads of the process.
        retries: how often the process is started again after it died without a result.
        commit: of the code.
    """

    cell: Cell
    identity: Identity
    layout: Layout
    arguments: tuple[str, ...]
    prepared: tuple[str, ...]
    dataset: dict[str, Any]
    threads: int
    retries: int
    commit: str


class CellRun:
    """The processes of one cell.

    Each goes on from the last checkpoint of the one before. The cell's lock is held by the process
    itself, and so by nobody once it is dead; where a process of an earlier run still holds it,
    that one is waited for. Nothing is started before the first :meth:`poll`.
    """

    def __init__(
        self,
        job: Job,
        start: Callable[[Start], CellProcess] = start_new,
        place: Mapping[str, str] | None = None,
    ):
        """
        Args:
            job: the cell.
            start: starts its first process; later ones are new interpreters.
            place: variables of its processes, see :class:`ablations.gpus.Places`.
        """
        self.job, self.place = job, place
        self._first_start = start
        self.attempts = 0
        self.started = time.monotonic()
        self._process: CellProcess | None = None
        self._log_start = 0

    def poll(self) -> Record | None:
        """The record once the cell has ended, saved; what is not at work is started, or again.

        Raises:
            OSError: the disk is full or cannot be written; what the cell has done is kept.
        """
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return None
            outcome = self._outcome()
            if outcome is None and (code in USELESS_TO_RETRY or self.attempts > self.job.retries):
                outcome = self._failure(code)
            if outcome is not None:
                return self._save(outcome)
            self._process = None
        return self._go_on()

    def stop(self) -> None:
        """Ask the process to write a checkpoint and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and those that it started, at once."""
        self._signal(signal.SIGKILL)

    def fail(self, error: str) -> Record:
        """The record, saved, of a cell that no process can tell the end of."""
        return self._save({"status": FAILED, "error": error, "result": {}, "run": {}})

    def is_alive(self) -> bool:
        """Whether a process holds the cell."""
        if self._process is not None:
            return self._process.poll() is None
        return is_running(self.job.layout, self.job.cell.id)

    def _go_on(self) -> Record | None:
        """Start the process, unless one of another run is at work or has ended with a result."""
        lock = _take(self.job.layout.cell_lock(self.job.cell.id))
        if lock is None:
            return None
        with lock:
            self._make_folder()
            outcome = self._outcome()
            if outcome is None:
                self.attempts += 1
                self._process = self._start(lock)
                return None
        return self._save(outcome)

    def _make_folder(self) -> None:
        """Keep what an earlier process of the same fingerprint left, and nothing else."""
        layout, cell_id = self.job.layout, self.job.cell.id
        mine = {"fingerprint": self.job.identity.fingerprint}
        try:
            same = json.loads(layout.cell_fingerprint(cell_id).read_text("utf-8")) == mine
        except (OSError, ValueError, RecursionError):
            same = False
        if not same:
            if layout.cell(cell_id).exists():
                shutil.rmtree(layout.cell(cell_id))
            write_json(layout.cell_fingerprint(cell_id), mine)

    def _start(self, lock: IO[str]) -> CellProcess:
        job, layout = self.job, self.job.layout
        log = layout.cell_log(job.cell.id)
        self._log_start = log.stat().st_size if log.exists() else 0
        folder = ("OUTPUT_DIR", str(layout.cell(job.cell.id)))
        start = self._first_start if self.attempts == 1 else start_new
        return start(
            Start(
                arguments=("--resume", *job.arguments, *job.prepared, *folder),
                environment=environment.threads(job.threads) | dict(self.place or {}),
                log=log,
                lock=lock,
            )
        )

    def _outcome(self) -> dict[str, Any] | None:
        """What the process left at its end; None, and nothing is left, if that is not whole."""
        path = self.job.layout.cell_result(self.job.cell.id)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return {key: content[key] for key in ("status", "error", "result", "run")}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            path.unlink()
            return None

    def _failure(self, code: int | None) -> dict[str, Any]:
        log = self.job.layout.cell_log(self.job.cell.id)
        with log.open("rb") as file:
            file.seek(self._log_start)
            text = file.read().decode("utf-8", errors="replace")
        times = f", in the last of {self.attempts} tries" if self.attempts > 1 else ""
        error = f"the process ended with {_exit_text(code)}{times}:\n{tail(text)}"
        return {"status": FAILED, "error": error, "result": {}, "run": {}}

    def _save(self, outcome: dict[str, Any]) -> Record:
        record = self._record(outcome)
        save(record, self.job.layout.record(self.job.cell.id))
        return record

    def _record(self, outcome: dict[str, Any]) -> Record:
        job, layout = self.job, self.job.layout
        threads = outcome["run"].get("environment", {}).get("num_threads", job.threads)
        output = f"{layout.root}/repeated/{job.cell.id}"
        command = shlex.join([TRAIN_NET, *job.arguments, "OUTPUT_DIR", output])
        run = dict(outcome["run"])
        if run.get("resumed_at"):
            run["wall_seconds"] = run["train_seconds"] + run["eval_seconds"]
        elif self.attempts == 1:
            run["wall_seconds"] = time.monotonic() - self.started
        return Record(
            cell=job.cell.id,
            fingerprint=job.identity.fingerprint,
            identity=job.identity.as_dict(),
            setting=job.cell.setting.as_dict(),
            seed=job.cell.seed,
            status=outcome["status"],
            error=outcome["error"],
            command=f"OMP_NUM_THREADS={threads} python {command}",
            result=outcome["result"],
            run=run
            | {
                "attempts": self.attempts,
                "disk_bytes": _disk_bytes(layout.cell(job.cell.id)),
                "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "commit": job.commit,
            },
            dataset=job.dataset,
        )

    def _signal(self, number: int) -> None:
        """Send a signal to the process; SIGKILL, which it cannot pass on, to its whole group."""
        if not self.is_alive():
            return
        with suppress(OSError, ValueError, OverflowError):
            if self._process is not None:
                pid, host = self._process.pid, os.uname().nodename
            else:
                lock = self.job.layout.cell_lock(self.job.cell.id)
                pid, host = lock.read_text(encoding="utf-8").split()
            # 0 and below, of a broken file, would be whole groups of processes.
            if int(pid) > 1 and host == os.uname().nodename:
                if number == signal.SIGKILL:
                    with suppress(OSError):  # one that has just been forked leads no group yet
                        os.killpg(int(pid), number)
                os.kill(int(pid), number)


def is_running(layout: Layout, cell_id: str) -> bool:
    """Whether a process holds the cell, on this machine or on one of the same disk."""
    try:
        with layout.cell_lock(cell_id).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: the file may be read-only
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _take(path: Path) -> IO[str] | None:
    """The lock's file, locked until it is closed everywhere; None while another holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _exit_text(code: int | None) -> str:
    """For example ``exit code 1``, ``exit code -9 (SIGKILL)``."""
    if code is not None and code < 0:
        return f"exit code {code} ({signal.Signals(-code).name})"
    return f"exit code {code}"


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
