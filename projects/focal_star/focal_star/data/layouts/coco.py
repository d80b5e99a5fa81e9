"""Finds the two splits of a folder in COCO's format, in one of three layouts:

* this project's: ``instances_train.json`` and ``instances_val.json``, their images in ``images/``;
* COCO's own: ``annotations/instances_train2017.json`` and ``annotations/instances_val2017.json``,
  with any year or none, their images in ``train2017/`` and ``val2017/``, which may be in
  ``images/``;
* that of annotation tools: ``train/_annotations.coco.json`` and ``valid/_annotations.coco.json``,
  each among its images.

A folder that has none of them is treated as the first, so that the missing files can be named.
"""

import os
from pathlib import Path

from focal_star.data.layouts.problems import holds
from focal_star.data.layouts.split import Split

LAYOUTS = (
    "instances_train.json, instances_val.json and images/",
    "annotations/instances_train2017.json, annotations/instances_val2017.json, train2017/ and "
    "val2017/ (COCO's own; any year)",
    "train/_annotations.coco.json and valid/_annotations.coco.json",
)
"""The layouts, in words."""

EXPORTED = "_annotations.coco.json"


def splits_of(folder: Path | str) -> tuple[Split, Split]:
    """Where the training and the validation split of a folder are, or would have to be."""
    folder = Path(folder)
    ours = (
        Split("train", folder / "instances_train.json", folder / "images"),
        Split("val", folder / "instances_val.json", folder / "images"),
    )
    if any(holds(split.annotation_file.exists) for split in ours):
        return ours
    exported = (
        Split("train", folder / "train" / EXPORTED, folder / "train"),
        Split("val", folder / "valid" / EXPORTED, folder / "valid"),
    )
    if any(holds(split.annotation_file.exists) for split in exported):
        return exported
    years = _years(folder / "annotations")
    return _of_year(folder, years[-1]) if years else ours


def is_coco(folder: Path | str) -> bool:
    """Whether a folder has an annotation file in COCO's format, of at least one split."""
    return any(holds(split.annotation_file.exists) for split in splits_of(folder))


def _years(annotations: Path) -> list[str]:
    """The years in the names of annotation files, "" for none; last those that both splits have."""
    try:
        names = set(os.listdir(annotations))
    except (OSError, ValueError):
        return []
    found = {
        name.removeprefix(f"instances_{split}").removesuffix(".json")
        for split in ("train", "val")
        for name in names
        if name.startswith(f"instances_{split}") and name.endswith(".json")
    }
    years = [year for year in found if not year or year.isdecimal()]
    return sorted(years, key=lambda year: (_has_both(names, year), year))


def _has_both(names: set[str], year: str) -> bool:
    return {f"instances_train{year}.json", f"instances_val{year}.json"} <= names


def _of_year(folder: Path, year: str) -> tuple[Split, Split]:
    train, val = (
        Split(
            split, folder / "annotations" / f"instances_{split}{year}.json",
            _first_folder(folder / f"{split}{year}", folder / "images" / f"{split}{year}"),
        )
        for split in ("train", "val")
    )  # fmt: skip
    return train, val


def _first_folder(*folders: Path) -> Path:
    return next((folder for folder in folders if holds(folder.is_dir)), folders[0])
