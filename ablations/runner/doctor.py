"""Checks whether this machine has what a study needs."""

import subprocess
import sys
from pathlib import Path

from ablations.identity.prepared import variant
from ablations.identity.snapshot import CONFIGS
from ablations.storage.layout import ROOT
from ablations.study.study import Study

DOCTOR = ["-m", "focal_star.tools.doctor"]


def doctor(
    study: Study, data_overrides: list[str], *, output: Path, disk_bytes: float, gpus: int
) -> int:
    """Start a process that prints what this machine lacks for a study; return its exit code.

    Args:
        study: its config and settings are used.
        data_overrides: the ``KEY VALUE`` pairs for the folders of the data.
        output: the folder that the cells write to.
        disk_bytes: the space that the cells need there.
        gpus: GPUs per cell if the config is for GPUs; 0 if other machines run the cells.
    """
    variants = dict.fromkeys(variant(cell.setting) for cell in study.cells())
    command = [
        sys.executable, *DOCTOR, "--config-file", str(CONFIGS / study.config),
        "--output", str(output), "--disk-bytes", str(round(disk_bytes)), "--num-gpus", str(gpus),
        *(["--propose"] if study.propose else []),
        *(text for pairs in variants for text in ("--variant", pairs)),
        *data_overrides,
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, check=False).returncode
