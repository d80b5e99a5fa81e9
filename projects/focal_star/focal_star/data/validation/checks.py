"""The check of a data set before anything is trained on it.

A data set is a folder in one of the layouts of :mod:`focal_star.data.layouts.reading`, which is
converted to COCO's format first. Detectron2's COCO loader reads what passes here without an error,
and without silently dropping an instance.

Errors stop. What is doubtful warns, once a kind with a count
(:mod:`focal_star.data.validation.doubts`). A folder in COCO's format may have the values of
:mod:`focal_star.data.layouts.coco_values`, which are made plain first; a split that Detectron2
knows by name may not.

The rules, where COCO's format leaves room:

* ``file_name`` is relative to the split's folder of images, and does not lead out of the data set.
* ``width`` and ``height`` are those of the image after its EXIF orientation is applied, because
  the loader gives that image to the model.
* ``bbox`` is ``[x, y, width, height]`` in pixels, both sides above 0, inside the image. It may
  extend beyond an edge by ``BOX_TOLERANCE`` (1 px): tools round corners to whole pixels, and
  corners counted from 1 (Pascal VOC) end one pixel further. The loader clips such a box.
* Ids are integers from 0 to 2^63 - 1; category ids may have gaps. ``area`` and ``iscrowd`` may be
  left out. Crowd boxes and images without annotations are allowed, and unknown keys are ignored.
* Both splits list the same categories under the same ids, and share no image file.

Nothing is ever written into the folder. On the command line::

    python -m focal_star.data check FOLDER
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from focal_star.data.layouts.coco import splits_of
from focal_star.data.layouts.dataset import Dataset
from focal_star.data.layouts.nearest import nearest
from focal_star.data.layouts.problems import DatasetError, Doubts, Problem, holds
from focal_star.data.layouts.reading import read
from focal_star.data.layouts.split import Split
from focal_star.data.validation.description import known_description
from focal_star.data.validation.doubts import find_same_pictures
from focal_star.data.validation.images import PLAIN, ImageOptions
from focal_star.data.validation.split_check import SplitCheck
from focal_star.data.validation.verdicts import known_cards, remember
from focal_star.io.image_files import allow_pixels
from focal_star.io.quoting import shown

_VALID_CARDS: dict[tuple[Path, ImageOptions], dict[str, dict[str, Any]]] = {}
"""The descriptions of what this process has found valid."""

FOLLOW_UPS = ("no-images", "no-annotations", "no-categories", "categories-differ")
"""Kinds of problems that follow from another one that was found while the files were read."""


@dataclass(frozen=True)
class DatasetCheck:
    """The result of a check.

    Attributes:
        problems: the problems of each split and of the two together; empty if the data set is
            valid.
        splits: the checks of the splits; empty where there is no data set.
        doubts: what was doubtful while the files were read, and in the two splits together.
        dataset: what was read; None where there is no data set, or where its splits were given.
    """

    problems: list[Problem]
    splits: tuple[SplitCheck, ...] = ()
    doubts: Doubts = field(default_factory=Doubts)
    dataset: Dataset | None = None

    def describe(self) -> dict[str, dict[str, Any]]:
        """Split -> its description, without reading a file again. The data set must be valid."""
        cards = {check.split.name: check.describe() for check in self.splits}
        return {
            split: card | {"warnings": [*self.doubts.lines(split), *card["warnings"]]}
            for split, card in cards.items()
        }


def check_split(split: Split, options: ImageOptions = PLAIN) -> SplitCheck:
    """Check one split, whose values must be plain."""
    allow_pixels(options.max_pixels)
    return SplitCheck(split, options).read()


def check_folder(folder: Path | str, options: ImageOptions = PLAIN) -> DatasetCheck:
    """Check both splits of a folder, and whether they agree.

    Args:
        folder: the folder of the data set.
        options: how its images are read.
    """
    folder = Path(folder)
    if not holds(folder.is_dir):
        hint = "; give the folder that it is in"
        if folder.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"):
            hint = "; unpack it, and give that folder"
        text = f"{shown(str(folder))} is not a folder"
        return _no_dataset(text + (hint if holds(folder.exists) else ""))
    allow_pixels(options.max_pixels)
    try:
        dataset = read(folder, options.links)
    except OSError as error:
        return _no_dataset(f"{error.filename} cannot be read: {error.strerror}")
    if dataset is None:
        return _no_dataset(f"there is no data set in {shown(str(folder))}: {nearest(folder)}")
    return check_dataset(dataset, options)


def check_dataset(dataset: Dataset, options: ImageOptions = PLAIN) -> DatasetCheck:
    """Check what was read of a folder."""
    allow_pixels(options.max_pixels)
    states = dataset.states()
    train, val = (
        SplitCheck(split, options).run(dataset.contents.get(split.name), states.get(split.name))
        for split in dataset.splits
    )
    return _together(train, val, dataset)


def check_splits(train: Split, val: Split, options: ImageOptions = PLAIN) -> DatasetCheck:
    """Check two splits, whose values must be plain, and whether they agree."""
    return _together(check_split(train, options), check_split(val, options))


def _together(train: SplitCheck, val: SplitCheck, dataset: Dataset | None = None) -> DatasetCheck:
    between = [*_category_differences(train, val), *_shared_images(train, val)]
    problems = [*train.problems, *val.problems, *between]
    doubts = Doubts()
    if dataset is not None:
        if dataset.problems:
            problems = [problem for problem in problems if problem.kind not in FOLLOW_UPS]
        problems = dataset.problems + problems
        doubts = dataset.doubts.copy()
    find_same_pictures({check.split.name: check.named_facts() for check in (train, val)}, doubts)
    return DatasetCheck(problems, (train, val), doubts, dataset)


def _no_dataset(text: str) -> DatasetCheck:
    return DatasetCheck([Problem("both", "missing-file", text)])


def require_valid(
    folder: Path | str, options: ImageOptions = PLAIN
) -> tuple[dict[str, dict[str, Any]], Dataset | None]:
    """Check a folder, and describe it.

    A folder in COCO's plain format that was found valid is not read again while its files are
    unchanged (:mod:`focal_star.data.validation.verdicts`).

    Returns:
        Split -> its description; and what was read, None where the folder's own annotation files
        can be used as they are.

    Raises:
        DatasetError: with every problem of the data set.
    """
    folder = Path(folder)
    key = folder, options
    known = [known_description(split) for split in splits_of(folder)]
    if key in _VALID_CARDS and all(
        one is not None and one.bit_depth == options.bit_depth for one in known
    ):
        return _VALID_CARDS[key], None
    cached = known_cards(folder, options)
    if cached is not None:
        return cached, None
    check = check_folder(folder, options)
    if check.problems:
        layout = check.dataset.layout if check.dataset else ""
        raise DatasetError(folder, check.problems, layout)
    cards = check.describe()
    if check.dataset is not None and check.dataset.is_converted:
        return cards, check.dataset
    _VALID_CARDS[key] = cards
    remember(folder, options, check.splits, cards)
    return cards, None


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
