"""The table of the chosen settings and their runners-up."""

from ablations.study.choice import Candidate
from reports.results.labels import (
    MAIN_METRIC,
    difference_text,
    one_decimal,
    setting_text,
    with_true_minus,
)
from reports.results.load import Results
from reports.statistics.tuning import Gap, Tuned, tuned
from reports.tables.table import AXIS, BOLD, NUMBER, TEXT, Column, Table, TableCell, Tabled
from reports.text import tuning as words
from reports.text.sentences import CI

MAX_PLACES = 3
"""The chosen setting and its runners-up."""

ALARM = "not by chance"
"""Marks a gap that is too large to be due to chance, for readers who cannot see bold type."""

GROUP = MAIN_METRIC


def choices(results: Results) -> Tabled:
    """The best settings of each tuned loss, in the order of the table that uses them."""
    tuned_rows = tuned(results)
    if not tuned_rows:
        return Tabled(None, "")
    lines = [
        (row, place, candidate)
        for row in tuned_rows
        if row.choice
        for place, candidate in enumerate(row.choice.ranked[:MAX_PLACES], start=1)
    ]
    note = words.note(results, tuned_rows)
    if not lines:
        return Tabled(None, note)
    columns = [
        Column("", "loss", AXIS, [row.name for row, _, _ in lines]),
        Column("", "place", NUMBER, [_place(row, place) for row, place, _ in lines]),
        Column("", "setting", TEXT, [_setting(row, candidate) for row, _, candidate in lines]),
        *(
            Column(GROUP, header, NUMBER, [one_decimal(getattr(c, half)) for _, _, c in lines])
            for header, half in (("selection half", "selection"),
                                 ("reporting half", "reporting"))
        ),
        Column(
            GROUP,
            f"gap [{CI}]",
            NUMBER,
            [_gap(row.gap if place == 1 else None, candidate) for row, place, candidate in lines],
        ),
    ]  # fmt: skip
    if any(candidate.diverged for _, _, candidate in lines):
        texts = [
            f"{c.diverged} of {len(row.choice.seeds)}" if row.choice else "" for row, _, c in lines
        ]
        columns.append(Column("", "diverged", NUMBER, texts))
    return Tabled(Table(columns), note)


def _place(row: Tuned, place: int) -> TableCell:
    """``1 of 9``; bold for the chosen setting."""
    number = len(row.choice.ranked) if row.choice else 0
    chosen = place == 1 and row.choice is not None and row.choice.best is not None
    text = f"{place} of {number}"
    return TableCell(text, BOLD, sort=place) if chosen else TableCell(text, sort=place)


def _setting(tuned_row: Tuned, candidate: Candidate) -> str:
    known = {row.setting.id: row.setting for row in tuned_row.grid.rows}
    setting = known.get(candidate.setting)
    return setting_text(setting.as_dict()) if setting else candidate.setting


def _gap(gap: Gap | None, candidate: Candidate) -> TableCell:
    """The gap; with its interval for a chosen setting."""
    value = candidate.selection - candidate.reporting
    text = with_true_minus(difference_text(value))
    if gap is None or gap.low != gap.low:
        return TableCell(text, sort=value)
    low, high = map(difference_text, (gap.low, gap.high))
    text += with_true_minus(f" [{low}, {high}]")
    return (
        TableCell(f"{text} {ALARM}", BOLD, sort=value) if gap.alarm else TableCell(text, sort=value)
    )
