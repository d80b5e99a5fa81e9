"""Turns values that tools write into COCO's annotation files into the plain ones.

Only what has a single meaning is changed: null where the key may be missing, whole numbers with a
point, ids that libraries cannot store, other spellings of file names, malformed segmentations
beside a good box, an ``area`` that contradicts its box, boxes that CVAT exports unrotated. What is
doubtful in it becomes a warning, and everything else is left to the check.
"""

import math
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from focal_star.data.layouts.dataset import Dataset
from focal_star.data.layouts.file_names import ImageFolder, is_as_named, path_below
from focal_star.data.layouts.linked import linked_text
from focal_star.data.layouts.problems import Doubts, holds
from focal_star.data.layouts.rotation import box_around
from focal_star.io.quoting import shown

MAX_ID = 2**63 - 1
"""Libraries store ids in 64 bits."""

AREA_MARGIN = 2
"""How much wider and higher, px, than its rounded box an object may be for its ``area``."""

_KEYS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "iscrowd", "area", "ignore"),
    "categories": ("id", "name"),
}
"""The keys of each list for which null means that the key is missing."""

_WHOLE = {
    "images": ("id", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "iscrowd", "ignore"),
    "categories": ("id",),
}


def make_plain(dataset: Dataset, links: bool) -> None:
    """Change the contents of a data set in COCO's format in place.

    Args:
        dataset: its contents may be any JSON. ``is_converted`` becomes true where anything changes,
            and all file names are then relative to the data set's folder.
        links: whether images may be links out of the folder, written as texts.
    """
    parts = {
        split.name: content
        for split in dataset.splits
        if isinstance(content := dataset.contents.get(split.name), dict)
    }
    changed = False
    for content in parts.values():
        for name in _KEYS:
            for entry in entries_of(content, name):
                changed |= _plain_values(entry, name)
    changed |= _map_ids(parts, dataset.doubts)
    for split, content in parts.items():
        for number, entry in enumerate(entries_of(content, "annotations")):
            changed |= _plain_annotation(entry, split, number, dataset.doubts)
        changed |= _turn_boxes(content, split, dataset.doubts)
    changed |= _drop_root_category(parts, dataset.doubts)
    files = _find_files(dataset, parts, links)
    if changed or files:
        _convert(dataset, parts, files)


