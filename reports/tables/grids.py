"""The table of a grid: a frame of texts, and the columns that a reader sees.

:func:`grid_table` formats every number once; the renderings only arrange the texts. A missing value
is "" in the frame and the CSV, and "–" for a reader. Stale values are marked with † and excluded
from every comparison.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from ablations.records.record import DONE
from ablations.records.speed import Time
from ablations.status.status import STALE
from ablations.study.grid import Grid
from reports.results import states
from reports.results.labels import (
    MAIN_METRIC,
    METRICS,
    SPEED,
    axis_label,
    difference_text,
    one_decimal,
    published_text,
    with_spread,
    with_true_minus,
)
from reports.results.load import Results, published_metrics, record_path
from reports.results.rows import paper_text, row_label, value_text, with_paper
from reports.statistics.comparisons import Comparison, compare, published_effects
from reports.statistics.inference import over_seeds
from reports.tables import against_reference, table
from reports.tables.table import (
    AXIS,
    INTERVAL_RANK,
    LINKS,
    NUMBER,
    OURS,
    PUBLISHED,
    SEEDS_RANK,
    TEXT,
    Column,
    Link,
    Table,
    TableCell,
    linked,
    shown,
)
from reports.text.sentences import CI

STALE_MARK = "†"
NOISY_MARK = "‡"
MAX_COMPARED = 4
"""A table with more metrics shows published values only for ``MAIN_METRIC`` and the speed."""


_RANKS = {MAIN_METRIC: (0, 3), SPEED: (0, 6), "AP50": (4, 8)}
"""Metric -> the ranks of our values and of the published ones (see :class:`Column`)."""

_OTHER_RANKS = (7, 8)
_RECORDS_RANK = 5


@dataclass(frozen=True)
class GridTable:
    """A grid's table.

    Attributes:
        axes: the columns that label a row.
        metrics: the columns of results.
        row_labels: for example ``γ = 2, α = 0.25``.
        texts: a line per row, all texts, "" for no value: the axes, and ``<axis>_paper`` of
            those whose values the study translates; ``<metric>``, ``<metric>_sd`` and
            ``<metric>_published`` of each metric; ``AP_difference`` (of the printed values), if
            the published set-up is the study's; those of :func:`against_reference.texts`;
            ``ms_per_image_low``, ``_high`` (of its interval) and ``_spread`` (the distance between
            the quartiles over the median);
            ``seeds_done``, ``seeds_planned`` and ``status``, which is "" if all runs of the row
            are done.
        values: the numbers: :func:`statistics.over_seeds`, also of ``<metric>_stale``, and
            ``<metric>_published``.
        stale: per row, whether all its values are stale.
        records: per row, the records' (seed, path from the report's folder).
        comparisons: per row, its interval and its comparison with the reference row.
        times: per row, the time per image of its architecture; None if it is unknown.
        published_effects: per row, the published AP minus that of the reference row, or NaN.
    """

    axes: tuple[str, ...]
    metrics: tuple[str, ...]
    row_labels: list[str]
    texts: pd.DataFrame
    values: pd.DataFrame
    stale: list[bool]
    records: list[list[tuple[int, str]]]
    comparisons: list[Comparison]
    times: list[Time | None]
    published_effects: list[float]

    @property
    def has_published(self) -> bool:
        """Whether any row has a published AP."""
        return bool(self.values[f"{MAIN_METRIC}_published"].notna().any())

    @property
    def has_effects(self) -> bool:
        """Whether any row has a difference from the reference row."""
        comparisons = self.comparisons
        return any(row.is_reference for row in comparisons) and any(
            math.isfinite(row.difference) for row in comparisons if not row.is_reference
        )

    @property
    def compared(self) -> tuple[str, ...]:
        """The metrics that are shown beside their published values."""
        if not self.has_published:
            return ()
        if len(self.metrics) <= MAX_COMPARED:
            return self.metrics
        return tuple(metric for metric in self.metrics if metric in (MAIN_METRIC, SPEED))

    @cached_property
    def table(self) -> Table:
        """The columns that a reader sees; the CSV has every text."""
        return Table(self._columns(), self.texts)

    def _columns(self) -> list[Column]:
        texts, columns = self.texts, []
        for axis in self.axes:
            papers = texts.get(f"{axis}_paper", [""] * len(texts))
            values = map(with_paper, texts[axis], papers)
            columns.append(Column("", axis_label(axis).header, AXIS, shown(values)))
        for metric in self.metrics:
            columns += self._columns_of(metric)
        if (texts["seeds_planned"] != "1").any():
            done = texts["seeds_done"] + " of " + texts["seeds_planned"]
            columns.append(Column("", "seeds", NUMBER, list(done), SEEDS_RANK))
        if (texts["status"] != "").any():
            columns.append(Column("", "status", TEXT, [s or DONE for s in texts["status"]]))
        links = linked(map(_links, self.records))
        columns.append(Column("", "records", LINKS, links, _RECORDS_RANK))
        return columns

    def _columns_of(self, metric: str) -> list[Column]:
        """Our values and, if they are compared, the published values.

        ``MAIN_METRIC`` also has its interval, its difference from the reference row and, if the
        published set-up is the study's, its difference from the published value.
        """
        texts, header = self.texts, METRICS[metric].header
        rank, published_rank = _RANKS.get(metric, _OTHER_RANKS)
        ours = [
            TableCell(text + STALE_MARK, table.STALE)
            if stale and mean and metric != SPEED
            else TableCell(text)
            for mean, text, stale in zip(
                texts[metric],
                shown(map(with_spread, texts[metric], texts[f"{metric}_sd"])),
                self.stale,
                strict=True,
            )
        ]
        main = metric == MAIN_METRIC
        intervals = against_reference.interval_cells(self.comparisons) if main else []
        if metric == SPEED:
            ours = [TableCell(text) for text in shown(map(speed_text, self.times))]
            intervals = list(map(speed_interval, self.times))
        if metric in self.compared:
            columns = [Column(header, OURS, NUMBER, ours, rank)]
        else:
            columns = [Column(OURS if self.compared else "", header, NUMBER, ours, rank)]
        if any(intervals):
            columns.append(Column(header, CI, NUMBER, shown(intervals), INTERVAL_RANK))
        if main:
            columns += against_reference.columns(self.comparisons, self.published_effects)
        if metric in self.compared:
            theirs = shown(texts[f"{metric}_published"])
            columns.append(Column(header, PUBLISHED, NUMBER, theirs, published_rank))
            if main and f"{metric}_difference" in texts:
                difference = shown(map(with_true_minus, texts[f"{metric}_difference"]))
                columns.append(Column(header, "difference", NUMBER, difference))
        return columns


def grid_table(results: Results, grid: Grid) -> GridTable:
    """Average over the seeds, add the published values and format every number."""
    frame, metrics = results.of_grid(grid), grid.metrics
    if MAIN_METRIC not in metrics:
        metrics = (MAIN_METRIC, *metrics)
    values = over_seeds(frame, [*metrics, *(f"{metric}_stale" for metric in metrics)])
    values = values.join(published_metrics(grid)[list(metrics)].add_suffix("_published"))
    rows = [row for _, row in frame.groupby("row", sort=True)]
    stale = [
        STALE in set(row["state"]) and counted == 0
        for row, counted in zip(rows, values[f"{MAIN_METRIC}_n"], strict=True)
    ]
    comparisons, texts = compare(results, grid), {}
    effects = published_effects(grid, values[f"{MAIN_METRIC}_published"].to_list())
    for axis in grid.columns:
        texts[axis] = [value_text(row, axis) for row in grid.rows]
        if any(papers := [paper_text(row, axis) for row in grid.rows]):
            texts[f"{axis}_paper"] = papers
    for metric in metrics:
        ours = values[metric].mask(stale, values[f"{metric}_stale"])
        spread = values[f"{metric}_sd"].mask(stale, values[f"{metric}_stale_sd"])
        theirs = [published_text(metric, value) for value in values[f"{metric}_published"]]
        texts[metric] = [one_decimal(value) for value in ours]
        texts[f"{metric}_sd"] = [one_decimal(value) for value in spread]
        texts[f"{metric}_published"] = theirs
        if metric == MAIN_METRIC:
            if results.as_published:
                current = [one_decimal(value) for value in values[metric]]
                texts[f"{metric}_difference"] = list(map(_difference, current, theirs))
            texts |= against_reference.texts(comparisons, effects)
    times = [results.speed.of(row.setting) if results.speed else None for row in grid.rows]
    if SPEED in metrics:
        texts[SPEED] = [one_decimal(time.ms_per_image) if time else "" for time in times]
        texts[f"{SPEED}_sd"] = [""] * len(times)
        for end in ("low", "high"):
            ends = (getattr(time, end, None) for time in times)
            texts[f"{SPEED}_{end}"] = ["" if at is None else one_decimal(at) for at in ends]
        texts[f"{SPEED}_spread"] = [f"{time.spread:.3f}" if time else "" for time in times]
    texts["seeds_done"] = [str(n) for n in values[f"{MAIN_METRIC}_n"]]
    texts["seeds_planned"] = [str(len(row)) for row in rows]
    texts["status"] = [states.row_text(row) for row in rows]
    return GridTable(
        axes=grid.columns,
        metrics=metrics,
        row_labels=[row_label(row, grid.columns) for row in grid.rows],
        texts=pd.DataFrame(texts, dtype=object),
        values=values,
        stale=stale,
        records=[
            [
                (seed, record_path(cell))
                for seed, cell in zip(row["seed"], row["cell"], strict=True)
                if cell in results.records
            ]
            for row in rows
        ],
        comparisons=comparisons,
        times=times,
        published_effects=effects,
    )


def speed_text(time: Time | None) -> str:
    """A time per image, with ``NOISY_MARK`` if its rounds do not agree."""
    if time is None:
        return ""
    return one_decimal(time.ms_per_image) + ("" if time.is_shown else NOISY_MARK)


def speed_interval(time: Time | None) -> str:
    """For example ``5.2 to 5.4``; "" without an interval."""
    if time is None or time.low is None or time.high is None:
        return ""
    return f"{one_decimal(time.low)} to {one_decimal(time.high)}"


def _difference(ours: str, theirs: str) -> str:
    if not ours or not theirs:
        return ""
    return difference_text(round(float(ours) - float(theirs), 1))


def _links(records: list[tuple[int, str]]) -> list[Link]:
    several = len(records) > 1
    return [
        Link(str(seed) if several else f"seed {seed}", path, f"record of seed {seed}")
        for seed, path in records
    ]
