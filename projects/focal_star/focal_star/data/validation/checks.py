"""The check of a data set before anything is trained on it.

A data set is a folder in COCO's format (:mod:`focal_star.data.layouts.coco`) or of Pascal VOC, which is
converted first (:mod:`focal_star.data.layouts.voc`). What passes here is read by Detectron2's COCO loader
without an error, and without an instance dropped in silence.

The rules, where COCO's format leaves room:

* ``file_name`` is relative to the split's folder of images, and does not lead out of it.
* ``width`` and ``height`` are those of the image after its EXIF orientation is applied, because
  that is the image that the loader hands to the model.
* ``bbox`` is ``[x, y, width, height]`` in pixels, both sides above 0, inside the image. It may
  reach over an edge by ``BOX_TOLERANCE`` (1 px): tools round corners to whole pixels, and corners
  counted from 1 (Pascal VOC) end one pixel further. The loader clips such a box.
* Ids are integers from 0 to 2^63 - 1; category ids may have gaps. ``area`` and ``iscrowd`` may be
  left out. Crowd boxes and images without annotations are fine, unknown keys too.
* Both splits list the same categories under the same ids, and share no image.

Nothing is ever written into the folder. On the command line::

    python -m focal_star.data check FOLDER
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from focal_star.data.description import contents
from focal_star.data.layouts import voc
from focal_star.data.layouts.coco import LAYOUTS, is_coco, splits_of
from focal_star.data.problems import KINDS, Problem, holds, shown
from focal_star.data.validation.annotation_faults import BOX_TOLERANCE
from focal_star.data.validation.conversions import conversions
from focal_star.data.validation.split_check import Split, SplitCheck

__all__ = [
    "BOX_TOLERANCE",
    "KINDS",
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
_EXAMPLES_PER_KIND = 5


class DatasetError(ValueError):
    """A data set that cannot be trained on; the message names every problem, grouped by kind.

    Attributes:
        folder: the data set's folder.
        problems: every `Problem`, where the message shows the first few of each kind.
    """

    def __init__(self, folder: Path | str, problems: Iterable[Problem]):
        self.folder = Path(folder)
        self.problems = list(problems)
        super().__init__(_summary(self.folder, self.problems))


def check_split(split: Split) -> list[Problem]:
    """All problems of one split, in the order of its file; an empty list if it is sound."""
    return SplitCheck(split).run().problems


def check_folder(folder: Path | str, bit_depth: int | None = None) -> list[Problem]:
    """All problems of both splits and between them; an empty list if the data set is sound.

    Args:
        folder: of the data set.
        bit_depth: ``INPUT.BIT_DEPTH`` that its images will be read with.
    """
    folder = Path(folder)
    if not holds(folder.is_dir):
        return [_no_dataset(f"{shown(str(folder))} is not a folder")]
    if is_coco(folder):
        return check_splits(*splits_of(folder), bit_depth=bit_depth)
    try:
        if voc.is_voc(folder):
            return check_converted(voc.convert(folder), bit_depth)
    except OSError as error:
        return [_no_dataset(f"{error.filename} cannot be read: {error.strerror}")]
    return [_no_dataset(f"there is no data set in {shown(str(folder))}")]


def check_splits(train: Split, val: Split, bit_depth: int | None = None) -> list[Problem]:
    """All problems of two splits and between them; ``bit_depth`` as in :func:`check_folder`."""
    checks = (SplitCheck(train, bit_depth).run(), SplitCheck(val, bit_depth).run())
    between = [*_category_differences(*checks), *_shared_images(*checks)]
    return checks[0].problems + checks[1].problems + between


def check_converted(converted: voc.Converted, bit_depth: int | None = None) -> list[Problem]:
    """All problems of a VOC data set: those of its annotation files, then those of `check_splits`.

    Raises:
        OSError: the conversion does not fit into the folder for temporary files.
    """
    with tempfile.TemporaryDirectory() as into:
        converted.write(Path(into))
        splits = converted.splits(Path(into))
        return converted.problems + check_splits(*splits, bit_depth=bit_depth)


def _no_dataset(text: str) -> Problem:
    return Problem("both", "missing-file", f"{text}; {_VALID}")


def require_valid(folder: Path | str, bit_depth: int | None = None) -> None:
    """Pass if the data set is sound; ``bit_depth`` as in :func:`check_folder`.

    Raises:
        DatasetError: with every problem of the data set.
    """
    problems = check_folder(folder, bit_depth)
    if problems:
        raise DatasetError(folder, problems)


def describe(split: Split, bit_depth: int | None = None) -> dict[str, Any]:
    """What a split holds, in counts and a fingerprint. The split must have passed the check.

    Args:
        split: its files.
        bit_depth: ``INPUT.BIT_DEPTH`` that its images are read with.

    Returns:
        ``num_images``; ``num_instances`` (annotations, crowds included); ``num_crowd``;
        ``num_categories``; ``category_names`` in the order of their ids; ``sha256`` in hex, which
        changes with any byte of the annotation file or of an image that it lists;
        ``conversions``, the lines of :func:`focal_star.data.validation.conversions.conversions`; and what
        :func:`focal_star.data.description.contents` counts.
    """
    annotation_bytes = split.annotation_file.read_bytes()
    content = json.loads(annotation_bytes)
    digest = hashlib.sha256(hashlib.sha256(annotation_bytes).digest())
    images = sorted(content["images"], key=lambda image: image["id"])
    names = [image["file_name"] for image in images]
    for name in names:
        image_bytes = (split.image_root / name).read_bytes()
        digest.update(hashlib.sha256(image_bytes).digest())
    categories = sorted(content["categories"], key=lambda category: category["id"])
    return {
        "num_images": len(content["images"]),
        "num_instances": len(content["annotations"]),
        "num_crowd": sum(bool(a.get("iscrowd", 0)) for a in content["annotations"]),
        "num_categories": len(categories),
        "category_names": [category["name"] for category in categories],
        "sha256": digest.hexdigest(),
        "conversions": conversions(split.image_root, names, bit_depth),
        **contents(content),
    }


def dataset_sha256(folder: Path | str) -> str:
    """The fingerprint of both splits (see `describe`) of a folder in COCO's format, which must have
    passed the check."""
    return joined_sha256(describe(split)["sha256"] for split in splits_of(folder))


def joined_sha256(digests: Iterable[str]) -> str:
    """The fingerprint of a data set from those of its splits, in the order of `splits_of`."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _category_differences(train: SplitCheck, val: SplitCheck) -> Iterator[Problem]:
    if not (train.categories and val.categories):
        return  # said already: one of them has none
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
        yield Problem("both", "split-overlap", f"{text}: a model is not tested on what it saw")


def _summary(folder: Path, problems: list[Problem]) -> str:
    messages_by_kind: dict[str, list[str]] = {}
    for problem in problems:
        messages_by_kind.setdefault(problem.kind, []).append(problem.message)
    noun = "problem" if len(problems) == 1 else "problems"
    lines = [f"{len(problems)} {noun} in the data set {folder}"]
    for kind, messages in messages_by_kind.items():
        lines.append(f"  {kind} ({len(messages)}): {KINDS[kind]}")
        lines += [f"    {message}" for message in messages[:_EXAMPLES_PER_KIND]]
        if len(messages) > _EXAMPLES_PER_KIND:
            lines.append(f"    ... and {len(messages) - _EXAMPLES_PER_KIND} more")
    return "\n".join(lines)
