"""The comparison of a loss with the reference loss in words, generated from the numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ablations.records.record import DIVERGED
from ablations.study.grid import Grid, Row
from reports.results import states
from reports.results.labels import (
    MAIN_METRIC,
    loss_label,
    one_decimal,
    short_name,
    text_of,
)
from reports.results.load import Results
from reports.results.provenance import dataset_facts, dataset_name
from reports.results.question import Question, loss_of, question
from reports.statistics import best
from reports.statistics.comparisons import (
    DIVERGED_RUN,
    EQUIVALENT,
    IMAGES_ONLY,
    NO_VALUE,
    OF_REFERENCE,
    ONE_SEED,
    UNDECIDED,
    Comparison,
    compare,
)
from reports.statistics.equivalence import smallest_permutation_p
from reports.statistics.learning_floor import highest_unlearnt_ap
from reports.text.not_learnt import not_learnt
from reports.text.sentences import (
    MODEL,
    counted,
    difference_text,
    listed,
    margin_text,
    needed_text,
    p_text,
    untested,
)
from reports.text.tuning import fairness, images_of_half

NOT_LEARNT, UNTESTED, NO_RESULT, NO_QUESTION = (
    "not learnt", "not tested", "no result", "no question",
)  # fmt: skip
"""The outcomes of a comparison beside the verdicts of a test."""


@dataclass(frozen=True)
class Compared:
    """A row of the table that answers: its names, its comparison and its lines of the frame."""

    name: str
    short: str
    comparison: Comparison
    runs: pd.DataFrame


@dataclass(frozen=True)
class Answer:
    """The result of the comparison.

    Attributes:
        verdict: whether the candidate is better than the reference row.
        others: a sentence for each other row of the table.
        basis: the data behind the verdict and its limits; "" if there is no verdict.
        outcome: a verdict of a test, ``NOT_LEARNT``, ``UNTESTED``, ``NO_RESULT`` or
            ``NO_QUESTION``.
        asked: the comparison; None if no table has a reference row.
        rows: the rows of its table; empty for ``NO_QUESTION``.
    """

    verdict: str
    others: tuple[str, ...] = ()
    basis: str = ""
    outcome: str = NO_QUESTION
    asked: Question | None = None
    rows: tuple[Compared, ...] = ()


def answer(results: Results) -> Answer:
    """Whether the candidate is better: the difference, its uncertainty and the data set."""
    asked = question(results.study)
    if asked is None or asked.candidate is None:
        return Answer(
            "This report compares no losses: no table names the losses of its rows and has a "
            "reference row of another loss.",
            asked=asked,
        )
    grid = asked.grid
    lines = compared(results, grid)
    first, reference = lines[asked.candidate], lines[asked.reference]
    tests = sum(line.comparison.tested for line in lines)
    basis = _basis(results, asked, lines, tests)
    margin = results.study.equivalence_margin
    highest_ap = highest_unlearnt_ap([line.comparison for line in lines], margin)
    if highest_ap is not None:
        facts = not_learnt(results, grid, [line.name for line in lines], highest_ap)
        return Answer(facts[0], tuple(facts[1:]), basis, NOT_LEARNT, asked, lines)
    others = [line for line in lines if line is not first and line is not reference]
    tested = [_other(line, reference.short, margin) for line in others if line.comparison.tested]
    not_tested = untested([line.name for line in others], [line.comparison for line in others])
    return Answer(
        verdict=_verdict(first, reference, dataset_name(results), tests, margin),
        others=(*tested, not_tested) if not_tested else tuple(tested),
        basis=basis,
        outcome=_outcome(first.comparison),
        asked=asked,
        rows=lines,
    )


def compared(results: Results, grid: Grid) -> tuple[Compared, ...]:
    """The rows of a table with their comparisons."""
    return tuple(
        Compared(row_name(row, results.study.schedule), _short_name(row), comparison, runs)
        for row, comparison, (_, runs) in zip(
            grid.rows,
            compare(results, grid),
            results.of_grid(grid).groupby("row", sort=True),
            strict=True,
        )
    )


def judged_on(results: Results, grid: Grid) -> int:
    """The number of validation images that judge the rows of a table; 0 if it is unknown."""
    if grid.is_tuned:
        return images_of_half(results, grid)
    images = [count for split, count, _ in dataset_facts(results)["splits"] if split == "val"]
    return int(images[0] or 0) if images else 0


def _outcome(comparison: Comparison) -> str:
    if comparison.tested:
        return comparison.verdict
    return NO_RESULT if math.isnan(comparison.difference) else UNTESTED


def row_name(row: Row, schedule: float) -> str:
    """For example ``FL* (α = 0.75, γ = 0.125)``; ``schedule``: see :func:`text_of`."""
    setting = text_of(row.setting, schedule)
    return f"{_short_name(row)} ({setting})" if setting else _short_name(row)


def _relation(line: Compared, theirs: str, margin: float) -> str:
    """The result of the tests of a row against the reference row."""
    comparison = line.comparison
    if comparison.verdict == UNDECIDED:
        return f"It is undecided whether {line.name} is better than {theirs}"
    if comparison.verdict == EQUIVALENT:
        return f"{line.name} is equivalent to {theirs} within {margin_text(margin)}"
    return f"{line.name} is significantly {comparison.verdict} than {theirs}"


def _addition(comparison: Comparison, margin: float) -> str:
    """The seeds that decide an undecided row, or that a significant difference is small."""
    if comparison.survives and comparison.within_margin:
        return (
            f"The difference is significantly smaller than {margin:g} {MAIN_METRIC} (two one-sided "
            f"tests: {p_text(comparison.p_equivalence)} in a normal model)."
        )
    return needed_text(comparison.needed, margin)


def _other(line: Compared, theirs: str, margin: float) -> str:
    text = f"{_relation(line, theirs, margin)}: {difference_text(line.comparison)}."
    return f"{text} {_addition(line.comparison, margin)}".strip()


def _verdict(ours: Compared, theirs: Compared, dataset: str, tests: int, margin: float) -> str:
    """The result for one row against the reference row; ``tests``: the number of tested rows."""
    comparison = ours.comparison
    values = (
        f"{one_decimal(comparison.mean)} against {one_decimal(theirs.comparison.mean)} "
        f"{MAIN_METRIC}, a difference of {difference_text(comparison)}"
    )
    if not comparison.tested:
        text = (
            f"It is undecided whether {ours.name} is better than {theirs.name} on {dataset}: "
            f"{_reason(ours, theirs, values)}"
        )
        return f"{text} {needed_text(comparison.needed, margin)}".strip()
    sentences = [f"{_relation(ours, theirs.name, margin)} on {dataset}: {values}."]
    low, high = comparison.difference_low, comparison.difference_high
    if comparison.verdict == UNDECIDED and not low <= 0 <= high:
        sentences.append(
            "The interval of this single comparison excludes 0, but the difference is not "
            f"significant after Holm's correction for {counted(tests, 'tested row')}."
        )
    sentences.append(_addition(comparison, margin))
    return " ".join(filter(None, sentences))


def _reason(ours: Compared, theirs: Compared, values: str) -> str:
    """Why a row is not tested against the reference row."""
    why = ours.comparison.why_not
    blamed = theirs if why.endswith(OF_REFERENCE) else ours
    name, runs = blamed.short, blamed.runs
    status = states.row_text(runs)
    if why.startswith(NO_VALUE):
        return f"{name} has no result ({status})."
    if why.startswith(DIVERGED_RUN):
        diverged = (runs["state"] == DIVERGED).sum()
        count = "counts" if diverged == 1 else "count"
        return (
            f"{diverged} of {counted(len(runs), 'run')} of {name} diverged and {count} as "
            f"{MAIN_METRIC} 0.0. The result is {values}."
        )
    if why.startswith(ONE_SEED):
        who = "each loss" if ours.comparison.seeds == theirs.comparison.seeds else name
        excluded = ours.comparison.difference_over == IMAGES_ONLY
        return (
            f"{who} has one seed{f' ({status})' if status else ''}, so the spread between seeds "
            f"is unknown. The result is {values}"
            f"{'; the interval does not include that spread' if excluded else ''}."
        )
    return f"there is no test ({why}). The result is {values}."


def _basis(results: Results, asked: Question, lines: Sequence[Compared], tests: int) -> str:
    """The data behind the verdict and its limits."""
    grid = asked.grid
    planned = len(results.study.seeds_of(grid))
    images = judged_on(results, grid)
    text = "Each value comes from one seed"
    if planned > 1:
        incomplete = any(line.comparison.seeds < planned for line in lines)
        which = "the finished runs of " if incomplete else ""
        text = f"Each value is a mean over {which}{counted(planned, 'seed')}"
    sentences = [text + (f", on {images} validation images." if images else ".")]
    if tests:
        sentences.append(
            "Each interval covers a single comparison and the variation in seeds and images, not "
            "in the training data. The p-values are corrected for "
            f"{counted(tests, 'tested row')} (Holm) and rest on a {MODEL}. "
            + _without_model(lines, lines[asked.reference])
        )
    if grid.is_tuned:
        return " ".join([*sentences, fairness(results, grid)])
    tried = {setting.loss: setting.tried for setting in best.best_of_losses(results)}
    rows = (asked.candidate or 0, asked.reference)
    losses = [loss_of(results.study, grid.rows[row]) for row in rows]
    counts = [
        f"{counted(tried[loss], 'setting')} of {loss_label(loss).short}"
        for loss in losses
        if loss in tried
    ]
    if max(tried.get(loss, 0) for loss in losses) > 1:
        sentences.append(
            f"This study has results for {listed(counts)}. The AP of a setting that was selected "
            "as the best of several is biased upwards on the images of the selection."
        )
    return " ".join(sentences)


def _without_model(lines: Sequence[Compared], reference: Compared) -> str:
    """The smallest p-value that the numbers of seeds allow without a model of their spread."""
    smallest = max(
        smallest_permutation_p(line.comparison.seeds, reference.comparison.seeds)
        for line in lines
        if line.comparison.tested
    )
    bound = f"p = {smallest:.3f}" if smallest >= 0.001 else f"p = {smallest:.1g}"
    return (
        "A permutation test of the seeds alone, which assumes no distribution, cannot go below "
        f"{bound} before that correction."
    )


def _short_name(row: Row) -> str:
    """The row's method, else its loss."""
    return str(row.values.get("method") or short_name(row.setting.as_dict()))
