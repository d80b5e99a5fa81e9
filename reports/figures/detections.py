"""Figures of the detections of the headline's settings."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablations.records.record import Record
from reports.figures.illustration import MARKERS, Illustrated, drawn
from reports.plots.detections import (
    ErrorBars,
    Reliability,
    error_types,
    miss_rate,
    precision_recall,
    reliability,
)
from reports.plots.losses import Line
from reports.results import provenance
from reports.results.labels import (
    METRICS,
    TIDE_ERRORS,
    TIDE_TOTALS,
    UNORDERED_COLOUR,
    setting_colour,
)
from reports.results.load import Results
from reports.statistics.contenders import Contender, contenders, number_at, value_at

IOUS = {"0.50": "IoU 0.5", "0.75": "IoU 0.75", "mean": "mean over IoU 0.5 to 0.95"}
"""Entry of a record -> title of its panel."""

DASHES = (
    "-", (0, (5, 2)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)),
)  # fmt: skip

PERCENT = 100.0
POOLED = "The curve pools the detections of all seeds; the bars and ECE are means over seeds. "

TOTALS_FROM = len(TIDE_ERRORS) - len(TIDE_TOTALS)
"""The index in ``TIDE_ERRORS`` of the first total."""


@dataclass(frozen=True)
class _Look:
    """A setting with its colour, dashes and marker."""

    setting: Contender
    colour: str
    dashes: str | tuple
    marker: str

    @property
    def name(self) -> str:
        return self.setting.name

    @property
    def records(self) -> list[Record]:
        return self.setting.records


def precision_recall_figure(results: Results) -> Illustrated:
    """Precision–recall curves of the headline's settings, a panel for each of ``IOUS``."""
    recall = PERCENT * np.linspace(0, 1, 101)

    def read(record: Record) -> np.ndarray | None:
        curves = [_numbers(record, "precision_recall", iou) for iou in IOUS]
        usable = all(len(curve) == len(recall) and np.isfinite(curve).all() for curve in curves)
        return PERCENT * np.array(curves) if usable else None

    measured, missing = _measured(results, read)
    if not measured:
        return Illustrated(None, "No record has precision–recall curves.")
    panels = {
        title: [_line(look, recall, values[:, number]) for look, values in measured]
        for number, title in enumerate(IOUS.values())
    }
    at_half = [f"{look.name} {values[:, :, 50].mean(0)[0]:.0f} %" for look, values in measured]
    return Illustrated(
        drawn(
            "precision_recall",
            "Precision–recall curves at IoU 0.5 and 0.75, and their mean over IoU 0.5 to 0.95. "
            f"Precision at recall 50 % and IoU 0.5: {'; '.join(at_half)}.",
            precision_recall,
            panels,
        ),
        f"Precision–recall curves, mean over the categories{_bands(measured)}. {missing}"
        f"{_made(results, measured)}",
    )


def miss_rate_figure(results: Results) -> Illustrated:
    """Miss rate against false positives per image, log-log, with the log-average miss rate."""

    def read(record: Record) -> np.ndarray | None:
        fppi, rates = (_numbers(record, "miss_rate", key) for key in ("fppi", "miss_rate"))
        usable = len(fppi) and len(fppi) == len(rates) and np.isfinite([*fppi, *rates]).all()
        return np.array([fppi, PERCENT * rates]) if usable else None

    measured, missing = _measured(results, read)
    if not measured:
        return Illustrated(None, "No record has the miss rate over false positives per image.")
    lines, texts = [], []
    for look, values in measured:
        lamr = _mean_text(
            "LAMR", [number_at(r, "analysis", "miss_rate", "lamr") for r in look.records]
        )
        named = replace(look.setting, name=f"{look.name}: {lamr}")
        texts.append(named.name)
        look = replace(look, setting=named)
        lines.append(replace(_line(look, values[0, 0], values[:, 1]), marker=look.marker))
    return Illustrated(
        drawn(
            "miss_rate",
            f"Miss rate against false positives per image. {'; '.join(texts)}.",
            miss_rate,
            lines,
        ),
        "Miss rate (share of missed objects) against false positives per image, on logarithmic "
        f"scales{_bands(measured)}. LAMR is the log-average miss rate; lower is better. "
        f"{missing}{_made(results, measured)}",
    )


def reliability_figure(results: Results) -> Illustrated:
    """Reliability diagrams: accuracy over confidence, a panel per setting."""

    def read(record: Record) -> np.ndarray | None:
        bins = value_at(record, "analysis", "calibration", "bins")
        keys = ("lower", "upper", "count", "confidence", "accuracy")
        try:
            numbers = np.array([[_finite(of_bin[key]) for key in keys] for of_bin in bins])
        except (KeyError, TypeError):
            return None
        return numbers if numbers.ndim == 2 else None

    measured, missing = _measured(results, read)
    if not measured:
        return Illustrated(None, "No record has calibration data.")
    panels, texts = [], []
    for look, values in measured:
        lower, upper, counts, confidence, accuracy = np.moveaxis(values, -1, 0)
        total = counts.sum(0)
        with np.errstate(invalid="ignore"):
            confidence, accuracy = (
                PERCENT * np.nansum(counts * one, axis=0) / total for one in (confidence, accuracy)
            )
        ece = [number_at(r, "analysis", "calibration", "ece") for r in look.records]
        title = f"{look.name}, {_mean_text('ECE', ece)}"
        texts.append(title)
        edges = PERCENT * np.append(lower[0], upper[0, -1])
        mean = total / len(look.records)
        panels.append(Reliability(title, edges, confidence, accuracy, mean, look.colour))
    fullest = max(1.0, *(float(np.max(panel.counts)) for panel in panels))
    return Illustrated(
        drawn(
            "reliability",
            f"Reliability diagrams, a panel per setting. {'; '.join(texts)}.",
            reliability,
            panels,
        ),
        "Share of true positives among the detections at each confidence; on the dashed line the "
        "scores are calibrated. Grey bars show the number of detections on a logarithmic scale "
        f"from 1 to {fullest:,.0f}. ECE is the expected calibration error. "
        f"{POOLED if _several(measured) else ''}"
        f"{missing}{_made(results, measured)}",
    )


