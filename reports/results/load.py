"""Reads a study's output folder into one tidy frame."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from ablations.identity import prepared as preparing
from ablations.identity.fingerprint import Identity, flat
from ablations.identity.prepared import Prepared, PrepareError
from ablations.records import speed as speeds
from ablations.records.record import DIVERGED, Record
from ablations.records.speed import Speed
from ablations.status import today
from ablations.status.status import ENDED, STALE, Status, status
from ablations.storage.layout import Layout
from ablations.storage.reading import PlanError
from ablations.study.axes import AXES
from ablations.study.cell import Cell, Setting
from ablations.study.grid import Grid
from ablations.study.last_run import last_run, other_studies
from ablations.study.study import Study, load_study
from ablations.tuning import selection
from reports.results.judging import judged
from reports.results.labels import CANDIDATES, METRICS, SPEED
from reports.results.states import changed_text

NAN = float("nan")


class ReportError(ValueError):
    """No report can be made of an output folder; the message lists every problem."""


@dataclass(frozen=True)
class Results:
    """A study with its records.

    Attributes:
        study: the plan: grids, rows and seeds, with the settings that the study chose.
        layout: the file names of the output folder.
        cells_layout: the file names of the folder with the cells' own files; a different folder if
            the records were copied.
        request: content of ``study.json``, empty if there is none.
        prepared: config, data set and initial weights of the cells; None if unknown.
        status: the state of every cell.
        unchecked: the reason why staleness could not be checked; "" if it was checked.
        frame: a row per (grid, row, seed); see :func:`_frame`.
        speed: the times per image, of the last measurement; None if there is none.
        speed_refused: a line for each unusable file of times.
    """

    study: Study
    layout: Layout
    cells_layout: Layout
    request: dict[str, Any]
    prepared: Prepared | None
    status: Status
    unchecked: str
    frame: pd.DataFrame
    speed: Speed | None = None
    speed_refused: tuple[str, ...] = ()

    @property
    def records(self) -> dict[str, Record]:
        """Cell id -> record, of every readable record in the folder.

        Metrics and analysis of the cells of tuned grids are those of the reporting half.
        """
        return self.status.records

    @property
    def refused(self) -> list[str]:
        """A line for each unusable record file, with its path relative to the output folder."""
        return [line.replace(f"{self.layout.root}{os.sep}", "") for line in self.status.refused]

    @property
    def config(self) -> dict[str, Any]:
        """Dotted key -> value of the study's config; empty if it was not prepared."""
        return dict(flat(self.prepared.config)) if self.prepared else {}

    @property
    def cells(self) -> pd.DataFrame:
        """The frame with each cell once, even if several grids contain it."""
        return self.frame.drop_duplicates("cell", ignore_index=True)

    @property
    def counts(self) -> dict[str, int]:
        """State -> number of cells, every state named."""
        return self.status.counts

    @property
    def complete(self) -> bool:
        """Every cell is done or diverged, and no record was refused."""
        return self.status.is_complete and not self.refused

    @property
    def as_published(self) -> bool:
        """Whether config, data set and schedule (1x) are those of the published tables."""
        return self.on_published_data and self.study.schedule == 1

    @property
    def on_published_data(self) -> bool:
        """Whether config and data set are those of the published tables."""
        return self.study.as_published and not self.on_own_data

    @property
    def on_own_data(self) -> bool:
        """Whether the data set differs from the one in the study's file."""
        return bool(self.request.get("dataset")) or any(
            record.dataset.get("name") != self.study.dataset for record in self.records.values()
        )

    def of_grid(self, grid: Grid) -> pd.DataFrame:
        """The frame of one grid."""
        return self.frame[self.frame["grid"] == grid.name]

    def records_of(self, frame: pd.DataFrame) -> list[Record]:
        """The records behind a part of the frame, each once."""
        return [self.records[cell] for cell in frame["cell"].unique() if cell in self.records]

    def ended_records_of(self, frame: pd.DataFrame) -> list[Record]:
        """The same without the cells that have no current result.

        The record of a cell that is not judged yet has the number of all images and their AP.
        """
        return self.records_of(frame[frame["state"].isin(ENDED)])


