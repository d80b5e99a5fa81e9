"""How losses, axes and metrics are called, coloured and ordered in every table and figure."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LossLabel:
    """How a loss is shown.

    Attributes:
        short: in tables and legends.
        long: in running text.
        colour: of the Okabe-Ito palette, which is told apart without colour vision.
        colour_name: for captions.
    """

    short: str
    long: str
    colour: str
    colour_name: str


LOSSES = {
    "ce": LossLabel("CE", "cross entropy", "#555555", "grey"),
    "focal": LossLabel("FL", "focal loss", "#0072B2", "blue"),
    "focal_star": LossLabel("FL*", "modified focal loss", "#D55E00", "orange"),
    "focal_appendix": LossLabel(
        "FL* of the paper's appendix", "loss of the focal loss paper's appendix", "#009E73", "green"
    ),
}
"""Name in configs -> label, in the order of tables and legends."""

PROPOSAL_FIGURE_4 = (
    ("ce", None, LOSSES["ce"].colour, "-"),
    ("focal", 2.0, LOSSES["focal"].colour, (0, (5, 2))),
    ("focal_star", 0.125, "#E69F00", (0, (1, 1))),
    ("focal_star", 0.25, LOSSES["focal_star"].colour, (0, (3, 1, 1, 1))),
    ("focal_star", 0.5, "#7A2E00", "-"),
)
"""The curves of the proposal's figure 4: loss, gamma, colour and dashes.

The gammas of FL* are three lightnesses of its colour; with the dashes they are apart in grey.
"""

AXES = {"loss": "loss", "alpha": "α", "gamma": "γ"}
"""Axis of a grid -> column label."""

METRICS = {
    "AP": "AP",
    "AP50": "AP₅₀",
    "AP75": "AP₇₅",
    "APs": "APₛ",
    "APm": "APₘ",
    "APl": "APₗ",
}
"""Metric of a record (percent) -> column label."""

TABLE_METRICS = ("AP", "AP50", "AP75")
"""The metrics of a grid's table, as in the paper."""

MAIN_METRIC = "AP"
"""What rows are compared by."""

UNORDERED_COLOUR = "#555555"
"""For published values and for what has no loss of its own."""


def loss_label(name: str) -> LossLabel:
    """The label of a loss; a loss without one is shown by its name."""
    return LOSSES.get(name, LossLabel(name, name, UNORDERED_COLOUR, "grey"))


def axis_text(axis: str, value: Any) -> str:
    """The value of an axis as a table shows it."""
    if axis == "loss":
        return loss_label(value).short
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def setting_text(values: dict[str, Any], *, with_loss: bool = False) -> str:
    """For example ``γ = 2, α = 0.25``.

    Args:
        values: axis -> value.
        with_loss: put the loss before the other axes.
    """
    numbers = ", ".join(
        f"{AXES.get(axis, axis)} = {axis_text(axis, value)}"
        for axis, value in values.items()
        if axis != "loss"
    )
    if with_loss and "loss" in values:
        return f"{loss_label(values['loss']).short} {numbers}".strip()
    return numbers
