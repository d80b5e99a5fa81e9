"""Names, colours and order of losses, axes and metrics in every table and figure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablations.study.axes import RETINANET
from ablations.study.cell import Setting
from ablations.study.grid import SPEED
from ablations.study.study import schedule_name
from reports.results import colours

CANDIDATE, BASELINE = "focal_star", "focal"
"""The loss that the study is about, and the loss that it is compared with."""


@dataclass(frozen=True)
class AxisLabel:
    """The labels of a grid's axis.

    Attributes:
        header: the header of its column.
        text: a value in running text, with {} in its place.
        none: the text of the value None.
    """

    header: str
    text: str
    none: str = ""


@dataclass(frozen=True)
class MetricLabel:
    """The label of a metric.

    Attributes:
        header: the header of its column.
        in_percent: whether it is an AP; other metrics name their unit in the header.
    """

    header: str
    in_percent: bool = True


@dataclass(frozen=True)
class LossLabel:
    """The labels of a loss.

    Attributes:
        short: the name in tables and legends.
        long: the name in running text.
        colour: on light paper; all settings of the loss have it, in every figure.
        colour_name: the colour's name in captions.
    """

    short: str
    long: str
    colour: str
    colour_name: str


@dataclass(frozen=True)
class DetectorLabel:
    """The labels of a detector.

    Attributes:
        name: the name in tables, legends and text.
        colour: the colour of a detector without a loss of ``LOSSES``, on light paper.
        colour_name: the colour's name in captions.
    """

    name: str
    colour: str
    colour_name: str


LOSSES = {
    "ce": LossLabel("CE", "cross entropy", colours.CE.light, "grey"),
    "focal": LossLabel("FL", "focal loss", colours.FOCAL.light, "blue"),
    "focal_star": LossLabel("FL*", "modified focal loss", colours.FOCAL_STAR.light, "orange"),
    "focal_appendix": LossLabel(
        "FL* of the paper's appendix",
        "loss of the focal loss paper's appendix",
        colours.FOCAL_APPENDIX.light,
        "green",
    ),
}
"""Name in configs -> label, in the order of tables and legends."""

DATASETS = {"digits_in_scenes": "toy data"}
"""Data set -> what it is, for readers who do not know it."""

DETECTORS = {
    RETINANET: DetectorLabel("RetinaNet", colours.CE.light, "grey"),
    "faster_rcnn": DetectorLabel("Faster R-CNN", colours.FASTER_RCNN.light, "purple"),
}
"""Name in configs -> label, in the order of legends."""

AXES = {
    "method": AxisLabel("method", "{}"),
    "detector": AxisLabel("detector", "{}"),
    "loss": AxisLabel("loss", "{}"),
    "alpha": AxisLabel("α", "α = {}", "no α"),
    "gamma": AxisLabel("γ", "γ = {}"),
    "beta": AxisLabel("β", "β = {}"),
    "weight_cap": AxisLabel("cap on the weight", "cap {}", "no cap"),
    "prior": AxisLabel("π", "π = {}"),
    "ohem": AxisLabel("mining", "{}", "no OHEM"),
    "batch_size": AxisLabel("batch size", "batch {}"),
    "nms_thresh": AxisLabel("NMS", "NMS {}", "no NMS"),
    "num_scales": AxisLabel("scales", "scales {}"),
    "num_aspect_ratios": AxisLabel("aspect ratios", "ratios {}"),
    "depth": AxisLabel("depth", "depth {}"),
    "scale": AxisLabel("scale (px)", "{} px"),
    "schedule": AxisLabel("schedule", "{}"),
}
"""Axis or column of a grid -> label."""

OHEM = {"ohem": "OHEM", "ohem_1_3": "OHEM 1:3"}
"""Method in configs -> label."""

METRICS = {
    "AP": MetricLabel("AP"),
    "AP50": MetricLabel("AP₅₀"),
    "AP75": MetricLabel("AP₇₅"),
    "APs": MetricLabel("APₛ"),
    "APm": MetricLabel("APₘ"),
    "APl": MetricLabel("APₗ"),
    SPEED: MetricLabel("ms per image", in_percent=False),
    "candidates_per_image": MetricLabel("candidates per image", in_percent=False),
}
"""Metric of a record -> label."""

TIDE_ERRORS = {
    "Cls": "class",
    "Loc": "location",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
    "FP": "all false",
    "FN": "all missed",
}
"""TIDE's name of an error type -> label; the last two are totals."""

