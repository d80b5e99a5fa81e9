"""A table's columns of confidence intervals and of differences from its reference row."""

import math
from collections.abc import Sequence

from reports.results.labels import (
    MAIN_METRIC,
    difference_text,
    one_decimal,
    with_true_minus,
)
from reports.statistics.comparisons import (
    DIVERGED_RUN,
    NO_RESAMPLES,
    NO_SPREAD,
    OF_REFERENCE,
    ONE_SEED,
    OTHER_IMAGES,
    SAME_SETTING,
    SEEDS_AND_IMAGES,
    Comparison,
)
from reports.tables.table import BOLD, GREY, NOTHING, NUMBER, Column, TableCell
from reports.text.sentences import CI

NOT_SIGNIFICANT = "n.s."
"""Marks a difference that is not significant, for readers who cannot see the grey."""

SIGNIFICANT, REFERENCE = "significant", "reference"

GROUP = f"{MAIN_METRIC} vs reference"

_SHORT = {
    ONE_SEED: "1 seed",
    DIVERGED_RUN: "diverged",
    ONE_SEED + OF_REFERENCE: "reference: 1 seed",
    DIVERGED_RUN + OF_REFERENCE: "reference diverged",
    NO_RESAMPLES: "no resamples",
    OTHER_IMAGES: "other images",
    SAME_SETTING: "same setting",
    NO_SPREAD: "no spread",
}
"""Reason for no test -> a short form; the CSV has the long form."""


def texts(found: Sequence[Comparison]) -> dict[str, list[str]]:
    """The columns of a CSV, each with a text per row, "" for no value.

    ``AP_low``, ``AP_high`` and ``AP_interval_over``: the 95 % confidence interval of the row's AP,
    and the variation that it covers; ``reference_difference``, with
    ``_low``, ``_high`` and ``_interval_over``;
    ``reference_p`` and ``reference_p_holm``; ``reference_verdict``: ``SIGNIFICANT``,
    ``NOT_SIGNIFICANT``, ``REFERENCE`` or why there is no test.
    """
    return {
        f"{MAIN_METRIC}_low": [one_decimal(one.low) for one in found],
        f"{MAIN_METRIC}_high": [one_decimal(one.high) for one in found],
        f"{MAIN_METRIC}_interval_over": [one.over for one in found],
        "reference_difference": [
            "" if one.is_reference else difference_text(one.difference) for one in found
        ],
        "reference_difference_low": [difference_text(one.difference_low) for one in found],
        "reference_difference_high": [difference_text(one.difference_high) for one in found],
        "reference_difference_interval_over": [one.difference_over for one in found],
        "reference_p": [_p_text(one.p_value) for one in found],
        "reference_p_holm": [_p_text(one.p_holm) for one in found],
        "reference_verdict": [_verdict(one) for one in found],
    }


def interval_cells(found: Sequence[Comparison]) -> list[str]:
    """Each row's interval, for example ``30.1 to 32.0``; "" for no interval and for one seed.

    The interval of one seed is over images only and would look like the others.
    """
    cells = []
    for one in found:
        known = one.seeds > 1 and not math.isnan(one.low)
        over = "" if one.over == SEEDS_AND_IMAGES else f" ({one.over})"
        cells.append(f"{one_decimal(one.low)} to {one_decimal(one.high)}{over}" if known else "")
    return cells


def columns(found: Sequence[Comparison]) -> list[Column]:
    """The differences from the reference row; no column if the table has no such row.

    For example ``+4.2 [+2.9, +5.5]``: bold if significant, else grey with ``NOT_SIGNIFICANT`` or
    the reason for no test.
    """
    if not any(one.is_reference for one in found):
        return []
    tested = any(one.tested for one in found)
    header = f"difference [{CI}]" if tested else "difference"
    shown = [Column(GROUP, header, NUMBER, list(map(_difference_cell, found)))]
    if tested:
        shown.append(Column(GROUP, "p (Holm)", NUMBER, list(map(_p_cell, found))))
    return shown


def _difference_cell(found: Comparison) -> TableCell:
    if found.is_reference:
        return TableCell(REFERENCE)
    text = with_true_minus(difference_text(found.difference))
    if not text:
        return TableCell(NOTHING)
    if not found.tested:
        return TableCell(f"{text} ({_SHORT.get(found.why_not, found.why_not)})", GREY)
    low, high = map(difference_text, (found.difference_low, found.difference_high))
    text += with_true_minus(f" [{low}, {high}]")
    return TableCell(text, BOLD) if found.survives else TableCell(f"{text} {NOT_SIGNIFICANT}", GREY)


def _p_cell(found: Comparison) -> TableCell:
    if not found.tested:
        return TableCell(NOTHING)
    small = found.p_holm < 0.001
    return TableCell("< 0.001" if small else _p_text(found.p_holm), sort=found.p_holm)


def _p_text(p_value: float) -> str:
    """Three decimals, or two significant digits below 0.001."""
    if math.isnan(p_value):
        return ""
    return f"{p_value:.3f}" if p_value >= 0.001 else f"{p_value:.1e}"


def _verdict(found: Comparison) -> str:
    if found.is_reference:
        return REFERENCE
    if found.tested:
        return SIGNIFICANT if found.survives else NOT_SIGNIFICANT
    return found.why_not
