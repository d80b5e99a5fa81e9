"""The answer in words, generated from the numbers: does FL* beat FL?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ablations.records.record import DIVERGED
from ablations.study.grid import Grid, Row
from reports.results import states
from reports.results.labels import (
    HEADLINE,
    MAIN_METRIC,
    loss_label,
    one_decimal,
    setting_text,
    short_name,
)
from reports.results.load import Results
from reports.results.provenance import dataset_card, dataset_name
from reports.statistics import best
from reports.statistics.comparisons import (
    DIVERGED_RUN,
    IMAGES_ALONE,
    NO_VALUE,
    OF_REFERENCE,
    ONE_SEED,
    Comparison,
    compare,
)
from reports.text.sentences import counted, difference_text, listed, untested

QUESTION = "focal_star", "focal"
"""The loss that the study is about, and the one that it is to beat."""

LEAST_AP = 1.0
"""Percent. Differences between rows that are all below it are of trainings that learnt nothing."""


@dataclass(frozen=True)
class Answer:
    """Whether FL* beats FL, in words.

    Attributes:
        verdict: the answer.
        others: of the other losses of the headline table, a sentence each.
        basis: what it is from, and what it does not say; "" where there is no answer at all.
    """

    verdict: str
    others: tuple[str, ...] = ()
    basis: str = ""


def answer(results: Results) -> Answer:
    """Does FL* beat FL, by how much, how surely, and on which data."""
    ours, theirs = (loss_label(loss).short for loss in QUESTION)
    open_question = f"Whether {ours} beats {theirs} is not answered here"
    grid = next((grid for grid in results.study.grids if grid.name == HEADLINE), None)
    if grid is None:
        return Answer(f"{open_question}: the report has no table {HEADLINE}.")
    reference = None if grid.reference is None else grid.rows[grid.reference]
    if reference is None or not _is_of(reference, QUESTION[1]):
        return Answer(f"{open_question}: {theirs} is not the reference row of table {HEADLINE}.")
    asked = [
        number
        for number, row in enumerate(grid.rows)
        if _is_of(row, QUESTION[0]) and "weight_cap" not in row.setting.as_dict()
    ]
    if not asked:
        return Answer(f"{open_question}: table {HEADLINE} has no row of {ours} without a cap.")
    lines = [
        _Line(row_name(row), _short_name(row), found, runs)
        for row, found, (_, runs) in zip(
            grid.rows,
            compare(results, grid),
            results.of_grid(grid).groupby("row", sort=True),
            strict=True,
        )
    ]
    first, reference = lines[asked[0]], lines[grid.reference]
    others = [line for line in lines if line is not first and line is not reference]
    tested = [_of_other(line, theirs) for line in others if line.found.tested]
    not_tested = untested([line.name for line in others], [line.found for line in others])
    tests = sum(line.found.tested for line in lines)
    return Answer(
        verdict=_verdict(first, reference, dataset_name(results), tests) + _too_little(lines),
        others=(*tested, not_tested) if not_tested else tuple(tested),
        basis=_basis(results, grid, lines, tests),
    )


def row_name(row: Row) -> str:
    """For example ``FL* (α = 0.75, γ = 0.125)``."""
    setting = setting_text(row.setting.as_dict())
    return f"{_short_name(row)} ({setting})" if setting else _short_name(row)


@dataclass(frozen=True)
class _Line:
    """A row of the headline table: its names, its comparison and its lines of the frame."""

    name: str
    short: str
    found: Comparison
    runs: pd.DataFrame


def _verdict(ours: _Line, theirs: _Line, dataset: str, tests: int) -> str:
    """The answer for one row against the reference row, ``tests`` rows being tested."""
    found = ours.found
    values = (
        f"{one_decimal(found.mean)} against {one_decimal(theirs.found.mean)} {MAIN_METRIC}, "
        f"a difference of {difference_text(found)}"
    )
    if found.survives:
        verdict = "better" if found.difference > 0 else "worse"
        return f"{ours.name} is {verdict} than {theirs.name} on {dataset}: {values}."
    unknown = f"Whether {ours.name} beats {theirs.name} on {dataset} cannot be told"
    if not found.tested:
        return f"{unknown}: {_reason(ours, theirs, values)}"
    if found.difference_low <= 0 <= found.difference_high:
        return f"{unknown}: {values}."
    return (
        f"{unknown}: {values}. The interval, which is of this comparison alone, leaves out 0; "
        f"with {counted(tests, 'row')} tested the difference does not survive Holm's correction."
    )


def _too_little(lines: Sequence[_Line]) -> str:
    """A warning where no row has learnt what could be compared; empty elsewhere."""
    means = [line.found.mean for line in lines if math.isfinite(line.found.mean)]
    if not means or max(means) >= LEAST_AP:
        return ""
    return (
        f" No row reaches {LEAST_AP:g} {MAIN_METRIC}: the trainings have learnt too little to be "
        "compared."
    )


def _reason(ours: _Line, theirs: _Line, values: str) -> str:
    """Why nothing can be told of a row against the reference row."""
    why = ours.found.why_not
    blamed = theirs if why.endswith(OF_REFERENCE) else ours
    name, runs = blamed.short, blamed.runs
    standing = states.row_text(runs)
    if why.startswith(NO_VALUE):
        return f"{name} has no result ({standing})."
    if why.startswith(DIVERGED_RUN):
        diverged = (runs["state"] == DIVERGED).sum()
        return (
            f"{diverged} of {counted(len(runs), 'run')} of {name} diverged, which counts as "
            f"{MAIN_METRIC} 0.0. It is {values}."
        )
    if why.startswith(ONE_SEED):
        who = "each" if ours.found.seeds == theirs.found.seeds else name
        left_out = ours.found.difference_over == IMAGES_ALONE
        return (
            f"{who} has one seed{f' ({standing})' if standing else ''}, and the spread between "
            f"trainings is unknown. It is {values}"
            f"{', and the interval leaves that spread out' if left_out else ''}."
        )
    return f"there is no test ({why}). It is {values}."


def _of_other(line: _Line, theirs: str) -> str:
    """A tested row against the reference row, in one sentence."""
    found = line.found
    if not found.survives:
        verdict = f"{line.name} cannot be told from {theirs}"
    else:
        verdict = f"{line.name} is {'better' if found.difference > 0 else 'worse'} than {theirs}"
    return f"{verdict}: {difference_text(found)}."


def _basis(results: Results, grid: Grid, lines: Sequence[_Line], tests: int) -> str:
    """What the answer is from, and what it does not say."""
    planned = len(results.study.seeds_of(grid))
    images = [count for split, count, _ in dataset_card(results)["splits"] if split == "val"]
    text = f"Each a mean over {counted(planned, 'seed')}" if planned > 1 else "Each of one seed"
    if planned > 1 and any(line.found.seeds < planned for line in lines):
        text = f"Each a mean over the runs that ended, of {counted(planned, 'seed')}"
    sentences = [text + (f", on {images[0]} validation images." if images and images[0] else ".")]
    if tests:
        sentences.append(
            "The intervals are over other seeds and other images, each of one comparison alone; "
            f"the p-values are corrected for the {counted(tests, 'row')} tested (Holm). Of other "
            "training data they say nothing."
        )
    tried = best.tried(results)
    counts = [f"{tried[loss]} of {loss_label(loss).short}" for loss in QUESTION if loss in tried]
    if any(tried.get(loss, 0) > 1 for loss in QUESTION):
        sentences.append(
            f"Settings with a result in this study: {listed(counts)}; a setting that was chosen "
            "as the best of several is flattered on the images that it was chosen on."
        )
    return " ".join(sentences)


def _is_of(row: Row, loss: str) -> bool:
    return row.setting.as_dict().get("loss") == loss


def _short_name(row: Row) -> str:
    """The row's word for its method, else its loss."""
    return str(row.values.get("method") or short_name(row.setting.as_dict()))
