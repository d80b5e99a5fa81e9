"""Runs one cell from its start to its record, and restarts its process if it dies."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import yaml

from ablations.identity import environment
from ablations.identity.fingerprint import ResolvedConfig
from ablations.records import earlier
from ablations.records.record import (
    DIVERGED,
    DONE,
    FAILED,
    Record,
    RecordError,
    load,
    save,
)
from ablations.runner.job import Job, mark_of
from ablations.runner.processes import CellProcess, Start, start_new
from ablations.storage import locks
from ablations.storage.json_files import read_object, write_json
from ablations.storage.layout import tail
from ablations.storage.locks import is_running

USELESS_TO_RETRY = (2, 5)
"""Exit codes of train_net.py: an unusable config or data set, an unwritable disk."""


class CellRun:
    """The processes of one cell.

    Each process resumes from the last checkpoint of the previous one. The process itself holds the
    cell's lock, so that the lock is free once the process is dead. If a process of an earlier run
    still holds it, this class waits for it. The first :meth:`poll` starts the first process.
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
            place: its processes' environment variables, see
                :class:`ablations.runner.gpus.Places`.
        """
        self.job, self.place = job, place
        self._first_start = start
        self.attempts = 0
        self.started = time.monotonic()
        self._process: CellProcess | None = None
        self._log_start = 0

    def poll(self) -> Record | None:
        """Start the cell's process, or restart it; return the saved record once the cell has ended.

        Raises:
            OSError: the disk is full or cannot be written; the cell's files are kept.
        """
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return None
            outcome = self._outcome()
            if outcome is not None and (fault := self._foreign(outcome)):
                outcome = _failed(f"{fault}. The result does not count; {self._put_away()}")
            if outcome is None and (code in USELESS_TO_RETRY or self.attempts > self.job.retries):
                outcome = self._failure(code)
            if outcome is not None:
                return self._save(outcome)
            self._process = None
        return self._start_or_take_over()

    def stop(self) -> None:
        """Ask the process to write a checkpoint and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and its children."""
        self._signal(signal.SIGKILL)

    def fail(self, error: str) -> Record:
        """Save and return a failed record, for a cell whose process reports no result."""
        return self._save(_failed(error), mark_of(self.job))

    def is_alive(self) -> bool:
        """Whether a process holds the cell."""
        if self._process is not None:
            return self._process.poll() is None
        return is_running(self.job.layout, self.job.cell.id)

    def _start_or_take_over(self) -> Record | None:
        """Start the process, unless a process of another run is running or has left a result."""
        lock = locks.take(self.job.layout.cell_lock(self.job.cell.id))
        if lock is None:
            return None
        with lock:
            record = self._take_folder()
            if record is not None:
                return record
            outcome = self._outcome()
            if outcome is not None and self._foreign(outcome):
                self._put_away()
            elif outcome is not None:
                return self._save(outcome)
            if changed := self.job.changed_inputs():
                return self.fail(
                    f"not started: {', '.join(changed)} changed since this run read it; the same "
                    "command reads it again"
                )
            self.attempts += 1
            self._process = self._start(lock)
            return None

    def _take_folder(self) -> Record | None:
        """Make the cell's folder that of the job's fingerprint; return its record if it has one.

        Files of another fingerprint are set aside. If they have a result but no record (the run was
        killed, and the process ended later), the record is written first, unless the result is
        foreign. A result with a record was checked before.
        """
        layout, cell_id = self.job.layout, self.job.cell.id
        fingerprint = self.job.identity.fingerprint
        mark = earlier.mark_in(layout.cell(cell_id))
        owner = mark.get("fingerprint", fingerprint)
        if owner != fingerprint and "identity" in mark and not self._is_recorded(owner):
            outcome = self._outcome()
            if outcome is not None and self._foreign(outcome):
                earlier.disown(layout, cell_id)
            elif outcome is not None:
                self._save(outcome)
        came_back = earlier.switch(layout, cell_id, fingerprint)
        if not came_back or not self._is_recorded(fingerprint):
            return None
        return load(layout.record(cell_id))

    def _is_recorded(self, fingerprint: str) -> bool:
        """Whether the cell has a record of this fingerprint, with a result."""
        try:
            record = load(self.job.layout.record(self.job.cell.id))
        except RecordError:
            return False
        return record.fingerprint == fingerprint and record.status in (DONE, DIVERGED)

    def _start(self, lock: IO[str]) -> CellProcess:
        job, layout = self.job, self.job.layout
        log = layout.cell_log(job.cell.id)
        self._log_start = log.stat().st_size if log.exists() else 0
        write_json(layout.cell_fingerprint(job.cell.id), mark_of(job))
        start = self._first_start if self.attempts == 1 else start_new
        return start(
            Start(
                code=job.code,
                arguments=job.process_arguments,
                environment=environment.threads(job.threads)
                | environment.memory()
                | job.code.variables()
                | dict(self.place or {}),
                log=log,
                lock=lock,
            )
        )

    def _outcome(self) -> dict[str, Any] | None:
        """The content of the result file; None if it is missing or broken (then it is renamed)."""
        path = self.job.layout.cell_result(self.job.cell.id)
        if not path.is_file():
            return None
        content = read_object(path)
        outcome = {key: content.get(key) for key in ("status", "error", "result", "run")}
        is_whole = outcome["status"] in (DONE, DIVERGED) and isinstance(outcome["error"], str)
        if is_whole and isinstance(outcome["result"], dict) and isinstance(outcome["run"], dict):
            return outcome
        path.rename(path.with_name("result.broken.json"))
        return None

    def _foreign(self, outcome: dict[str, Any]) -> str:
        """The reason why a result is not that of the started process; "" if it is.

        A person may have run train_net.py in the cell's folder, or Python may have imported another
        focal_star, or a helper of the loss that is found through PYTHONPATH and is in no snapshot.
        """
        mark = self._mark()
        planned, trained = mark["code_sha256"], outcome["run"].get("code_sha256", "")
        if planned and planned != trained:
            return (
                "the process trained with other sources of focal_star "
                f"({trained[:12] or 'unknown'}) than those of its snapshot ({planned[:12]}, by "
                "SHA-256): another focal_star is imported first"
            )
        planned, loss = mark["identity"].get("loss"), outcome["result"].get("loss")
        trained = loss.get("code") if isinstance(loss, dict) else None
        if planned and trained and planned != trained:
            return (
                "the code of the loss changed while the cell waited "
                f"(it was {planned[:12]}, and {str(trained)[:12]} was trained with, by SHA-256)"
            )
        try:
            path = self.job.layout.cell_config(self.job.cell.id)
            config = ResolvedConfig(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, AttributeError, yaml.YAMLError, RecursionError):
            return ""
        others = config.differences(mark.get("config_values", {}))
        return f"the process trained with another config: {'; '.join(others)}" if others else ""

    def _put_away(self) -> str:
        """Set aside the folder of a foreign result; return a phrase with its new path."""
        layout, cell_id = self.job.layout, self.job.cell.id
        mark = self._mark()
        earlier.disown(layout, cell_id)
        folder = earlier.set_aside(layout, cell_id, "foreign")
        write_json(layout.cell_fingerprint(cell_id), mark)
        return f"it is kept in {folder}"

    def _failure(self, code: int | None) -> dict[str, Any]:
        log = self.job.layout.cell_log(self.job.cell.id)
        with log.open("rb") as file:
            file.seek(self._log_start)
            text = file.read().decode("utf-8", errors="replace")
        times = f", in the last of {self.attempts} tries" if self.attempts > 1 else ""
        return _failed(f"the process ended with {_exit_text(code)}{times}:\n{tail(text)}")

    def _save(self, outcome: dict[str, Any], mark: dict[str, Any] | None = None) -> Record:
        """Save the record of an outcome; an older record is set aside.

        Args:
            outcome: ``status``, ``error``, ``result`` and ``run``.
            mark: the mark of the started process; by default the one in the cell's folder.
        """
        layout, cell_id = self.job.layout, self.job.cell.id
        record = self._record(outcome, mark or self._mark())
        earlier.keep_record(layout, cell_id, record.fingerprint)
        save(record, layout.record(cell_id))
        return record

    def _mark(self) -> dict[str, Any]:
        """The mark of the newest process in the cell's folder."""
        unknown = {"commit": "", "snapshot_sha256": "", "code_sha256": "", "config_values": {}}
        mark = earlier.mark_in(self.job.layout.cell(self.job.cell.id))
        return mark_of(self.job) | (unknown if mark else {}) | mark

    def _record(self, outcome: dict[str, Any], mark: dict[str, Any]) -> Record:
        job, layout = self.job, self.job.layout
        threads = outcome["run"].get("environment", {}).get("num_threads", mark["threads"])
        run = dict(outcome["run"])
        if run.get("resumed_at"):
            run["wall_seconds"] = run["train_seconds"] + run["eval_seconds"]
        elif self.attempts == 1:
            run["wall_seconds"] = time.monotonic() - self.started
        return Record(
            cell=job.cell.id,
            fingerprint=mark["fingerprint"],
            identity=mark["identity"],
            setting=job.cell.setting.as_dict(),
            seed=job.cell.seed,
            status=outcome["status"],
            error=outcome["error"],
            command=f"OMP_NUM_THREADS={threads} python {mark['command']}",
            result=outcome["result"],
            run=run
            | {
                "attempts": self.attempts,
                "disk_bytes": _disk_bytes(layout.cell(job.cell.id)),
                "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "commit": mark["commit"],
                "snapshot_sha256": mark["snapshot_sha256"],
            },
            dataset=mark["dataset"],
        )

    def _signal(self, number: int) -> None:
        """Send a signal to the process; SIGKILL goes to its group, since it cannot pass it on."""
        if not self.is_alive():
            return
        with suppress(OSError, ValueError, OverflowError):
            if self._process is not None:
                pid, host = str(self._process.pid), os.uname().nodename
            else:
                lock = self.job.layout.cell_lock(self.job.cell.id)
                pid, host = lock.read_text(encoding="utf-8").split()
            # A broken file may have 0 or a negative number, which means a group of processes.
            if int(pid) > 1 and host == os.uname().nodename:
                if number == signal.SIGKILL:
                    with suppress(OSError):  # a process that was just forked has no group yet
                        os.killpg(int(pid), number)
                os.kill(int(pid), number)


def _failed(error: str) -> dict[str, Any]:
    """The outcome of a cell without a result."""
    return {"status": FAILED, "error": error, "result": {}, "run": {}}


def _exit_text(code: int | None) -> str:
    """For example ``exit code 1``, ``exit code -9 (SIGKILL)``."""
    if code is not None and code < 0:
        return f"exit code {code} ({signal.Signals(-code).name})"
    return f"exit code {code}"


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
