"""Miss rate, recall and calibration of the settings, and the largest objects they missed."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pandas as pd

from ablations.records.record import Record
from reports.results.load import Results
from reports.statistics.contenders import (
    NAN,
    Contender,
    contenders,
    measure,
    number_at,
    value_at,
    with_entry,
)
from reports.tables.measured import (
    measured_column,
    measured_texts,
    seeds_columns,
    seeds_texts,
)
from reports.tables.table import AXIS, NUMBER, PART_RANK, TEXT, Column, Table, Tabled, shown

FPPI = (0.1, 1.0)
"""The false positives per image at which the miss rate is reported."""

SIZES = ("small", "medium", "large")

PERCENT = 100.0

MAX_MISSES = 5
"""The number of missed objects that are listed per setting."""

MISS_RATE, RECALL = "miss rate (%) ↓", "recall (%) ↑"


def safety(results: Results) -> Tabled:
    """Miss rates, recall by size and at a high precision, and the calibration error.

    A diverged run counts as a detector without detections.
    """
    settings = with_entry(contenders(results), "analysis")
    records = [record for setting in settings for record in setting.records]
    if not records:
        return Tabled(None, "No record has an analysis of its detections.")
    names = [setting.name for setting in settings]
    columns, texts = [Column("", "setting", AXIS, names)], {"setting": names}
    precision = _distinct(records, "recall", "at_precision", "precision")
    for name, group, header, value, diverged in _measures(precision):
        if not any(math.isfinite(value(record)) for record in records):
            diverged = NAN  # e.g. the data set has no large objects
        cells = measure(settings, value, diverged=diverged, scale=PERCENT)
        rank = PART_RANK if name.endswith("_fppi") else 0
        columns.append(measured_column(cells, group, header, rank))
        texts |= measured_texts(cells, name)
    columns += seeds_columns(settings)
    texts |= seeds_texts(settings)
    note = _note(settings, precision, _distinct(records, "miss_rate", "iou"))
    return Tabled(Table(columns, pd.DataFrame(texts, dtype=object)), note)


def _measures(precision: str) -> list[tuple[str, str, str, Callable[[Record], float], float]]:
    """Name in the CSV, group, header, reader of a record, and the value of a diverged run."""
    return [
        ("lamr", MISS_RATE, "log-average", partial(_number, keys=("miss_rate", "lamr")), 1.0),
        *(
            (
                f"miss_rate_at_{fppi:g}_fppi",
                MISS_RATE,
                f"at {fppi:g} FPPI",
                partial(_miss_rate_at, fppi=fppi),
                1.0,
            )
            for fppi in FPPI
        ),
        *(
            (f"recall_{size}", RECALL, size, partial(_number, keys=("recall", size)), 0.0)
            for size in SIZES
        ),
        ("recall_at_precision", RECALL, f"at precision {precision}", _recall_at_precision, 0.0),
        ("ece", "", "ECE (%) ↓", partial(_number, keys=("calibration", "ece")), NAN),
    ]


def missed_objects(results: Results) -> Tabled:
    """The missed objects of each setting: those of most seeds first, then the largest."""
    lines = []
    for setting in contenders(results):
        listed: dict[tuple, list[dict[str, Any]]] = {}
        for record in setting.records:
            for miss in _misses(record):
                key = (str(miss.get("image_id")), str(miss.get("category")), str(miss.get("bbox")))
                listed.setdefault(key, []).append(miss)
        ranked = sorted(
            listed.items(), key=lambda item: (-len(item[1]), -_finite(item[1][0], "area"), item[0])
        )
        lines += [_line(setting, misses) for _, misses in ranked[:MAX_MISSES]]
    if not lines:
        return Tabled(None, "No record lists missed objects.")
    frame = pd.DataFrame(lines, dtype=object)
    scored = not set(frame["best_score"]) <= {"", "0.00"}
    columns = [
        Column("", header, kind, shown(frame[name]))
        for name, header, kind in (
            ("setting", "setting", AXIS),
            ("image", "image", TEXT),
            ("category", "category", TEXT),
            ("box", "box: x, y, width, height (px)", TEXT),
            ("area", "area (px²)", NUMBER),
            ("best_score", "best score", NUMBER),
            ("best_iou", "best IoU", NUMBER),
        )
        if name != "best_score" or scored
    ]
    if (frame["seeds_planned"] != "1").any():
        seeds = frame["seeds_missed"] + " of " + frame["seeds_planned"]
        columns.append(Column("", "missed by seeds", NUMBER, list(seeds)))
    return Tabled(
        Table(columns, frame),
        (
            "Best score is the highest score of a detection of the object's category that overlaps "
            "it sufficiently. "
            if scored
            else "No detection of its category overlaps any of these objects sufficiently. "
        )
        + "Best IoU is the highest IoU with a detection of any category. Each run lists only its "
        "largest missed objects.",
    )


def _number(record: Record, keys: Sequence[str]) -> float:
    return number_at(record, "analysis", *keys)


def _miss_rate_at(record: Record, fppi: float) -> float:
    points, rates = (value_at(record, "analysis", "miss_rate", k) for k in ("fppi", "miss_rate"))
    if not (isinstance(points, list) and isinstance(rates, list)):
        return NAN
    for point, rate in zip(points, rates, strict=False):
        if isinstance(point, int | float) and math.isclose(point, fppi, rel_tol=1e-3):
            return float(rate) if isinstance(rate, int | float) else NAN
    return NAN


def _recall_at_precision(record: Record) -> float:
    """0 if no score threshold reaches the precision."""
    if not isinstance(value_at(record, "analysis", "recall", "at_precision"), dict):
        return NAN
    recall = _number(record, ("recall", "at_precision", "recall"))
    return 0.0 if math.isnan(recall) and _number(record, ("counts", "instances")) > 0 else recall


def _distinct(records: Sequence[Record], *keys: str) -> str:
    """A number that is the same in all records, else each distinct value."""
    values = {_number(record, keys) for record in records}
    return " or ".join(f"{value:g}" for value in sorted(values) if not math.isnan(value)) or "–"


def _note(settings: Sequence[Contender], precision: str, iou: str) -> str:
    text = (
        f"A detection matches an object at an IoU of at least {iou}. The log-average is the "
        "geometric mean of the miss rate at nine numbers of false positives per image (FPPI) from "
        "0.01 to 1. Recall by size counts all detections; recall at precision "
        f"{precision} uses the lowest score threshold with this precision, and is 0 if there is "
        "none. ECE is the expected calibration error of the scores. Lower is better for ↓, higher "
        "for ↑."
    )
    if any(setting.planned > 1 for setting in settings):
        text += (
            " Values are mean ± sample standard deviation over the seeds; no difference is tested."
        )
    if any(setting.diverged for setting in settings):
        text += " A diverged run counts as a detector without detections and has no ECE."
    return text


def _misses(record: Record) -> list[dict[str, Any]]:
    misses = value_at(record, "analysis", "worst_misses")
    return [miss for miss in misses if isinstance(miss, dict)] if isinstance(misses, list) else []


def _line(setting: Contender, misses: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The texts of a missed object; ``misses``: its entry in the record of each seed."""
    first = misses[0]
    box = first.get("bbox")
    numbers = box if isinstance(box, list) else []
    return {
        "setting": setting.name,
        "image": str(first.get("file_name") or first.get("image_id") or ""),
        "category": str(first.get("category") or ""),
        "box": ", ".join(f"{x:.1f}" for x in numbers if isinstance(x, int | float)),
        "area": _text(_finite(first, "area"), ".0f"),
        "best_score": _text(max(_finite(miss, "best_score") for miss in misses), ".2f"),
        "best_iou": _text(max(_finite(miss, "best_iou") for miss in misses), ".2f"),
        "seeds_missed": str(len(misses)),
        "seeds_planned": str(setting.planned),
    }


def _finite(miss: dict[str, Any], key: str) -> float:
    """A number of a miss, -1 if it has none."""
    value = miss.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else -1.0


def _text(value: float, digits: str) -> str:
    return "" if value < 0 else format(value, digits)
