"""Computes the gap between the halves of the images, and AP over the tuning budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

from ablations.study.choice import Choice
from ablations.study.grid import Grid, Row
from ablations.tuning import halves
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results
from reports.statistics.inference import CONFIDENCE, SIGNIFICANCE, holm

NAN = float("nan")


@dataclass(frozen=True)
class Gap:
    """The AP of a chosen setting on the selection half, minus that on the other half, percent.

    Attributes:
        value: the gap, as a mean over the seeds of the tuning runs.
        low, high: bounds of its 95 % interval over images, NaN without resamples.
        p_value: the p-value of the hypothesis that both halves are samples of the same population
            of images and that the choice had no effect; NaN without resamples.
        p_holm: after Holm's correction over the losses.
        alarm: whether ``p_holm`` is below 5 %.
    """

    value: float
    low: float = NAN
    high: float = NAN
    p_value: float = NAN
    p_holm: float = NAN
    alarm: bool = False


@dataclass(frozen=True)
class Tuned:
    """A tuned row and its choice.

    Attributes:
        name: the row's method.
        row: the row; its setting is the chosen one if there is a choice.
        grid: its tuning grid.
        choice: None if there is none yet.
        gap: the gap of the chosen setting; None without a choice.
    """

    name: str
    row: Row
    grid: Grid
    choice: Choice | None
    gap: Gap | None = None


def tuned(results: Results) -> list[Tuned]:
    """The tuned rows of a study, each tuning grid once; Holm's correction covers all their gaps."""
    grids = {grid.name: grid for grid in results.study.grids}
    by_grid = {}
    for grid in results.study.grids:
        for row in grid.rows:
            if row.tune and row.tune not in by_grid:
                choice = results.study.choices.get(row.tune)
                name = str(row.values.get("method", row.tune))
                gap = _gap(results, choice) if choice else None
                by_grid[row.tune] = Tuned(name, row, grids[row.tune], choice, gap)
    adjusted = holm(
        [tuned_row.gap.p_value if tuned_row.gap else NAN for tuned_row in by_grid.values()]
    )
    return [
        tuned_row
        if tuned_row.gap is None
        else replace(
            tuned_row, gap=replace(tuned_row.gap, p_holm=float(p), alarm=bool(p < SIGNIFICANCE))
        )
        for tuned_row, p in zip(by_grid.values(), adjusted, strict=True)
    ]


def gap_of(value: float, selection: np.ndarray | None, reporting: np.ndarray | None) -> Gap:
    """The gap between two halves of the images, with a normal interval over the images.

    The halves have no image in common, so the variance of the gap is the sum of the variances of
    the two means over resamples of their own images. Selection biases the gap upwards, and a
    systematic difference between the two halves shifts it. An alarm means that one of these
    happened.

    Args:
        value: the gap, percent.
        selection: (seeds, resamples) AP on resamples of the selection half, or None.
        reporting: the same for the reporting half.
    """
    if selection is None or reporting is None:
        return Gap(value)
    error = math.sqrt(selection.mean(axis=0).var(ddof=1) + reporting.mean(axis=0).var(ddof=1))
    if not error > 0:
        return Gap(value)
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    p_value = 2 * float(stats.norm.sf(abs(value) / error))
    return Gap(value, value - half, value + half, p_value)


def expected_best(selection: Sequence[float], reporting: Sequence[float]) -> np.ndarray:
    """Expected AP of the best of k settings that are drawn without replacement, k = 1 .. n.

    In each subset of k settings, the best setting is the one with the highest AP on the selection
    half; its AP on the reporting half is averaged over all subsets. The i-th lowest of n settings
    is the best of C(i - 1, k - 1) of the C(n, k) subsets. If both arguments are the same, this is
    the expected maximum (Dodge et al., "Show Your Work: Improved Reporting of Experimental
    Results", arXiv:1909.03004) in the unbiased form (Tang et al., "Showing Your Work Doesn't Always
    Work", arXiv:2004.13705, equation 8). Settings with equal AP on the selection half are equally
    often the best.

    Args:
        selection: (n,) AP on the selection half.
        reporting: (n,) AP on the reporting half.

    Returns:
        (n,) for k = 1 .. n.
    """
    selected, reported = np.asarray(selection, float), np.asarray(reporting, float)
    _, group = np.unique(selected, return_inverse=True)
    means = np.bincount(group, weights=reported) / np.bincount(group)
    ordered = means[np.sort(group)]
    n = len(ordered)
    rank, k = np.arange(1, n + 1), np.arange(1, n + 1)[:, None]
    weights = special.comb(rank - 1, k - 1) / special.comb(n, k)
    return weights @ ordered


def _gap(results: Results, choice: Choice) -> Gap | None:
    """The gap of the chosen setting, before Holm's correction."""
    best = choice.best
    if best is None:
        return None
    value = best.selection - best.reporting
    cells = [f"{best.setting}-seed{seed}" for seed in choice.seeds]
    of_seeds = [
        halves.load(results.layout, results.records[cell], choice.selection_seed)
        if cell in results.records
        else None
        for cell in cells
    ]
    if None in of_seeds or choice.stale:
        return Gap(value)
    return gap_of(
        value,
        _resamples([of_halves.selection for of_halves in of_seeds if of_halves]),
        _resamples([of_halves.reporting for of_halves in of_seeds if of_halves]),
    )


def _resamples(parts: Sequence[halves.Half]) -> np.ndarray | None:
    """(seeds, resamples) AP in percent; None if they cannot be used."""
    try:
        values = np.array([part.analysis["bootstrap"][MAIN_METRIC] for part in parts], dtype=float)
    except (KeyError, TypeError, ValueError):
        return None
    usable = values.ndim == 2 and values.shape[1] > 1 and np.isfinite(values).all()
    return values if usable else None
