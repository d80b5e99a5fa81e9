"""The figure of a table's differences from its reference row, for the first screen."""

import math
from collections.abc import Sequence

import numpy as np

from reports.figures.illustration import Illustration, drawn
from reports.plots.forest import Effect, forest
from reports.results.labels import MAIN_METRIC, one_decimal, setting_colour
from reports.results.load import Results
from reports.results.question import Question
from reports.statistics.comparisons import IMAGES_ONLY
from reports.statistics.noise import NoiseFloor, noise_floor
from reports.text.answer import Compared
from reports.text.sentences import CI, counted, difference_number, listed, margin_text

NAME = "forest"

MAX_ROWS = 7
"""The maximum number of rows beside the reference row; the table has all."""


def forest_figure(results: Results, asked: Question, rows: Sequence[Compared]) -> Illustration:
    """The difference of each row from the reference row: the row of the question first."""
    reference = rows[asked.reference]
    first = asked.candidate if asked.candidate is not None else asked.reference
    order = sorted(range(len(rows)), key=lambda number: (number != first, number))
    order = [number for number in order if number != asked.reference][:MAX_ROWS]
    shown = [(rows[number], asked.grid.rows[number]) for number in order]
    shown.append((reference, asked.grid.rows[asked.reference]))
    effects = [_effect(row, reference, setting_colour(of.setting.as_dict())) for row, of in shown]
    floor, margin = noise_floor(results, asked.grid), results.study.equivalence_margin
    unit = f"difference in {MAIN_METRIC} from {reference.short}"
    return drawn(
        NAME,
        _alternative(unit, [row for row, _ in shown], effects, floor, margin),
        forest,
        effects,
        unit,
        floor.least_difference if floor else math.nan,
        margin,
    )


def _effect(row: Compared, reference: Compared, colour: str) -> Effect:
    comparison = row.comparison
    values = row.runs[MAIN_METRIC].dropna().to_numpy(float)
    return Effect(
        label=row.name,
        text=_text(row),
        value=comparison.difference,
        low=comparison.difference_low,
        high=comparison.difference_high,
        seeds=(values - reference.comparison.mean if math.isfinite(reference.comparison.mean)
               else np.empty(0)),
        colour=colour,
        is_reference=comparison.is_reference,
        partial=comparison.difference_over == IMAGES_ONLY,
    )  # fmt: skip


def _text(row: Compared) -> str:
    """For example ``−2.8, worse``."""
    comparison = row.comparison
    if comparison.is_reference:
        return f"{one_decimal(comparison.mean)} {MAIN_METRIC}" if comparison.seeds else "no value"
    if math.isnan(comparison.difference):
        return (
            "no value" if not comparison.seeds else f"{one_decimal(comparison.mean)} {MAIN_METRIC}"
        )
    return f"{difference_number(comparison.difference)}, {comparison.verdict or 'not tested'}"


def _alternative(
    unit: str,
    rows: Sequence[Compared],
    effects: Sequence[Effect],
    floor: NoiseFloor | None,
    margin: float,
) -> str:
    """Every number of the figure in words."""
    parts = []
    for row, effect in zip(rows, effects, strict=True):
        comparison, text = row.comparison, f"{row.name}: {_text(row)}"
        if math.isfinite(comparison.difference_low):
            low, high = map(
                difference_number, (comparison.difference_low, comparison.difference_high)
            )
            text += f" ({CI} {low} to {high} over {comparison.difference_over})"
        if len(effect.seeds):
            seeds = listed([difference_number(float(seed)) for seed in effect.seeds])
            text += f", {'seeds' if len(effect.seeds) > 1 else 'one seed'} {seeds}"
        parts.append(text)
    ends = f" Margin of equivalence: {margin_text(margin)}."
    if floor:
        pair = counted(floor.seeds, "seed")
        ends += (
            f" Noise: two rows of {pair} each that differ only in the seed differ by less than "
            f"{one_decimal(floor.least_difference)} {MAIN_METRIC} in 95 % of cases."
        )
    return f"Forest plot, {unit}. {'; '.join(parts)}.{ends}"
