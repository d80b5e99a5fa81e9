"""The noise floor of a table: how much rows differ if their runs differ only in the seed."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ablations.study.grid import Grid
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results
from reports.statistics.inference import PooledSpread, least_difference, pooled_spread
from reports.statistics.runs import RowRuns, runs_of


@dataclass(frozen=True)
class NoiseFloor:
    """The noise floor, with the spread that it follows from.

    Attributes:
        spread: the pooled standard deviation of runs that differ only in the seed, in AP.
        tables: the tables it was measured in, if this table has no row with two runs.
        seeds: the smallest number of finished runs of a row of this table that has any; 1 before
            the first.
        least_difference: the noise floor: the smallest difference of two rows with this number of
            runs that exceeds the noise.
        other_images: the images that it was measured on, if this table is judged on others; else
            "". Runs differ more on fewer images.
        interaction_of_one_image: the part of the spread's variance that comes from each run's own
            reaction to the images, times the number of images; None without resamples.
    """

    spread: PooledSpread
    tables: tuple[str, ...]
    seeds: int
    least_difference: float
    other_images: str = ""
    interaction_of_one_image: float | None = None


def noise_floor(results: Results, grid: Grid) -> NoiseFloor | None:
    """The noise floor of a table, from its seeds or, if it has one, from tables with several.

    Of these, the tables that are judged on the same images go first. Rows with a diverged run are
    excluded: their 0.0 is no noise.

    Returns:
        None if no setting has two finished runs.
    """
    finished = results.of_grid(grid).groupby("row")[MAIN_METRIC].count()
    seeds = int(finished[finished > 0].min()) if finished.any() else 1
    rows, other_images = _with_several_seeds(results, [grid]), ""
    tables: tuple[str, ...] = ()
    if not rows:
        known = [table for table in results.study.grids if _with_several_seeds(results, [table])]
        alike = [table for table in known if table.is_tuned == grid.is_tuned]
        if known and not alike:
            other_images = "all images" if grid.is_tuned else "the reporting half of the images"
        tables = tuple(table.label for table in alike or known)
        rows = _with_several_seeds(results, alike or known)
    spread = pooled_spread([row.runs.values.tolist() for row in rows])
    if spread is None:
        return None
    least = least_difference(spread, seeds, seeds)
    return NoiseFloor(spread, tables, seeds, least, other_images, _interaction_of_one_image(rows))


def _interaction_of_one_image(rows: list[RowRuns]) -> float | None:
    """See :attr:`NoiseFloor.interaction_of_one_image`; pooled over these rows like the spread."""
    runs = [row.runs for row in rows if row.runs.replicates is not None]
    if not runs:
        return None
    of_one_image = [of_row.interaction * of_row.images for of_row in runs]
    return float(np.average(of_one_image, weights=[of_row.seeds - 1 for of_row in runs]))


def _with_several_seeds(results: Results, grids: Iterable[Grid]) -> list[RowRuns]:
    """The settings of these grids that have several finished runs, none of them diverged."""
    names = [grid.name for grid in grids]
    frame = results.frame[results.frame["grid"].isin(names)].drop_duplicates("cell")
    # AP on the half that reports is no other seed of AP on all images.
    settings = frame.groupby(["setting", "judged"], sort=False)
    rows = [runs_of(results, of_one) for _, of_one in settings if len(of_one) > 1]
    return [row for row in rows if row.runs.seeds > 1 and not row.diverged]