TIDE_TOTALS = ("FP", "FN")
"""The totals over the types of error: of all false detections, and of all missed objects."""

MAIN_METRIC = "AP"
"""The metric that rows are compared by."""

HEADLINE = "headline"
"""The grid that compares the losses."""

CANDIDATES = "candidates_per_image"
"""The number of boxes that enter NMS, which changes the time of the same network."""

UNORDERED_COLOUR = colours.CE.light
"""The colour of published values and of detectors without a loss label."""

NEW_LOSS_COLOUR = colours.NEW_LOSS.light
"""The colour of a loss without a label."""

STALE_COLOUR = colours.STALE.light
"""The colour of stale values."""


def loss_label(name: str) -> LossLabel:
    """The label of a loss, by default its name."""
    return LOSSES.get(name, LossLabel(name, name, NEW_LOSS_COLOUR, "brown"))


def detector_label(name: str) -> DetectorLabel:
    """The label of a detector, by default its name."""
    return DETECTORS.get(name, DetectorLabel(name, UNORDERED_COLOUR, "grey"))


def other_detector(values: Mapping[str, Any]) -> DetectorLabel | None:
    """The detector of a setting if it is not RetinaNet, else None.

    Args:
        values: axis -> value.
    """
    name = values.get("detector")
    return None if name in (None, RETINANET) else detector_label(name)


def short_name(values: Mapping[str, Any]) -> str:
    """The loss of a setting or, if it has none, its detector."""
    detector = other_detector(values)
    return detector.name if detector else loss_label(values.get("loss", "")).short


def setting_colour(values: Mapping[str, Any]) -> str:
    """The colour of a setting's loss or, if it has none, of its detector."""
    detector = other_detector(values)
    return detector.colour if detector else loss_label(values.get("loss", "")).colour


def axis_label(axis: str) -> AxisLabel:
    """The label of an axis or column, by default its name."""
    return AXES.get(axis, AxisLabel(axis, f"{axis} {{}}"))


def axis_text(axis: str, value: Any) -> str:
    """The value of an axis as a table shows it."""
    if value is None:
        return "none"
    if axis == "loss":
        return loss_label(value).short
    if axis == "detector":
        return detector_label(value).name
    if axis == "ohem":
        return OHEM.get(value, value)
    if axis == "schedule":
        return schedule_name(value)
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def setting_text(values: Mapping[str, Any]) -> str:
    """For example ``α = 0.25, γ = 2``, without the loss, the detector and the schedule.

    Args:
        values: axis -> value.
    """
    return ", ".join(
        labelled(axis, None if value is None else axis_text(axis, value))
        for axis, value in values.items()
        if axis not in ("loss", "detector", "schedule")
    )


def text_of(setting: Setting, schedule: float) -> str:
    """For example ``α = 0.25, γ = 2, 0.3x``, without the loss and the detector.

    Args:
        setting: the setting.
        schedule: that of the study; a setting with the same one is named without it.
    """
    schedule_text = "" if setting.schedule == schedule else schedule_name(setting.schedule)
    return ", ".join(filter(None, (setting_text(setting.as_dict()), schedule_text)))


def labelled(axis: str, text: str | None) -> str:
    """A value's text with its axis: ``γ = 2``; None is the value None."""
    label = axis_label(axis)
    return label.none or f"no {label.header}" if text is None else label.text.format(text)


def one_decimal(value: float) -> str:
    """As the paper prints an AP; "" for NaN."""
    return "" if math.isnan(value) else f"{value:.1f}"


def with_spread(mean: str, sd: str) -> str:
    """For example ``13.0 ± 3.6``; without "±" if there is no spread."""
    return f"{mean} ± {sd}" if sd else mean


def difference_text(value: float) -> str:
    """One decimal with its sign; 0.0 has no sign; "" for NaN."""
    if math.isnan(value):
        return ""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def with_true_minus(text: str) -> str:
    """A number's text for a reader, with a minus sign in place of the hyphen."""
    return text.replace("-", "−")


def published_text(metric: str, value: float) -> str:
    """As it was printed: an AP with one decimal, anything else as it is; "" for NaN."""
    if METRICS[metric].in_percent or math.isnan(value):
        return one_decimal(value)
    return f"{value:g}"
