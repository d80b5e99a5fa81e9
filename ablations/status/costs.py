"""Estimates what the cells of a study will cost before they run: time, GPU-hours and disk.

The cost of a cell is the measured cost of similar cells (the same ``COST_AXES``): of cells that
are done, or else of cells that have trained 100 iterations. If there is no similar cell, the
estimate is that of :mod:`ablations.status.cost_model`, from published speeds, multiplied by the
median ratio of measured to estimated cost.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablations.records.record import DONE, Record, load_folder
from ablations.status.cards import REFERENCE
from ablations.status.cost_model import CostModel
from ablations.status.running_cells import IterationTime, gpus_of
from ablations.status.status import Status
from ablations.storage.layout import ROOT, Layout
from ablations.study.axes import AXES
from ablations.study.cell import Cell

MODEL = ("detector", "depth")
COST_AXES = (*MODEL, *(a for a, axis in AXES.items() if axis.changes_cost and a not in MODEL))
"""The axes that change the time of an iteration, those of the model zoo's models first."""

PUBLISHED = ROOT / "reports" / "published"
"""The folder of the published reports, a folder per study with its records."""


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
        running: the number of unfinished cells whose time per iteration the estimate uses.
        of_cells: cell -> its time; None if it is unknown.
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
    running: int = 0
    of_cells: Mapping[Cell, float | None] = field(default_factory=dict)


def estimate(
    status: Status,
    config: Mapping[str, Any] | None = None,
    gpus: int = 0,
    test_images: int = 0,
    use_published: bool = True,
    card: str = REFERENCE,
    iteration_times: Sequence[IterationTime] = (),
) -> Estimate:
    """Estimate the cost of the cells of a study that are still to be run.

    Args:
        status: the cells' states and records.
        config: dotted key -> value, for the known keys of the study's config.
        gpus: GPUs per cell; 0 for the CPU.
        test_images: the number of images in the evaluation; 0 for COCO's.
        use_published: whether the records of the study's published report are used if none of its
            cells has been measured here.
        card: the GPU whose published speed stands in for what is not measured.
        iteration_times: those of unfinished cells.

    Raises:
        PlanError: nothing is published for the card.
    """
    cost_model = CostModel(status, config or {}, test_images, card)
    measured = _timed(status.records)
    elsewhere = not measured and use_published
    if elsewhere:
        measured = _timed(published_records(status.study.name))
    disk = _Measured([(r.setting, r.run.get("disk_bytes") or 0.0) for r in measured], cost_model)
    time = _Measured([(r.setting, _ratio_of(r, cost_model)) for r in measured], cost_model)
    running = [t for t in iteration_times if cost_model.zoo(t.setting)]
    if running:
        pairs = [(t.setting, _ratio_of_running(t, cost_model)) for t in running]
        time = _Measured(pairs, cost_model, time)
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
        running=len(running),
        of_cells=seconds,
    )


def _ratio_of(record: Record, cost_model: CostModel) -> float:
    """A cell's measured time, relative to the estimate of the cost model."""
    gpus, iterations = gpus_of(record.command), record.result.get("iterations")
    estimated = cost_model.gpu_seconds(record.setting, iterations, gpus)
    return record.run["wall_seconds"] * gpus / estimated


def _ratio_of_running(time: IterationTime, cost_model: CostModel) -> float:
    seconds = cost_model.measured_gpu_seconds(time.setting, time.seconds_per_iteration, time.gpus)
    return seconds / cost_model.gpu_seconds(time.setting)


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


class _Measured:
    """The median of a measure over the cells that are most similar to a setting."""

    def __init__(
        self,
        measures: Iterable[tuple[Mapping[str, Any], float]],
        cost_model: CostModel,
        before: "_Measured | None" = None,
    ):
        """
        Args:
            measures: the setting of a cell, and a quantity that is comparable between cells.
            cost_model: gives the study's values of the axes.
            before: better measures, which go before these.
        """
        self._cost_model = cost_model
        groups: dict[tuple, list[float]] = {}
        for setting, measure in measures:
            for key in self._keys(setting):
                groups.setdefault(key, []).append(measure)
        self._medians = {key: statistics.median(values) for key, values in groups.items()}
        self._medians |= before._medians if before else {}

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
    seconds: dict[Cell, float | None], cost_model: CostModel, time: _Measured
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
