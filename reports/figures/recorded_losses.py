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
    """The formula of a loss without alpha, at the points that a training run recorded.

    Attributes:
        name: the name in configs.
        options: its parameters but alpha, for example ``γ = 1``; "" if the setting has none.
        points: label -> (N,) logits of p_t, rising, and (N,) the loss there; N may differ.
    """

    name: str
    options: str
    points: dict[str, tuple[np.ndarray, np.ndarray]]

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
        positive, negative = (self.points[label] for label in LABELS)
        return np.array_equal(positive[0], negative[0]) and bool(
            np.allclose(positive[1], negative[1], rtol=2e-3, atol=1e-9)
        )

    def of_logit(self, s: np.ndarray, label: str) -> np.ndarray:
        """The loss at each s, linear between the points of the record."""
        return np.interp(s, *self.points[label])


def recorded_losses(results: Results) -> list[RecordedLoss]:
    """The losses of the compared settings that have no formula in :mod:`reports.plots.formulas`.

    A setting whose records have no curve is left out; points that are not finite are, too.
    """
    found = (
        next(filter(None, map(_recorded, contender.records)), None)
        for contender in contenders(results)
    )
    distinct = {loss.label: loss for loss in found if loss is not None}
    return list(distinct.values())


def summaries(results: Results) -> dict[str, str]:
    """Name of a compared loss without a formula -> the first paragraph of its docstring, if any."""
    found = {}
    for contender in contenders(results):
        for record in contender.records:
            name, summary = record.setting.get("loss"), value_at(record, "loss", "summary")
            if isinstance(name, str) and name not in formulas.LOSSES and isinstance(summary, str):
                found[loss_label(name).short] = summary
    return {name: summary for name, summary in found.items() if summary}


def _recorded(record: Record) -> RecordedLoss | None:
    """The loss of a record; None if it has a formula or the record has no curve."""
    name, entry = record.setting.get("loss"), value_at(record, "loss", "curve")
    if not isinstance(name, str) or name in formulas.LOSSES or not isinstance(entry, dict):
        return None
    try:
        low, high = float(entry["low"]), float(entry["high"])
        values = {label: np.asarray(entry[label], dtype=float) for label in LABELS}
    except (KeyError, TypeError, ValueError):
        return None
    if not (low < high and np.isfinite(high - low)):
        return None
    points = {}
    for label, of_label in values.items():
        if of_label.ndim != 1:
            return None
        is_finite = np.isfinite(of_label)
        if is_finite.sum() < 2:
            return None
        points[label] = np.linspace(low, high, len(of_label))[is_finite], of_label[is_finite]
    return RecordedLoss(
        name,
        setting_text({key: record.setting[key] for key in OPTIONS if key in record.setting}),
        points,
    )
