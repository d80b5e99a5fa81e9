"""What a table shows, in a sentence that is generated from its numbers, and how certain it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ablations.study.grid import Grid
from ablations.study.study import schedule_name
from reports.results.labels import MAIN_METRIC, one_decimal
from reports.results.load import Results, published_metrics
from reports.results.rows import row_label
from reports.statistics.comparisons import (
    BETTER,
    EQUIVALENT,
    UNDECIDED,
    WORSE,
    Comparison,
    published_effects,
)
from reports.statistics.inference import SIGNIFICANCE, Agreement, kendall, least_difference
from reports.statistics.noise import NoiseFloor, noise_floor
from reports.statistics.schedules import SCHEDULE, schedule_of
from reports.text.sentences import CI, counted, difference_number, listed, p_text, signed

MAX_NAMED = 2
"""The maximum number of departing rows that a sentence names; it counts the others."""


@dataclass(frozen=True)
class _Shown:
    """The numbers of a table.

    Attributes:
        grid: the table.
        labels: a name per row.
        ours: the rows with their comparisons; a stale or missing row has no value.
        theirs: the published AP of each row, NaN where there is none.
        floor: the noise between seeds; None if it is unknown.
    """

    grid: Grid
    labels: Sequence[str]
    ours: Sequence[Comparison]
    theirs: np.ndarray
    floor: NoiseFloor | None

    @property
    def published_effects(self) -> list[float]:
        return published_effects(self.grid, self.theirs.tolist())

    @property
    def tested(self) -> list[int]:
        return [number for number, comparison in enumerate(self.ours) if comparison.tested]

    def exceeds_noise(self, number: int) -> bool:
        """Whether a row's effect is significant or, without a test, larger than the noise."""
        row, reference = self.ours[number], self.grid.reference_of(number)
        if row.tested or self.floor is None or reference is None:
            return row.survives
        theirs = self.ours[reference].seeds
        return abs(row.difference) > least_difference(self.floor.spread, row.seeds, theirs)


def finding(results: Results, grid: Grid, comparisons: Sequence[Comparison]) -> str:
    """What a table shows against the published table: order, effect, departures, certainty.

    Args:
        results: the study with its records.
        grid: the table.
        comparisons: its rows, from :func:`~reports.statistics.comparisons.compare`.
    """
    shown = _Shown(
        grid=grid,
        labels=[row_label(row, grid.columns) for row in grid.rows],
        ours=comparisons,
        theirs=published_metrics(grid)[MAIN_METRIC].to_numpy(float),
        floor=noise_floor(results, grid),
    )
    known = [number for number, row in enumerate(comparisons) if math.isfinite(row.mean)]
    if not known:
        return "No row of this table has a value yet."
    best = (
        _best_by_schedule(results, grid, comparisons)
        if SCHEDULE in grid.columns
        else _best(shown, known)
    )
    parts = [_order(shown), best, _departures(shown)]
    text = " ".join(f"{part}." for part in parts if part)
    some = f"{len(known)} of {counted(len(comparisons), 'row')} have a value. " if len(known) < len(
        comparisons) else ""  # fmt: skip
    return f"{some}{text} {_certainty(shown)}"


def _order(shown: _Shown) -> str:
    """The order of the rows against the published order; "" if nothing is published."""
    if np.isnan(shown.theirs).all():
        return ""
    agreement: Agreement = kendall([row.mean for row in shown.ours], shown.theirs.tolist())
    if agreement.tau is None or agreement.p_value is None:
        return f"The order cannot be compared with the published one, since {agreement.undefined}"
    rows = (
        f"Kendall's τ-b = {signed(agreement.tau)}, {p_text(agreement.p_value)}, "
        f"{counted(agreement.n, 'row')}"
    )
    if agreement.p_value >= SIGNIFICANCE:
        return f"The agreement with the published order is not significant ({rows})"
    relation = (
        "agrees significantly with" if agreement.tau > 0 else "is significantly the reverse of"
    )
    return f"The order of the rows {relation} the published one ({rows})"


def _best(shown: _Shown, known: Sequence[int]) -> str:
    """The best row and its effect, and the best published row and its effect."""
    best = max(known, key=lambda number: shown.ours[number].mean)
    text = f"The best row is {shown.labels[best]} with {_value(shown, best)}"
    if np.isnan(shown.theirs).all():
        return text
    is_best = shown.theirs == np.nanmax(shown.theirs)  # published values can be tied
    theirs = best if is_best[best] else int(np.argmax(is_best))
    effect = _published_value(shown, theirs)
    if theirs == best:
        return f"{text}, as published ({effect})"
    return f"{text}. The best published row is {shown.labels[theirs]} with {effect}"


