"""The texts of the first screen: the question, its answer, the terms, the scope and the cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablations.status.units import duration
from reports.results import provenance
from reports.results.labels import (
    DATASETS,
    LOSSES,
    MAIN_METRIC,
    loss_label,
    one_decimal,
)
from reports.results.load import Results
from reports.results.question import Question, loss_of
from reports.statistics.comparisons import BETTER, EQUIVALENT, SEEDS_AND_IMAGES, UNDECIDED, WORSE
from reports.statistics.noise import NoiseFloor
from reports.text.answer import (
    NO_QUESTION,
    NO_RESULT,
    NOT_LEARNT,
    UNTESTED,
    Answer,
    Compared,
    judged_on,
)
from reports.text.not_learnt import EPOCHS_1X
from reports.text.sentences import (
    CI,
    counted,
    difference_number,
    margin_text,
    p_text,
    title,
)

_ANSWERS = {
    BETTER: "Yes, here.",
    WORSE: "Not here: it is worse.",
    EQUIVALENT: "Not here: it is equivalent.",
    UNDECIDED: "Undecided.",
    UNTESTED: "Not tested.",
    NOT_LEARNT: "Unknown: no loss has learnt enough.",
    NO_RESULT: "No result yet.",
}
"""Outcome -> the answer to the question."""

_KINDS = {
    "focal": "FL lowers the weight of easy anchors (candidate boxes).",
    "focal_star": "FL* also raises the weight of hard ones.",
}
"""Loss -> what it does, in the order of the formulas."""

_SYMBOLS = (
    "pₜ: the predicted probability of an anchor's true label. αₜ: α for objects, 1 − α for "
    "background. γ: the strength of the weighting."
)
_METRIC = f"{MAIN_METRIC}: average precision in percent, the mean over IoU 0.5 to 0.95."


@dataclass(frozen=True)
class Verdict:
    """The effect as numbers in words.

    Attributes:
        pair: what is compared.
        effect: the difference with its unit, or the outcome where there is none.
        interval: its interval and what the interval does not cover; "" without one.
        result: the outcome with its p-value.
        values: both values.
        data: seeds and images.
    """

    pair: str
    effect: str
    interval: str = ""
    result: str = ""
    values: str = ""
    data: str = ""


def question_text(results: Results, answer: Answer) -> str:
    """The question and its answer; the study's title if it compares no losses."""
    asked = answer.asked
    if asked is None or answer.outcome == NO_QUESTION:
        return title(results)
    ours, theirs = (
        _long_name(results, asked, number) for number in (asked.candidate, asked.reference)
    )
    return f"Does {ours} improve on {theirs} in a RetinaNet? {_answer(results, answer)}"


def verdict(results: Results, answer: Answer) -> Verdict | None:
    """The numbers of the answer; None if the study compares no losses."""
    asked = answer.asked
    if asked is None or asked.candidate is None:
        return None
    ours, theirs = answer.rows[asked.candidate], answer.rows[asked.reference]
    pair = f"{ours.short} against {theirs.short}"
    means = [one_decimal(row.comparison.mean) for row in (ours, theirs)]
    values = f"{means[0]} against {means[1]} {MAIN_METRIC}" if all(means) else ""
    data = _data(results, asked, ours, theirs)
    if answer.outcome in (NOT_LEARNT, NO_RESULT):
        return Verdict(pair, answer.outcome, data=data, values=values)
    comparison, interval = ours.comparison, ""
    if not math.isnan(comparison.difference_low):
        low, high = map(difference_number, (comparison.difference_low, comparison.difference_high))
        is_over_both = comparison.difference_over == SEEDS_AND_IMAGES
        covers = "" if is_over_both else f", {comparison.difference_over}"
        interval = f"{CI} {low} to {high}{covers}"
    return Verdict(
        pair,
        f"{difference_number(comparison.difference)} {MAIN_METRIC}",
        interval,
        _result(answer.outcome, ours, theirs, results.study.equivalence_margin),
        values,
        data,
    )


def formulas(results: Results, asked: Question | None) -> tuple[str, ...]:
    """The losses whose formulas explain the question, the reference first; all of the table's if
    the question is about no single row."""
    if asked is None:
        return ()
    others = range(len(asked.grid.rows)) if asked.candidate is None else [asked.candidate]
    rows = [asked.reference, *others]
    losses = [loss_of(results.study, asked.grid.rows[row]) for row in rows]
    return tuple(loss for loss in dict.fromkeys(losses) if loss in LOSSES)


def gist(losses: Sequence[str]) -> str:
    """What the losses of the formulas do."""
    return " ".join(text for loss, text in _KINDS.items() if loss in losses)


