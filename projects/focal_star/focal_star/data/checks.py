"""The check of a COCO-format data set before anything is trained on it.

A data set is a folder with ``instances_train.json``, ``instances_val.json`` and ``images/``;
``file_name`` is relative to ``images/``. What passes here is read by Detectron2's COCO loader
without an error, and without an instance dropped in silence.

The rules, where COCO's format leaves room:

* ``width`` and ``height`` are those of the image after its EXIF orientation is applied, because
  that is the image that Detectron2's loader hands to the model.
* ``bbox`` is ``[x, y, width, height]`` in pixels, both sides above 0, inside the image. It may
  reach over an edge by ``BOX_TOLERANCE`` (1 px): tools round corners to whole pixels, and corners
  counted from 1 (Pascal VOC) end one pixel further. The loader clips such a box.
* Ids are integers, 0 or more; category ids may have gaps. ``area`` and ``iscrowd`` may be left
  out. Crowd boxes and images without annotations are fine, unknown keys too.
* Both splits list the same categories under the same ids, and share no image.

Nothing is ever written into the folder. On the command line::

    python -m focal_star.data.checks FOLDER
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from focal_star.data.description import contents
from focal_star.data.problems import KINDS, Problem
from focal_star.data.split_check import BOX_TOLERANCE, Split, SplitCheck, holds, shown

__all__ = [
    "BOX_TOLERANCE",
    "KINDS",
    "DatasetError",
    "Problem",
    "Split",
    "check_folder",
    "check_split",
    "dataset_sha256",
    "describe",
    "joined_sha256",
    "require_valid",
    "splits_of",
]

_LAYOUT = "instances_train.json, instances_val.json and images/"
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


def splits_of(folder: Path | str) -> tuple[Split, ...]:
    """The training and the validation split of a folder, whether their files exist or not."""
    folder = Path(folder)
    return tuple(
        Split(name, folder / f"instances_{name}.json", folder / "images")
        for name in ("train", "val")
    )


def check_split(split: Split) -> list[Problem]:
    """All problems of one split, in the order of its file; an empty list if it is sound."""
    return SplitCheck(split).run().problems


def check_folder(folder: Path | str) -> list[Problem]:
    """All problems of both splits and between them; an empty list if the data set is sound."""
    folder = Path(folder)
    if not holds(folder.is_dir):
        text = f"{shown(str(folder))} is not a folder; a data set is a folder with {_LAYOUT}"
        return [Problem("both", "missing-file", text)]
    train, val = (SplitCheck(split).run() for split in splits_of(folder))
    between = [*_category_differences(train, val), *_shared_images(train, val)]
    return train.problems + val.problems + between


def require_valid(folder: Path | str) -> None:
    """Pass if the data set is sound.

    Raises:
        DatasetError: with every problem of the data set.
    """
    problems = check_folder(folder)
    if problems:
        raise DatasetError(folder, problems)


def describe(split: Split) -> dict[str, Any]:
    """What a split holds, in counts and a fingerprint. The split must have passed the check.

    Returns:
        ``num_images``; ``num_instances`` (annotations, crowds included); ``num_crowd``;
        ``num_categories``; ``category_names`` in the order of their ids; ``sha256`` in hex, which
        changes with any byte of the annotation file or of an image that it lists; and
        what :func:`focal_star.data.description.contents` counts.
    """
    annotation_bytes = split.annotation_file.read_bytes()
    content = json.loads(annotation_bytes)
    digest = hashlib.sha256(hashlib.sha256(annotation_bytes).digest())
    for image in sorted(content["images"], key=lambda image: image["id"]):
        image_bytes = (split.image_root / image["file_name"]).read_bytes()
        digest.update(hashlib.sha256(image_bytes).digest())
    categories = sorted(content["categories"], key=lambda category: category["id"])
    return {
        "num_images": len(content["images"]),
        "num_instances": len(content["annotations"]),
        "num_crowd": sum(bool(a.get("iscrowd", 0)) for a in content["annotations"]),
        "num_categories": len(categories),
        "category_names": [category["name"] for category in categories],
        "sha256": digest.hexdigest(),
        **contents(content),
    }


def dataset_sha256(folder: Path | str) -> str:
    """The fingerprint of both splits (see `describe`). The folder must have passed the check."""
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


def main(arguments: list[str] | None = None) -> int:
    """Check the folder named on the command line; 0 if it is sound, 1 and its problems if not."""
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.data.checks",
        description=f"Check a COCO-format data set: a folder with {_LAYOUT}.",
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    # File and category names may have characters that the terminal's encoding lacks.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        require_valid(folder)
    except DatasetError as error:
        print(error)
        return 1
    print(f"ok: {folder}")
    digests = []
    for split in splits_of(folder):
        facts = describe(split)
        digests.append(facts["sha256"])
        print(
            f"  {split.name}: {facts['num_images']} images, {facts['num_instances']} instances"
            f" ({facts['num_crowd']} crowd), {facts['num_categories']} categories"
        )
    print(f"  categories: {', '.join(facts['category_names'])}")
    print(f"  sha256: {joined_sha256(digests)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
