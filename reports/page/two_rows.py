"""The data with which the page shows any two rows side by side, as compact JSON.

``two_rows.js`` draws them. What it can draw: the settings that differ, AP by size and per category,
error types, precision–recall curves, and the detections on the same images where the page has them.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ablations.records.record import DIVERGED, DONE, Record
from ablations.study.axes import AXES, has_effect
from focal_star.evaluation.metric_names import AP_METRICS
from reports.detections.gallery import TRUTH_PANEL, Gallery
from reports.results.labels import (
    BASELINE,
    CANDIDATE,
    HEADLINE,
    METRICS,
    TIDE_ERRORS,
    axis_label,
    axis_text,
)
from reports.results.load import Results
from reports.results.rows import row_label
from reports.results.states import row_text
from reports.results.study_rows import StudyRow, key_of, rows_of
from reports.statistics.contenders import categories, number_at, value_at

CURVES = ("0.50", "0.75")
"""The IoUs whose precision–recall curves are drawn."""

RECALLS = 101
"""The number of points of a recorded curve, at equal steps of recall from 0 to 1."""

MAX_BYTES = 44_000
"""The maximum size of the data. Curves are thinned until they fit, then left out."""

STEPS = (4, 10, 20, 0)
"""The steps between the points of a curve that are kept, the best first; 0 keeps none."""


def data(results: Results, shown: Gallery) -> Markup | None:
    """The JSON for a script element; None if fewer than two rows have a value.

    Args:
        results: the study.
        shown: the pictures in the page.
    """
    rows = rows_of(results)
    usable = {key: row for key, row in rows.items() if row.frame["AP"].notna().any()}
    if len(usable) < 2:
        return None
    numbers = {key: number for number, key in enumerate(usable)}
    tables = []
    for grid in results.study.grids:
        options = [
            [numbers[key_of(grid, row)], row_label(row, grid.columns)]
            for row in grid.rows
            if key_of(grid, row) in numbers
        ]
        if options:
            tables.append([grid.title, options])
    records = [record for row in usable.values() for record in results.records_of(row.frame)]
    content: dict[str, Any] = {
        "metrics": [METRICS[name].header for name in AP_METRICS],
        "categories": categories(results, records, "per_class_AP"),
        "errors": list(TIDE_ERRORS.values()),
        "ious": CURVES,
        "tables": tables,
        "first": _first(results, numbers),
        "pictures": _pictures(list(usable.values()), shown),
    }
    content["rows"] = [_row(results, row, content["categories"]) for row in usable.values()]
    curves = [row["curves"] for row in content["rows"]]
    text = ""
    for step in STEPS:
        for row, whole in zip(content["rows"], curves, strict=True):
            row["curves"] = [curve and curve[::step] for curve in whole] if step else []
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode(errors="replace")) <= MAX_BYTES:
            break
    # Nothing in a script element is an entity, and only "<" can end it.
    return Markup(text.replace("<", "\\u003c"))


def _row(results: Results, row: StudyRow, categories: Sequence[str]) -> dict[str, Any]:
    done = results.records_of(row.frame[row.frame["state"] == DONE])
    diverged = int((row.frame["state"] == DIVERGED).sum())
    content = {
        "name": row.label,
        "seeds": f"{int(row.frame['AP'].notna().sum())} of {len(row.frame)}",
        "state": row_text(row.frame),
        "setting": _setting(results, row),
        "ap": [_spread(row.frame[name].to_numpy(float)) for name in AP_METRICS],
        "categories": [_mean(done, ("per_class_AP", name), diverged) for name in categories],
        "errors": [_mean(done, ("analysis", "tide", "delta_AP50", name)) for name in TIDE_ERRORS],
        "curves": [_curve(done, iou) for iou in CURVES],
        "runs": [
            [int(seed), cell]
            for seed, cell in zip(row.frame["seed"], row.frame["cell"], strict=True)
            if cell in results.records
        ],
    }
    for part in ("categories", "errors", "curves"):
        if not any(value is not None for value in content[part]):
            content[part] = []
    return content


def _setting(results: Results, row: StudyRow) -> dict[str, str]:
    """Header of an axis -> its value, of the axes that affect the row."""
    values = results.study.known_axes | row.setting.as_dict()
    return {
        axis_label(axis).header: axis_text(axis, values[axis])
        for axis in AXES
        if axis in values and has_effect(axis, values)
    }


def _spread(values: np.ndarray) -> list[float | None]:
    """The mean and, of several values, the sample standard deviation."""
    known = values[np.isfinite(values)]
    if not len(known):
        return []
    spread = [round(float(known.std(ddof=1)), 1)] if len(known) > 1 else []
    return [round(float(known.mean()), 1), *spread]


def _mean(records: Sequence[Record], keys: Sequence[str], diverged: int = 0) -> float | None:
    """The mean of a number in the results of the runs; a diverged run counts as 0."""
    values = [number_at(record, *keys) for record in records]
    known = [value for value in values if math.isfinite(value)]
    return round(sum(known) / (len(known) + diverged), 1) if known else None


def _curve(records: Sequence[Record], iou: str) -> list[int] | None:
    """Precision in thousandths over equal steps of recall, as a mean over the runs."""
    curves = [value_at(record, "analysis", "precision_recall", iou) for record in records]
    usable = [
        curve
        for curve in curves
        if isinstance(curve, list)
        and len(curve) == RECALLS
        and all(isinstance(number, int | float) and math.isfinite(number) for number in curve)
    ]
    if not usable:
        return None
    return [round(1000 * float(number)) for number in np.mean(usable, axis=0)]


def _first(results: Results, numbers: dict[tuple[str, ...], int]) -> list[int]:
    """The rows that are compared at first: FL and FL* of the headline, else two rows."""
    first: dict[str, int] = {}
    for grid in sorted(results.study.grids, key=lambda grid: grid.name != HEADLINE):
        for row in grid.rows:
            if key_of(grid, row) in numbers:
                first.setdefault(str(row.setting.as_dict().get("loss")), numbers[key_of(grid, row)])
    if {BASELINE, CANDIDATE} <= first.keys():
        return [first[BASELINE], first[CANDIDATE]]
    return [0, 1]


def _pictures(rows: Sequence[StudyRow], shown: Gallery) -> list[dict[str, Any]]:
    """The pictures whose panels belong to rows: figure, title, ground truth, row -> panels."""
    pictures = []
    for picture in shown.pictures:
        of_rows = {
            number: picture.panels[cell]
            for number, row in enumerate(rows)
            for cell in row.frame["cell"]
            if cell in picture.panels
        }
        if len(of_rows) > 1:
            pictures.append(
                {
                    "figure": picture.name,
                    "title": picture.title,
                    "truth": picture.panels.get(TRUTH_PANEL, []),
                    "rows": of_rows,
                }
            )
    return pictures
