"""Comparisons of a table's rows, computed from the records: intervals and tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ablations.study.grid import Grid
from reports.results.load import Results
from reports.statistics.equivalence import Needed, equivalence, needed_to_decide
from reports.statistics.inference import (
    SIGNIFICANCE,
    Estimate,
    Runs,
    difference,
    holm,
    mean,
)
from reports.statistics.noise import NoiseFloor, noise_floor
from reports.statistics.runs import RowRuns, runs_of

NAN = float("nan")

BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"
"""The verdicts on a tested difference from the reference row."""

SEEDS_AND_IMAGES, SEEDS_ONLY, IMAGES_ONLY = "seeds and images", "seeds only", "images only"
"""The sources of variation that an interval covers. Only an interval over both supports a claim."""

ONE_SEED, DIVERGED_RUN, NO_VALUE = "one seed", "a run diverged", "no value"
"""Why a row is not tested; ``OF_REFERENCE`` is appended if the reference row is the cause."""

OF_REFERENCE = " in the reference row"
NO_REFERENCE = "the table has no reference row"
NO_RESAMPLES = "no resampled images"
OTHER_IMAGES = "the images differ"
SAME_SETTING = "the setting of the reference row"
NO_SPREAD = "no run differs from another"


@dataclass(frozen=True)
class Interval:
    """The mean AP (percent) of one setting with its 95 % confidence interval.

    Attributes:
        mean: over the seeds that have a value, NaN if none has; a diverged run counts as 0.
        low: lower bound, NaN if there is none.
        high: upper bound.
        over: ``SEEDS_AND_IMAGES``, ``SEEDS_ONLY``, ``IMAGES_ONLY``; "" without an interval.
        seeds: the number of seeds that have a value.
    """

    mean: float
    low: float
    high: float
    over: str
    seeds: int


@dataclass(frozen=True)
class Comparison:
    """A row of a table and its difference from the reference row, AP in percent.

    Attributes:
        is_reference: whether it is the reference row.
        mean, low, high, over, seeds: see :class:`Interval`.
        difference: the row's mean minus the reference row's; NaN if either has no value.
        difference_low: lower bound of its 95 % confidence interval, which covers this single
            comparison; NaN if there is none.
        difference_high: upper bound.
        difference_over: see :attr:`Interval.over`.
        p_value: the p-value of the test for no difference; NaN without a test.
        p_holm: the same after Holm's correction over the tested rows of the table.
        survives: whether ``p_holm`` is below 5 %; False without a test.
        p_equivalence: the p-value of the two one-sided tests of equivalence within the study's
            margin, after Holm's correction over the tested rows; NaN without a test.
        needed: the seeds or images that would decide the comparison if it is undecided or has one
            seed; None if it is decided or the spread is unknown.
        why_not: why there is no test; "" if there is one, and for the reference row.
    """

    is_reference: bool
    mean: float
    low: float
    high: float
    over: str
    seeds: int
    difference: float = NAN
    difference_low: float = NAN
    difference_high: float = NAN
    difference_over: str = ""
    p_value: float = NAN
    p_holm: float = NAN
    survives: bool = False
    p_equivalence: float = NAN
    needed: Needed | None = None
    why_not: str = ""

    @property
    def tested(self) -> bool:
        return not math.isnan(self.p_value)

    @property
    def within_margin(self) -> bool:
        """Whether the difference is significantly smaller than the study's margin."""
        return self.p_equivalence < SIGNIFICANCE

    @property
    def verdict(self) -> str:
        """``BETTER``, ``WORSE``, ``EQUIVALENT`` or ``UNDECIDED``; "" without a test."""
        if not self.tested:
            return ""
        if self.survives:
            return BETTER if self.difference > 0 else WORSE
        return EQUIVALENT if self.within_margin else UNDECIDED

    @property
    def emphasis(self) -> str:
        """How a table shows the difference: "bold" if significant, "grey" if not, else ""."""
        if not self.tested:
            return ""
        return "bold" if self.survives else "grey"


def compare(results: Results, grid: Grid) -> list[Comparison]:
    """Compare every row of a grid with its reference row, in the order of the rows."""
    frame = results.of_grid(grid)
    rows = [runs_of(results, row) for _, row in frame.groupby("row", sort=True)]
    at = [grid.reference_of(number) for number in range(len(rows))]
    references = [None if number is None else rows[number] for number in at]
    pairs = [
        _compared(row, reference, results.study.equivalence_margin)
        for row, reference in zip(rows, references, strict=True)
    ]
    comparisons = corrected([comparison for comparison, _ in pairs])
    floor = noise_floor(results, grid)
    tests = sum(comparison.tested or _lacks_seeds(comparison) for comparison in comparisons)
    return [
        replace(comparison, needed=_needed(results, comparison, row, reference, of, floor, tests))
        for comparison, row, reference, (_, of) in zip(
            comparisons, rows, references, pairs, strict=True
        )
    ]


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with Holm's correction over those that are tested."""
    adjusted = holm([comparison.p_value for comparison in comparisons])
    equivalent = holm([comparison.p_equivalence for comparison in comparisons])
    return [
        replace(
            comparison,
            p_holm=float(p_holm),
            survives=bool(p_holm < SIGNIFICANCE),
            p_equivalence=float(p_equivalence),
        )
        for comparison, p_holm, p_equivalence in zip(comparisons, adjusted, equivalent, strict=True)
    ]


