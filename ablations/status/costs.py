"""What the cells of a study will take, before they are run: time, GPU-hours and disk.

A cell costs what the records say of cells like it (``COST_AXES``). Where there is none, it costs
what Detectron2's model zoo gives for its detector and depth, in proportion to the pixels of its
input, times the ratio at which the cells that were measured stand to the same reckoning. Anchors,
OHEM and the loss are not in it; nor is that a GPU is less busy on small images, so that small
scales take somewhat longer than it says.
"""

import csv
import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ablations.records.record import DONE, Record
from ablations.status.status import Status
from ablations.storage.layout import PACKAGE
from ablations.study.axes import AXES
from ablations.study.cell import Cell

MODEL = ("detector", "depth")
COST_AXES = (*MODEL, *(a for a, axis in AXES.items() if axis.changes_cost and a not in MODEL))
"""The axes that change the time of an iteration, those of the model zoo's models first."""

ZOO_FILE = PACKAGE / "reference" / "zoo_speed.csv"
ZOO_GPUS, ZOO_GPU, ZOO_IMAGES = 8, "V100", 16
"""What the zoo's seconds an iteration were measured on, and the images of an iteration."""
ZOO_TRAIN_EDGES, ZOO_TEST_EDGE = (640, 672, 704, 736, 768, 800), 800
"""The zoo's short edges, px; in training, one is drawn for each image."""

COCO_TEST_IMAGES = 5000
"""Of val2017: how many images are evaluated where no data set has been looked at."""

WEIGHTS_BYTES = {
    ("retinanet", 50): 152_000_000,
    ("retinanet", 101): 228_000_000,
    ("faster_rcnn", 50): 167_000_000,
    ("faster_rcnn", 101): 243_000_000,
}
"""(detector, depth) -> ``model_final.pth`` for 80 classes, 9 anchors a location."""

CHECKPOINTS = 3
"""In a cell's folder at most, while it trains: two, and one that is being written."""
PER_PARAMETER = 2
"""Numbers that a checkpoint keeps of a parameter: itself and its momentum."""

DETECTIONS_PER_IMAGE, BYTES_PER_DETECTION = 100, 240
"""At most; in JSON and in Detectron2's own file."""


@dataclass(frozen=True)
class Zoo:
    """What the model zoo tells of a model, on ``ZOO_GPUS`` GPUs.

    Attributes:
        seconds_per_iteration: of training, ``ZOO_IMAGES`` images.
        seconds_per_image: of inference, one image on one GPU.
    """

    seconds_per_iteration: float
    seconds_per_image: float


@dataclass(frozen=True)
class Kind:
    """The cells to run of one detector, depth and input scale.

    Attributes:
        detector, depth, scale: ``scale`` is the short edge, px; None where nothing says it.
        cells: how many.
        seconds: of one of them, the mean; None if unknown.
        measured: how many of them are like a cell that was measured.
    """

    detector: str
    depth: int | None
    scale: int | None
    cells: int
    seconds: float | None
    measured: int


@dataclass(frozen=True)
class Estimate:
    """What the cells that are to be run will take.

    Attributes:
        cells: how many.
        seconds: of all, one after another; None where nothing is known of some.
        seconds_per_iteration: the median of what was measured, None while nothing was.
        disk_bytes: of all when they are done; None as for ``seconds``.
        running_bytes: what one cell takes beside that while it trains; 0 where it is not known.
        measured: how many records it is from.
        kinds: the same by detector, depth and scale.
        zoo: whether the model zoo stands for some cells that were not measured.
    """

    cells: int
    seconds: float | None
    seconds_per_iteration: float | None
    disk_bytes: float | None
    running_bytes: float
    measured: int
    kinds: tuple[Kind, ...]
    zoo: bool


def estimate(
    status: Status, config: Mapping[str, Any] | None = None, gpus: int = 0, test_images: int = 0
) -> Estimate:
    """What is left of a study will take so much.

    Args:
        status: where the study stands.
        config: dotted key -> value, of the study's config as far as it is known.
        gpus: that each cell trains on; 0 for the CPU.
        test_images: that each cell is evaluated on; 0 for COCO's.
    """
    config = config or {}
    reckoning = _Reckoning(status, config, test_images or COCO_TEST_IMAGES)
    measured = [
        record
        for record in status.records.values()
        if record.status == DONE and record.run.get("wall_seconds")
    ]
    disk = _Measured(measured, reckoning, lambda record: record.run.get("disk_bytes") or 0.0)
    time = _Measured(
        measured,
        reckoning,
        lambda record: (
            record.run["wall_seconds"]
            * gpus_of(record)
            / reckoning.gpu_seconds(record.setting, record.result.get("iterations"))
        ),
    )
    seconds: dict[Cell, float | None] = {}
    sizes: dict[Cell, float | None] = {}
    for cell in status.to_run:
        setting = cell.setting.as_dict()
        ratio = time.of(setting)
        if ratio is None and reckoning.zoo(setting):
            ratio = 1.0
        seconds[cell] = ratio and ratio * reckoning.gpu_seconds(setting) / max(gpus, 1)
        sizes[cell] = disk.of(setting)
        if sizes[cell] is None:
            sizes[cell] = reckoning.final_bytes(setting)
    per_iteration = [
        record.run["train_seconds"] / record.result["iterations"]
        for record in measured
        if record.run.get("train_seconds") and record.result.get("iterations")
    ]
    return Estimate(
        cells=len(seconds),
        seconds=_sum(seconds.values()),
        seconds_per_iteration=statistics.median(per_iteration) if per_iteration else None,
        disk_bytes=_sum(sizes.values()),
        running_bytes=max(
            (reckoning.running_bytes(c.setting.as_dict()) for c in seconds), default=0
        ),
        measured=len(measured),
        kinds=_kinds(seconds, reckoning, time),
        zoo=any(
            reckoning.zoo(c.setting.as_dict()) and not time.has(c.setting.as_dict())
            for c in seconds
        ),
    )


