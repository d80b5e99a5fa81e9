"""The axes, which a grid can vary: their config keys, types and defaults.

A new axis is one entry of ``AXES``; ``reports/results/labels.py`` has its label in reports.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AllBut:
    """Contains every name except these."""

    names: tuple[str, ...]

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, str) and value not in self.names


@dataclass(frozen=True)
class Axis:
    """A property that a grid can vary.

    Attributes:
        key: the config's key.
        kind: the type of its values.
        prefix: the text before a value in a cell's id.
        suffix: the text after it.
        base: the value that every config of this project has, so that a setting need not name it. A
            study may set another base value; axes without a base value are always named.
        only_with: (other axis, values): this axis has an effect only if the other axis has one of
            these values and has an effect itself. Otherwise this axis is left out.
        of_model: whether it concerns the model or its data rather than the loss: losses are
            compared where these axes have the same values.
        changes_cost: whether it changes the time of an iteration.
        changes_weights: whether each value needs its own initial weights.
        of_architecture: whether it changes the network or its input, and so the time per image.
    """

    key: str
    kind: type
    prefix: str
    base: Any = ...
    suffix: str = ""
    only_with: tuple[str, tuple[str, ...] | AllBut] | None = None
    of_model: bool = False
    changes_cost: bool = False
    changes_weights: bool = False
    of_architecture: bool = False


RETINANET = "retinanet"

DENSE = ("detector", (RETINANET,))
"""``only_with`` of the axes that a two-stage detector does not have."""

_OHEM = ("ohem", ("ohem", "ohem_1_3"))
_MODEL: dict[str, Any] = {"of_model": True, "changes_cost": True}
_ARCHITECTURE: dict[str, Any] = _MODEL | {"of_architecture": True}

AXES = {
    "detector": Axis("MODEL.DETECTOR", str, "", RETINANET, **_ARCHITECTURE),
    "loss": Axis("MODEL.FOCAL_STAR.LOSS", str, "", only_with=DENSE),
    "alpha": Axis("MODEL.RETINANET.FOCAL_LOSS_ALPHA", float, "alpha", only_with=DENSE),
    "gamma": Axis(
        "MODEL.RETINANET.FOCAL_LOSS_GAMMA", float, "gamma", only_with=("loss", AllBut(("ce",)))
    ),
    "beta": Axis(
        "MODEL.FOCAL_STAR.BETA", float, "beta", 0.0,
        only_with=("loss", AllBut(("ce", "focal", "focal_star"))),
    ),
    "weight_cap": Axis(
        "MODEL.FOCAL_STAR.WEIGHT_CAP", float, "cap", None,
        only_with=("loss", AllBut(("ce", "focal", "focal_appendix"))),
    ),
    "prior": Axis("MODEL.RETINANET.PRIOR_PROB", float, "prior", 0.01, only_with=DENSE),
    "ohem": Axis("MODEL.OHEM.METHOD", str, "", None, only_with=DENSE, **_MODEL),
    "batch_size": Axis("MODEL.OHEM.BATCH_SIZE", int, "batch", only_with=_OHEM, **_MODEL),
    "nms_thresh": Axis("MODEL.OHEM.NMS_THRESH", float, "nms", only_with=_OHEM, of_model=True),
    "num_scales": Axis(
        "MODEL.ANCHOR_GENERATOR.NUM_SCALES", int, "scales", 3, only_with=DENSE, **_ARCHITECTURE
    ),
    "num_aspect_ratios": Axis(
        "MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS", int, "ratios", 3, only_with=DENSE,
        **_ARCHITECTURE,
    ),
    "depth": Axis("MODEL.RESNETS.DEPTH", int, "depth", changes_weights=True, **_ARCHITECTURE),
    "scale": Axis("INPUT.SHORT_EDGE", int, "edge", **_ARCHITECTURE),
    "schedule": Axis("SOLVER.SCHEDULE", float, "", 1.0, suffix="x"),
}  # fmt: skip
"""Name of an axis in a grid -> the axis. The order is that of a cell's id."""

MODEL_AXES = (*(name for name, axis in AXES.items() if axis.of_model), "schedule")
"""The axes of model, data and schedule; losses are compared only at equal values of these axes."""

LOSS_AXES = tuple(name for name in AXES if name not in (*MODEL_AXES, "loss"))
"""The parameters of the loss."""


def has_effect(axis: str, values: dict[str, Any]) -> bool:
    """Whether an axis has an effect with these values; an axis without a value has its base."""
    only_with = AXES[axis].only_with
    if only_with is None:
        return True
    other, with_values = only_with
    return has_effect(other, values) and values.get(other, AXES[other].base) in with_values