def _best_by_schedule(results: Results, grid: Grid, comparisons: Sequence[Comparison]) -> str:
    """The best row at each schedule: AP after trainings of different length is not compared."""
    columns = tuple(column for column in grid.columns if column != SCHEDULE)
    best: dict[str, tuple[float, str]] = {}
    for row, comparison in zip(grid.rows, comparisons, strict=True):
        at = schedule_name(schedule_of(results, row.values))
        if comparison.mean > best.get(at, (-math.inf, ""))[0]:
            best[at] = comparison.mean, row_label(row, columns)
    at_best: dict[str, list[str]] = {}
    for at, (_, label) in best.items():
        at_best.setdefault(label, []).append(at)
    places = [f"{label} at {listed(schedules)}" for label, schedules in at_best.items()]
    return f"The best row is {listed(places)}"


def _value(shown: _Shown, number: int) -> str:
    """The effect of a row with its interval; the AP of the reference row, or without one."""
    row = shown.ours[number]
    if row.is_reference or math.isnan(row.difference):
        value = f"{one_decimal(row.mean)} {MAIN_METRIC}"
        return f"{value}, the reference row" if row.is_reference else value
    text = f"{difference_number(row.difference)} {MAIN_METRIC}"
    if row.tested:
        low, high = map(difference_number, (row.difference_low, row.difference_high))
        text += f" ({CI} {low} to {high})"
    return f"{text} against {shown.labels[shown.grid.reference_of(number) or 0]}"


def _published_value(shown: _Shown, number: int) -> str:
    effect = shown.published_effects[number]
    if math.isnan(effect):
        return f"{one_decimal(shown.theirs[number])} {MAIN_METRIC}"
    return f"{difference_number(effect)} {MAIN_METRIC}"


def _departures(shown: _Shown) -> str:
    """The rows whose effect contradicts the published one, by its sign or by its interval."""
    theirs = shown.published_effects
    compared = [
        number
        for number, row in enumerate(shown.ours)
        if not row.is_reference and math.isfinite(row.difference) and math.isfinite(theirs[number])
    ]
    if not compared:
        return ""
    opposite = [n for n in compared if shown.ours[n].difference * theirs[n] < 0]
    certain = [n for n in opposite if shown.exceeds_noise(n)]
    if shown.floor is None and not shown.tested:
        certain = opposite
    if not opposite:
        text = "No effect has the opposite sign to the published one"
    elif not certain:
        have, their = ("has", "it is") if len(opposite) == 1 else ("have", "they are")
        tested = {shown.ours[number].tested for number in opposite}
        reasons = {True: "not significant", False: "within the noise"}
        why = " or ".join(text for is_tested, text in reasons.items() if is_tested in tested)
        effects = counted(len(opposite), "effect")
        text = f"{effects} {have} the opposite sign to the published one, but {their} {why}"
    else:
        text = (
            "The sign of the effect is opposite to the published one for "
            f"{_with_published(shown, certain)}"
        )
    outside = [n for n in compared if n not in certain and _is_outside(shown.ours[n], theirs[n])]
    if not outside:
        return text
    return f"{text}. The published effect is outside our {CI} for {_with_published(shown, outside)}"


def _is_outside(ours: Comparison, published_effect: float) -> bool:
    """Whether the interval of a tested effect excludes the published one."""
    low, high = ours.difference_low, ours.difference_high
    return ours.tested and not low <= published_effect <= high


def _with_published(shown: _Shown, numbers: Sequence[int]) -> str:
    """These rows with our effects and the published ones, those that differ most first."""
    theirs = shown.published_effects
    by_distance = sorted(numbers, key=lambda n: -abs(shown.ours[n].difference - theirs[n]))
    named = [
        f"{shown.labels[n]} ({difference_number(shown.ours[n].difference)}, published "
        f"{difference_number(theirs[n])})"
        for n in by_distance[:MAX_NAMED]
    ]
    if len(by_distance) > MAX_NAMED:
        named.append(counted(len(by_distance) - MAX_NAMED, "other row"))
    return listed(named)


def _certainty(shown: _Shown) -> str:
    """What the tests, the noise or the lack of both say of these effects."""
    if shown.tested:
        verdicts = [shown.ours[number].verdict for number in shown.tested]
        counts = [
            f"{number} {'is' if number == 1 else 'are'} {word}"
            for word in (BETTER, WORSE, EQUIVALENT, UNDECIDED)
            if (number := verdicts.count(word))
        ]
        reference = "their reference rows" if shown.grid.reference is None else "the reference row"
        return (
            f"Of {counted(len(verdicts), 'row')} tested against {reference}, {listed(counts)}, "
            "after Holm's correction."
        )
    effects = [
        number
        for number, row in enumerate(shown.ours)
        if not row.is_reference and math.isfinite(row.difference)
    ]
    if shown.floor is None:
        return "Certainty: none of this is tested, and the noise of seeds is unknown."
    least = one_decimal(shown.floor.least_difference)
    noise = f"no single effect is tested; the noise of seeds is up to {least} {MAIN_METRIC}"
    if not effects:
        return f"Certainty: {noise}."
    beyond = sum(map(shown.exceeds_noise, effects))
    larger = (
        "is larger than the noise of its" if beyond == 1 else "are larger than the noise of their"
    )
    return f"Certainty: {noise}, and {beyond} of {counted(len(effects), 'effect')} {larger} seeds."
