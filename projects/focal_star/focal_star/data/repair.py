"""Writes a repaired copy of a data set, where the repair is certain.

* Boxes that extend beyond their image are clipped if at least half of their area is inside. Boxes
  of width or height 0 are computed from their polygons, and left out where there are none. Boxes
  beyond an edge of their image that reach at most 1 px beyond it are left out. Nothing of this is
  done where all boxes of a split have another form than COCO's, or two images the same id.
* ``width`` and ``height`` of images that have none become those of the files. Where another size is
  given, it stays, because the boxes are probably of that size. The boxes of both kinds of images
  are not clipped.
* On request, categories whose names are the same, or differ only in case, blanks or the form of
  letters, become one, unless two categories have the same id.

Everything else stays as it is, and the check of the copy reports it. No copy is written of a data
set with entries that cannot be read, because it would lack them. The copy is in this project's
format, with copies of the images, and lists each change in ``changes.txt``.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from focal_star.data.layouts.coco_values import are_finite, box_of_polygons, is_polygons
from focal_star.data.layouts.dataset import WARNINGS_KEY, Dataset
from focal_star.data.layouts.problems import DatasetError, Problem, holds
from focal_star.data.validation.annotations import BOX_TOLERANCE
from focal_star.data.validation.checks import DatasetCheck
from focal_star.data.validation.doubts import categories_alike
from focal_star.data.validation.split_check import SplitCheck, contradicts
from focal_star.io.quoting import shown
from focal_star.io.temporary import temporary_folder
from focal_star.io.writing import write_whole

CHANGES_FILE = "changes.txt"

UNCERTAIN = ("normalised-boxes", "corners", "centres", "duplicate-image-id")
"""Kinds of problems with which no box of either split is repaired."""


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
        where, layout = (dataset.folder, dataset.layout) if dataset else (into, "")
        raise DatasetError(where, check.problems, layout)
    if dataset.problems:
        reason = "it would lack what cannot be read; correct that first"
        problems = [*dataset.problems, Problem("both", "no-copy", reason)]
        raise DatasetError(dataset.folder, problems, dataset.layout)
    _refuse_place(dataset, into)
    is_certain = not any(problem.kind in UNCERTAIN for problem in check.problems)
    changes = [
        f"{split.split.name}: {line}"
        for split in check.splits
        for line in _repaired(split, is_certain, merge)
    ]
    has_one_root = len({split.split.image_root for split in check.splits}) == 1
    into.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(into) as copy:
        folder = copy / into.name
        folder.mkdir()
        for split in check.splits:
            _copy_images(split, folder / "images", "" if has_one_root else f"{split.split.name}/")
            notes = dataset.doubts.notes.get(split.split.name)  # how the data were read
            content = split.content | {WARNINGS_KEY: notes} if notes else split.content
            text = json.dumps(content).encode()
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


def _repaired(check: SplitCheck, repair_boxes: bool, merge: bool) -> Iterator[str]:
    """Repair the content of a split; yield a line per change."""
    unsure = set()
    for (where, image), facts in zip(check.entries("images"), check.facts, strict=True):
        given = image.get("width"), image.get("height")
        if facts.size is None or given == facts.size:
            continue
        unsure.add(_id(image.get("id")))
        if not contradicts(image, facts.size):
            image["width"], image["height"] = facts.size
            yield f"{where}: width x height {shown(given)} is now {facts.size}"
    if repair_boxes:
        yield from _repair_boxes(check, unsure)
    if merge and not any(problem.kind == "duplicate-category-id" for problem in check.problems):
        yield from _merge(check)


def _repair_boxes(check: SplitCheck, unsure: set) -> Iterator[str]:
    """Repair the boxes of a split.

    Args:
        check: of the split.
        unsure: ids of images whose boxes are not clipped.
    """
    dropped = []
    for where, entry in check.entries("annotations"):
        box, image_id = entry.get("bbox"), _id(entry.get("image_id"))
        if not (isinstance(box, list) and len(box) == 4 and are_finite(box)):
            continue
        if box[2] >= 0 and box[3] >= 0 and 0 in box[2:]:
            polygons: Any = entry.get("segmentation")
            around = box_of_polygons(polygons) if is_polygons(polygons) else box
            if 0 in around[2:]:
                dropped.append(entry)
                yield f"{where}: bbox {shown(box)} has no area and is left out"
                continue
            yield f"{where}: bbox {shown(box)} has no area and is now its polygons' {shown(around)}"
            box = entry["bbox"] = around
        size = check.sizes.get(image_id) if isinstance(image_id, int) else None
        if size is None or image_id in unsure or min(box[2:]) < 0:
            continue
        clipped = _clipped(box, size)
        if min(clipped[2:]) <= 0 and _is_near(box, size):
            dropped.append(entry)
            yield f"{where}: bbox {shown(box)} is beyond the edge of the image and is left out"
            continue
        is_inside = min(clipped[2:]) > 0 and 2 * clipped[2] * clipped[3] >= box[2] * box[3]
        if clipped != box and is_inside:
            entry["bbox"] = clipped
            if entry.get("area") == box[2] * box[3]:
                entry["area"] = clipped[2] * clipped[3]
            yield f"{where}: bbox {shown(box)} is clipped to {shown(clipped)}"
    _remove(check, "annotations", dropped)


def _is_near(box: list[float], size: tuple[int, int]) -> bool:
    """Whether a box extends beyond its image by no more than tools' rounding."""
    starts, sides = box[:2], box[2:]
    return min(starts) >= -BOX_TOLERANCE and all(
        start + side <= limit + BOX_TOLERANCE
        for start, side, limit in zip(starts, sides, size, strict=True)
    )


def _clipped(box: list[float], size: tuple[int, int]) -> list[float]:
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[0] + box[2], size[0]), min(box[1] + box[3], size[1])
    if (left, top) == (box[0], box[1]) and right == box[0] + box[2] and bottom == box[1] + box[3]:
        return box  # so that no digit changes
    return [left, top, round(right - left, 6), round(bottom - top, 6)]


def _merge(check: SplitCheck) -> Iterator[str]:
    categories = [
        category
        for _, category in check.entries("categories")
        if type(category.get("id")) is int and isinstance(category.get("name"), str)
    ]
    new_ids: dict[int | str | None, int] = {}
    for group in categories_alike(categories):
        first, *others = group
        names = ", ".join(shown(category["name"]) for category in group)
        first["name"] = first["name"].strip()
        new_ids |= {category["id"]: first["id"] for category in others}
        _remove(check, "categories", others)
        yield f"categories: {names} are now {shown(first['name'])}"
    for _, entry in check.entries("annotations"):
        if _id(entry.get("category_id")) in new_ids:
            entry["category_id"] = new_ids[entry["category_id"]]


def _remove(check: SplitCheck, key: str, entries: list[dict]) -> None:
    """Remove these objects, but none that are equal, from one of COCO's three lists."""
    if entries:
        removed = set(map(id, entries))
        check.content[key] = [one for one in check.content[key] if id(one) not in removed]


def _id(value: Any) -> int | str | None:
    return value if type(value) in (int, str) else None


def _copy_images(check: SplitCheck, into: Path, prefix: str) -> None:
    """Copy the images of a split, with a prefix to their names."""
    root = check.split.image_root
    for (_, image), facts in zip(check.entries("images"), check.facts, strict=True):
        name = image.get("file_name")
        if not isinstance(name, str) or facts.stamp is None:
            continue  # it is not there, or was refused
        to = into / f"{prefix}{name}"
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, to)
        image["file_name"] = f"{prefix}{name}"
