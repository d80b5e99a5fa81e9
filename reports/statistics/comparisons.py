"""Comparisons of a table's rows, computed from the records: intervals, tests, noise floor."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ablations.records.record import DIVERGED, Record
from ablations.study.grid import Grid
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results, part
from reports.statistics.equivalence import Needed, equivalence, needed_to_decide
from reports.statistics.inference import (
    SIGNIFICANCE,
    Estimate,
    PooledSpread,
    Runs,
    difference,
    holm,
    least_difference,
    mean,
    pooled_spread,
)

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


@dataclass(frozen=True)
class NoiseFloor:
    """The spread between runs that differ only in the seed.

    Attributes:
        spread: the pooled standard deviation, in AP.
        tables: the tables it was measured in, if this table has no row with two runs.
        seeds: the smallest number of finished runs of a row of this table that has any; 1 before
            the first.
        least_difference: the smallest difference of two such rows that exceeds the noise.
        other_images: the images that it was measured on, if this table is judged on others; else
            "". Runs differ more on fewer images.
    """

    spread: PooledSpread
    tables: tuple[str, ...]
    seeds: int
    least_difference: float
    other_images: str = ""


def compare(results: Results, grid: Grid) -> list[Comparison]:
    """Compare every row of a grid with its reference row, in the order of the rows."""
    frame = results.of_grid(grid)
    rows = [runs_of(results, row) for _, row in frame.groupby("row", sort=True)]
    reference = None if grid.reference is None else rows[grid.reference]
    pairs = [_compared(row, reference, results.study.equivalence_margin) for row in rows]
    found = corrected([comparison for comparison, _ in pairs])
    if reference is None:
        return found
    floor = noise_floor(results, grid)
    tests = sum(comparison.tested or _lacks_seeds(comparison) for comparison in found)
    return [
        replace(comparison, needed=_needed(results, comparison, row, reference, of, floor, tests))
        for comparison, row, (_, of) in zip(found, rows, pairs, strict=True)
    ]


def corrected(found: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with Holm's correction over those that are tested."""
    adjusted = holm([comparison.p_value for comparison in found])
    equivalent = holm([comparison.p_equivalence for comparison in found])
    return [
        replace(
            comparison,
            p_holm=float(p_holm),
            survives=bool(p_holm < SIGNIFICANCE),
            p_equivalence=float(p_equivalence),
        )
        for comparison, p_holm, p_equivalence in zip(found, adjusted, equivalent, strict=True)
    ]


def _lacks_seeds(comparison: Comparison) -> bool:
    """Whether one seed is the only reason why a row is not tested."""
    return comparison.why_not in (ONE_SEED, ONE_SEED + OF_REFERENCE)


