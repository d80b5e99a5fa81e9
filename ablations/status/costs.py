"""Estimates what the cells of a study will cost before they run: time, GPU-hours and disk.

The cost of a cell is the measured cost of similar cells (the same ``COST_AXES``). If no similar
cell has a record, the estimate uses the speed that Detectron2's model zoo gives for the detector
and depth, scales it with the number of input pixels, and multiplies it by the median ratio of
measured to estimated cost. This estimate ignores anchors, OHEM and the loss. It also ignores that a
GPU is less busy on small images, so small scales take somewhat longer than estimated.
"""

import csv
import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ablations.records.record import DONE, Record, load_folder
from ablations.status.status import Status
from ablations.storage.layout import PACKAGE, ROOT, Layout
from ablations.study.axes import AXES
from ablations.study.cell import Cell

MODEL = ("detector", "depth")
COST_AXES = (*MODEL, *(a for a, axis in AXES.items() if axis.changes_cost and a not in MODEL))
"""The axes that change the time of an iteration, those of the model zoo's models first."""

ZOO_FILE = PACKAGE / "reference" / "zoo_speed.csv"
ZOO_GPUS, ZOO_GPU, ZOO_IMAGES = 8, "V100", 16
"""The number and model of the zoo's GPUs, and the images per iteration."""
ZOO_TRAIN_EDGES, ZOO_TEST_EDGE = (640, 672, 704, 736, 768, 800), 800
"""The zoo's short edges, px. In training, each image gets a random one."""

PUBLISHED = ROOT / "reports" / "published"
"""The folder of the published reports, a folder per study with its records."""

COCO_TEST_IMAGES = 5000
"""The number of evaluated images (val2017) if the data set has not been prepared yet."""

WEIGHTS_BYTES = {
    ("retinanet", 50): 152_000_000,
    ("retinanet", 101): 228_000_000,
    ("faster_rcnn", 50): 167_000_000,
    ("faster_rcnn", 101): 243_000_000,
}
"""(detector, depth) -> size of ``model_final.pth`` for 80 classes, 9 anchors per location."""

CHECKPOINTS = 3
"""The maximum number in a cell's folder while it trains: two, and one that is being written."""
PER_PARAMETER = 2
"""The numbers per parameter in a checkpoint: its value and its momentum."""

DETECTIONS_PER_IMAGE, BYTES_PER_DETECTION = 100, 240
"""Upper bounds; the bytes are those of the JSON file and of Detectron2's own file."""


@dataclass(frozen=True)
class Zoo:
    """The model zoo's speed of a model.


    Attributes:
        seconds_per_iteration: training time, for ``ZOO_IMAGES`` images on ``ZOO_GPUS`` GPUs.
        seconds_per_image: inference time on one GPU.
    """

    seconds_per_iteration: float
    seconds_per_image: float


