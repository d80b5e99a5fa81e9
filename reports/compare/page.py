"""The page of a comparison: what moved, what else differs, and what could not be compared."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from reports.compare.others import Other, described, others
from reports.compare.rows import (
    BETTER,
    EQUALLY_MOVED,
    IDENTICAL,
    SAME,
    UNDECIDED,
    WORSE,
    Moved,
    moved,
    only_in,
    spread_of,
)
from reports.page.blocks import (
    Block,
    Bullets,
    Code,
    Definitions,
    Lede,
    Note,
    Section,
    TableBlock,
    Text,
    Warning,
)
from reports.page.contents import Report
from reports.page.opening import Opening
from reports.results import states
from reports.results.labels import MAIN_METRIC, one_decimal, with_spread
from reports.results.load import Results
from reports.results.study_rows import StudyRow
from reports.statistics.comparisons import SEEDS_AND_IMAGES, interval_of
from reports.statistics.inference import kendall, least_difference
from reports.tables.against_reference import p_cell
from reports.tables.table import (
    AXIS,
    BOLD,
    GREY,
    LINKS,
    NUMBER,
    TEXT,
    Column,
    Link,
    Table,
    TableCell,
    linked,
    shown,
)
from reports.text.sentences import (
    CI,
    MODEL,
    counted,
    difference_number,
    listed,
    margin_text,
    p_text,
    signed,
)

A, B = "A", "B"

_ORDER = (WORSE, BETTER, UNDECIDED, SAME)
"""The verdicts in the order of the table."""


@dataclass(frozen=True)
class Compared:
    """Two studies.

    Attributes:
        a: the first, such as the one before a change.
        b: the second.
        rows: the rows that both have.
        others: what else differs.
        only_a: the rows that only A has.
        only_b: the rows that only B has.
    """

    a: Results
    b: Results
    rows: Sequence[Moved]
    others: Sequence[Other]
    only_a: Sequence[StudyRow]
    only_b: Sequence[StudyRow]

    @classmethod
    def of(cls, a: Results, b: Results) -> "Compared":
        rows = moved(a, b)
        return cls(a, b, rows, others(a, b, rows), only_in(a, b), only_in(b, a))

    def of_verdict(self, verdict: str) -> list[Moved]:
        return [row for row in self.rows if row.verdict == verdict]

    @property
    def why_not(self) -> str:
        """Why the studies cannot be compared; "" if at least one row can."""
        if not self.rows:
            return "no row is in both studies"
        if any(row.is_comparable for row in self.rows):
            return ""
        return "; ".join(dict.fromkeys(row.comparison.why_not for row in self.rows))

    @property
    def summary(self) -> str:
        """For example ``2 rows worse, 0 better, 30 the same, 8 undecided``."""
        worse, *numbers = (
            len(self.of_verdict(verdict)) for verdict in (WORSE, BETTER, SAME, UNDECIDED)
        )
        words = zip(numbers, (BETTER, f"the {SAME}", UNDECIDED), strict=True)
        others = ", ".join(f"{number} {word}" for number, word in words)
        return f"{counted(worse, 'row')} {WORSE}, {others}"


def report(studies: Compared, folder: Path) -> Report:
    """The content of the page.

    Args:
        studies: the two studies.
        folder: where the page will be, for the links to the records.
    """
    sections = [
        Section("moved", "What moved", _moved(studies, folder)),
        Section("others", "What else differs", _others(studies)),
        Section("single", "Rows of only one study", _single(studies)),
        Section("unused", "Records that cannot be used", _refused(studies)),
    ]
    return Report(
        opening=Opening(f"{studies.b.study.name}: {B} against {A}"),
        summary=f"{A} is {studies.a.layout.root}, {B} is {studies.b.layout.root}.",
        warnings=[f"Not comparable: {studies.why_not}."] if studies.why_not else [],
        sections=[section for section in sections if section.blocks],
    )


def _moved(studies: Compared, folder: Path) -> list[Block]:
    blocks: list[Block] = [Lede(f"{B} against {A}: {studies.summary}.")]
    named = [
        f"{row.label}: {verdict}, {_effect(row)}"
        for verdict in (WORSE, BETTER)
        for row in studies.of_verdict(verdict)
    ]
    blocks += [Bullets(named)] if named else []
    if not studies.rows:
        return blocks
    blocks += [
        TableBlock(
            "moved",
            table_of_rows(studies, folder),
            f"{MAIN_METRIC} of each row in both studies",
            f"{A}: {described(studies.a)}. {B}: {described(studies.b)}.",
            has_entries=False,
        ),
        Note(_method(studies)),
    ]
    return blocks + [Text(text) for text in (_noise(studies), _order(studies)) if text]


def _effect(row: Moved) -> str:
    comparison = row.comparison
    if comparison.tested:
        return (
            f"{difference_number(comparison.difference)} {MAIN_METRIC} ({CI} "
            f"{difference_number(comparison.difference_low)} to "
            f"{difference_number(comparison.difference_high)}, {p_text(comparison.p_holm)})"
        )
    return comparison.why_not


def _method(studies: Compared) -> str:
    margin = margin_text(studies.a.study.equivalence_margin)
    tested = counted(sum(row.comparison.tested for row in studies.rows), "tested row")
    return (
        f"Values are means over the compared runs ± sample standard deviation; a run that diverged "
        f"counts as {MAIN_METRIC} 0.0. Runs of equal seed are paired, and so are the resamples of "
        f"equal images; if fewer than two seeds are in both studies, all runs of {A} and {B} are "
        f"compared without pairs. Each {CI} is over {SEEDS_AND_IMAGES} unless it says otherwise, "
        f"and covers a single row. The p-values rest on a {MODEL} and are corrected for {tested} "
        f"(Holm). Worse and better: significant. Same: every run is identical to the last bit, or "
        f"the difference is significantly smaller than {margin} (two one-sided tests, also after "
        "Holm's correction). Undecided: neither, or no test."
    )


def _noise(studies: Compared) -> str:
    """The rows of one seed, beside the noise of single runs; "" if there are none."""
    single = [
        row
        for row in studies.rows
        if row.verdict == UNDECIDED and row.a.runs.seeds == row.b.runs.seeds == 1
    ]
    if not single:
        return ""
    text = f"{counted(len(single), 'row')} with one seed could not be tested."
    spread = spread_of(studies.rows)
    if spread is None:
        return f"{text} The noise floor is unknown: no row has two finished runs."
    floor = least_difference(spread, 1, 1)
    beyond = [row.label for row in single if abs(row.comparison.difference) > floor]
    named = f" ({listed(beyond)})" if beyond else ""
    return (
        f"{text} In 95 % of cases, two runs that differ only in the seed differ by less than "
        f"{floor:.1f} {MAIN_METRIC} (pooled standard deviation between seeds {spread.sd:.1f} "
        f"{MAIN_METRIC}); {len(beyond)} of these rows differ by more{named}."
    )


def _order(studies: Compared) -> str:
    """The rank correlation of the rows."""
    agreement = kendall(
        [interval_of(row.a).mean for row in studies.rows],
        [interval_of(row.b).mean for row in studies.rows],
    )
    if agreement.tau is None:
        return ""
    return (
        f"The rank correlation between the rows' {MAIN_METRIC} in {A} and in {B} (Kendall's τ-b) "
        f"is {signed(agreement.tau)} over {counted(agreement.n, 'row')}. 1 means the same order, "
        "0 no relation, −1 the reverse order."
    )


def table_of_rows(studies: Compared, folder: Path) -> Table:
    """A line per row that both studies have, what moved first, with links to its records."""
    rows = sorted(studies.rows, key=lambda row: _ORDER.index(row.verdict))
    change = f"{B} − {A}"
    columns = [
        Column("", "row", AXIS, [row.label for row in rows]),
        Column("", "verdict", TEXT, [verdict_text(row) for row in rows]),
        Column(MAIN_METRIC, A, NUMBER, shown(_mean(row.a.runs.values) for row in rows)),
        Column(MAIN_METRIC, B, NUMBER, shown(_mean(row.b.runs.values) for row in rows)),
        Column(change, f"difference [{CI}]", NUMBER, [_difference(row) for row in rows]),
        Column(change, "p (Holm)", NUMBER, [p_cell(row.comparison) for row in rows]),
        Column("", "compared runs", TEXT, [_runs(row) for row in rows]),
        Column("", "tables", TEXT, [", ".join(row.tables) for row in rows]),
        Column("", "records", LINKS, linked(_links(studies, row, folder) for row in rows)),
    ]
    return Table(columns)


def _mean(values) -> str:
    if not len(values):
        return ""
    sd = one_decimal(float(values.std(ddof=1))) if len(values) > 1 else ""
    return with_spread(one_decimal(float(values.mean())), sd)


def _difference(row: Moved) -> TableCell:
    comparison = row.comparison
    text = difference_number(comparison.difference)
    if comparison.difference_over:
        low, high = map(difference_number, (comparison.difference_low, comparison.difference_high))
        is_over_both = comparison.difference_over == SEEDS_AND_IMAGES
        over = "" if is_over_both else f" ({comparison.difference_over})"
        text += f" [{low}, {high}]{over}"
    emphasis = BOLD if row.verdict in (WORSE, BETTER) else GREY
    is_known = not math.isnan(comparison.difference)
    return TableCell(text, emphasis, sort=comparison.difference if is_known else None)


def verdict_text(row: Moved) -> str:
    """The verdict, and why it rests on no test."""
    why_not = row.comparison.why_not
    reasons = [why_not] if why_not else []
    if not row.comparison.tested and why_not not in (IDENTICAL, EQUALLY_MOVED):
        for name, frame in zip((A, B), row.frames, strict=True):
            state = states.row_text(frame)
            reasons += [f"{name}: {state}"] if state else []
    return f"{row.verdict} ({'; '.join(reasons)})" if reasons else row.verdict


def _runs(row: Moved) -> str:
    if row.pairs:
        numbers = {len(frame) for frame in row.frames}
        text = counted(row.pairs, "pair")
        return text if numbers == {row.pairs} else f"{text} ({A} {len(row.frames[0])}, {B} " \
            f"{len(row.frames[1])} runs)"  # fmt: skip
    return f"{A} {row.a.runs.seeds}, {B} {row.b.runs.seeds}, not paired"


def _links(studies: Compared, row: Moved, folder: Path) -> list[Link]:
    return [
        Link(
            f"{name}{seed}",
            quote(os.path.relpath(results.layout.record(cell), folder)),
            f"record of seed {seed} in {name}",
        )
        for name, results, frame in zip((A, B), (studies.a, studies.b), row.frames, strict=True)
        for seed, cell in zip(frame["seed"], frame["cell"], strict=True)
        if cell in results.records
    ]


def _others(studies: Compared) -> list[Block]:
    if not studies.others:
        return [
            Text(
                "Nothing else differs: the compared runs have the same data set, config, initial "
                "weights, code, versions and hardware."
            )
            if any(row.is_comparable for row in studies.rows)
            else Note("There are no compared runs.")
        ]
    compared = len(studies.rows)
    columns = [
        Column("", "what", AXIS, [other.what for other in studies.others]),
        Column("", A, TEXT, [other.a for other in studies.others]),
        Column("", B, TEXT, [other.b for other in studies.others]),
        Column("", "rows", NUMBER, shown(_rows(other, compared) for other in studies.others)),
    ]
    return [
        TableBlock("others", Table(columns), "What else the studies differ in", has_entries=False),
        Note(
            "A difference in AP is the effect of everything in this table together. The rows are "
            "those whose compared runs differ in it. Hashes are shortened."
        ),
    ]


def _rows(other: Other, compared: int) -> str:
    return f"{other.rows} of {compared}" if other.rows else ""


def _single(studies: Compared) -> list[Block]:
    pairs = [
        (f"Only in {name}", [f"{row.label} ({listed(row.tables)}): {_state(row.frame)}"
                             for row in rows])
        for name, rows in ((A, studies.only_a), (B, studies.only_b))
        if rows
    ]  # fmt: skip
    return [Definitions(pairs)] if pairs else []


def _state(frame: pd.DataFrame) -> str:
    means = frame[MAIN_METRIC].dropna()
    value = f"{MAIN_METRIC} {_mean(means.to_numpy(float))}" if len(means) else ""
    return ", ".join(filter(None, (value, states.row_text(frame))))


def _refused(studies: Compared) -> list[Block]:
    lines = [
        f"{name}: {line}"
        for name, results in ((A, studies.a), (B, studies.b))
        for line in results.refused
    ]
    if not lines:
        return []
    return [
        Warning("These records could not be read and count as missing."),
        Code("\n".join(lines)),
    ]