def error_types_figure(results: Results) -> Illustrated:
    """The AP50 that each type of error costs by TIDE, a panel per setting."""
    kinds = list(TIDE_ERRORS)

    def read(record: Record) -> np.ndarray | None:
        values = [number_at(record, "analysis", "tide", "delta_AP50", kind) for kind in kinds]
        return np.array(values) if np.isfinite(values).any() else None

    measured, missing = _measured(results, read)
    if not measured:
        return Illustrated(None, "No record has its errors split by type.")
    panels, texts = [], []
    for look, values in measured:
        mean = values.mean(0)
        bars, low, high = (
            np.insert(one, TOTALS_FROM, np.nan) for one in (mean, values.min(0), values.max(0))
        )
        panels.append(ErrorBars(look.name, bars, low, high, look.colour))
        parts = [
            f"{label} {value:.1f}"
            for label, value in zip(TIDE_ERRORS.values(), mean, strict=True)
            if math.isfinite(value)
        ]
        texts.append(f"{look.name}: {', '.join(parts)}")
    ap50, labels = METRICS["AP50"].header, list(TIDE_ERRORS.values())
    note = "bars are means over seeds, lines span their minimum to maximum; "
    return Illustrated(
        drawn(
            "error_types",
            f"Δ{ap50} by type of error, a panel per setting. {'; '.join(texts)}.",
            error_types,
            [*labels[:TOTALS_FROM], "", *labels[TOTALS_FROM:]],
            panels,
            f"Δ{ap50} (%)",
        ),
        f"Rise in {ap50} if all errors of one type were fixed (TIDE, arXiv:2008.08115; "
        f"{note if _several(measured) else ''}the types overlap and do not add up). "
        f"{missing}{_made(results, measured)}",
    )


def _measured(
    results: Results, read: Callable[[Record], np.ndarray | None]
) -> tuple[list[tuple[_Look, np.ndarray]], str]:
    """The headline's settings with a measured quantity, and the settings that lack it.

    Args:
        results: the study with its records.
        read: returns the quantity of a record, of one shape for all records, or None.

    Returns:
        Each setting, restricted to the records with the quantity, and an array (seeds, ...); and
        a text about settings without it and missing seeds, "" if there are none.
    """
    measured, without, fewer, shape = [], [], [], None
    for number, contender in enumerate(contenders(results)):
        colour = (
            setting_colour(contender.records[0].setting) if contender.records else UNORDERED_COLOUR
        )
        records, values = [], []
        for record in contender.records:
            value = read(record)
            if value is not None and value.shape == (shape or value.shape):
                shape = value.shape
                records.append(record)
                values.append(value)
        if records:
            dashes, marker = DASHES[number % len(DASHES)], MARKERS[number % len(MARKERS)]
            look = _Look(replace(contender, records=records), colour, dashes, marker)
            measured.append((look, np.array(values)))
            if len(records) < contender.planned:
                diverged = f", {contender.diverged} diverged" if contender.diverged else ""
                fewer.append(f"{contender.name} ({len(records)} of {contender.planned}{diverged})")
        else:
            without.append(f"{contender.name}{' (diverged)' if contender.diverged else ''}")
    return measured, (f"Fewer seeds: {', '.join(fewer)}. " if fewer else "") + (
        f"No data: {', '.join(without)}. " if without else ""
    )


def _line(look: _Look, x: np.ndarray, values: np.ndarray) -> Line:
    """The mean over seeds in a band from minimum to maximum."""
    band = (values.min(0), values.max(0)) if len(values) > 1 else ((), ())
    return Line(look.name, x, values.mean(0), look.colour, look.dashes, "", *band)


def _several(measured: Sequence[tuple[_Look, np.ndarray]]) -> bool:
    return any(len(values) > 1 for _, values in measured)


def _bands(measured: Sequence[tuple[_Look, np.ndarray]]) -> str:
    return (
        "; lines are means over seeds, bands span their minimum to maximum"
        if _several(measured)
        else ""
    )


def _made(results: Results, measured: Sequence[tuple[_Look, np.ndarray]]) -> str:
    records = [record for look, _ in measured for record in look.records]
    return f"{provenance.caption(results, records)}."


def _numbers(record: Record, *keys: str) -> np.ndarray:
    """A list of numbers in a record's analysis, empty if there is none; null is NaN."""
    values = value_at(record, "analysis", *keys)
    try:
        return np.array(values if isinstance(values, list) else [], dtype=float)
    except (TypeError, ValueError):
        return np.empty(0)


def _mean_text(name: str, fractions: Sequence[float]) -> str:
    """For example ``ECE 8.1 %``, the mean of the defined values; ``no ECE`` without any."""
    defined = [value for value in fractions if math.isfinite(value)]
    return f"{name} {PERCENT * np.mean(defined):.1f} %" if defined else f"no {name}"


def _finite(value: float | None) -> float:
    return math.nan if value is None else float(value)
