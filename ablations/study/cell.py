"""What one training run is: its setting and its cell.

A setting is a table row, a point on named axes (``loss``, ``alpha``, ``gamma``, ...). A cell is a
setting with a seed. Settings that mean the same run are one setting, so that a cell is trained
once however many tables show it.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from ablations.storage.layout import Layout as Layout
from ablations.storage.reading import shown


@dataclass(frozen=True)
class AllBut:
    """Holds every name that is not one of these."""

    names: tuple[str, ...]

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, str) and value not in self.names


@dataclass(frozen=True)
class Axis:
    """What a grid can vary.

    Attributes:
        key: the config's key.
        kind: the type of its values.
        prefix: what stands before a value in a cell's id.
        base: the value that every config of this project has, so that a setting need not name
            it. A study may say another; axes without one are always named.
        only_with: (axis, its values): elsewhere, and where that axis itself has no effect, the
            axis has none and is left out.
    """

    key: str
    kind: type
    prefix: str
    base: Any = ...
    only_with: tuple[str, tuple[str, ...] | AllBut] | None = None


_OHEM = ("ohem", ("ohem", "ohem_1_3"))

DENSE = ("detector", ("retinanet",))
"""What an axis is about that a detector in two stages has nothing of."""

AXES = {
    "detector": Axis("MODEL.DETECTOR", str, "", "retinanet"),
    "loss": Axis("MODEL.FOCAL_STAR.LOSS", str, "", only_with=DENSE),
    "alpha": Axis("MODEL.RETINANET.FOCAL_LOSS_ALPHA", float, "alpha", only_with=DENSE),
    "gamma": Axis(
        "MODEL.RETINANET.FOCAL_LOSS_GAMMA", float, "gamma",
        only_with=("loss", AllBut(("ce",))),
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
    "ohem": Axis("MODEL.OHEM.METHOD", str, "", None, only_with=DENSE),
    "batch_size": Axis("MODEL.OHEM.BATCH_SIZE", int, "batch", only_with=_OHEM),
    "nms_thresh": Axis("MODEL.OHEM.NMS_THRESH", float, "nms", only_with=_OHEM),
    "num_scales": Axis(
        "MODEL.ANCHOR_GENERATOR.NUM_SCALES", int, "scales", 3, only_with=DENSE
    ),
    "num_aspect_ratios": Axis(
        "MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS", int, "ratios", 3, only_with=DENSE
    ),
    "depth": Axis("MODEL.RESNETS.DEPTH", int, "depth"),
    "scale": Axis("INPUT.SHORT_EDGE", int, "edge"),
}  # fmt: skip
"""Axis of a grid -> what it is in a config. The order is the order of a cell's id."""

MOST = 1e15
"""Of a value's magnitude: up to here every whole number is a float, and the other way round."""

_NAME = re.compile(r"[A-Za-z0-9_]{1,32}")
"""A value that is a name becomes part of file names."""

_NEUTRAL_GAMMA = {"focal": 0.0, "focal_star": 0.0, "focal_appendix": 1.0}
"""Loss -> the gamma at which it is the cross entropy (focal_appendix: where beta is 0)."""


@dataclass(frozen=True)
class Setting:
    """A point on the axes, in its one canonical form (build it with :meth:`of`).

    Attributes:
        values: (axis, value) pairs in the order of ``AXES``, each of its axis' type or None.
    """

    values: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, base: dict[str, Any] | None = None, /, **values: Any) -> "Setting":
        """The setting of these axis values.

        A loss at its neutral gamma becomes ``ce``; an axis that has no effect, or that has the
        value of the study's config, is left out.

        Args:
            base: axis -> the value that the study's config has, beside those of ``AXES``.
            values: axis -> value.

        Raises:
            ValueError: names every axis that does not exist and every value of another type.
        """
        problems = [
            f"unknown axis {shown(axis)[1:-1]}; known: {', '.join(AXES)}"
            for axis in values.keys() - AXES
        ]
        typed = {}
        for axis, value in values.items():
            if axis in AXES:
                try:
                    typed[axis] = _typed(value, AXES[axis].kind)
                except ValueError as error:
                    problems.append(f"{axis} is {shown(value)}, {error}")
        if problems:
            raise ValueError("; ".join(problems))
        loss = typed.get("loss")
        neutral = _NEUTRAL_GAMMA.get(loss, math.nan)
        if typed.get("gamma") == neutral and not typed.get("beta"):
            typed["loss"] = "ce"
        common = {axis: about.base for axis, about in AXES.items()} | (base or {})
        return cls(
            tuple(
                (axis, typed[axis])
                for axis in AXES
                if axis in typed
                and has_effect(axis, common | typed)
                and typed[axis] != common[axis]
            )
        )

    @property
    def id(self) -> str:
        """For example ``focal-alpha0.25-gamma2``."""
        return "-".join(AXES[axis].prefix + _text(value) for axis, value in self.values)

    def as_dict(self) -> dict[str, Any]:
        """Axis -> value."""
        return dict(self.values)

    def config(self) -> dict[str, Any]:
        """The config's keys that make the setting, and their values."""
        return {AXES[axis].key: value for axis, value in self.values}


@dataclass(frozen=True)
class Cell:
    """One training run: a setting and a seed."""

    setting: Setting
    seed: int

    @property
    def id(self) -> str:
        """For example ``focal-alpha0.25-gamma2-seed1``: the name of the cell's files."""
        return f"{self.setting.id}-seed{self.seed}"

    def overrides(self) -> list[str]:
        """The ``KEY VALUE`` pairs of Detectron2's command line that make the cell."""
        config = self.setting.config() | {"SEED": self.seed}
        return [text for key, value in config.items() for text in (key, str(value))]


def _typed(value: Any, kind: type) -> Any:
    """``value`` as this type; a whole number may stand for a float, and the other way round."""
    if value is None:
        return None
    if kind is str:
        if isinstance(value, str) and _NAME.fullmatch(value):
            return value
        raise ValueError("not a name")
    if type(value) not in (int, float) or not -MOST <= value <= MOST:
        raise ValueError("not a number")
    if kind(value) != value:
        raise ValueError("not a whole number")
    return kind(value)


def has_effect(axis: str, values: dict[str, Any]) -> bool:
    """Whether the axis has an effect beside these values; one without a value has its base's."""
    if AXES[axis].only_with is None:
        return True
    other, with_values = AXES[axis].only_with
    return has_effect(other, values) and values.get(other, AXES[other].base) in with_values


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.12g}"
