"""The usual "07+12" of Pascal VOC: both trainval sets for training, the test set of 2007 for tests.

A config names it as ``voc_2007_2012_train`` and ``voc_2007_2012_val``. The folders ``VOC2007`` and
``VOC2012`` are in ``DETECTRON2_DATASETS``, where Detectron2 expects them, or in its ``VOCdevkit``.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from focal_star.data.catalog import VARIABLE
from focal_star.data.layouts import voc
from focal_star.data.layouts.problems import DatasetError, Problem

NAME = "voc_2007_2012"
YEARS = ("VOC2007", "VOC2012")
TEST = f"{YEARS[0]}/{voc.PARTS[1]}/test.txt"
"""A file of the test set of 2007, which comes in an archive of its own."""


def folder_of(names: Sequence[str]) -> Path | None:
    """The folder of the data set that ``DATASETS.TRAIN`` names; None if it is another one.

    Raises:
        DatasetError: the folder lacks a part, or has another year, which would count as part of the
            data set.
    """
    if tuple(names) != (f"{NAME}_train",):
        return None
    root = Path(os.environ.get(VARIABLE, "datasets"))
    folder = next((f for f in (root / "VOCdevkit", root) if (f / YEARS[0]).is_dir()), root)
    problems = [
        Problem("both", "missing-file", f"{NAME}: there is no {folder / part}; {VARIABLE} must be "
                "the folder of VOC2007 and VOC2012, unpacked from VOC's archives, also that of the "
                "test set of 2007")
        for part in (*(f"{year}/{part}" for year in YEARS for part in voc.PARTS), TEST)
        if not (folder / part).exists()
    ]  # fmt: skip
    others = sorted(
        path.name
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.name not in YEARS and all((path / part).is_dir() for part in voc.PARTS)
    )
    if others:
        text = f"{NAME}: {folder} also has {', '.join(others)}, which would be trained on; move it"
        problems.append(Problem("both", "not-voc", text))
    if problems:
        raise DatasetError(folder, problems)
    return folder
