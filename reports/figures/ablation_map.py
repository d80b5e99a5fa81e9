"""The map of the ablations: every row of every table on one axis."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ablations.records.record import DIVERGED
from ablations.status.status import STALE
from ablations.study.cell import Setting
from ablations.study.grid import Grid
from reports.figures.grids import intervals
from reports.figures.illustration import Illustration, drawn_once
from reports.plots import drawing, svg
from reports.plots.ablation_map import (
    Keys,
    MapPanel,
    Mark,
    ablation_map,
    frame_of,
    key_texts,
    map_key,
    map_panel,
)
from reports.results.labels import (
    MAIN_METRIC,
    STALE_COLOUR,
    axis_label,
    one_decimal,
    other_detector,
    setting_colour,
    short_name,
    with_true_minus,
)
from reports.results.load import Results
from reports.results.rows import value_text
from reports.results.states import absence
from reports.statistics.noise import noise_floor
from reports.statistics.ranks import at_ranks
from reports.tables import captions
from reports.tables.grids import GridTable
from reports.text.sentences import counted

NAME = "ablation_map"

COLUMN_GAP = ", "


@dataclass(frozen=True)
class PanelOfMap:
    """The drawing of a table.

    Attributes:
        grid: the table's name.
        title: its title.
        alternative: its content for readers who cannot see it.
        svg: the drawing, with an id per row.
        sentences: a sentence per row.
    """

    grid: str
    title: str
    alternative: str
    svg: str
    sentences: Sequence[str]

    @property
    def inline(self) -> Markup:
        """Its element in a page, with each row's sentence as the title of its mark."""

        def titled(match: re.Match[str]) -> str:
            return f"{match[0]}<title>{escape(self.sentences[int(match[1])])}</title>"

        element = svg.inline(self.svg, f"{NAME}-{self.grid}")
        return Markup(re.sub(rf'<g id="[^"]*{svg.MARK}(\d+)"[^>]*>', titled, element))


@dataclass(frozen=True)
class AblationMap:
    """The map of a study.

    Attributes:
        figure: all tables in one figure, for files; ``narrow`` is the same.
        key: the drawing that explains the marks.
        legend: its texts.
        panels: a drawing per table.
    """

    figure: Illustration
    key: str
    legend: Sequence[str]
    panels: Sequence[PanelOfMap]

    @property
    def grids(self) -> list[str]:
        """The names of its tables."""
        return [panel.grid for panel in self.panels]

    @property
    def key_inline(self) -> Markup:
        return Markup(svg.inline(self.key, f"{NAME}-key"))


def ablation_map_figure(
    results: Results, tables: Sequence[tuple[Grid, GridTable]]
) -> AblationMap | None:
    """The map of some tables: those with published values first, each as in ``tables``.

    Returns:
        None if no row has a value.
    """
    shown = sorted(tables, key=lambda grid_and_table: not grid_and_table[1].has_published)
    chosen = {row.setting for grid in results.study.grids for row in grid.rows if row.tune}
    panels = [_panel(results, grid, table, chosen) for grid, table in shown]
    marks = [mark for panel in panels for mark in panel.marks]
    if not any(math.isfinite(mark.value) for mark in marks):
        return None
    frame = frame_of(panels, MAIN_METRIC)
    keys = Keys(_colours(shown), marks, noise_text([panel.noise for panel in panels]))
    alternatives = [f"{grid.title}. {captions.dots_alternative(table)}" for grid, table in shown]
    floor = f" {keys.noise[:1].upper()}{keys.noise[1:]}." if keys.noise else ""
    files = drawn_once(NAME, drawing.to_files, ablation_map, panels, frame, keys)
    return AblationMap(
        Illustration(
            NAME, f"Map of the ablations.{floor} {' '.join(alternatives)}",
            files.svg, files.svg, files.png, files.pdf,
        ),
        drawn_once(f"{NAME}_key", drawing.to_svg, map_key, keys),
        key_texts(keys),
        [
            PanelOfMap(
                grid.name,
                grid.title,
                alternative,
                drawn_once(f"{NAME}_{grid.name}", drawing.to_svg, map_panel, panel, frame),
                _sentences(table, panel.marks),
            )
            for (grid, table), panel, alternative in zip(shown, panels, alternatives, strict=True)
        ],
    )  # fmt: skip


