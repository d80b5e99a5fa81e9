"""Settings and cells.

A setting is a table row: a point on the axes (``loss``, ``alpha``, ``gamma``, ...). A cell is a
setting with a seed: one training run. Settings that mean the same run are equal, so that a cell of
several tables is trained once.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from ablations.storage.schemas import unknown
from ablations.study.axes import AXES, has_effect
from focal_star.io.quoting import shown

MAX_VALUE = 1e15
"""The max magnitude of a value: every whole number up to it is exact as a float."""

_NAME = re.compile(r"[A-Za-z0-9_]{1,32}")
"""A valid name as a value: it becomes part of file names."""

_NEUTRAL_GAMMA = {"focal": 0.0, "focal_star": 0.0, "focal_appendix": 1.0}
"""Loss -> the gamma at which it equals the cross entropy.

That holds for focal_appendix if beta is 0, and for focal_star if no cap below 1 scales the loss.
"""


@dataclass(frozen=True)
class Setting:
    """A point on the axes in canonical form; :meth:`of` builds it.

    Attributes:
        values: (axis, value) pairs in the order of ``AXES``; a value has its axis' type or is None.
        pending: the tuning grid that this setting is still to be chosen from; "" for a setting
            that can be trained. ``values`` then has only the values that all its candidates share.
    """

    values: tuple[tuple[str, Any], ...]
    pending: str = ""

    @classmethod
    def of(cls, base: dict[str, Any] | None = None, /, **values: Any) -> "Setting":
        """The setting with these values.

        A loss at its neutral gamma becomes ``ce``. An axis that has no effect, or the value of the
        study's config, is left out.

        Args:
            base: axis -> the value of the study's config, in addition to those of ``AXES``.
            values: axis -> value.

        Raises:
            ValueError: names every axis that does not exist and every value of another type.
        """
        problems = [unknown("axis", [axis], AXES) for axis in values if axis not in AXES]
        typed: dict[str, Any] = {}
        for axis, value in values.items():
            if axis in AXES:
                try:
                    typed[axis] = _typed(value, AXES[axis].kind)
                except ValueError as error:
                    problems.append(f"{axis} is {shown(value)}, {error}")
        if problems:
            raise ValueError("; ".join(problems))
        common = {axis: about.base for axis, about in AXES.items()} | (base or {})
        if _is_cross_entropy(common | typed):
            typed["loss"] = "ce"
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
        """For example ``focal-alpha0.25-gamma2-0.3x``; ``tune_fl-chosen`` for a pending one."""
        if self.pending:
            return f"{self.pending}-chosen"
        parts = ((AXES[axis], _text(value)) for axis, value in self.values)
        return "-".join(axis.prefix + text + axis.suffix for axis, text in parts)

    @property
    def schedule(self) -> float:
        """The length of the training as a multiple of the config's; at 1x the values lack it."""
        return float(self.as_dict().get("schedule", AXES["schedule"].base))

    @property
    def architecture(self) -> "Setting":
        """The axes that change the network or its input; empty for the study's own architecture."""
        return Setting(tuple((a, value) for a, value in self.values if AXES[a].of_architecture))

    @property
    def loss_axes(self) -> "Setting":
        """The axes of the loss: its name, its parameters, and how it is trained."""
        return Setting(tuple((a, value) for a, value in self.values if not AXES[a].of_architecture))

    def as_dict(self) -> dict[str, Any]:
        """Axis -> value."""
        return dict(self.values)

    def config(self) -> dict[str, Any]:
        """The config keys that the setting changes, and their values."""
        return {AXES[axis].key: value for axis, value in self.values}


@dataclass(frozen=True)
class Cell:
    """A training run: a setting and a seed."""

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


def _is_cross_entropy(values: dict[str, Any]) -> bool:
    """Whether a loss with these values equals the cross entropy."""
    loss, beta, cap = values["loss"], values["beta"], values["weight_cap"]
    return (
        values["gamma"] == _NEUTRAL_GAMMA.get(loss, math.nan)
        and not (beta and has_effect("beta", values))
        and not (cap is not None and cap < 1 and has_effect("weight_cap", values))
    )


def _typed(value: Any, kind: type) -> Any:
    """``value`` as this type; 2.0 may be given for 2, and 2 for 2.0."""
    if value is None:
        return None
    if kind is str:
        if isinstance(value, str) and _NAME.fullmatch(value):
            return value
        raise ValueError("not a name")
    if type(value) not in (int, float) or not -MAX_VALUE <= value <= MAX_VALUE:
        raise ValueError("not a number")
    if kind(value) != value:
        raise ValueError("not a whole number")
    return kind(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.12g}"