def find_study(
    layout: Layout,
    name: str,
    grids: list[str] | None = None,
    seeds: Mapping[str, int] | None = None,
    schedule: float | None = None,
) -> Study:
    """The study as it was run; missing arguments are taken from ``study.json``.

    Raises:
        ReportError: there is no such output folder, or ``study.json`` is no JSON object.
        ablations.storage.reading.PlanError: a value in it is not valid, or an unknown study or
            grid.
    """
    if not layout.root.is_dir():
        others = "; ".join(other_studies(layout))
        raise ReportError(
            f"there is no {layout.root}: no cell of this study was run there"
            + (f"; {layout.root.parent} has: {others}" if others else "")
        )
    last = last_run(layout.study, _read_object(layout.study))
    return load_study(name, *last.unless_given(grids, seeds, schedule))


def load(layout: Layout, study: Study, check: bool = True) -> Results:
    """Read the records of a study.

    Args:
        layout: the study's folder.
        study: the study.
        check: whether a record that today's code, config or data would not give is stale. Without
            the check, records count as they are, whichever code they come from.

    Raises:
        ReportError: ``study.json`` is no JSON object, or a grid has a metric that is not known
            here. A record that cannot be read is no error but is listed in ``refused``.
    """
    unknown = [f"{g.name}: {m}" for g in study.grids for m in g.metrics if m not in METRICS]
    if unknown:
        raise ReportError(
            f"unknown metrics of grids: {', '.join(unknown)}; known: {', '.join(METRICS)}"
        )
    prepared = preparing.load(layout)
    if check:
        study, identities, unchecked = _resolved(study, layout, prepared)
    else:
        study, identities, unchecked = selection.with_stored(study, layout, None), None, ""
    study_status = status(study, layout, identities)
    measured, refused = speeds.load_folder(layout.speed)
    speed = measured[0] if measured else None
    study_status = replace(
        study_status, records=study_status.records | judged(study, layout, study_status.records)
    )
    return Results(
        study=study,
        layout=layout,
        cells_layout=layout,
        request=_read_object(layout.study),
        prepared=prepared,
        status=study_status,
        unchecked=unchecked,
        speed=speed,
        speed_refused=tuple(refused),
        frame=_frame(study, study_status, speed),
    )


def record_path(cell: str) -> str:
    """The path of a cell's record, percent-quoted, relative to the folder of the report."""
    return f"../records/{quote(cell)}.json"


def published_metrics(grid: Grid) -> pd.DataFrame:
    """The published metrics, a line per row of the grid, NaN where there is none."""
    return pd.DataFrame(
        [grid.published_values(row) for row in grid.rows], columns=list(METRICS), dtype=float
    )


def _resolved(
    study: Study, layout: Layout, prepared: Prepared | None
) -> tuple[Study, dict[Cell, Identity] | None, str]:
    """The study with its choices, and the current identity of each cell, or None and why not.

    While a run is active in the folder, the identities are those of that run.
    """

    def unknown(why: str) -> tuple[Study, None, str]:
        return selection.with_stored(study, layout, None), None, why

    if prepared is None:
        return unknown("the output folder does not say how they were prepared")
    code = today.code(layout)
    try:
        if not preparing.is_current(prepared, study, code):
            return unknown("the config files have changed since the study was prepared")
        processes = today.processes(layout, study)
        return *selection.resolve(study, layout, prepared, processes, code), ""
    except (PrepareError, PlanError) as error:
        return unknown(str(error))


