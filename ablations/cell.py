"""What one training run is: its setting, its cell and its files.

A setting is a table row, a point on named axes (``loss``, ``alpha``, ``gamma``, ...). A cell is a
setting with a seed. Settings that mean the same run are one setting, so that a cell is trained
once however many tables show it.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.reading import shown


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


@dataclass(frozen=True)
class Layout:
    """The one owner of the file names of a study's output folder."""

    root: Path

    @classmethod
    def of(cls, output: Path, study: str, dataset: Path | None = None) -> "Layout":
        """The layout of a study, in a folder of its own for each data set it is run on."""
        return cls(output / (f"{study}-{dataset.resolve().name}" if dataset else study))

    @property
    def study(self) -> Path:
        """What was asked for: study, grids, seeds, data set."""
        return self.root / "study.json"

    @property
    def prepared(self) -> Path:
        """What stands before the cells: the config, the data set, the initial weights."""
        return self.root / "prepared.json"

    @property
    def records(self) -> Path:
        return self.root / "records"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def lock(self) -> Path:
        """Held by the one run that is at work in the folder."""
        return self.root / ".lock"

    @property
    def workers_log(self) -> Path:
        """What the process prints that cells are forked from."""
        return self.root / "workers.log"

    @property
    def prepare_log(self) -> Path:
        return self.root / "prepare.log"

    @property
    def slurm(self) -> Path:
        """The folder of what SLURM and submitit write."""
        return self.root / "slurm"

    def record(self, cell_id: str) -> Path:
        return self.records / f"{cell_id}.json"

    def cell(self, cell_id: str) -> Path:
        """The folder a cell trains in: Detectron2's OUTPUT_DIR."""
        return self.root / "cells" / cell_id

    @property
    def locks(self) -> Path:
        """Of the cells."""
        return self.root / "locks"

    def cell_lock(self, cell_id: str) -> Path:
        """Held by the cell's process as long as it lives."""
        return self.locks / cell_id

    def cell_fingerprint(self, cell_id: str) -> Path:
        """Which fingerprint the files of the cell's folder belong to."""
        return self.cell(cell_id) / "fingerprint.json"

    def cell_config(self, cell_id: str) -> Path:
        """Every key of the config that the cell trains with."""
        return self.cell(cell_id) / "config.yaml"

    def cell_log(self, cell_id: str) -> Path:
        """Everything the cell's processes printed."""
        return self.cell(cell_id) / "process.log"

    def cell_metrics(self, cell_id: str) -> Path:
        """Detectron2's line of numbers for every 20th iteration."""
        return self.cell(cell_id) / "metrics.json"

    def cell_detections(self, cell_id: str) -> Path:
        """What the cell's detector found on the validation images, in COCO's results format."""
        return self.cell(cell_id) / "inference" / "coco_instances_results.json"

    def cell_result(self, cell_id: str) -> Path:
        """What the cell's process leaves when it ends by itself."""
        return self.cell(cell_id) / "result.json"


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
