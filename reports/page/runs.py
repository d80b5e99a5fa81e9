"""The runs of a study: a table, an entry per run, and facts about all of them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from ablations.records.record import Record
from ablations.status.units import duration
from ablations.study.cell import Cell
from reports.results import provenance
from reports.results.labels import METRICS, one_decimal, short_name, text_of
from reports.results.load import Results, record_path
from reports.results.states import state_text
from reports.tables.table import (
    AXIS,
    LINKS,
    NUMBER,
    PART_RANK,
    TEXT,
    Column,
    Link,
    Table,
    TableCell,
    linked,
    shown,
)
from reports.text import sentences

CONFIGS = "projects/focal_star/configs"

CAPTION = "The first loss is that of the first iteration, predicted and measured."

_NUMBERS = {
    "iterations": ("", "iterations", ".0f", 0),
    "predicted_loss": ("first loss", "predicted", ".3g", 0),
    "measured_loss": ("first loss", "measured", ".3g", 0),
    "train_seconds": ("seconds", "training", ".1f", PART_RANK),
    "eval_seconds": ("seconds", "evaluation", ".1f", PART_RANK),
    "wall_seconds": ("seconds", "total", ".1f", 0),
}
"""Number in the table of runs -> group, header, format and rank."""


@dataclass(frozen=True)
class Run:
    """The entry of a run.

    Attributes:
        cell: the cell's id.
        outcome: its AP or its state.
        facts: names and texts.
        files: its record, config and log, if they exist.
        command: repeats the run.
    """

    cell: str
    outcome: str
    facts: Sequence[tuple[str, str]]
    files: Sequence[Link]
    command: str

    @property
    def anchor(self) -> str:
        return f"run-{self.cell}"


def entry_of(target: str) -> str:
    """The anchor of a record's run in the page; any other target is returned unchanged."""
    path = PurePosixPath(target)
    if path.parent != PurePosixPath(record_path("")).parent:
        return target
    return f"#run-{quote(unquote(path.stem))}"


def entries(results: Results) -> list[Run]:
    """An entry per run that has a record, in the order of the study."""
    frame = {line["cell"]: line for line in results.cells.to_dict("records")}
    return [
        _entry(results, cell, frame[cell.id])
        for cell in results.study.cells()
        if cell.id in results.records
    ]


def table_of_runs(results: Results) -> Table:
    """A line per cell, with or without a record."""
    cells = results.cells.to_dict("records")
    records = [results.records.get(cell["cell"]) for cell in cells]
    columns = [
        Column("", "cell", AXIS, [cell["cell"] for cell in cells]),
        Column("", "state", TEXT, [state_text(cell) or cell["state"] for cell in cells]),
    ]
    columns += [
        Column(group, header, NUMBER, [_number(cell[name], digits) for cell in cells], rank)
        for name, (group, header, digits, rank) in _NUMBERS.items()
    ]
    finished = [str((record and record.run.get("finished")) or "") for record in records]
    links = [
        [Link("entry", record_path(cell["cell"]), f"entry of {cell['cell']}")] if record else []
        for cell, record in zip(cells, records, strict=True)
    ]
    return Table(
        [
            *columns,
            Column("", "finished (UTC)", TEXT, shown(finished)),
            Column("", "record", LINKS, linked(links)),
        ]
    )


def facts(results: Results, records: Sequence[Record]) -> list[tuple[str, str]]:
    """Names and texts about all runs."""
    pairs = [
        ("Config", f"{CONFIGS}/{results.study.config}"),
        ("Schedule", provenance.schedule(records)),
        ("Hardware", provenance.hardware(records)),
        ("Commit", provenance.commits(records)),
        ("Seeds", sentences.seeds(results)),
        ("Finished", _span(record.run.get("finished") for record in records)),
    ]
    times = results.cells["wall_seconds"].dropna()
    if len(times):
        total, least, most, middle = map(
            duration, (times.sum(), times.min(), times.max(), times.median())
        )
        pairs.append(
            (
                "Time",
                f"{total} in total for {sentences.counted(len(times), 'cell')}; "
                f"{least} to {most} per cell, median {middle}",
            )
        )
    return [(name, text) for name, text in pairs if text]


def _entry(results: Results, cell: Cell, line: Mapping[str, Any]) -> Run:
    """The entry of a cell; ``line``: its line of the frame."""
    layout, outcome = results.layout, state_text(line)
    there = [
        Link(name, f"../{quote(path.relative_to(layout.root).as_posix())}")
        for name, path in (
            ("record", layout.record(cell.id)),
            ("config", layout.cell_config(cell.id)),
            ("log", layout.cell_log(cell.id)),
        )
        if path.is_file()
    ]
    config = ""
    if not layout.cell_config(cell.id).is_file():
        keys = cell.overrides()
        changes = map(" ".join, zip(keys[::2], keys[1::2], strict=True))
        config = f"{CONFIGS}/{results.study.config} with {', '.join(changes)}"
    values = text_of(cell.setting, results.study.schedule)
    setting = (short_name(cell.setting.as_dict()), values, f"seed {cell.seed}")
    metrics = [
        f"{label.header} {one_decimal(line[name])}"
        for name, label in METRICS.items()
        if label.in_percent and not math.isnan(line[name])
    ]
    texts = [
        ("State", outcome),
        ("Setting", ", ".join(filter(None, setting))),
        ("Result", ", ".join(metrics)),
        ("Config", config),
    ]
    return Run(
        cell=cell.id,
        outcome=outcome or metrics[0],
        facts=[(name, text) for name, text in texts if text],
        files=there,
        command=results.records[cell.id].command,
    )


def _number(value: float, digits: str) -> TableCell:
    """A formatted number that is sorted by its value."""
    if math.isnan(value):
        return TableCell("")
    return TableCell(format(value, digits), sort=value)


def _span(moments: Iterable[Any]) -> str:
    """The first and the last of these times in ISO 8601."""
    known = sorted(moment for moment in moments if isinstance(moment, str) and moment)
    return " to ".join(dict.fromkeys((known[0], known[-1]))) if known else ""
