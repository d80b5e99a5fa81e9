"""Computes how the order of settings depends on the length of their training."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ablations.study.cell import Setting
from ablations.study.grid import Grid
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results
from reports.results.rows import row_label
from reports.statistics.inference import kendall
from reports.statistics.noise import noise_floor

SCHEDULE = "schedule"
"""The axis: the length of a training as a multiple of 1x."""

MIN_ROWS = 3
"""The minimum number of rows whose order is compared with the published order."""


@dataclass(frozen=True)
class Order:
    """The schedule after which the order of a table's settings no longer changes.

    Attributes:
        schedules: the schedules at which every compared setting has a value, ascending; at least
            two.
        settings: the number of compared settings.
        settled: the shortest schedule such that neither there nor at any longer one a pair is
            swapped relative to the longest schedule.
        swapped: the pairs that are swapped between ``before`` and the longest schedule.
        before: the last schedule with another order; NaN if there is none.
        noise: a swap counts if it is larger than this, AP; NaN if the noise is unknown.
    """

    schedules: tuple[float, ...]
    settings: int
    settled: float
    swapped: tuple[tuple[str, str], ...]
    before: float
    noise: float


@dataclass(frozen=True)
class Agreements:
    """The rank correlation of a table with the published values over the schedule.

    Attributes:
        rows: the number of rows, which have a value at each of the schedules.
        schedules: ascending, at least two.
        taus: Kendall's tau-b at each, NaN where it is undefined.
    """

    rows: int
    schedules: tuple[float, ...]
    taus: tuple[float, ...]


def schedule_of(results: Results, values: Mapping[str, Any]) -> float:
    """The schedule of a row of a grid: its own, else the study's."""
    return float(values.get(SCHEDULE) or results.study.schedule)


def scheduled(results: Results) -> list[Grid]:
    """The grids that vary the schedule."""
    return [grid for grid in results.study.grids if SCHEDULE in grid.columns]


def means_over_schedules(results: Results, grid: Grid) -> pd.DataFrame:
    """Mean AP of a grid that varies the schedule: a line per setting, a column per schedule."""
    means = results.of_grid(grid).groupby("row", sort=True)[MAIN_METRIC].mean()
    others = tuple(column for column in grid.columns if column != SCHEDULE)
    by_schedule: dict[float, dict[str, float]] = {}
    for row, mean in zip(grid.rows, means, strict=True):
        at = by_schedule.setdefault(schedule_of(results, row.values), {})
        at[row_label(row, others)] = mean
    return pd.DataFrame(by_schedule).sort_index(axis="columns")


def order(results: Results, grid: Grid) -> Order | None:
    """The order of a grid's settings over the schedule; None for fewer than two of either.

    A pair is swapped at a schedule if its difference d there and the difference D at the longest
    schedule have opposite signs and are further apart than the noise: sqrt(2) times the noise
    floor, since the spread of d - D is sqrt(2) times that of d.
    """
    means = means_over_schedules(results, grid).dropna(axis="columns", how="all").dropna()
    if len(means) < 2 or len(means.columns) < 2:
        return None
    floor = noise_floor(results, grid)
    noise = math.sqrt(2) * floor.least_difference if floor else math.nan
    schedules = tuple(map(float, means.columns))
    swaps = [_swapped(means[at], means[means.columns[-1]], noise) for at in means.columns]
    last = max((number for number, pairs in enumerate(swaps) if pairs), default=-1)
    return Order(
        schedules,
        len(means),
        settled=schedules[last + 1],
        swapped=tuple(swaps[last]) if last >= 0 else (),
        before=schedules[last] if last >= 0 else math.nan,
        noise=noise,
    )


def _swapped(at: pd.Series, longest: pd.Series, noise: float) -> list[tuple[str, str]]:
    threshold = 0.0 if math.isnan(noise) else noise
    pairs = []
    for one, other in itertools.combinations(at.index, 2):
        here, there = at[one] - at[other], longest[one] - longest[other]
        if here * there < 0 and abs(here - there) > threshold:
            pairs.append((one, other))
    return pairs


def agreements(results: Results) -> dict[str, Agreements]:
    """Table -> its rank correlation with the published AP over the schedule.

    A row's setting can have cells at several schedules anywhere in the study. Only rows with a
    value at every schedule are used, so that the correlations are comparable.

    Returns:
        The tables with published values and at least ``MIN_ROWS`` rows at two schedules.
    """
    means = means_of_settings(results)
    by_table = {}
    for grid in results.study.grids:
        published = [grid.published_values(row).get(MAIN_METRIC, math.nan) for row in grid.rows]
        keys = [_without_schedule(row.setting) for row in grid.rows]
        ours = means.reindex(keys).reset_index(drop=True)
        ours = ours[pd.notna(pd.Series(published, dtype=float))]
        ours = ours.loc[:, ours.notna().sum() >= MIN_ROWS].dropna()
        if len(ours) < MIN_ROWS or len(ours.columns) < 2:
            continue
        theirs = [published[number] for number in ours.index]
        taus = [kendall(ours[at], theirs).tau for at in ours.columns]
        by_table[grid.label] = Agreements(
            len(ours),
            tuple(map(float, ours.columns)),
            tuple(math.nan if tau is None else tau for tau in taus),
        )
    return by_table


def means_of_settings(results: Results) -> pd.DataFrame:
    """Mean AP on all images: a line per setting without its schedule, a column per schedule.

    Each mean is over the seeds that have a value at all of the setting's schedules.
    """
    cells = results.cells[~results.cells["judged"]].dropna(subset=MAIN_METRIC)
    settings = [results.study.settings[setting] for setting in cells["setting"]]
    cells = cells.assign(
        alike=[_without_schedule(setting) for setting in settings],
        at=[setting.schedule for setting in settings],
    )
    by_seed = cells.pivot_table(MAIN_METRIC, ["alike", "seed"], "at", sort=False)
    return pd.DataFrame(
        {alike: of_one.dropna(axis="columns", how="all").dropna().mean()
         for alike, of_one in by_seed.groupby("alike", sort=False)}
    ).T.sort_index(axis="columns")  # fmt: skip


def _without_schedule(setting: Setting) -> str:
    others: Sequence[tuple[str, Any]] = [pair for pair in setting.values if pair[0] != SCHEDULE]
    return Setting(tuple(others)).id
