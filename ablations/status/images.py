"""The numbers of images of a study's data set, also before it is prepared."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ablations.identity.prepared import Prepared
from ablations.status.cost_model import Images
from ablations.storage.layout import ROOT

COUNT = ["-m", "focal_star.data.layouts.counts"]


def of(prepared: Prepared | None, dataset: Path | None = None) -> Images:
    """The numbers by ``prepared.json``, or by counting the folder's annotations.

    Args:
        prepared: what was prepared; None if nothing was.
        dataset: folder of a user's data; None for the study's data set.
    """
    if prepared and prepared.dataset:
        return Images(*(_number(prepared.dataset, split) for split in ("train", "val")))
    return _counted(dataset) if dataset else Images()


def _number(dataset: dict[str, Any], split: str) -> int:
    return dataset.get(split, {}).get("num_images", 0)


def _counted(folder: Path) -> Images:
    """The numbers of a folder's images; 0 if it cannot be read, which ``make check`` explains."""
    command = [sys.executable, *COUNT, str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return Images(**json.loads(ended.stdout)) if ended.returncode == 0 else Images()
