"""Finds the two splits of a folder in COCO's format, in one of these layouts:

* this project's: ``instances_train.json`` and ``instances_val.json``, their images in ``images/``;
* that of annotation tools (Roboflow): ``train/_annotations.coco.json`` and
  ``valid/_annotations.coco.json``, each among its images;
* COCO's own: ``annotations/instances_train2017.json`` and ``annotations/instances_val2017.json``,
  with any year or none, their images in ``train2017/`` and ``val2017/``, which may be in
  ``images/``, or all of them in ``images/`` (also CVAT's: ``instances_Train.json``);
* FiftyOne's: ``train/labels.json`` and ``val/labels.json``, each beside its ``data/``;
* ``train.json`` and ``val.json``, beside the images or in ``annotations/``;
* where no other layout fits, one file per split in ``annotations/`` whose name has the split as a
  word, such as ``custom_train.json`` and ``custom_val.json``, the usual names for fine-tuning DETR
  (:func:`splits_by_word`).

The validation split may be named ``val``, ``valid`` or ``validation``, and ``test`` where there is
none of these. A training split alone counts as data without splits, except in the first layout and
in COCO's own with a year. A folder that has none of these layouts is treated as the first, so that
the missing files can be named.
"""

import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

from focal_star.data.layouts.problems import holds
from focal_star.data.layouts.split import HELD_OUT_NAMES, TRAIN_NAMES, Split, kinds_of_splits

LAYOUTS = (
    "instances_train.json, instances_val.json and images/",
    "annotations/instances_train2017.json, annotations/instances_val2017.json, train2017/ and "
    "val2017/ (COCO's own; any year or none; or images/ for both)",
    "train/_annotations.coco.json and valid/_annotations.coco.json",
    "train/labels.json, train/data/, val/labels.json and val/data/ (FiftyOne's)",
)
"""The layouts, in words."""

SINGLE_FILES = (
    "annotations/instances_default.json",
    "annotations/annotations.json",
    "instances_default.json",
    "_annotations.coco.json",
    "result.json",
    "labels.json",
    "annotations.json",
)
"""Annotation files in COCO's format of data without splits (CVAT, Roboflow, Label Studio,
FiftyOne)."""


def splits_of(folder: Path | str) -> tuple[Split, Split]:
    """Where the training and the validation split of a folder are, or would have to be."""
    folder = Path(folder)
    ours = (
        Split("train", folder / "instances_train.json", folder / "images", folder),
        Split("val", folder / "instances_val.json", folder / "images", folder),
    )
    if all(holds(split.annotation_file.exists) for split in ours):
        return ours
    for pairs in _layouts(folder):
        existing = [(file, roots) for file, roots in pairs if holds(file.exists)]
        if existing:
            train, val = (
                Split(name, file, _first_folder(*roots), folder)
                for name, (file, roots) in zip(("train", "val"), pairs, strict=True)
            )
            return train, val
    return ours


def single_file_of(folder: Path | str) -> Split | None:
    """The annotation file of a data set that is not divided into splits; None where there is none.

    It is returned as a training split.
    """
    folder = Path(folder)
    file = next((f for name in SINGLE_FILES if holds((f := folder / name).is_file)), None)
    if file is None:
        splits = splits_of(folder)
        return splits[0] if _has_only_train(splits) else None
    roots = (folder / "images", folder / "data", folder)
    return Split("train", file, _first_folder(*roots), folder)


def is_coco(folder: Path | str) -> bool:
    """Whether a folder has an annotation file in COCO's format, of at least one split.

    A training split alone counts as data without splits (:func:`single_file_of`).
    """
    splits = splits_of(folder)
    there = any(holds(split.annotation_file.exists) for split in splits)
    return there and not _has_only_train(splits)


def _has_only_train(splits: tuple[Split, Split]) -> bool:
    """Whether a folder with these splits has a training split alone.

    This project's layout, and COCO's own with a year, always have both: there, the other is
    missing.
    """
    train, val = (split.annotation_file for split in splits)
    is_half = train.parent == splits[0].folder and train.name == "instances_train.json"
    is_half |= re.fullmatch(r"instances_train\d+\.json", train.name) is not None
    return not is_half and holds(train.is_file) and not holds(val.exists)


_OF_TOOLS = ("_annotations.coco.json", "labels.json")
"""Annotation files that annotation tools write into a folder for each split."""

Place = tuple[Path, tuple[Path, ...]]
"""An annotation file, and the folders that its images may be in."""


