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
    Interval,
)
from reports.tables.table import (
    BOLD,
    GREY,
    INTERVAL_RANK,
    NOTHING,
    NUMBER,
    OURS,
    PUBLISHED,
    TEXT,
    VERDICT_RANK,
    Column,
    TableCell,
)
from reports.text.sentences import CI, counted

REFERENCE = "reference"

GROUP = f"effect on {MAIN_METRIC} vs reference"
"""The group of the columns with the differences from the reference row."""

P_HEADER = "p (Holm, normal model)"

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


def texts(rows: Sequence[Comparison], published: Sequence[float]) -> dict[str, list[str]]:
    """The columns of a CSV, each with a text per row, "" for no value.

    ``AP_low``, ``AP_high`` and ``AP_interval_over``: the 95 % confidence interval of the row's AP,
    and the variation that it covers; ``reference_difference``, with
    ``_low``, ``_high``, ``_interval_over`` and ``_published``;
    ``reference_p``, ``reference_p_holm`` and ``reference_p_equivalence``;
    ``reference_verdict``: ``better``, ``worse``, ``equivalent``, ``undecided``, ``REFERENCE`` or
    why there is no test; ``reference_seeds_to_decide``.

    Args:
        rows: the rows, compared with the reference row.
        published: see :func:`~reports.statistics.comparisons.published_effects`.
    """
    return {
        f"{MAIN_METRIC}_low": [one_decimal(row.low) for row in rows],
        f"{MAIN_METRIC}_high": [one_decimal(row.high) for row in rows],
        f"{MAIN_METRIC}_interval_over": [row.over for row in rows],
        "reference_difference": [
            "" if row.is_reference else difference_text(row.difference) for row in rows
        ],
        "reference_difference_low": [difference_text(row.difference_low) for row in rows],
        "reference_difference_high": [difference_text(row.difference_high) for row in rows],
        "reference_difference_interval_over": [row.difference_over for row in rows],
        "reference_difference_published": [difference_text(effect) for effect in published],
        "reference_p": [_p_text(row.p_value) for row in rows],
        "reference_p_holm": [_p_text(row.p_holm) for row in rows],
        "reference_p_equivalence": [_p_text(row.p_equivalence) for row in rows],
        "reference_verdict": [_verdict(row) for row in rows],
        "reference_seeds_to_decide": [
            str(row.needed.seeds) if row.needed and row.needed.seeds else "" for row in rows
        ],
    }


def interval_cells(rows: Sequence[Comparison | Interval]) -> list[str]:
    """Each row's interval, for example ``30.1 to 32.0``; "" for no interval and for one seed.

    With one seed, an interval covers only the variation in images, but it would look like the other
    intervals.
    """
    cells = []
    for row in rows:
        known = row.seeds > 1 and not math.isnan(row.low)
        over = "" if row.over == SEEDS_AND_IMAGES else f" ({row.over})"
        cells.append(f"{one_decimal(row.low)} to {one_decimal(row.high)}{over}" if known else "")
    return cells


def columns(rows: Sequence[Comparison], published: Sequence[float]) -> list[Column]:
    """The effects of the rows: differences from the reference row, ours beside the published ones.

    For example ``+4.2 [+2.9, +5.5]``: bold if significant, else grey. The verdict or the reason for
    no test is in words, for readers who cannot see the emphasis.

    Returns:
        No column if the table has no reference row.
    """
    if not any(row.is_reference for row in rows):
        return []
    tested = any(row.tested for row in rows)
    has_published = not all(map(math.isnan, published))
    ours = OURS if has_published else "difference"
    header = f"{ours} [{CI}]" if tested else ours
    shown = [Column(GROUP, header, NUMBER, list(map(_difference_cell, rows)))]
    if has_published:
        theirs = [
            TableCell(
                REFERENCE
                if row.is_reference
                else with_true_minus(difference_text(effect)) or NOTHING
            )
            for row, effect in zip(rows, published, strict=True)
        ]
        shown.append(Column(GROUP, PUBLISHED, NUMBER, theirs))
    if tested:
        shown.append(Column(GROUP, P_HEADER, NUMBER, list(map(p_cell, rows)), INTERVAL_RANK))
        shown.append(Column(GROUP, "verdict", TEXT, list(map(_verdict_cell, rows)), VERDICT_RANK))
    return shown


def _difference_cell(row: Comparison) -> TableCell:
    if row.is_reference:
        return TableCell(REFERENCE)
    text = with_true_minus(difference_text(row.difference))
    if not text:
        return TableCell(NOTHING)
    if not row.tested:
        return TableCell(f"{text} ({_SHORT.get(row.why_not, row.why_not)})", GREY)
    low, high = map(difference_text, (row.difference_low, row.difference_high))
    return TableCell(text + with_true_minus(f" [{low}, {high}]"), BOLD if row.survives else GREY)


def _verdict_cell(row: Comparison) -> TableCell:
    """For example ``undecided (8 seeds)``, with the number that would decide it."""
    if not row.tested:
        return TableCell(NOTHING)
    seeds = row.needed.seeds if row.needed else None
    return TableCell(f"{row.verdict} ({counted(seeds, 'seed')})" if seeds else row.verdict)


def p_cell(row: Comparison) -> TableCell:
    """The p-value after Holm's correction, which sorts by its value."""
    if not row.tested:
        return TableCell(NOTHING)
    small = row.p_holm < 0.001
    return TableCell("< 0.001" if small else _p_text(row.p_holm), sort=row.p_holm)


def _p_text(p_value: float) -> str:
    """Three decimals, or two significant digits below 0.001."""
    if math.isnan(p_value):
        return ""
    return f"{p_value:.3f}" if p_value >= 0.001 else f"{p_value:.1e}"


def _verdict(row: Comparison) -> str:
    if row.is_reference:
        return REFERENCE
    return row.verdict if row.tested else row.why_not