def noise_text(noises: Sequence[float]) -> str:
    """For example ``noise of seeds: ±3.1 AP``; "" if it is unknown."""
    known = sorted({one_decimal(noise) for noise in noises if math.isfinite(noise)}, key=float)
    if not known:
        return ""
    return f"noise of seeds: ±{' to ±'.join(dict.fromkeys((known[0], known[-1])))} {MAIN_METRIC}"


def _panel(results: Results, grid: Grid, table: GridTable, chosen: Collection[Setting]) -> MapPanel:
    states = results.of_grid(grid).groupby("row")["state"].agg(set)
    current = table.values[MAIN_METRIC]
    values = current.mask(table.stale, table.values[f"{MAIN_METRIC}_stale"])
    places = at_ranks(current.to_list(), table.values[f"{MAIN_METRIC}_published"].to_list())
    low, high = intervals(table.comparisons)
    marks = []
    for number, row in enumerate(grid.rows):
        value, stale, row_states = float(values[number]), table.stale[number], states[number]
        note = STALE if stale else DIVERGED if DIVERGED in row_states else ""
        colour = setting_colour(row.setting.as_dict())
        marks.append(
            Mark(
                label=_label(grid, number),
                value=value,
                text=one_decimal(value) or "–",
                colour=STALE_COLOUR if stale else colour,
                low=low[number],
                high=high[number],
                published=float(places[number]),
                note=note if math.isfinite(value) else absence(row_states),
                is_reference=table.comparisons[number].is_reference,
                is_crossed=DIVERGED in row_states,
                is_chosen=row.setting in chosen and not row.tune,
            )
        )
    floor = noise_floor(results, grid)
    return MapPanel(
        title=grid.title,
        columns=COLUMN_GAP.join(axis_label(column).header for column in _columns(grid)),
        marks=marks,
        reference=math.nan if grid.reference is None else float(current[grid.reference]),
        noise=floor.least_difference if floor else math.nan,
    )


def _columns(grid: Grid) -> list[str]:
    """The columns of the labels; a detector is named only where it is not the usual one."""
    return [column for column in grid.columns if column != "detector"]


def _label(grid: Grid, number: int) -> str:
    """For example ``2, 0.25``, in the order of the columns."""
    row = grid.rows[number]
    other = other_detector(row.setting.as_dict())
    texts = [other.name] if other and "detector" in grid.columns else []
    return COLUMN_GAP.join([*texts, *filter(None, (value_text(row, c) for c in _columns(grid)))])


def _colours(tables: Sequence[tuple[Grid, GridTable]]) -> dict[str, str]:
    """Name of each loss or detector of these tables -> its colour."""
    settings = [row.setting.as_dict() for grid, _ in tables for row in grid.rows]
    return {short_name(values): setting_colour(values) for values in settings}


def _sentences(table: GridTable, marks: Sequence[Mark]) -> list[str]:
    """Each row in words, for example ``γ = 2, α = 0.25: 11.1 AP, +5.4 against the reference``."""
    names = (MAIN_METRIC, "reference_difference", f"{MAIN_METRIC}_published",
             "reference_difference_published", "status", "seeds_done")  # fmt: skip
    sentences = []
    for number, (label, *texts) in enumerate(
        zip(table.row_labels, *(table.texts[name] for name in names), strict=True)
    ):
        ours, effect, theirs, their_effect, status, seeds = map(with_true_minus, texts)
        parts = [f"{ours} {MAIN_METRIC}" if ours else "no value"]
        if table.comparisons[number].is_reference:
            parts.append("the reference row")
        elif effect:
            parts.append(f"{effect} against the reference row")
        parts += [counted(int(seeds), "seed")] if int(seeds) > 1 else []
        parts += [status] if status else []
        parts += ["the setting chosen for its loss"] if marks[number].is_chosen else []
        if theirs:
            compared = f", {their_effect}" if their_effect else ""
            parts.append(f"published {theirs} {MAIN_METRIC}{compared}")
        sentences.append(f"{label}: {', '.join(parts)}")
    return sentences