def _layouts(folder: Path) -> Iterator[tuple[Place, Place]]:
    """The places of the two splits in each layout."""
    train, val = (_names_there(folder, names) for names in (TRAIN_NAMES, HELD_OUT_NAMES))
    for file in _OF_TOOLS:
        yield _pick(
            [_beside(folder / half, file) for half in train],
            [_beside(folder / half, file) for half in val],
        )
    annotations = folder / "annotations"
    *_, year = ["", *_years(annotations)]
    of_year = (
        _of_year(folder, annotations / f"instances_train{year}.json", "train", year),
        _of_year(folder, annotations / f"instances_val{year}.json", "val", year),
    )
    has_both = all(holds(file.exists) for file, _ in of_year)
    if year or has_both:
        yield of_year
    for start in ("instances_", ""):
        for parent in (annotations, folder):
            names = _names_by_lower(parent)
            yield _pick(
                [_named(folder, parent, names, start, half) for half in TRAIN_NAMES],
                [_named(folder, parent, names, start, half) for half in HELD_OUT_NAMES],
            )


def _pick(train: list[Place], val: list[Place]) -> tuple[Place, Place]:
    """The first places of each split that exist; the first of all where none does."""
    first_train, first_val = (
        next((place for place in places if holds(place[0].exists)), places[0])
        for places in (train, val)
    )
    return first_train, first_val


def _names_there(folder: Path, names: tuple[str, ...]) -> list[str]:
    """The folders of these names, in their own spelling, the preferred ones first; then the names
    themselves, for what is missing."""
    try:
        there = sorted(os.listdir(folder))
    except (OSError, ValueError):
        there = []
    present = [name for lower in names for name in there if name.lower() == lower]
    missing = "valid" if names is HELD_OUT_NAMES else names[0]
    return [*present, missing]


def _beside(folder: Path, file: str) -> Place:
    return folder / file, (folder / "data", folder / "images", folder)


def _names_by_lower(folder: Path) -> dict[str, str]:
    try:
        return {name.lower(): name for name in sorted(os.listdir(folder), reverse=True)}
    except (OSError, ValueError):
        return {}


def _named(folder: Path, parent: Path, names: dict[str, str], start: str, half: str) -> Place:
    name = names.get(f"{start}{half}.json", f"{start}{half}.json")
    split = name.removeprefix(start).removesuffix(".json")
    return parent / name, (
        folder / split, folder / "images" / split, folder / half, folder / "images" / half,
        folder / "images", folder / "data", folder,
    )  # fmt: skip


def splits_by_word(folder: Path | str) -> tuple[Split, Split] | None:
    """The one file of each split in ``annotations/`` that has the split as a word in its name.

    Returns:
        None where there is not exactly one, or one has no ``images``.
    """
    folder = Path(folder)
    annotations = folder / "annotations"
    names: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for lower, name in _names_by_lower(annotations).items():
        kinds = kinds_of_splits([lower.removesuffix(".json")])
        if lower.endswith(".json") and len(kinds) == 1 and _has_images(annotations / name):
            names[next(iter(kinds))].append(name)
    held_out = "val" if names["val"] else "test"
    if len(names["train"]) != 1 or len(names[held_out]) != 1:
        return None
    train, val = (
        Split(split, annotations / names[kind][0], _folder_by_word(folder, kind), folder)
        for split, kind in (("train", "train"), ("val", held_out))
    )
    return train, val


def _has_images(file: Path) -> bool:
    """Whether a file has the keys of images and boxes, at any place."""
    if not holds(file.is_file):  # a pipe would never end
        return False
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return m.find(b'"images"') >= 0 and m.find(b'"bbox"') >= 0
    except (OSError, ValueError):  # also an empty file
        return False


def _folder_by_word(folder: Path, kind: str) -> Path:
    """The folder that the images of a split are in, one that is named as the split if possible."""
    named = [
        root / name
        for root in (folder, folder / "images")
        for name in _names_by_lower(root).values()
        if kinds_of_splits([name]) == {kind}
    ]
    return _first_folder(*named, folder / "images", folder / "data", folder)


def _of_year(folder: Path, file: Path, half: str, year: str) -> Place:
    names = [f"{half}{year}", *([half] if year else [])]
    roots = [root / name for name in names for root in (folder, folder / "images")]
    return file, (*roots, folder / "images")


def _years(annotations: Path) -> list[str]:
    """The years in the names of annotation files, "" for none; last those that both splits have."""
    try:
        names = set(os.listdir(annotations))
    except (OSError, ValueError):
        return []
    years = {
        match[1]
        for name in names
        if (match := re.fullmatch(r"instances_(?:train|val)(\d*)\.json", name))
    }
    return sorted(years, key=lambda year: (_has_both(names, year), year))


def _has_both(names: set[str], year: str) -> bool:
    return {f"instances_train{year}.json", f"instances_val{year}.json"} <= names


def _first_folder(*folders: Path) -> Path:
    return next((folder for folder in folders if holds(folder.is_dir)), folders[0])
