"""The check of a data set before anything is trained on it.

A data set is a folder in COCO's format (:mod:`focal_star.data.layouts.coco`) or of Pascal VOC
(:mod:`focal_star.data.layouts.voc`), which is converted first. Detectron2's COCO loader reads what
passes here without an error, and without silently dropping an instance.

The rules, where COCO's format leaves room:

* ``file_name`` is relative to the split's folder of images, and does not lead out of it.
* ``width`` and ``height`` are those of the image after its EXIF orientation is applied, because
  the loader gives that image to the model.
* ``bbox`` is ``[x, y, width, height]`` in pixels, both sides above 0, inside the image. It may
  extend beyond an edge by ``BOX_TOLERANCE`` (1 px): tools round corners to whole pixels, and
  corners counted from 1 (Pascal VOC) end one pixel further. The loader clips such a box.
* Ids are integers from 0 to 2^63 - 1; category ids may have gaps. ``area`` and ``iscrowd`` may be
  left out. Crowd boxes and images without annotations are allowed, and unknown keys are ignored.
* Both splits list the same categories under the same ids, and share no image.

Nothing is ever written into the folder. On the command line::

    python -m focal_star.data check FOLDER
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_star.data.layouts import voc
from focal_star.data.layouts.coco import LAYOUTS, is_coco, splits_of
from focal_star.data.layouts.problems import KINDS, DatasetError, Problem, holds
from focal_star.data.layouts.split import Split
from focal_star.data.validation.annotations import BOX_TOLERANCE
from focal_star.data.validation.description import (
    dataset_sha256,
    describe,
    joined_sha256,
    known_description,
)
from focal_star.data.validation.split_check import SplitCheck
from focal_star.io.quoting import shown

__all__ = [
    "BOX_TOLERANCE",
    "KINDS",
    "DatasetCheck",
    "DatasetError",
    "Problem",
    "Split",
    "check_converted",
    "check_folder",
    "check_split",
    "check_splits",
    "dataset_sha256",
    "describe",
    "joined_sha256",
    "require_valid",
    "splits_of",
]

_VALID = f"valid is {'; or '.join(LAYOUTS)}; or, of Pascal VOC, {', '.join(voc.PARTS)}"

_VALID_SPLITS: set[tuple[Split, Split, int | None]] = set()
"""What this process has found valid, with the bit depth."""


@dataclass(frozen=True)
class DatasetCheck:
    """The result of a check.

    Attributes:
        problems: the problems of each split and of the two together; empty if the data set is
            valid.
        splits: the checks of the splits; empty where there is no data set.
    """

    problems: list[Problem]
    splits: tuple[SplitCheck, ...] = ()

    def describe(self) -> dict[str, dict[str, Any]]:
        """Split -> its description, without reading a file again. The data set must be valid."""
        return {check.split.name: check.describe() for check in self.splits}


def check_split(split: Split, bit_depth: int | None = None) -> SplitCheck:
    """Check one split; ``bit_depth`` as in :func:`check_folder`."""
    return SplitCheck(split, bit_depth).run()


def check_folder(folder: Path | str, bit_depth: int | None = None) -> DatasetCheck:
    """Check both splits of a folder, and whether they agree.

    Args:
        folder: the folder of the data set.
        bit_depth: ``INPUT.BIT_DEPTH`` that its images will be read with.
    """
    folder = Path(folder)
    if not holds(folder.is_dir):
        return _no_dataset(f"{shown(str(folder))} is not a folder")
    if is_coco(folder):
        return check_splits(*splits_of(folder), bit_depth=bit_depth)
    try:
        if voc.is_voc(folder):
            return check_converted(voc.convert(folder), bit_depth)
    except OSError as error:
        return _no_dataset(f"{error.filename} cannot be read: {error.strerror}")
    return _no_dataset(f"there is no data set in {shown(str(folder))}")


def check_splits(train: Split, val: Split, bit_depth: int | None = None) -> DatasetCheck:
    """Check two splits, and whether they agree; ``bit_depth`` as in :func:`check_folder`."""
    checks = check_split(train, bit_depth), check_split(val, bit_depth)
    between = [*_category_differences(*checks), *_shared_images(*checks)]
    return DatasetCheck(checks[0].problems + checks[1].problems + between, checks)


def check_converted(converted: voc.Converted, bit_depth: int | None = None) -> DatasetCheck:
    """Check a VOC data set: the problems of its annotation files, then those of `check_splits`.

    Raises:
        OSError: the conversion does not fit into the folder for temporary files.
    """
    with tempfile.TemporaryDirectory() as into:
        converted.write(Path(into))
        check = check_splits(*converted.splits(Path(into)), bit_depth=bit_depth)
        return DatasetCheck(converted.problems + check.problems, check.splits)


def _no_dataset(text: str) -> DatasetCheck:
    return DatasetCheck([Problem("both", "missing-file", f"{text}; {_VALID}")])


def require_valid(folder: Path | str, bit_depth: int | None = None) -> dict[str, dict[str, Any]]:
    """Split -> its description; ``bit_depth`` as in :func:`check_folder`.

    A folder in COCO's format that this process has found valid is not read again while its files
    are unchanged.

    Raises:
        DatasetError: with every problem of the data set.
    """
    splits = splits_of(folder)
    key = (*splits, bit_depth)
    if key in _VALID_SPLITS:
        cards = {
            split.name: known.card
            for split in splits
            if (known := known_description(split)) is not None and known.bit_depth == bit_depth
        }
        if len(cards) == len(splits):
            return cards
    check = check_folder(folder, bit_depth)
    if check.problems:
        raise DatasetError(folder, check.problems)
    _VALID_SPLITS.add(key)
    return check.describe()


def _category_differences(train: SplitCheck, val: SplitCheck) -> Iterator[Problem]:
    if not (train.categories and val.categories):
        return  # one of them has none, which is a problem of its own
    only_train = sorted(train.categories.items() - val.categories.items())
    only_val = sorted(val.categories.items() - train.categories.items())
    for check, other, categories in ((train, val, only_train), (val, train, only_val)):
        files = [c.split.annotation_file.name for c in (check, other)]
        for category_id, name in categories:
            text = f"{files[0]}: the category {shown(name)} of id {category_id} is not in"
            yield Problem("both", "categories-differ", f"{text} {files[1]} under that id")


def _shared_images(train: SplitCheck, val: SplitCheck) -> Iterator[Problem]:
    if train.split.image_root != val.split.image_root:
        return  # files of the same name in two folders are two images
    for name in sorted(train.image_ids.keys() & val.image_ids.keys()):
        stories = [
            f"id {check.image_ids[name]} in {check.split.annotation_file.name}"
            for check in (train, val)
        ]
        text = f"the image {shown(name)} is in both splits ({', '.join(stories)})"
        yield Problem(
            "both", "split-overlap", f"{text}: a model must not be tested on its training images"
        )
