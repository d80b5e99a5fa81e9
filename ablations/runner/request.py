"""What one call of the runner is asked for."""

from dataclasses import dataclass
from pathlib import Path

from ablations.storage.layout import Layout
from ablations.study.study import Study

RETRIES = 2


class RunError(RuntimeError):
    """The study cannot be started; the message says why."""


@dataclass(frozen=True)
class Request:
    """What one call of the runner was asked for.

    Attributes:
        study: the cells to run.
        layout: where they are kept.
        dataset: folder of own data that takes the place of the study's; None for the study's.
        jobs: how many cells run side by side.
        cache: where the data set and the pretrained backbones are kept.
        engine: "local" for processes of this machine, "slurm" for tasks of a cluster.
        retries: how often a cell's process is started again after it died without a result.
        gpus: GPUs that one cell trains on, by Detectron2's ``launch``; 0: as the config says.
    """

    study: Study
    layout: Layout
    dataset: Path | None
    jobs: int
    cache: Path
    engine: str = "local"
    retries: int = RETRIES
    gpus: int = 0

    @property
    def processes(self) -> int:
        """The processes of a cell, one per GPU."""
        of_cluster = self.study.slurm.gpus_per_node if self.engine == "slurm" else None
        return max(1, self.gpus or of_cluster or 0)

    def data_overrides(self) -> list[str]:
        """The ``KEY VALUE`` pairs that say where the data are."""
        own = ["DATASETS.FOLDER", str(self.dataset)] if self.dataset else []
        return ["CACHE_DIR", str(self.cache), *own]

    def make_arguments(self) -> list[str]:
        """What ``make ablations`` is given to repeat the request."""
        study = self.study
        arguments = [
            f"STUDY={study.name}",
            "GRIDS=" + " ".join(grid.name for grid in study.grids),
        ]
        if not study.more_seeds:
            arguments.append(f"SEEDS={len(study.seeds)}")
        return arguments + ([f"DATASET={self.dataset}"] if self.dataset else [])
