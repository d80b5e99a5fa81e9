"""The time per iteration of cells that are not done, from the lines that their training writes."""

import json
import os
import re
import statistics
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.status.status import STALE, Status
from ablations.storage.json_files import read_object
from ablations.storage.layout import Layout

MIN_ITERATIONS = 100
"""The iterations after which the time of a cell counts as measured."""

TAIL_BYTES = 2**16
"""The end of metrics.json that is read: the last hundreds of its lines, one per 20 iterations."""


@dataclass(frozen=True)
class IterationTime:
    """The time per iteration of a cell that is not done.

    Attributes:
        setting: axis -> value.
        seconds_per_iteration: the median of the last iterations.
        gpus: the GPUs of the cell; 1 for a CPU.
    """

    setting: dict[str, Any]
    seconds_per_iteration: float
    gpus: int


def iteration_times(status: Status, layout: Layout) -> list[IterationTime]:
    """The times of the cells that have trained ``MIN_ITERATIONS`` and are not done.

    Stale cells are left out: the lines in their folder may be those of a finished training.
    """
    times = []
    for cell in status.to_train:
        if status.states[cell] == STALE:
            continue
        seconds = seconds_per_iteration(layout.cell_metrics(cell.id))
        if seconds is not None:
            command = read_object(layout.cell_fingerprint(cell.id)).get("command")
            times.append(IterationTime(cell.setting.as_dict(), seconds, gpus_of(str(command))))
    return times


def seconds_per_iteration(metrics: Path) -> float | None:
    """The median time of an iteration, s; None before ``MIN_ITERATIONS``.

    Args:
        metrics: a cell's ``metrics.json``.
    """
    lines = last_lines(metrics)
    if not lines or not _is_number(lines[-1].get("iteration")):
        return None
    times = [line["time"] for line in lines if _is_number(line.get("time"))]
    if lines[-1]["iteration"] + 1 < MIN_ITERATIONS or not times:
        return None
    return statistics.median(times) or None


def gpus_of(command: str) -> int:
    """The number of GPUs in a cell's command; 1 for a CPU."""
    match = re.search(r"--num-gpus[ =](\d+)", command)
    return max(1, int(match[1])) if match else 1


def last_lines(path: Path, size: int = TAIL_BYTES) -> list[dict[str, Any]]:
    """The JSON objects in the last bytes of a file; a line that is cut off is left out."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - size))
            lines = file.read().splitlines()
    except OSError:
        return []
    contents = []
    for line in lines:
        with suppress(ValueError):
            contents.append(json.loads(line))
    return [content for content in contents if isinstance(content, dict)]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