@dataclass(frozen=True)
class Kind:
    """The cells to run of one detector, depth and input scale.

    Attributes:
        detector, depth, scale: ``scale`` is the short edge, px; None if it is unknown.
        cells: the number of cells.
        seconds: the mean per cell; None if it is unknown.
        measured: the number of cells that are similar to a measured cell.
    """

    detector: str
    depth: int | None
    scale: int | None
    cells: int
    seconds: float | None
    measured: int


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of the cells to run.

    Attributes:
        cells: the number of cells.
        seconds: the time of all cells, one after another; None if it is unknown for some.
        seconds_per_iteration: the measured median; None if no cell has been measured.
        disk_bytes: the space of all cells when they are done; None if it is unknown for some.
        running_bytes: the additional space of one cell while it trains; 0 if it is unknown.
        measured: the number of records that the estimate uses.
        kinds: the same by detector, depth and scale.
        zoo: whether the estimate of some cells comes from the model zoo.
        elsewhere: whether the measured records are those of the published report.
    """

    cells: int
    seconds: float | None
    seconds_per_iteration: float | None
    disk_bytes: float | None
    running_bytes: float
    measured: int
    kinds: tuple[Kind, ...]
    zoo: bool
    elsewhere: bool = False


def estimate(
    status: Status,
    config: Mapping[str, Any] | None = None,
    gpus: int = 0,
    test_images: int = 0,
    use_published: bool = True,
) -> Estimate:
    """Estimate the cost of the cells of a study that are still to be run.


    Args:
        status: the cells' states and records.
        config: dotted key -> value, for the known keys of the study's config.
        gpus: GPUs per cell; 0 for the CPU.
        test_images: the number of images in the evaluation; 0 for COCO's.
        use_published: whether the records of the study's published report are used if none of its
            cells has been measured here.
    """
    config = config or {}
    cost_model = _CostModel(status, config, test_images or COCO_TEST_IMAGES)
    measured = _timed(status.records)
    elsewhere = not measured and use_published
    if elsewhere:
        measured = _timed(published_records(status.study.name))
    disk = _Measured(measured, cost_model, lambda record: record.run.get("disk_bytes") or 0.0)
    time = _Measured(
        measured,
        cost_model,
        lambda record: (
            record.run["wall_seconds"]
            * gpus_of(record)
            / cost_model.gpu_seconds(record.setting, record.result.get("iterations"))
        ),
    )
    seconds: dict[Cell, float | None] = {}
    sizes: dict[Cell, float | None] = {}
    for cell in status.to_train:
        setting = cell.setting.as_dict()
        ratio = time.of(setting)
        if ratio is None and cost_model.zoo(setting):
            ratio = 1.0
        seconds[cell] = ratio and ratio * cost_model.gpu_seconds(setting) / max(gpus, 1)
        sizes[cell] = disk.of(setting)
        if sizes[cell] is None:
            sizes[cell] = cost_model.final_bytes(setting)
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
            (cost_model.running_bytes(c.setting.as_dict()) for c in seconds), default=0
        ),
        measured=len(measured),
        kinds=_kinds(seconds, cost_model, time),
        zoo=any(
            cost_model.zoo(c.setting.as_dict()) and not time.has(c.setting.as_dict())
            for c in seconds
        ),
        elsewhere=elsewhere and bool(measured),
    )


def _timed(records: Mapping[str, Record]) -> list[Record]:
    return [r for r in records.values() if r.status == DONE and r.run.get("wall_seconds")]


def published_records(study: str) -> dict[str, Record]:
    """The records of a study's published report by cell; empty if it has none."""
    folder = Layout(PUBLISHED / study).records
    return load_folder(folder)[0] if folder.is_dir() else {}


def seconds_at_1x(status: Status) -> float:
    """The time that the study's finished cells would take at 1x, scaled from measured times."""
    records = {c.id: status.records[c.id] for c in status.states if c.id in status.records}
    return sum(r.run["wall_seconds"] / r.setting.get("schedule", 1) for r in _timed(records))


@cache
def zoo_models() -> dict[tuple[str, int], Zoo]:
    """(detector, depth) -> the zoo's speed of that model."""
    with ZOO_FILE.open(encoding="utf-8", newline="") as file:
        return {
            (row["detector"], int(row["depth"])): Zoo(
                float(row["seconds_per_iteration"]), float(row["seconds_per_image"])
            )
            for row in csv.DictReader(file)
        }


def gpus_of(record: Record) -> int:
    """The number of GPUs in a cell's command; 1 for a CPU."""
    found = re.search(r"--num-gpus[ =](\d+)", record.command)
    return max(1, int(found[1])) if found else 1