def terms(results: Results, asked: Question | None, losses: Sequence[str]) -> str:
    """The symbols of the formulas, the other losses, the metric and the unit of schedules."""
    rows = asked.grid.rows if asked else ()
    others = dict.fromkeys(loss_of(results.study, row) for row in rows)
    named = [
        f"{LOSSES[loss].short}: {LOSSES[loss].long}."
        for loss in others
        if loss in LOSSES and loss not in _KINDS
    ]
    symbols = [_SYMBOLS] if losses else []
    return " ".join([*symbols, *named, _METRIC, *_unit_of_schedules(results)])


def _unit_of_schedules(results: Results) -> list[str]:
    """The meaning of 1x; nothing before a run has ended."""
    length = provenance.epochs_at_1x(results, results.records_of(results.frame))
    if length is None:
        return []
    epochs, images = length
    if round(epochs) == EPOCHS_1X:
        return [f"1x: the {EPOCHS_1X:g} epochs of the focal loss paper."]
    return [f"1x: {epochs:.3g} epochs of the {images}."]


def scope(results: Results, asked: Question | None) -> tuple[str, ...]:
    """Data set, input size, schedule and clipping of the answer, and whether it is about COCO."""
    name = provenance.dataset_name(results)
    records = results.ended_records_of(results.of_grid(asked.grid) if asked else results.frame)
    config = results.config
    edge = config.get("INPUT.SHORT_EDGE") or results.study.base.get("scale")
    parts = [
        f"{name}, {DATASETS[name]}" if name in DATASETS else name,
        f"{edge:g} px" if isinstance(edge, int | float) else "",
        provenance.schedule(records) or f"{results.study.schedule:g}x",
        _clipping(config),
        "the paper's set-up" if results.as_published
        else "" if results.on_published_data
        else "not COCO",
    ]  # fmt: skip
    return tuple(filter(None, parts))


def _clipping(config: Mapping[str, Any]) -> str:
    """How the gradients of all losses are clipped; "" if they are not."""
    norm = config.get("SOLVER.CLIP_GRADIENTS.CLIP_VALUE")
    is_clipped = config.get("SOLVER.CLIP_GRADIENTS.ENABLED")
    return f"gradients clipped to norm {norm:g}" if is_clipped and norm else ""


def cost(results: Results) -> str:
    """The time of all runs and the machine; "" before a run has finished."""
    times = results.cells["wall_seconds"].dropna()
    if times.empty:
        return ""
    machine = provenance.hardware(results.records_of(results.frame))
    text = f"Cost: {duration(times.sum())}, summed over all runs"
    return text + (f", on {machine}." if machine else ".")


def noise_text(floor: NoiseFloor | None) -> str:
    """What the grey band of the forest plot means; "" if there is none."""
    if floor is None:
        return ""
    pair = f"means over {floor.seeds} seeds" if floor.seeds > 1 else "single runs"
    return (
        f"Noise: two {pair} of the same setting differ by less than "
        f"{one_decimal(floor.least_difference)} {MAIN_METRIC} in 95 % of cases."
    )


def _answer(results: Results, answer: Answer) -> str:
    if answer.outcome == NO_RESULT and results.status.is_complete:
        return "No result."
    return _ANSWERS[answer.outcome]


def _long_name(results: Results, asked: Question, number: int | None) -> str:
    """For example ``the modified focal loss FL*``."""
    assert number is not None
    row = asked.grid.rows[number]
    loss = loss_of(results.study, row)
    label = loss_label(loss)
    name = str(row.values.get("method") or label.short)
    if loss not in LOSSES:
        return f"the loss {name}" if loss else name
    return f"the {label.long}" if name in label.long else f"the {label.long} {name}"


def _result(outcome: str, ours: Compared, theirs: Compared, margin: float) -> str:
    comparison, name = ours.comparison, theirs.short
    if outcome in (BETTER, WORSE):
        return f"significantly {outcome} than {name}, {p_text(comparison.p_holm)}"
    if outcome == EQUIVALENT:
        return (
            f"equivalent to {name} within {margin_text(margin)}, {p_text(comparison.p_equivalence)}"
        )
    if outcome == UNTESTED:
        return f"not tested: {comparison.why_not}"
    seeds = comparison.needed.seeds if comparison.needed else None
    more = f"; {counted(seeds, 'seed')} per row would decide" if seeds else ""
    return f"undecided, {p_text(comparison.p_holm)}{more}"


def _data(results: Results, asked: Question, ours: Compared, theirs: Compared) -> str:
    """For example ``5 seeds × 500 images``."""
    numbers = sorted({row.comparison.seeds for row in (ours, theirs)})
    seeds = counted(numbers[0], "seed")
    if len(numbers) > 1:
        seeds = f"{numbers[0]} and {counted(numbers[1], 'seed')}"
    images = judged_on(results, asked.grid)
    return f"{seeds} × {counted(images, 'image')}" if images else seeds