def published_effects(grid: Grid, published: Sequence[float]) -> list[float]:
    """The published AP of each row minus that of its reference row; NaN where there is none.

    Args:
        grid: the table.
        published: an AP per row, NaN where none is published.
    """
    effects = []
    for row, value in enumerate(published):
        at = grid.reference_of(row)
        effects.append(math.nan if at is None or at == row else round(value - published[at], 1))
    return effects


def _lacks_seeds(comparison: Comparison) -> bool:
    """Whether one seed is the only reason why a row is not tested."""
    return comparison.why_not in (ONE_SEED, ONE_SEED + OF_REFERENCE)


def _needed(
    results: Results,
    comparison: Comparison,
    row: RowRuns,
    reference: RowRuns | None,
    estimate: Estimate | None,
    floor: NoiseFloor | None,
    tests: int,
) -> Needed | None:
    """What would decide an undecided row, or a row with one seed if the noise floor is known."""
    if reference is None or estimate is None or not estimate.over_images:
        return None
    of_images, images = float(estimate.of_images), min(row.runs.images, reference.runs.images)
    if comparison.verdict == UNDECIDED:
        variances = [float(one.runs.between) for one in (row, reference)]
    elif _lacks_seeds(comparison) and floor and floor.interaction_of_one_image is not None:
        interaction = floor.interaction_of_one_image / images
        variances = [max(floor.spread.sd**2, interaction)] * 2  # as in Runs.between
        of_images = max(
            of_images - interaction / row.runs.seeds - interaction / reference.runs.seeds, 0
        )
    else:
        return None
    return needed_to_decide(
        variances,
        of_images,
        images,
        results.study.equivalence_margin,
        tests,
    )


def interval(results: Results, frame: pd.DataFrame) -> Interval:
    """The mean AP of one setting with its interval.

    Args:
        results: the study with its records.
        frame: the lines of ``results.frame`` with this setting, each cell once.
    """
    return interval_of(runs_of(results, frame))


def interval_of(row: RowRuns) -> Interval:
    """The mean AP of a row's runs; without bounds if a run diverged."""
    if not row.runs.seeds:
        return Interval(NAN, NAN, NAN, "", 0)
    if row.diverged:
        return Interval(float(row.runs.values.mean()), NAN, NAN, "", row.runs.seeds)
    estimate = mean(row.runs)
    # An AP lies between 0 and 100.
    low, high = (float(np.clip(bound, 0, 100)) for bound in (estimate.low, estimate.high))
    return Interval(float(estimate.value), low, high, covers(estimate), row.runs.seeds)


def _compared(
    row: RowRuns, reference: RowRuns | None, margin: float
) -> tuple[Comparison, Estimate | None]:
    """The row and its difference from the reference, before Holm's correction."""
    interval = interval_of(row)
    comparison = Comparison(
        row is reference, interval.mean, interval.low, interval.high, interval.over, interval.seeds
    )
    if comparison.is_reference:
        return replace(comparison, difference=0.0 if interval.seeds else NAN), None
    why_not = _why_not(row, reference)
    if reference is None or not (row.runs.seeds and reference.runs.seeds):
        return replace(comparison, why_not=why_not), None
    if why_not == SAME_SETTING:
        return replace(comparison, difference=0.0, why_not=why_not), None
    apart = float(row.runs.values.mean() - reference.runs.values.mean())
    comparison = replace(comparison, difference=apart, why_not=why_not)
    if row.diverged or reference.diverged or why_not == OTHER_IMAGES:
        return comparison, None
    estimate = difference(*_alike(row, reference))
    if not why_not and math.isnan(estimate.p_value):
        return replace(comparison, why_not=NO_SPREAD), None
    compared = replace(
        comparison,
        difference_low=float(estimate.low),
        difference_high=float(estimate.high),
        difference_over=covers(estimate),
        p_value=NAN if why_not else float(estimate.p_value),
        p_equivalence=NAN if why_not else equivalence(estimate, margin),
    )
    return compared, estimate


def _why_not(row: RowRuns, reference: RowRuns | None) -> str:
    """Why the difference from the reference is not tested; "" if it is."""
    if reference is None:
        return NO_REFERENCE
    if row.setting == reference.setting:
        return SAME_SETTING
    for why, holds in (
        (NO_VALUE, lambda one: not one.runs.seeds),
        (DIVERGED_RUN, lambda one: one.diverged),
        (ONE_SEED, lambda one: one.runs.seeds == 1),
    ):
        if holds(row):
            return why
        if holds(reference):
            return why + OF_REFERENCE
    if row.differs or reference.differs:
        return OTHER_IMAGES
    if row.resampled is None or reference.resampled is None:
        return NO_RESAMPLES
    return "" if row.resampled == reference.resampled else OTHER_IMAGES


def _alike(row: RowRuns, reference: RowRuns) -> tuple[Runs, Runs]:
    """Both rows' runs, with their resamples if these pair up."""
    if row.resampled is not None and row.resampled == reference.resampled:
        return row.runs, reference.runs
    return Runs(row.runs.values), Runs(reference.runs.values)


def covers(estimate: Estimate) -> str:
    """See :attr:`Interval.over`."""
    if np.isnan(estimate.low):
        return ""
    if estimate.over_seeds:
        return SEEDS_AND_IMAGES if estimate.over_images else SEEDS_ONLY
    return IMAGES_ONLY