class _CostModel:
    """The cost of a setting by the model zoo; by its pixels if the zoo does not have the model."""

    def __init__(self, status: Status, config: Mapping[str, Any], test_images: int):
        self._base = {"detector": "retinanet"} | status.study.base
        self._iterations = config.get("SOLVER.MAX_ITER") or 0
        self._images = config.get("SOLVER.IMS_PER_BATCH") or ZOO_IMAGES
        self._test_images = test_images

    def value(self, setting: Mapping[str, Any], axis: str) -> Any:
        """A setting's value of an axis; the study's value if the setting has none."""
        return setting.get(axis, self._base.get(axis))

    def zoo(self, setting: Mapping[str, Any]) -> Zoo | None:
        """The zoo's speed; None if the model, the iterations or the study's scale are unknown."""
        if not self._iterations or not self._base.get("scale"):
            return None
        return zoo_models().get(self._model(setting))

    def gpu_seconds(self, setting: Mapping[str, Any], iterations: int | None = None) -> float:
        """The time of training and evaluation on one of the zoo's GPUs.

        If the zoo does not have the model, the unit is pixels times iterations, not seconds. If the
        study's scale is unknown, the scale has no effect.

        Args:
            setting: axis -> value.
            iterations: the training's iterations; None for those of its schedule.
        """
        scale = self.value(setting, "scale") if self._base.get("scale") else 1
        planned = self._iterations * setting.get("schedule", 1)
        zoo, trained = self.zoo(setting), (iterations if self._iterations else None) or planned
        if zoo is None:
            return float(scale) ** 2 * (trained or 1)
        of_training = statistics.fmean(edge**2 for edge in ZOO_TRAIN_EDGES)
        per_iteration = zoo.seconds_per_iteration * ZOO_GPUS * self._images / ZOO_IMAGES
        training = trained * per_iteration * scale**2 / of_training
        testing = self._test_images * zoo.seconds_per_image * scale**2 / ZOO_TEST_EDGE**2
        return training + testing

    def final_bytes(self, setting: Mapping[str, Any]) -> float | None:
        """The size of the weights and detections of a finished cell; None for an unknown model."""
        weights = WEIGHTS_BYTES.get(self._model(setting))
        detections = self._test_images * DETECTIONS_PER_IMAGE * BYTES_PER_DETECTION
        return None if weights is None else weights + detections

    def running_bytes(self, setting: Mapping[str, Any]) -> float:
        """The size of a cell's checkpoints while it trains; 0 for an unknown model."""
        return CHECKPOINTS * PER_PARAMETER * WEIGHTS_BYTES.get(self._model(setting), 0)

    def _model(self, setting: Mapping[str, Any]) -> tuple[str, Any]:
        return self.value(setting, "detector"), self.value(setting, "depth")


class _Measured:
    """The median of a measure over the records that are most similar to a setting."""

    def __init__(
        self, records: list[Record], cost_model: _CostModel, measure: Callable[[Record], float]
    ):
        """
        Args:
            records: the records of cells that are done.
            cost_model: gives the study's values of the axes.
            measure: record -> a quantity that is comparable between cells.
        """
        self._cost_model = cost_model
        groups: dict[tuple, list[float]] = {}
        for record in records:
            for key in self._keys(record.setting):
                groups.setdefault(key, []).append(measure(record))
        self._medians = {key: statistics.median(found) for key, found in groups.items()}

    def has(self, setting: Mapping[str, Any]) -> bool:
        """Whether a cell with the same cost axes was measured."""
        return self._keys(setting)[0] in self._medians

    def of(self, setting: Mapping[str, Any]) -> float | None:
        """The median of cells with the same cost axes, or the same model, or of all cells."""
        return next(
            (self._medians[key] for key in self._keys(setting) if key in self._medians), None
        )

    def _keys(self, setting: Mapping[str, Any]) -> list[tuple]:
        values = [self._cost_model.value(setting, axis) for axis in COST_AXES]
        unit = self._cost_model.zoo(setting) is None
        return [(unit, *values), (unit, *values[: len(MODEL)]), (unit,)]


def _kinds(
    seconds: dict[Cell, float | None], cost_model: _CostModel, time: _Measured
) -> tuple[Kind, ...]:
    groups: dict[tuple[str, int | None, int | None], list[Cell]] = {}
    for cell in seconds:
        detector, depth, scale = (
            cost_model.value(cell.setting.as_dict(), axis)
            for axis in ("detector", "depth", "scale")
        )
        groups.setdefault((detector, depth, scale), []).append(cell)
    kinds = []
    for (detector, depth, scale), cells in groups.items():
        total = _sum(seconds[cell] for cell in cells)
        mean = None if total is None else total / len(cells)
        like = sum(time.has(cell.setting.as_dict()) for cell in cells)
        kinds.append(Kind(detector, depth, scale, len(cells), mean, like))
    return tuple(
        sorted(kinds, key=lambda k: (k.detector != "retinanet", k.depth or 0, k.scale or 0))
    )


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum; None if one of the values is None."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total
