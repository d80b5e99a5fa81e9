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


def texts(found: Sequence[Comparison], published: Sequence[float]) -> dict[str, list[str]]:
    """The columns of a CSV, each with a text per row, "" for no value.

    ``AP_low``, ``AP_high`` and ``AP_interval_over``: the 95 % confidence interval of the row's AP,
    and the variation that it covers; ``reference_difference``, with
    ``_low``, ``_high``, ``_interval_over`` and ``_published``;
    ``reference_p``, ``reference_p_holm`` and ``reference_p_equivalence``;
    ``reference_verdict``: ``better``, ``worse``, ``equivalent``, ``undecided``, ``REFERENCE`` or
    why there is no test; ``reference_seeds_to_decide``.

    Args:
        found: the rows.
        published: see :func:`~reports.statistics.comparisons.published_effects`.
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
        "reference_difference_published": [difference_text(effect) for effect in published],
        "reference_p": [_p_text(one.p_value) for one in found],
        "reference_p_holm": [_p_text(one.p_holm) for one in found],
        "reference_p_equivalence": [_p_text(one.p_equivalence) for one in found],
        "reference_verdict": [_verdict(one) for one in found],
        "reference_seeds_to_decide": [
            str(one.needed.seeds) if one.needed and one.needed.seeds else "" for one in found
        ],
    }


def interval_cells(found: Sequence[Comparison | Interval]) -> list[str]:
    """Each row's interval, for example ``30.1 to 32.0``; "" for no interval and for one seed.

    With one seed, an interval covers only the variation in images, but it would look like the other
    intervals.
    """
    cells = []
    for one in found:
        known = one.seeds > 1 and not math.isnan(one.low)
        over = "" if one.over == SEEDS_AND_IMAGES else f" ({one.over})"
        cells.append(f"{one_decimal(one.low)} to {one_decimal(one.high)}{over}" if known else "")
    return cells


def columns(found: Sequence[Comparison], published: Sequence[float]) -> list[Column]:
    """The effects of the rows: differences from the reference row, ours beside the published ones.

    For example ``+4.2 [+2.9, +5.5]``: bold if significant, else grey. The verdict or the reason for
    no test is in words, for readers who cannot see the emphasis.

    Returns:
        No column if the table has no reference row.
    """
    if not any(one.is_reference for one in found):
        return []
    tested = any(one.tested for one in found)
    has_published = not all(map(math.isnan, published))
    ours = OURS if has_published else "difference"
    header = f"{ours} [{CI}]" if tested else ours
    shown = [Column(GROUP, header, NUMBER, list(map(_difference_cell, found)))]
    if has_published:
        theirs = [
            TableCell(
                REFERENCE
                if one.is_reference
                else with_true_minus(difference_text(effect)) or NOTHING
            )
            for one, effect in zip(found, published, strict=True)
        ]
        shown.append(Column(GROUP, PUBLISHED, NUMBER, theirs))
    if tested:
        shown.append(Column(GROUP, P_HEADER, NUMBER, list(map(p_cell, found)), INTERVAL_RANK))
        shown.append(Column(GROUP, "verdict", TEXT, list(map(_verdict_cell, found)), VERDICT_RANK))
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
    return TableCell(text + with_true_minus(f" [{low}, {high}]"), BOLD if found.survives else GREY)


def _verdict_cell(found: Comparison) -> TableCell:
    """For example ``undecided (8 seeds)``, with the number that would decide it."""
    if not found.tested:
        return TableCell(NOTHING)
    seeds = found.needed.seeds if found.needed else None
    return TableCell(f"{found.verdict} ({counted(seeds, 'seed')})" if seeds else found.verdict)


def p_cell(found: Comparison) -> TableCell:
    """The p-value after Holm's correction, which sorts by its value."""
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
    return found.verdict if found.tested else found.why_not
