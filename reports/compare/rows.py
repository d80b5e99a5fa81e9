"""Matches the rows of two studies, and tests which of them have moved."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ablations.records.record import DIVERGED
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results
from reports.results.study_rows import StudyRow, rows_of
from reports.statistics import comparisons, inference
from reports.statistics.comparisons import (
    DIVERGED_RUN,
    NO_RESAMPLES,
    NO_VALUE,
    ONE_SEED,
    Comparison,
    corrected,
    covers,
    interval_of,
)
from reports.statistics.equivalence import equivalence
from reports.statistics.inference import Estimate, PooledSpread, Runs, pooled_spread
from reports.statistics.runs import RowRuns, runs_of

NAN = float("nan")

SAME, BETTER, WORSE, UNDECIDED = "same", "better", "worse", "undecided"
"""The verdicts on a row of B."""

IDENTICAL = "identical runs"
DIVERGES_IN_B, DIVERGES_IN_A = "every run diverged in B only", "every run diverged in A only"
OTHER_DATA = "the data sets differ"
OTHER_RESAMPLES = "the images were resampled in another way"
EQUALLY_MOVED = "every run moved by the same amount"

_VERDICTS = {
    comparisons.BETTER: BETTER,
    comparisons.WORSE: WORSE,
    comparisons.EQUIVALENT: SAME,
    IDENTICAL: SAME,
    DIVERGES_IN_A: BETTER,
    DIVERGES_IN_B: WORSE,
}
"""Verdict of a test, or why there is none -> verdict on the row."""


@dataclass(frozen=True)
class Moved:
    """A row of both studies.

    Attributes:
        label: see :class:`~reports.results.study_rows.StudyRow`.
        tables: those of A.
        a: the compared runs of A.
        b: the compared runs of B.
        frames: all its lines of ``Results.frame``, in A and in B.
        pairs: the number of pairs of runs with equal seeds; 0 if the runs are not paired.
        comparison: B's mean, its difference from A's (B - A) and the test, see
            :class:`~reports.statistics.comparisons.Comparison`.
    """

    label: str
    tables: tuple[str, ...]
    a: RowRuns
    b: RowRuns
    frames: tuple[pd.DataFrame, pd.DataFrame]
    pairs: int
    comparison: Comparison

    @property
    def verdict(self) -> str:
        """``SAME``, ``BETTER``, ``WORSE`` or ``UNDECIDED``."""
        return _VERDICTS.get(self.comparison.verdict or self.comparison.why_not, UNDECIDED)

    @property
    def is_comparable(self) -> bool:
        """Whether both studies have a value of the row on the same data set."""
        return self.comparison.why_not not in (OTHER_DATA, NO_VALUE)


def moved(a: Results, b: Results) -> list[Moved]:
    """Compare the rows that are in both studies, in the order of A.

    Holm's correction covers all tested rows. The margin of equivalence is that of A's study.
    """
    before, after = rows_of(a), rows_of(b)
    margin = a.study.equivalence_margin
    rows = [_moved(a, b, before[key], after[key], margin) for key in before if key in after]
    adjusted = corrected([row.comparison for row in rows])
    return [
        replace(row, comparison=comparison) for row, comparison in zip(rows, adjusted, strict=True)
    ]


def only_in(ours: Results, theirs: Results) -> list[StudyRow]:
    """The rows of one study that the other does not have."""
    known = rows_of(theirs)
    return [row for key, row in rows_of(ours).items() if key not in known]


def spread_of(rows: Sequence[Moved]) -> PooledSpread | None:
    """The spread between the seeds of a row, over the rows of both studies; None if unknown."""
    return pooled_spread(
        [list(one.runs.values) for row in rows for one in (row.a, row.b) if not one.diverged]
    )


def _moved(a: Results, b: Results, before: StudyRow, after: StudyRow, margin: float) -> Moved:
    frames = before.frame, after.frame
    seeds = [set(frame["seed"][frame[MAIN_METRIC].notna()]) for frame in frames]
    common = seeds[0] & seeds[1]
    is_paired = len(common) > 1 or (bool(common) and seeds[0] == seeds[1])
    compared = [frame[frame["seed"].isin(common)] if is_paired else frame for frame in frames]
    runs = runs_of(a, compared[0]), runs_of(b, compared[1])
    comparison = _compared(*runs, is_paired, _why_not(a, b, compared, runs), margin)
    pairs = len(common) if is_paired else 0
    return Moved(before.label, before.tables, *runs, frames, pairs, comparison)


def _compared(a: RowRuns, b: RowRuns, is_paired: bool, why_not: str, margin: float) -> Comparison:
    """The row of B and its difference from A, before Holm's correction."""
    interval = interval_of(b)
    row = Comparison(
        False,
        interval.mean,
        interval.low,
        interval.high,
        interval.over,
        interval.seeds,
        why_not=why_not,
    )
    if not (a.runs.seeds and b.runs.seeds):
        return row
    row = replace(row, difference=float(b.runs.values.mean() - a.runs.values.mean()))
    if a.diverged or b.diverged or why_not in (IDENTICAL, OTHER_DATA):
        return row
    estimate = _difference(a, b, is_paired)
    if not why_not and math.isnan(estimate.p_value):
        return replace(row, why_not=EQUALLY_MOVED)
    return replace(
        row,
        difference_low=float(estimate.low),
        difference_high=float(estimate.high),
        difference_over=covers(estimate),
        p_value=NAN if why_not else float(estimate.p_value),
        p_equivalence=NAN if why_not else equivalence(estimate, margin),
    )