def entries_of(content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in a list of an annotation file, whose content may be any JSON."""
    entries = content.get(key)
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


def _plain_values(entry: dict, part: str) -> bool:
    changed = False
    for key in _KEYS[part]:
        if key in entry and entry[key] is None:
            del entry[key]
            changed = True
    for key in _WHOLE[part]:
        value = entry.get(key)
        if type(value) is float and value.is_integer():
            entry[key] = int(value)
            changed = True
    return changed


def _map_ids(parts: dict[str, dict], doubts: Doubts) -> bool:
    """Number ids anew that are texts or too large, of images by split and of categories in both."""
    changed = False
    for split, content in parts.items():
        images, annotations = (entries_of(content, key) for key in ("images", "annotations"))
        if annotations and not any("id" in entry for entry in annotations):
            for number, entry in enumerate(annotations, start=1):
                entry["id"] = number
            doubts.note(split, "no annotation has an id; they are numbered in their order")
            changed = True
        changed |= _renumber(images, [(annotations, "image_id")], [split], "image", doubts)
        changed |= _renumber(annotations, [], [split], "annotation", doubts)
    categories = [
        entry for content in parts.values() for entry in entries_of(content, "categories")
    ]
    users = [(entries_of(content, "annotations"), "category_id") for content in parts.values()]
    return _renumber(categories, users, list(parts), "category", doubts) or changed


def _renumber(
    entries: list[dict],
    users: list[tuple[list[dict], str]],
    splits: list[str],
    noun: str,
    doubts: Doubts,
) -> bool:
    ids = dict.fromkeys(_hashable(entry.get("id")) for entry in entries)
    changed = _same_type(ids.keys(), users)
    unusual = [value for value in ids if type(value) is str or _is_large(value)]
    if not unusual:
        return changed
    # Numbers keep their order, and texts that of the file.
    numbers = sorted(value for value in ids if type(value) is int)
    texts = [value for value in ids if type(value) is str]
    new = {value: number for number, value in enumerate([*numbers, *texts], start=1)}
    for split in splits:
        doubts.add(split, "ids-mapped", f"{noun} {shown(unusual[0])}", len(unusual))
    for entry in entries:
        if _hashable(entry.get("id")) in new:
            entry["id"] = new[entry["id"]]
    for using, key in users:
        for entry in using:
            if _hashable(entry.get(key)) in new:
                entry[key] = new[entry[key]]
    return True


def _same_type(ids: Collection[Any], users: list[tuple[list[dict], str]]) -> bool:
    """Give references the type of the ids: "7" becomes 7 where that is an id, and the reverse."""
    unknown = [
        (entry, key)
        for using, key in users
        for entry in using
        if (value := _hashable(entry.get(key))) is not None and value not in ids
    ]
    texts = {str(value): value for value in ids if value is not None} if unknown else {}
    changed = False
    for entry, key in unknown:
        if (text := str(entry[key])) in texts:
            entry[key] = texts[text]
            changed = True
    return changed


def _hashable(value: Any) -> int | str | None:
    """An id; None for what is none, among them bools, which are equal to numbers."""
    return value if type(value) in (int, str) else None


def _is_large(value: Any) -> bool:
    return type(value) is int and value > MAX_ID


def _plain_annotation(entry: dict, split: str, number: int, doubts: Doubts) -> bool:
    changed = False

    def doubt(kind: str) -> None:
        doubts.add(split, kind, f"annotations[{number}]")

    segmentation = entry.get("segmentation")
    if segmentation and not (is_polygons(segmentation) or is_run_lengths(segmentation)):
        if is_box(entry.get("bbox")):
            entry["segmentation"] = []
            doubt("bad-segmentation")
            changed = True
    elif not entry.get("bbox") and segmentation and is_polygons(segmentation):
        entry["bbox"] = box_of_polygons(segmentation)
        entry.setdefault("area", entry["bbox"][2] * entry["bbox"][3])
        doubt("box-from-polygon")
        changed = True
    area = entry.get("area")
    if (
        isinstance(area, int | float)
        and not isinstance(area, bool)
        and is_box(entry.get("bbox"))
        and _contradicts(area, entry)
    ):
        *_, width, height = entry["bbox"]
        entry["area"] = width * height
        doubt("area")
        changed = True
    return changed


def _contradicts(area: float, entry: dict) -> bool:
    """Whether no object in the box can have this area, px."""
    *_, width, height = entry["bbox"]
    if area > (width + AREA_MARGIN) * (height + AREA_MARGIN):
        return area < math.inf  # an infinite one is a problem
    return 0 <= area < 0.5 and width * height >= 4


def _turn_boxes(content: dict, split: str, doubts: Doubts) -> bool:
    """Replace the boxes that CVAT exports before their rotation by the upright ones around them."""
    rotated = [
        (number, entry, degrees)
        for number, entry in enumerate(entries_of(content, "annotations"))
        if (degrees := _rotation(entry)) and is_box(entry.get("bbox"))
    ]
    if not rotated:
        return False
    size_of = {
        _hashable(image.get("id")): (image["width"], image["height"])
        for image in entries_of(content, "images")
        if are_finite([image.get("width"), image.get("height")])
    }
    for number, entry, degrees in rotated:
        size = size_of.get(_hashable(entry.get("image_id")), (math.inf, math.inf))
        left, top, width, height = entry["bbox"]
        corners = [left, top, left + width, top + height]
        left, top, right, bottom = box_around(corners, degrees, size)
        entry["bbox"] = [left, top, round(right - left, 4), round(bottom - top, 4)]
        doubts.add(split, "box-rotated", f"annotations[{number}]")
    return True


def _rotation(entry: dict) -> float:
    """The rotation of a box in degrees, as CVAT writes it; 0 where there is none."""
    attributes = entry.get("attributes")
    if not isinstance(attributes, dict) or "occluded" not in attributes:
        return 0  # of another tool, whose boxes may be upright
    if entry.get("segmentation"):
        return 0  # a polygon, whose box is upright
    degrees: Any = attributes.get("rotation")
    return degrees if are_finite([degrees]) else 0


def is_box(value: Any) -> bool:
    """Whether it is four finite numbers, the last two above 0."""
    return are_finite(value) and len(value) == 4 and value[2] > 0 and value[3] > 0


def are_finite(value: Any) -> bool:
    """Whether it is a list of finite numbers, none of them a bool."""
    if not isinstance(value, list):
        return False
    for number in value:
        if type(number) is float:
            if not math.isfinite(number):
                return False
        elif type(number) is not int or not -(2**1000) < number < 2**1000:
            return False
    return True


def is_polygons(value: Any) -> bool:
    """Whether it is a list of polygons, at least one of them of 3 points or more."""
    return (
        isinstance(value, list)
        and all(are_finite(polygon) for polygon in value)
        and any(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in value)
    )


def is_run_lengths(value: Any) -> bool:
    """Whether it is a run-length code."""
    if not isinstance(value, dict):
        return False
    size, counts = value.get("size"), value.get("counts")
    if not (isinstance(size, list) and isinstance(counts, list | str)):
        return False
    numbers = size if isinstance(counts, str) else size + counts
    return len(size) == 2 and all(type(n) is int and 0 <= n < 2**32 for n in numbers)


def box_of_polygons(polygons: list[list[float]]) -> list[float]:
    """[x, y, width, height] of the polygons of 3 points or more."""
    points = [p for p in polygons if len(p) >= 6 and len(p) % 2 == 0]
    xs, ys = ([v for p in points for v in p[start::2]] for start in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _drop_root_category(parts: dict[str, dict], doubts: Doubts) -> bool:
    """Leave out a category without objects that is the supercategory of all others."""
    used = {
        _hashable(entry.get("category_id"))
        for content in parts.values()
        for entry in entries_of(content, "annotations")
    }
    changed = False
    for split, content in parts.items():
        categories = entries_of(content, "categories")
        for root in categories:
            others = [entry for entry in categories if entry is not root]
            if (
                others
                and isinstance(root.get("name"), str)
                and root["name"]
                and _hashable(root.get("id")) not in used
                and all(entry.get("supercategory") == root["name"] for entry in others)
            ):
                content["categories"].remove(root)
                doubts.add(split, "root-category", shown(root["name"]))
                changed = True
                break
    return changed


def _find_files(
    dataset: Dataset, parts: dict[str, dict], links: bool
) -> dict[tuple[str, int], Path]:
    """(split, position in the list of images) -> the file, where its name is spelt otherwise."""
    files = {}
    below = ImageFolder(dataset.folder)
    splits = dict.fromkeys(dataset.splits)  # one and the same where they are yet to be divided
    for split in splits:
        for number, entry in enumerate(entries_of(parts.get(split.name, {}), "images")):
            name = entry.get("file_name")
            if not isinstance(name, str) or not name or "\0" in name:
                continue
            path = split.image_root / name
            leads_out = ".." in name.replace("\\", "/").split("/")
            is_there = holds(path.exists)
            if is_there and leads_out:
                continue  # which is reported
            if is_there and links and (target := linked_text(path)) is not None:
                files[split.name, number] = target
            elif is_there and not os.path.isabs(name):
                continue
            elif is_there and path.is_relative_to(dataset.folder):
                files[split.name, number] = path
            elif leads_out or not holds(path.is_symlink):  # a link to nothing is reported as such
                place = below.find(name, split.image_root, split.name if len(splits) > 1 else "")
                if place is not None:
                    files[split.name, number] = file = dataset.folder / place
                    if not is_as_named(file, name, split.image_root):
                        dataset.doubts.add(split.name, "name-found", shown(name))
    return files


def _convert(dataset: Dataset, parts: dict[str, dict], files: dict[tuple[str, int], Path]) -> None:
    """Make all file names relative to one folder."""
    roots = {split.image_root for split in dataset.splits}
    if any(not path.is_relative_to(root) for path in files.values() for root in roots):
        roots |= {dataset.folder, *(path.parent for path in files.values())}
    root = Path(os.path.commonpath(roots))
    for split in dataset.splits:
        for number, entry in enumerate(entries_of(parts.get(split.name, {}), "images")):
            name = entry.get("file_name")
            path = files.get((split.name, number))
            if path is None and isinstance(name, str) and name and not os.path.isabs(name):
                path = split.image_root / name
            if path is not None:
                entry["file_name"] = path_below(path, root)
    train, val = (replace(split, image_root=root) for split in dataset.splits)
    dataset.splits, dataset.is_converted = (train, val), True
