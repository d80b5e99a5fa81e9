"""The request of one command to the runner."""

from dataclasses import dataclass
from pathlib import Path

from ablations.storage.layout import Layout
from ablations.study.asked_seeds import seeds_text
from ablations.study.study import Study, schedule_name

RETRIES = 2


class RunError(RuntimeError):
    """The study cannot be started; the message says why."""


@dataclass(frozen=True)
class Request:
    """The request of one command to the runner.

    Attributes:
        study: the study whose cells are run.
        layout: the study's folder.
        dataset: folder of a user's data that replaces the study's; None for the study's.
        jobs: the number of cells side by side.
        cache: the folder of the data set and the pretrained backbones.
        engine: "local" for processes of this machine, "slurm" for tasks of a cluster.
        retries: the maximum number of restarts of a process that died without a result.
        gpus: GPUs per cell, for Detectron2's ``launch``; 0 for the config's device.
        weights: a file of initial weights that replaces the config's; None for the config's.
        keys: ``KEY VALUE`` pairs of the config that all cells have, such as how images are read.
    """

    study: Study
    layout: Layout
    dataset: Path | None
    jobs: int
    cache: Path
    engine: str = "local"
    retries: int = RETRIES
    gpus: int = 0
    weights: Path | None = None
    keys: tuple[str, ...] = ()

    @property
    def processes(self) -> int:
        """The processes of a cell, one per GPU."""
        of_cluster = self.study.slurm.gpus_per_node if self.engine == "slurm" else None
        return max(1, self.gpus or of_cluster or 0)

    def data_overrides(self) -> list[str]:
        """The ``KEY VALUE`` pairs for the data and the initial weights."""
        folder = ["DATASETS.FOLDER", str(self.dataset)] if self.dataset else []
        weights = ["MODEL.WEIGHTS", str(self.weights)] if self.weights else []
        return ["CACHE_DIR", str(self.cache), *folder, *weights, *self.keys]

    def make_arguments(self) -> list[str]:
        """The arguments of ``make ablations`` that repeat the request."""
        study = self.study
        arguments = [
            f"STUDY={study.name}",
            "GRIDS=" + " ".join(grid.name for grid in study.grids),
            f"SCHEDULE={schedule_name(study.schedule)}",
        ]
        if study.same_seeds:
            arguments.append(f"SEEDS={seeds_text(study.same_seeds)}")
        arguments += [f"DATASET={self.dataset}"] if self.dataset else []
        arguments += [f"WEIGHTS={self.weights}"] if self.weights else []
        return arguments + ([f"KEYS={' '.join(self.keys)}"] if self.keys else [])
