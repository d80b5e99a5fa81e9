"""Helpers of tests for the processes of cells."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations.records.record import Record
from ablations.runner.cell_run import CellRun
from ablations.runner.job import Job

WAIT_SECONDS = 60
"""The max wait, which only a failing test reaches."""


def wait_for(what: Callable[[], Any]) -> Any:
    """Call a function until it returns a true value; return the value."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def end_of(job: Job) -> Record:
    """Run a cell to its end and return its record."""
    return wait_for(CellRun(job).poll)


def steps_of(job: Job) -> list[int]:
    """The steps that the cell's processes took."""
    lines = job.layout.cell_metrics(job.cell.id).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["iteration"] for line in lines]


def with_other_data(job: Job) -> Job:
    """The same cell with another fingerprint."""
    return replace(job, identity=replace(job.identity, dataset="other"))


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def children_of(pid: int) -> list[int]:
    """The child processes of a process."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text(encoding="utf-8").split()]