def _frame(study: Study, study_status: Status, speed: Speed | None) -> pd.DataFrame:
    """A row per (grid, row, seed).

    The columns are ``grid``, ``row`` (0, 1, ...), ``seed``, ``cell``, ``setting`` (its id),
    ``pending`` (whether the setting has not been chosen yet), ``judged`` (whether only the
    reporting half of the images counts), the axes of the setting (``cell.AXES``, None at the
    study's own value), ``state`` (one of ``status.STATES``), ``changed`` (why it is stale, as
    text), ``recorded`` (the record's own status, "" if there is none), every metric of
    ``labels.METRICS`` (AP 0.0 where the cell diverged, NaN where there is none; the time per image
    is that of the cell's architecture, NaN if its rounds do not agree) and, of stale records,
    ``<metric>_stale``; ``error_iteration``, ``iterations``, ``predicted_loss``, ``measured_loss``,
    ``train_seconds``, ``eval_seconds`` and ``wall_seconds``.
    """
    of_fresh_seeds = {cell.id for cell in study.judged}
    return pd.DataFrame(
        [
            {
                "grid": grid.name,
                "row": number,
                "seed": seed,
                "cell": cell.id,
                "setting": row.setting.id,
                "pending": bool(row.setting.pending),
                "judged": cell.id in of_fresh_seeds,
                **_axes(study, row.setting),
                **_outcome(study_status, cell),
                SPEED: _ms_per_image(speed, cell),
            }
            for grid in study.grids
            for number, row in enumerate(grid.rows)
            for seed in study.seeds_of(grid)
            for cell in (Cell(row.setting, seed),)
        ]
    )


def _axes(study: Study, setting: Setting) -> dict[str, Any]:
    """Axis -> a setting's value; None at the study's own."""
    values, schedule = setting.as_dict(), setting.schedule
    of_schedule = {"schedule": None if schedule == study.schedule else schedule}
    return {axis: values.get(axis) for axis in AXES} | of_schedule


def _outcome(study_status: Status, cell: Cell) -> dict[str, Any]:
    record, state = study_status.records.get(cell.id), study_status.states[cell]
    result, run = (record.result, record.run) if record else ({}, {})
    first_loss = part(result, "first_loss")
    metrics = _metrics(record)
    return {
        "state": state,
        "changed": changed_text(study_status.changed.get(cell, [])) if state == STALE else "",
        "recorded": record.status if record else "",
        **{name: metrics[name] if state in ENDED else NAN for name in METRICS},
        **{f"{name}_stale": metrics[name] if state == STALE else NAN for name in METRICS},
        "error_iteration": _number(result.get("error_iteration")),
        "iterations": _number(result.get("iterations")),
        "predicted_loss": _number(first_loss.get("predicted")),
        "measured_loss": _number(first_loss.get("measured")),
        "train_seconds": _number(run.get("train_seconds")),
        "eval_seconds": _number(run.get("eval_seconds")),
        "wall_seconds": _number(run.get("wall_seconds")),
    }


def _metrics(record: Record | None) -> dict[str, float]:
    """The ``METRICS`` of a record, stale or not."""
    if record is None or record.status not in ENDED:
        return dict.fromkeys(METRICS, NAN)
    if record.status == DIVERGED:
        # Such a model detects nothing.
        return {name: 0.0 if label.in_percent else NAN for name, label in METRICS.items()}
    values = part(record.result, "metrics") | {CANDIDATES: record.result.get(CANDIDATES)}
    return {name: _number(values.get(name)) for name in METRICS}


def _ms_per_image(speed: Speed | None, cell: Cell) -> float:
    """The time of a cell's architecture; NaN if it is unknown or its rounds do not agree."""
    time = speed.of(cell.setting) if speed else None
    return time.ms_per_image if time and time.is_shown else NAN


def part(parent: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The mapping at these keys of a record's or a data set's mapping; empty if there is none."""
    value: Any = parent
    for key in keys:
        value = value.get(key)
        if not isinstance(value, dict):
            return {}
    return value


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else NAN


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ReportError(f"{path}: an object is expected, this is {type(content).__name__}")
    return content
