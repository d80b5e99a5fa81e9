"""The files of a study's output folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ablations.storage.json_files import read_object

ROOT = Path(__file__).resolve().parents[2]
"""The checkout. Paths in files and records are relative to it."""

PACKAGE = Path(__file__).parents[1]
"""The folder of ``studies/``, ``grids/`` and ``reference/``."""

FINGERPRINT = "fingerprint.json"
"""The name of the mark in a cell's folder, also after the folder is set aside."""


@dataclass(frozen=True)
class Layout:
    """The paths in a study's output folder; a file that only one module uses is named in it."""

    root: Path

    @classmethod
    def of(cls, output: Path, study: str, dataset: Path | None = None) -> "Layout":
        """The layout of a study; each of its data sets has its own folder.

        The folder is named ``<study>-<name of the data set's folder>``. Where that name already
        belongs to another data set (``study.json`` there names it), six digits of the path's hash
        follow. A data set whose former path no longer exists has been moved: it keeps its folder,
        and the fingerprints show whether its content is still the same.

        Args:
            output: the folder of all studies.
            study: the study's name.
            dataset: the folder of a user's data that replaces the study's data set.
        """
        where = dataset.resolve() if dataset else None
        plain = cls(output / (f"{study}-{where.name}" if where else study))
        owner = plain._owner()
        if owner in (None, (study, where)):
            return plain
        digest = hashlib.sha256(f"{study}\n{where or ''}".encode()).hexdigest()[:6]
        other = cls(output / f"{plain.root.name}-{digest}")
        was_moved = owner[0] == study and where and owner[1] and not owner[1].exists()
        return plain if was_moved and not other.root.exists() else other

    def _owner(self) -> tuple[str, Path | None] | None:
        """The study and the data set in the folder's ``study.json``; None if they are unknown."""
        content = read_object(self.study)
        study, dataset = content.get("study"), content.get("dataset")
        if not isinstance(study, str) or not isinstance(dataset, str):
            return None
        return study, (ROOT / dataset).resolve() if dataset else None

    @property
    def study(self) -> Path:
        """The last request: study, grids, seeds, data set, processes, code."""
        return self.root / "study.json"

    @property
    def prepared(self) -> Path:
        """What cells need: the config, the data set, the initial weights."""
        return self.root / "prepared.json"

    @property
    def records(self) -> Path:
        return self.root / "records"

    @property
    def speed(self) -> Path:
        """The folder of the times per image, see :mod:`ablations.records.speed`."""
        return self.root / "speed"

    @property
    def speed_log(self) -> Path:
        """The output of the processes that are timed."""
        return self.root / "speed.log"

    @property
    def selection(self) -> Path:
        """The settings that the study chose, see :mod:`ablations.tuning.selection`."""
        return self.root / "selection.json"

    @property
    def halves(self) -> Path:
        """The folder of the cells' AP on halves of the images."""
        return self.root / "halves"

    @property
    def halves_log(self) -> Path:
        """The output of the process that computed them."""
        return self.root / "halves.log"

    def half(self, cell_id: str) -> Path:
        """A cell's AP on halves of the images, see :mod:`ablations.tuning.halves`."""
        return self.halves / f"{cell_id}.json"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def lock(self) -> Path:
        """The lock that the only run in the folder holds."""
        return self.root / ".lock"

    @property
    def code(self) -> Path:
        """The snapshots of the code that trains, see :mod:`ablations.identity.snapshot`."""
        return self.root / "code"

    @property
    def earlier(self) -> Path:
        """The training runs that are set aside, see :mod:`ablations.records.earlier`."""
        return self.root / "earlier"

    @property
    def workers_log(self) -> Path:
        """The output of the process that cells are forked from."""
        return self.root / "workers.log"

    @property
    def prepare_log(self) -> Path:
        return self.root / "prepare.log"

    @property
    def slurm(self) -> Path:
        """The folder for the files of SLURM and submitit."""
        return self.root / "slurm"

    def record(self, cell_id: str) -> Path:
        return self.records / f"{cell_id}.json"

    def cell(self, cell_id: str) -> Path:
        """The folder a cell trains in: Detectron2's OUTPUT_DIR."""
        return self.root / "cells" / cell_id

    @property
    def locks(self) -> Path:
        """The folder of the cells' locks."""
        return self.root / "locks"

    def cell_lock(self, cell_id: str) -> Path:
        """The lock that the cell's process holds as long as it lives."""
        return self.locks / cell_id

    def cell_fingerprint(self, cell_id: str) -> Path:
        """The mark of the cell's files, see :func:`ablations.runner.job.mark_of`."""
        return self.cell(cell_id) / FINGERPRINT

    def cell_config(self, cell_id: str) -> Path:
        """Every key of the config that the cell trains with."""
        return self.cell(cell_id) / "config.yaml"

    def cell_log(self, cell_id: str) -> Path:
        """Everything the cell's processes printed."""
        return self.cell(cell_id) / "process.log"

    def cell_metrics(self, cell_id: str) -> Path:
        """Detectron2's line of numbers for every 20th iteration."""
        return self.cell(cell_id) / "metrics.json"

    def cell_weights(self, cell_id: str) -> Path:
        """The checkpoint of the cell's last iteration."""
        return self.cell(cell_id) / "model_final.pth"

    def cell_detections(self, cell_id: str) -> Path:
        """The cell's detections on the validation images, in COCO's results format."""
        return self.cell(cell_id) / "inference" / "coco_instances_results.json"

    def cell_matches(self, cell_id: str) -> Path:
        """The matches of the cell's detections with the objects of the validation images."""
        return self.cell(cell_id) / "inference" / "matches.json"

    def cell_result(self, cell_id: str) -> Path:
        """The result that the cell's process writes at its end."""
        return self.cell(cell_id) / "result.json"


def tail(text: str) -> str:
    """The last 12 lines of a log."""
    return "\n".join(text.strip().splitlines()[-12:])