def _needed(
    results: Results,
    comparison: Comparison,
    row: "RowRuns",
    reference: "RowRuns",
    found: Estimate | None,
    floor: "NoiseFloor | None",
    tests: int,
) -> Needed | None:
    """What would decide an undecided row, or a row with one seed if the noise floor is known."""
    if found is None or not found.over_images:
        return None
    if comparison.verdict == UNDECIDED:
        variances = [float(one.runs.between) for one in (row, reference)]
    elif _lacks_seeds(comparison) and floor is not None:
        variances = [floor.spread.sd**2] * 2
    else:
        return None
    return needed_to_decide(
        variances,
        float(found.of_images),
        min(row.runs.images, reference.runs.images),
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


def noise_floor(results: Results, grid: Grid) -> NoiseFloor | None:
    """The spread between seeds of a table or, if it has one seed, of the tables with several.

    Of these, the tables that are judged on the same images go first. Rows with a diverged run are
    excluded: their 0.0 is no noise.

    Returns:
        None if no setting has two finished runs.
    """
    finished = results.of_grid(grid).groupby("row")[MAIN_METRIC].count()
    seeds = int(finished[finished > 0].min()) if finished.any() else 1
    groups, other_images = _seeds_of_settings(results, [grid]), ""
    tables: tuple[str, ...] = ()
    if not groups:
        known = [one for one in results.study.grids if _seeds_of_settings(results, [one])]
        alike = [one for one in known if one.is_tuned == grid.is_tuned]
        if known and not alike:
            other_images = "all images" if grid.is_tuned else "the reporting half of the images"
        tables = tuple(one.name for one in alike or known)
        groups = _seeds_of_settings(results, alike or known)
    spread = pooled_spread(groups)
    if spread is None:
        return None
    least = least_difference(spread, seeds, seeds)
    return NoiseFloor(spread, tables, seeds, least, other_images)


@dataclass(frozen=True)
class RowRuns:
    """A row's runs.

    Attributes:
        setting: the setting's id.
        seeds: the seeds of the runs that have a value.
        runs: these runs, in the order of ``seeds``.
        resampled: the key of the resampled images, None without resamples; equal keys pair up.
        differs: whether the row's runs were resampled from different images.
        diverged: whether a run diverged.
    """

    setting: str
    seeds: tuple[int, ...]
    runs: Runs
    resampled: tuple[Any, ...] | None
    differs: bool
    diverged: bool


def runs_of(results: Results, frame: pd.DataFrame) -> RowRuns:
    """The runs of one row.

    Args:
        results: the study with its records.
        frame: the lines of ``results.frame`` of this row.
    """
    ended = frame[frame[MAIN_METRIC].notna()]
    found = [_resampled(results.records[cell]) for cell in ended["cell"]]
    images = {key for key, _ in found}
    values, setting = ended[MAIN_METRIC].to_numpy(float), frame["setting"].iloc[0]
    seeds = tuple(map(int, ended["seed"]))
    diverged = bool((ended["state"] == DIVERGED).any())
    of_images = images.pop() if len(images) == 1 else None
    if of_images is None:
        differs = not diverged and len(images) > 1 and None not in images
        return RowRuns(setting, seeds, Runs(values), None, differs, diverged)
    replicates = np.array([replicates for _, replicates in found])
    runs = Runs(values, replicates, of_images[0])
    return RowRuns(setting, seeds, runs, of_images, False, diverged)


def _resampled(record: Record) -> tuple[tuple[Any, ...] | None, np.ndarray | None]:
    """The key of the resampled images and AP of each resample; None twice without usable ones."""
    bootstrap = part(record.result, "analysis", "bootstrap")
    images, values = bootstrap.get("images"), bootstrap.get("AP")
    try:
        replicates = np.array(values, dtype=float)  # null, of a resample without AP, is NaN
    except (TypeError, ValueError):
        return None, None
    usable = replicates.ndim == 1 and len(replicates) > 1 and np.isfinite(replicates).all()
    if not usable or type(images) is not int or images < 2:
        return None, None
    sha256 = record.dataset.get("sha256")
    return (images, len(replicates), str(bootstrap.get("seed")), str(sha256)), replicates


def interval_of(row: RowRuns) -> Interval:
    """The mean AP of a row's runs; without bounds if a run diverged."""
    if not row.runs.seeds:
        return Interval(NAN, NAN, NAN, "", 0)
    if row.diverged:
        return Interval(float(row.runs.values.mean()), NAN, NAN, "", row.runs.seeds)
    found = mean(row.runs)
    # An AP lies between 0 and 100.
    low, high = (float(np.clip(bound, 0, 100)) for bound in (found.low, found.high))
    return Interval(float(found.value), low, high, covers(found), row.runs.seeds)


def _compared(
    row: RowRuns, reference: RowRuns | None, margin: float
) -> tuple[Comparison, Estimate | None]:
    """The row and its difference from the reference, before Holm's correction."""
    own = interval_of(row)
    comparison = Comparison(row is reference, own.mean, own.low, own.high, own.over, own.seeds)
    if comparison.is_reference:
        return replace(comparison, difference=0.0 if own.seeds else NAN), None
    why_not = _why_not(row, reference)
    if reference is None or not (row.runs.seeds and reference.runs.seeds):
        return replace(comparison, why_not=why_not), None
    if why_not == SAME_SETTING:
        return replace(comparison, difference=0.0, why_not=why_not), None
    apart = float(row.runs.values.mean() - reference.runs.values.mean())
    comparison = replace(comparison, difference=apart, why_not=why_not)
    if row.diverged or reference.diverged or why_not == OTHER_IMAGES:
        return comparison, None
    found = difference(*_alike(row, reference))
    if not why_not and math.isnan(found.p_value):
        return replace(comparison, why_not=NO_SPREAD), None
    compared = replace(
        comparison,
        difference_low=float(found.low),
        difference_high=float(found.high),
        difference_over=covers(found),
        p_value=NAN if why_not else float(found.p_value),
        p_equivalence=NAN if why_not else equivalence(found, margin),
    )
    return compared, found


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


def covers(found: Estimate) -> str:
    """See :attr:`Interval.over`."""
    if np.isnan(found.low):
        return ""
    if found.over_seeds:
        return SEEDS_AND_IMAGES if found.over_images else SEEDS_ONLY
    return IMAGES_ONLY


def _seeds_of_settings(results: Results, grids: Iterable[Grid]) -> list[list[float]]:
    """AP of the seeds of each setting of these grids with several seeds and no diverged run."""
    names = [grid.name for grid in grids]
    frame = results.frame[results.frame["grid"].isin(names)].drop_duplicates("cell")
    # AP on the half that reports is no other seed of AP on all images.
    columns = (frame[name] for name in ("setting", "judged", "state", MAIN_METRIC))
    found: dict[tuple[str, bool], list[float]] = {}
    diverged = set()
    for setting, judged, state, value in zip(*columns, strict=True):
        found.setdefault((setting, judged), []).extend([] if math.isnan(value) else [value])
        if state == DIVERGED:
            diverged.add((setting, judged))
    return [values for key, values in found.items() if len(values) > 1 and key not in diverged]
