"""Shows the progress of a run: a live display on a terminal, plain lines elsewhere."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ablations.records.record import DIVERGED, DONE, FAILED, Record
from ablations.status.running_cells import last_lines
from ablations.status.units import duration
from ablations.storage.layout import Layout

REFRESH_SECONDS = 1.0

LINE_BYTES = 4096
"""More than a line of metrics.json has."""


class Progress:
    """The progress of a run.

    Use it as a context manager; call it for every cell that starts or ends.
    """

    def __init__(self, layout: Layout, num_cells: int, jobs: int, console: Console | None = None):
        self._layout = layout
        self._num_cells = num_cells
        self._jobs = jobs
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._running: dict[str, float] = {}  # cell id -> when it started
        self._seconds: list[float] = []  # the times of the cells that have ended
        self._best: tuple[float, str] | None = None  # highest AP so far, and its cell
        self._shown = 0.0

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def print(self, text: str) -> None:
        """Print a line above the live display."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def started(self, cell: str) -> None:
        self._running[cell] = time.monotonic()

    def restarted(self, cell: str, died: int) -> None:
        """Print a line for a cell whose process died ``died`` times and was started again."""
        self.print(f"{cell}: its process died, restarted ({died} so far); see its process.log")

    def ended(self, record: Record, seconds: float) -> None:
        """Print a line for a cell that has ended.

        Args:
            record: the cell's record.
            seconds: from its start to its end.
        """
        self._running.pop(record.cell, None)
        self._seconds.append(seconds)
        ap = record.result["metrics"]["AP"] if record.status == DONE else None
        if ap is not None:
            self._best = max(self._best or (ap, record.cell), (ap, record.cell))
        words = f"[{len(self._seconds)}/{self._num_cells}] {record.cell}: {outcome(record)}"
        rest = self.seconds_left()
        left = f"; about {duration(rest)} left" if rest else ""
        self.print(f"{words}, {duration(seconds)}{left}")
        if record.status == FAILED and record.error:
            self.print(f"  {failure(record)}")

    def update(self) -> None:
        """Draw the live display again, at most once a second."""
        now = time.monotonic()
        if self._console.is_terminal and now - self._shown >= REFRESH_SECONDS:
            self._shown = now
            self._live.update(self._table(), refresh=True)

    def seconds_left(self) -> float | None:
        """Estimated seconds until the last cell ends; None if it is unknown."""
        guess = self._seconds_per_cell()
        if guess is None:
            return None
        now = time.monotonic()
        waiting = self._num_cells - len(self._seconds) - len(self._running)
        rest = [
            guess - (now - started)
            if now - started < guess
            else self._training_left(cell) or 0.0  # over its time
            for cell, started in self._running.items()
        ]
        return max((sum(rest) + waiting * guess) / self._jobs, max(rest, default=0.0))

    def _seconds_per_cell(self) -> float | None:
        if self._seconds:
            return sum(self._seconds) / len(self._seconds)
        now = time.monotonic()
        guesses = [
            now - started + left
            for cell, started in self._running.items()
            if (left := self._training_left(cell)) is not None
        ]
        return sum(guesses) / len(guesses) if guesses else None

    def _training_left(self, cell: str) -> float | None:
        """Detectron2's estimate for a running cell, seconds; None before the first iterations."""
        return last_line(self._layout.cell_metrics(cell)).get("eta_seconds")

    def _table(self) -> Table:
        rest = self.seconds_left()
        left = "estimating the time left" if rest is None else f"about {duration(rest)} left"
        best = "; highest AP so far {:.1f}, {}".format(*self._best) if self._best else ""
        table = Table(
            title=f"{len(self._seconds)} of {self._num_cells} cells ended, {left}{best}",
            box=None,
            title_justify="left",
        )
        for name in ("cell", "iteration", "loss_cls", "elapsed"):
            table.add_column(name, justify="left" if name == "cell" else "right")
        for cell, started in self._running.items():
            line = last_line(self._layout.cell_metrics(cell))
            loss = line.get("loss_cls")
            table.add_row(
                cell,
                str(line.get("iteration", "starting")),
                "" if loss is None else f"{loss:.3g}",
                duration(time.monotonic() - started),
            )
        return table


def outcome(record: Record) -> str:
    """For example ``AP 21.4``, ``diverged at iteration 12``, ``failed``."""
    if record.status == DONE:
        ap = record.result["metrics"]["AP"]
        return "AP undefined" if ap is None else f"AP {ap:.1f}"
    if record.status == DIVERGED:
        iteration = record.result.get("error_iteration")
        return DIVERGED if iteration is None else f"{DIVERGED} at iteration {iteration}"
    return record.status


def failure(record: Record) -> str:
    """Why a cell failed: the first line of its error, and the last one, which ends its log."""
    lines = record.error.strip().splitlines() or ["the record has no error message"]
    return " ".join(dict.fromkeys((lines[0], lines[-1])))


def last_line(path: Path) -> dict[str, Any]:
    """The last complete line of a file of JSON lines; empty if there is none."""
    return ([{}] + last_lines(path, LINE_BYTES))[-1]
