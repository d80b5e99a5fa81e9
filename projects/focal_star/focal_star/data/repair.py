"""Writes a repaired copy of a data set, where the repair is certain.

* Boxes that extend beyond their image are clipped, and boxes of width or height 0 are left out; not
  where all boxes of the split have another form than COCO's.
* ``width`` and ``height`` of images become those of the files. The boxes of such an image are not
  clipped: they may be of an image of the other size.
* On request, categories whose names differ only in case, blanks or the form of letters become one.

Everything else stays as it is, and the check of the copy reports it. No copy is written of a data
set with entries that cannot be read, because it would lack them. The copy is in this project's
format, with copies of the images, and lists each change in ``changes.txt``.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from focal_star.data.layouts.coco_values import are_finite
from focal_star.data.layouts.dataset import Dataset
from focal_star.data.layouts.problems import DatasetError, Problem, holds
from focal_star.data.validation.checks import DatasetCheck
from focal_star.data.validation.doubts import names_alike
from focal_star.data.validation.split_check import SplitCheck
from focal_star.io.quoting import shown
from focal_star.io.temporary import temporary_folder
from focal_star.io.writing import write_whole

CHANGES_FILE = "changes.txt"

OTHER_FORMS = ("normalised-boxes", "corners")
"""Kinds of problems with which no box is repaired."""


def repair(check: DatasetCheck, into: Path, merge: bool = False) -> list[str]:
    """Write a repaired copy.

    Args:
        check: the check of the data set; its contents are changed.
        into: the folder to write, which must not exist.
        merge: whether categories with names that look alike become one.

    Returns:
        A line for each change.

    Raises:
        DatasetError: the data set, or a part of it, cannot be read, or ``into`` exists or is inside
            of it.
    """
    dataset = check.dataset
    if dataset is None or any(not isinstance(c, dict) for c in dataset.contents.values()):
        raise DatasetError(dataset.folder if dataset else into, check.problems)
    if dataset.problems:
        reason = "it would lack what cannot be read; correct that first"
        raise DatasetError(dataset.folder, [*dataset.problems, Problem("both", "no-copy", reason)])
    _refuse_place(dataset, into)
    changes = [
        f"{split.split.name}: {line}" for split in check.splits for line in _repaired(split, merge)
    ]
    into.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(into) as copy:
        folder = copy / into.name
        folder.mkdir()
        for split in check.splits:
            _copy_images(split, folder / "images")
            text = json.dumps(split.content).encode()
            write_whole(folder / f"instances_{split.split.name}.json", text)
        write_whole(folder / CHANGES_FILE, "".join(f"{line}\n" for line in changes).encode())
        folder.rename(into)
    return changes


def _refuse_place(dataset: Dataset, into: Path) -> None:
    if holds(into.exists):
        fault = "is there already; name a folder that is not"
    elif into.resolve().is_relative_to(dataset.folder):
        fault = "is inside the data set, into which nothing is written"
    else:
        return
    raise DatasetError(dataset.folder, [Problem("both", "no-copy", f"{shown(str(into))} {fault}")])


def _repaired(check: SplitCheck, merge: bool) -> Iterator[str]:
    """Repair the content of a split; yield a line per change."""
    content = check.content
    resized = set()
    for (where, image), facts in zip(check.entries("images"), check.facts, strict=True):
        given = image.get("width"), image.get("height")
        if facts.size is not None and given != facts.size:
            image["width"], image["height"] = facts.size
            resized.add(_id(image.get("id")))
            yield f"{where}: width x height {shown(given)} is now {facts.size}"
    if not any(problem.kind in OTHER_FORMS for problem in check.problems):
        yield from _repair_boxes(check, content, resized)
    if merge:
        yield from _merge(content)


def _repair_boxes(check: SplitCheck, content: dict, resized: set) -> Iterator[str]:
    dropped = []
    for where, one in check.entries("annotations"):
        box, image_id = one.get("bbox"), _id(one.get("image_id"))
        if not (isinstance(box, list) and len(box) == 4 and are_finite(box)):
            continue
        if box[2] >= 0 and box[3] >= 0 and 0 in box[2:]:
            dropped.append(one)
            yield f"{where}: bbox {shown(box)} has no area and is left out"
            continue
        size = check.sizes.get(image_id) if isinstance(image_id, int) else None
        if size is None or image_id in resized or min(box[2:]) < 0:
            continue
        clipped = _clipped(box, size)
        if clipped != box and min(clipped[2:]) > 0:
            one["bbox"] = clipped
            if one.get("area") == box[2] * box[3]:
                one["area"] = clipped[2] * clipped[3]
            yield f"{where}: bbox {shown(box)} is clipped to {shown(clipped)}"
    if dropped:
        lost = set(map(id, dropped))
        content["annotations"] = [one for one in content["annotations"] if id(one) not in lost]


def _clipped(box: list[float], size: tuple[int, int]) -> list[float]:
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[0] + box[2], size[0]), min(box[1] + box[3], size[1])
    if (left, top) == (box[0], box[1]) and right == box[0] + box[2] and bottom == box[1] + box[3]:
        return box  # so that no digit changes
    return [left, top, round(right - left, 6), round(bottom - top, 6)]


def _merge(content: dict) -> Iterator[str]:
    categories = [one for one in content.get("categories", []) if isinstance(one, dict)]
    by_name = {name: one for one in categories if isinstance(name := one.get("name"), str)}
    new_ids = {}
    for names in names_alike(list(by_name)):
        first = by_name[names[0]]
        for name in names[1:]:
            new_ids[_id(by_name[name].get("id"))] = first.get("id")
            content["categories"].remove(by_name[name])
        first["name"] = names[0].strip()
        yield f"categories: {', '.join(map(shown, names))} are now {shown(first['name'])}"
    for one in content.get("annotations", []):
        if isinstance(one, dict) and _id(one.get("category_id")) in new_ids:
            one["category_id"] = new_ids[one["category_id"]]


def _id(value: Any) -> int | str | None:
    return value if type(value) in (int, str) else None


def _copy_images(check: SplitCheck, into: Path) -> None:
    """Copy the images of a split into a folder of its own, and name them so."""
    root, split = check.split.image_root, check.split.name
    for (_, image), facts in zip(check.entries("images"), check.facts, strict=True):
        name = image.get("file_name")
        if not isinstance(name, str) or facts.stamp is None:
            continue  # it is not there, or was refused
        to = into / split / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, to)
        image["file_name"] = f"{split}/{name}"