@cache
def zoo_models() -> dict[tuple[str, int], Zoo]:
    """(detector, depth) -> what the zoo tells of it."""
    with ZOO_FILE.open(encoding="utf-8", newline="") as file:
        return {
            (row["detector"], int(row["depth"])): Zoo(
                float(row["seconds_per_iteration"]), float(row["seconds_per_image"])
            )
            for row in csv.DictReader(file)
        }


def gpus_of(record: Record) -> int:
    """The number of GPUs that a cell was trained on, as its command says; 1 for a CPU."""
    found = re.search(r"--num-gpus[ =](\d+)", record.command)
    return max(1, int(found[1])) if found else 1


class _Reckoning:
    """What a setting costs by the model zoo; where that has no such model, by its pixels alone."""

    def __init__(self, status: Status, config: Mapping[str, Any], test_images: int):
        self._base = {"detector": "retinanet"} | status.study.base
        self._iterations = config.get("SOLVER.MAX_ITER") or 0
        self._images = config.get("SOLVER.IMS_PER_BATCH") or ZOO_IMAGES
        self._test_images = test_images

    def value(self, setting: Mapping[str, Any], axis: str) -> Any:
        """A setting's value of an axis, the study's where it names none."""
        return setting.get(axis, self._base.get(axis))

    def zoo(self, setting: Mapping[str, Any]) -> Zoo | None:
        """The zoo's numbers; None too where the iterations or the study's scale are not known."""
        if not self._iterations or not self._base.get("scale"):
            return None
        return zoo_models().get(self._model(setting))

    def gpu_seconds(self, setting: Mapping[str, Any], iterations: int | None = None) -> float:
        """Training and evaluation on one of the zoo's GPUs; in a unit of its own without the zoo.

        The same for all settings where the study's scale is not known.

        Args:
            setting: axis -> value.
            iterations: of the training; None for the config's.
        """
        scale = self.value(setting, "scale") if self._base.get("scale") else 1
        zoo, trained = self.zoo(setting), iterations if self._iterations else None
        if zoo is None:
            return float(scale) ** 2 * (trained or self._iterations or 1)
        of_training = statistics.fmean(edge**2 for edge in ZOO_TRAIN_EDGES)
        per_iteration = zoo.seconds_per_iteration * ZOO_GPUS * self._images / ZOO_IMAGES
        training = (trained or self._iterations) * per_iteration * scale**2 / of_training
        testing = self._test_images * zoo.seconds_per_image * scale**2 / ZOO_TEST_EDGE**2
        return training + testing

    def final_bytes(self, setting: Mapping[str, Any]) -> float | None:
        """Weights and detections of a cell that is done; None for a model that is not known."""
        weights = WEIGHTS_BYTES.get(self._model(setting))
        detections = self._test_images * DETECTIONS_PER_IMAGE * BYTES_PER_DETECTION
        return None if weights is None else weights + detections

    def running_bytes(self, setting: Mapping[str, Any]) -> float:
        """The checkpoints of a cell while it trains; 0 for a model that is not known."""
        return CHECKPOINTS * PER_PARAMETER * WEIGHTS_BYTES.get(self._model(setting), 0)

    def _model(self, setting: Mapping[str, Any]) -> tuple[str, Any]:
        return self.value(setting, "detector"), self.value(setting, "depth")


class _Measured:
    """The median of a measure over the records that are most like a setting."""

    def __init__(
        self, records: list[Record], reckoning: _Reckoning, measure: Callable[[Record], float]
    ):
        """
        Args:
            records: of cells that were done.
            reckoning: for the study's own values of the axes.
            measure: what a record tells, such that it can be said of other cells.
        """
        self._reckoning = reckoning
        groups: dict[tuple, list[float]] = {}
        for record in records:
            for key in self._keys(record.setting):
                groups.setdefault(key, []).append(measure(record))
        self._medians = {key: statistics.median(found) for key, found in groups.items()}

    def has(self, setting: Mapping[str, Any]) -> bool:
        """Whether a cell was measured that costs the same."""
        return self._keys(setting)[0] in self._medians

    def of(self, setting: Mapping[str, Any]) -> float | None:
        """Of those that cost the same; else of the same detector and depth; else of all."""
        return next(
            (self._medians[key] for key in self._keys(setting) if key in self._medians), None
        )

    def _keys(self, setting: Mapping[str, Any]) -> list[tuple]:
        values = [self._reckoning.value(setting, axis) for axis in COST_AXES]
        unit = self._reckoning.zoo(setting) is None
        return [(unit, *values), (unit, *values[: len(MODEL)]), (unit,)]


def _kinds(
    seconds: dict[Cell, float | None], reckoning: _Reckoning, time: _Measured
) -> tuple[Kind, ...]:
    groups: dict[tuple, list[Cell]] = {}
    for cell in seconds:
        setting = cell.setting.as_dict()
        key = tuple(reckoning.value(setting, axis) for axis in ("detector", "depth", "scale"))
        groups.setdefault(key, []).append(cell)
    kinds = []
    for key, cells in groups.items():
        total = _sum(seconds[cell] for cell in cells)
        like = sum(time.has(cell.setting.as_dict()) for cell in cells)
        kinds.append(Kind(*key, len(cells), None if total is None else total / len(cells), like))
    return tuple(
        sorted(kinds, key=lambda k: (k.detector != "retinanet", k.depth or 0, k.scale or 0))
    )


def _sum(values) -> float | None:
    """None where one of the values is."""
    values = list(values)
    return None if None in values else sum(values)
