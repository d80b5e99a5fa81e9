"""What one training run is: its setting, its cell, its fingerprint and its files.

A setting is a table row, a point on named axes (``loss``, ``alpha``, ``gamma``). A cell is a
setting with a seed. Settings that mean the same loss are one setting, so that a cell is trained
once however many tables show it.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AXES = {
    "loss": "MODEL.FOCAL_STAR.LOSS",
    "alpha": "MODEL.RETINANET.FOCAL_LOSS_ALPHA",
    "gamma": "MODEL.RETINANET.FOCAL_LOSS_GAMMA",
}
"""Axis of a grid -> key of the config. The order is the order of a cell's id."""

NUMERICS = 1
"""Raised by every change that moves a number, so that older records count as stale."""

_NEUTRAL_GAMMA = {"focal": 0.0, "focal_star": 0.0, "focal_appendix": 1.0}
"""Loss -> the gamma at which it is the cross entropy."""


@dataclass(frozen=True)
class Setting:
    """A point on the axes, in its one canonical form (build it with :meth:`of`).

    Attributes:
        values: (axis, value) pairs in the order of ``AXES``; numbers are floats.
    """

    values: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, **values: Any) -> "Setting":
        """The setting of these axis values.

        ``gamma`` is dropped where the loss is the cross entropy whatever its value, and a loss
        at its neutral gamma becomes ``ce``.

        Raises:
            ValueError: names every axis that does not exist.
        """
        unknown = [axis for axis in values if axis not in AXES]
        if unknown:
            raise ValueError(f"unknown axes {', '.join(unknown)}; known: {', '.join(AXES)}")
        values = {
            axis: float(value) if type(value) is int else value for axis, value in values.items()
        }
        loss = values.get("loss")
        if loss in _NEUTRAL_GAMMA and values.get("gamma") == _NEUTRAL_GAMMA[loss]:
            values["loss"] = loss = "ce"
        if loss == "ce":
            values.pop("gamma", None)
        return cls(tuple((axis, values[axis]) for axis in AXES if axis in values))

    @property
    def id(self) -> str:
        """For example ``focal-alpha0.25-gamma2``."""
        return "-".join(
            value if axis == "loss" else f"{axis}{_text(value)}" for axis, value in self.values
        )

    def as_dict(self) -> dict[str, Any]:
        """Axis -> value."""
        return dict(self.values)

    def overrides(self) -> list[str]:
        """The ``KEY VALUE`` pairs of Detectron2's command line that make the setting."""
        return [text for axis, value in self.values for text in (AXES[axis], str(value))]


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
        return [*self.setting.overrides(), "SEED", str(self.seed)]

    def fingerprint(self, common: dict[str, Any]) -> str:
        """SHA-256 over all that determines the cell's result.

        Args:
            common: what the cells of a study share: the resolved config file, the data set's and
                the initial weights' SHA-256. Key order does not count.
        """
        content = {
            "common": common,
            "numerics": NUMERICS,
            "seed": self.seed,
            "setting": self.setting.as_dict(),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
        """What stands before the cells: the data set's and the initial weights' identity."""
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
    def prepare_log(self) -> Path:
        return self.root / "prepare.log"

    def record(self, cell_id: str) -> Path:
        return self.records / f"{cell_id}.json"

    def cell(self, cell_id: str) -> Path:
        """The folder a cell trains in: Detectron2's OUTPUT_DIR."""
        return self.root / "cells" / cell_id

    def cell_log(self, cell_id: str) -> Path:
        """Everything the cell's process printed."""
        return self.cell(cell_id) / "process.log"

    def cell_result(self, cell_id: str) -> Path:
        """What the cell's process leaves when it ends by itself."""
        return self.cell(cell_id) / "result.json"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
