"""Reads a study's output folder into one tidy frame."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ablations.cell import AXES, Cell, Layout
from ablations.plan import Grid, Study, load_study
from ablations.record import DIVERGED, DONE, FAILED, Record, load_folder
from reports.labels import METRICS

MISSING = "missing"
"""The state of a cell without a (readable) record."""

STATES = (DONE, DIVERGED, FAILED, MISSING)


class ReportError(ValueError):
    """An output folder that no report can be made of; the message lists every problem."""


@dataclass(frozen=True)
class Results:
    """What is known of a study.

    Attributes:
        study: the plan: grids, rows and seeds.
        layout: the file names of the output folder.
        request: content of ``study.json``, empty if there is none.
        prepared: content of ``prepared.json``, empty if there is none.
        records: cell id -> record, of every readable record in the folder.
        refused: one line for each record file that cannot be used, named from the output folder.
        frame: a row per (grid, row, seed); see :func:`load`.
    """

    study: Study
    layout: Layout
    request: dict[str, Any]
    prepared: dict[str, Any]
    records: dict[str, Record]
    refused: list[str]
    frame: pd.DataFrame

    @property
    def cells(self) -> pd.DataFrame:
        """The frame with each cell once, though several grids may show it."""
        return self.frame.drop_duplicates("cell", ignore_index=True)

    @property
    def counts(self) -> dict[str, int]:
        """State -> number of cells, every state named."""
        found = Counter(self.cells["state"])
        return {state: found[state] for state in STATES}

    @property
    def complete(self) -> bool:
        """Every cell is done or diverged, and no record was refused."""
        return not (self.counts[FAILED] or self.counts[MISSING] or self.refused)

    def of_grid(self, grid: Grid) -> pd.DataFrame:
        """The frame of one grid."""
        return self.frame[self.frame["grid"] == grid.name]

    def records_of(self, frame: pd.DataFrame) -> list[Record]:
        """The records behind a part of the frame, each once."""
        return [self.records[cell] for cell in frame["cell"].unique() if cell in self.records]


def find_study(
    layout: Layout, name: str, grids: list[str] | None = None, seeds: int | None = None
) -> Study:
    """The study as it was run; what is not given is taken from ``study.json``.

    Raises:
        ReportError: there is no such output folder, or ``study.json`` cannot be used.
        ablations.plan.PlanError: an unknown study or grid.
    """
    if not layout.root.is_dir():
        raise ReportError(f"there is no {layout.root}: no cell of this study has been run there")
    request = _read_object(layout.study)
    asked_grids, asked_seeds = request.get("grids"), request.get("seeds")
    problems = []
    if asked_grids is not None and not (
        isinstance(asked_grids, list) and all(isinstance(grid, str) for grid in asked_grids)
    ):
        problems.append(f"grids is {asked_grids!r}, not a list of names")
    if asked_seeds is not None and (type(asked_seeds) is not int or asked_seeds < 1):
        problems.append(f"seeds is {asked_seeds!r}, not a number of seeds")
    if problems:
        raise ReportError(f"{layout.study}: " + "; ".join(problems))
    return load_study(name, grids or asked_grids, asked_seeds if seeds is None else seeds)


def load(layout: Layout, study: Study) -> Results:
    """Read the records of a study.

    The frame has a row per (grid, row, seed) with the columns ``grid``, ``row`` (0, 1, ...),
    ``seed``, ``cell``, the axes of the setting (``cell.AXES``), ``state`` (one of
    ``STATES``), every metric of ``labels.METRICS`` in percent (0.0 where the cell diverged, NaN
    where there is none), ``error_iteration``, ``iterations``, ``predicted_loss``,
    ``measured_loss``, ``train_seconds``, ``eval_seconds`` and ``wall_seconds``.

    Raises:
        ReportError: ``study.json`` or ``prepared.json`` is no JSON object. A record that cannot
            be read is no error but is listed in ``refused``.
    """
    records, refused = load_folder(layout.records)
    return Results(
        study=study,
        layout=layout,
        request=_read_object(layout.study),
        prepared=_read_object(layout.prepared),
        records=records,
        refused=[line.replace(f"{layout.root}{os.sep}", "") for line in refused],
        frame=pd.DataFrame(
            [
                {
                    "grid": grid.name,
                    "row": number,
                    "seed": seed,
                    "cell": Cell(row.setting, seed).id,
                    **{axis: row.setting.as_dict().get(axis) for axis in AXES},
                    **_outcome(records.get(Cell(row.setting, seed).id)),
                }
                for grid in study.grids
                for number, row in enumerate(grid.rows)
                for seed in study.seeds
            ]
        ),
    )


def published(grid: Grid) -> pd.DataFrame:
    """The published metrics, a line per row of the grid in percent, NaN where there is none."""
    return pd.DataFrame(
        [grid.published_values(row) for row in grid.rows], columns=list(METRICS), dtype=float
    )


def _outcome(record: Record | None) -> dict[str, Any]:
    result = record.result if record else {}
    run = record.run if record else {}
    state = record.status if record else MISSING
    metrics = _mapping(result, "metrics") if state == DONE else {}
    first_loss = _mapping(result, "first_loss")
    # A diverged model detects nothing.
    absent = 0.0 if state == DIVERGED else None
    return {
        "state": state,
        **{metric: _number(metrics.get(metric, absent)) for metric in METRICS},
        "error_iteration": _number(result.get("error_iteration")),
        "iterations": _number(result.get("iterations")),
        "predicted_loss": _number(first_loss.get("predicted")),
        "measured_loss": _number(first_loss.get("measured")),
        "train_seconds": _number(run.get("train_seconds")),
        "eval_seconds": _number(run.get("eval_seconds")),
        "wall_seconds": _number(run.get("wall_seconds")),
    }


def _mapping(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ReportError(f"{path}: an object is expected, this is {type(content).__name__}")
    return content
