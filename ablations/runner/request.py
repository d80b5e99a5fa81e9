"""The request of one command to the runner."""

import ast
from dataclasses import dataclass
from pathlib import Path

from ablations.storage.layout import Layout
from ablations.study.asked_seeds import seeds_text
from ablations.study.study import Study, schedule_name

OUTPUT = Path("output")
"""The default folder for all output."""

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
    def gpus_per_cell(self) -> int:
        """``gpus``, or else those of a task of the cluster that runs the cells."""
        of_cluster = self.study.slurm.gpus_per_node if self.engine == "slurm" else None
        return self.gpus or of_cluster or 0

    @property
    def processes(self) -> int:
        """The processes of a cell, one per GPU."""
        return max(1, self.gpus_per_cell)

    def side_by_side(self, cells: int) -> int:
        """How many of this number of cells run at a time: ``jobs``, or the cluster's limit."""
        if self.engine == "slurm":
            return max(1, min(cells, self.study.slurm.array_parallelism))
        return self.jobs

    def data_overrides(self) -> list[str]:
        """The ``KEY VALUE`` pairs for the data and the initial weights."""
        folder = ["DATASETS.FOLDER", _path_text(self.dataset)] if self.dataset else []
        weights = ["MODEL.WEIGHTS", _path_text(self.weights)] if self.weights else []
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
        arguments += [f"KEYS={' '.join(self.keys)}"] if self.keys else []
        arguments += [f"GPUS={self.gpus}"] if self.gpus != study.gpus else []
        arguments += [f"ENGINE={self.engine}"] if self.engine != "local" else []
        output = self.layout.root.parent
        return arguments + ([f"OUTPUT={output}"] if output != OUTPUT else [])


def _path_text(path: Path) -> str:
    """A path as the value of a config key: Detectron2 would read ``2017`` as a number."""
    try:
        ast.literal_eval(str(path))
    except (ValueError, SyntaxError):
        return str(path)
    return f"./{path}"