def _difference(a: RowRuns, b: RowRuns, is_paired: bool) -> Estimate:
    """B - A: of pairs of runs with equal seeds, on resamples of the same images where there are."""
    alike = a.resampled is not None and a.resampled == b.resampled
    ours, theirs = (b.runs, a.runs) if alike else (Runs(b.runs.values), Runs(a.runs.values))
    if not is_paired:
        return inference.difference(ours, theirs)
    return inference.paired_difference(ours, theirs)


def _why_not(
    a: Results, b: Results, frames: Sequence[pd.DataFrame], runs: tuple[RowRuns, RowRuns]
) -> str:
    """Why the row is not tested; "" if it is."""
    if not all(one.runs.seeds for one in runs):
        return NO_VALUE
    if _data_sets(a, frames[0]) != _data_sets(b, frames[1]):
        return OTHER_DATA
    if _are_identical(*runs):
        return IDENTICAL
    if any(one.diverged for one in runs):
        diverged = [bool((frame["state"] == DIVERGED).all()) for frame in frames]
        if diverged[1] and not runs[0].diverged:
            return DIVERGES_IN_B
        return DIVERGES_IN_A if diverged[0] and not runs[1].diverged else DIVERGED_RUN
    if min(one.runs.seeds for one in runs) == 1:
        return ONE_SEED
    if None in (runs[0].resampled, runs[1].resampled):
        return NO_RESAMPLES
    return "" if runs[0].resampled == runs[1].resampled else OTHER_RESAMPLES


def _data_sets(results: Results, frame: pd.DataFrame) -> set[str]:
    """The hashes of the data sets of these runs, or their names."""
    records = results.records_of(frame[frame[MAIN_METRIC].notna()])
    return {str(record.dataset.get("sha256") or record.dataset.get("name")) for record in records}


def _are_identical(a: RowRuns, b: RowRuns) -> bool:
    """Whether each run has the same AP in both studies, to the last bit, on all resamples too."""
    if a.seeds != b.seeds or not np.array_equal(a.runs.values, b.runs.values):
        return False
    theirs, ours = a.runs.replicates, b.runs.replicates
    if theirs is None or ours is None:
        return theirs is None and ours is None
    return bool(np.array_equal(theirs, ours))
