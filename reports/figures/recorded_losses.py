"""Losses that have no formula in this report, such as a user's own: their curves in the records."""

from dataclasses import dataclass

import numpy as np

from ablations.records.record import Record
from reports.plots import formulas
from reports.results.labels import loss_label, setting_text
from reports.results.load import Results
from reports.statistics.contenders import contenders, value_at

LABELS = ("positive", "negative")

OPTIONS = ("gamma", "beta", "weight_cap")
"""The axes that a loss can have as parameters, but for alpha, which a recorded curve leaves out."""


@dataclass(frozen=True)
class RecordedLoss:
    """A loss as a training run computed it, without alpha.

    Attributes:
        name: the name in configs.
        options: its parameters but alpha, for example ``γ = 1``; "" if the setting has none.
        summary: the first paragraph of its docstring; "" if it has none.
        s: (N,) logits of p_t, rising.
        values: label -> (N,) loss.
    """

    name: str
    options: str
    summary: str
    s: np.ndarray
    values: dict[str, np.ndarray]

    @property
    def short(self) -> str:
        """The name in tables and legends."""
        return loss_label(self.name).short

    @property
    def label(self) -> str:
        """For example ``poly1, γ = 1``."""
        return ", ".join(filter(None, (self.short, self.options)))

    @property
    def is_symmetric(self) -> bool:
        """Whether both labels have the same loss."""
        positive, negative = (self.values[label] for label in LABELS)
        return bool(np.allclose(positive, negative, rtol=2e-3, atol=1e-9))

    def of_logit(self, s: np.ndarray, label: str) -> np.ndarray:
        """The loss at each s, linear between the points of the record."""
        return np.interp(s, self.s, self.values[label])


def recorded_losses(results: Results) -> list[RecordedLoss]:
    """The losses of the compared settings that have no formula in :mod:`reports.plots.formulas`.

    A setting whose records have no curve, or one that is not finite, is left out.
    """
    found = (
        next(filter(None, map(_recorded, contender.records)), None)
        for contender in contenders(results)
    )
    distinct = {loss.label: loss for loss in found if loss is not None}
    return list(distinct.values())


def summaries(results: Results) -> dict[str, str]:
    """Name of a recorded loss in tables -> the first paragraph of its docstring, if it has one."""
    return {loss.short: loss.summary for loss in recorded_losses(results) if loss.summary}


def _recorded(record: Record) -> RecordedLoss | None:
    """The loss of a record; None if it has a formula or the record has no curve."""
    name, entry = record.setting.get("loss"), value_at(record, "loss", "curve")
    if not isinstance(name, str) or name in formulas.LOSSES or not isinstance(entry, dict):
        return None
    try:
        low, high = float(entry["low"]), float(entry["high"])
        values = {label: np.asarray(entry[label], dtype=float) for label in LABELS}
        positive, negative = values.values()
    except (KeyError, TypeError, ValueError):
        return None
    if positive.ndim != 1 or positive.shape != negative.shape or len(positive) < 2 or low >= high:
        return None
    if not np.isfinite([low, high, *positive, *negative]).all():
        return None
    summary = value_at(record, "loss", "summary")
    return RecordedLoss(
        name,
        setting_text({key: record.setting[key] for key in OPTIONS if key in record.setting}),
        summary if isinstance(summary, str) else "",
        np.linspace(low, high, len(positive)),
        values,
    )
