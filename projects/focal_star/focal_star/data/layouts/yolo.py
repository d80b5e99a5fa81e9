"""YOLO's layouts, converted to COCO's format.

:mod:`focal_star.data.layouts.yolo_files` finds the classes and images. An image's label file has
its name with ``.txt``, in ``labels/`` in place of the last ``images/`` of its path, or of any other
folder of it, or beside it; upper and lower case and the form of letters make no difference.
Each line of it is an object: its class number from 0 on, and in fractions of the image's width and
height either its box (centre x and y, width, height), or a polygon of 3 or more points, of which
the box counts. With ``kpt_shape`` in the YAML file, keypoints follow the box and are not read;
without it, polygons that could be such keypoints raise a doubt. An image without a label file, or
with an empty one, has no objects.

Category ids are the class numbers. Without a validation split, ``test`` takes its place, or the
training images are divided. They are divided as well if both splits are the same images, as in the
examples of Ultralytics.
"""

import math
import os
from itertools import chain
from pathlib import Path
from typing import Any

from focal_star.data.layouts.dataset import Dataset, converted
from focal_star.data.layouts.file_names import Names, is_image_name, path_below
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.problems import Problem, holds
from focal_star.data.layouts.split import SOURCE
from focal_star.data.layouts.yolo_files import (
    YoloError,
    YoloFolder,
    content_near,
    description_of,
    read_folder,
    usual_description_of,
)
from focal_star.io.image_files import READ_FORMATS, PhotographError, upright_size
from focal_star.io.quoting import shown

MAX_FRACTION = 2.0
"""Numbers beyond it are no fractions of an image that a box reaches a little out of."""

ROUNDING = 1e-3
"""Rounding in a file moves a point by at most this fraction of the image."""

MIN_POLYGONS, MIN_SHARE = 10, 0.95
"""If a split has at least so many polygons, all of the same length, and this share of them could be
a box and its keypoints, there is a warning."""

MAX_LINES = 100_000
MAX_BYTES = 2**26
"""Limits of a label file."""


def is_yolo(folder: Path | str) -> bool:
    """Whether a folder has one of YOLO's layouts."""
    return usual_description_of(Path(folder)) is not None


def is_like_yolo(folder: Path | str) -> bool:
    """Whether a folder has files of YOLO's as tools write them."""
    return description_of(Path(folder)) is not None


def convert(folder: Path | str) -> Dataset:
    """Read the labels of a folder; of images, only their sizes."""
    folder = Path(folder).resolve()
    dataset = converted(folder, folder)
    description = description_of(folder)
    assert description is not None, folder
    try:
        described = read_folder(folder, description)
    except YoloError as error:
        dataset.problems.append(Problem("both", "not-yolo", str(error)))
        dataset.contents = {split.name: None for split in dataset.splits}
        return dataset
    for split, missing in described.missing.items():
        for name in missing:
            text = f"{described.description}: {split}: there is no {shown(name)} in the folder"
            kind = "missing-image" if described.images.get(split) else "missing-file"
            near = described.elsewhere
            if kind == "missing-file" and not near and isinstance(name, str):
                near = f"; {content_near(folder, name)}"
            dataset.problems.append(Problem(split, kind, f"{text}{near}"))
    for split in dict.fromkeys(("train", *described.images)):
        if not described.images.get(split) and not described.missing.get(split):
            text = f"{described.description}: {split} is missing, which names the images"
            if split in described.images:
                text = f"{described.description}: {split}: there is no image there; {READ_FORMATS}"
            dataset.problems.append(Problem(split, "no-images", text))
    if described.used:
        text = f"these are the images of {described.used} in {described.description}"
        dataset.doubts.note("val", text)
    if described.others:
        text = (
            f"{described.description} describes the data; not used: {', '.join(described.others)}"
        )
        dataset.doubts.note("train", text)
    for split, names in described.moved.items():
        for name in names:
            dataset.doubts.add(split, "name-found", name)
    if described.is_undivided:
        text = f"{described.description} names the same images for train and val"
        dataset.doubts.note("val", text)
    files = _LabelFiles(described, dataset.folder)
    for split in ("train", "val"):
        dataset.contents[split] = _content(described, split, dataset, files)
    files.add_unused(dataset)
    if "val" not in described.images:
        divide(dataset)
    return dataset


def _content(
    described: YoloFolder, split: str, dataset: Dataset, files: "_LabelFiles"
) -> dict[str, Any]:
    images: list[dict] = []
    annotations: list[dict] = []
    polygons: list[tuple[str, int, bool]] = []
    for path in described.images.get(split, ()):
        name = path_below(path, dataset.folder)
        try:
            width, height = upright_size(path)
        except PhotographError as error:
            text = f"{shown(name)} cannot be decoded: {error}"
            dataset.problems.append(Problem(split, "broken-image", text))
            continue
        image = {"id": len(images) + 1, "file_name": name, "width": width, "height": height}
        images.append(image)
        labels = files.of(path, split)
        if labels is None:
            dataset.doubts.add(split, "no-annotation-file", shown(name))
            continue
        place = path_below(labels, dataset.folder)
        owner = files.owner(labels, path)
        if owner != path and owner.parent != path.parent:
            text = f"{place}: it would be the label file of {shown(name)} and of "
            text += f"{shown(path_below(owner, dataset.folder))}; put labels/ into each split"
            dataset.problems.append(Problem(split, "not-yolo", text))
            continue
        image[SOURCE] = place
        for number, label in read_labels(labels, place, described, split, dataset.problems):
            if label["numbers"] > 4:
                line = shown(f"{place}: line {number}")
                polygons.append((line, label["numbers"], label["like_keypoints"]))
            left, top, right, bottom = label["corners"]
            box = [left * width, top * height, (right - left) * width, (bottom - top) * height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": label["class"],
                    "bbox": [round(value, 4) for value in box],
                    "iscrowd": 0,
                    SOURCE: f"{place}: line {number}",
                }
            )
    _doubt_keypoints(dataset, split, polygons)
    if images and not any(SOURCE in image for image in images):
        first = described.images[split][0]
        expected = path_below(Path(*_places(first, dataset.folder)[0]), dataset.folder)
        text = (
            f"{split}: no image has a label file; that of "
            f"{shown(path_below(first, dataset.folder))} would be {shown(expected)}"
        )
        dataset.problems.append(Problem(split, "missing-file", text))
    categories = [
        {"id": number, "name": name, SOURCE: described.description}
        for number, name in sorted(described.names.items())
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def _doubt_keypoints(dataset: Dataset, split: str, polygons: list[tuple[str, int, bool]]) -> None:
    """Warn if the polygons of a split could be keypoints.

    Args:
        polygons: for each one its line, how many numbers it has, and whether it could be keypoints.
    """
    alike = [line for line, _, is_like in polygons if is_like]
    of_one_length = len({numbers for _, numbers, _ in polygons}) == 1
    if of_one_length and len(polygons) >= MIN_POLYGONS and len(alike) >= MIN_SHARE * len(polygons):
        for line in alike:
            dataset.doubts.add(split, "like-keypoints", line)


class _LabelFiles:
    """Finds the label files of images, and those without an image."""

    def __init__(self, described: YoloFolder, root: Path):
        self._described, self._root, self._names = described, root, Names()
        self._folders: dict[Path, tuple[str, set[Path]]] = {}
        self._owners: dict[Path, Path] = {}

    def owner(self, labels: Path, image: Path) -> Path:
        """The first image that a label file belongs to, which is this one if it is the first."""
        return self._owners.setdefault(labels, image)

    def of(self, image: Path, split: str) -> Path | None:
        """The label file of an image; None where there is none."""
        for folder, *parts in _places(image, self._root):
            path = self._names.find(Path(folder), *parts)
            if path is not None and holds(path.is_file):
                self._folders.setdefault(path.parent, (split, set()))[1].add(image.parent)
                return path
        return None

    def add_unused(self, dataset: Dataset) -> None:
        """Count the label files that have objects, and no image of their name, or only images that
        are in no split; in the folders that have label files of the splits."""
        listed = {*self._described.unused, *chain(*self._described.images.values())}
        for folder, (split, image_folders) in self._folders.items():
            images: dict[str, list[Path]] = {}
            for image_folder in image_folders:
                for key, names in self._names.by_key(image_folder).items():
                    paths = [image_folder / name for name in names if is_image_name(name)]
                    images.setdefault(os.path.splitext(key)[0], []).extend(paths)
            for key, names in self._names.by_key(folder).items():
                stem, suffix = os.path.splitext(key)
                of_stem = images.get(stem, [])
                if suffix != ".txt" or key.startswith(".") or not listed.isdisjoint(of_stem):
                    continue
                for path in (folder / name for name in names):
                    place = path_below(path, dataset.folder)
                    if read_labels(path, place, self._described, split, []):
                        kind = "not-listed" if of_stem else "no-image"
                        dataset.doubts.add(split, kind, shown(place))


def _places(image: Path, root: Path) -> list[tuple[str, ...]]:
    """Where the label file of an image may be: a folder, and the parts of a path in it.

    Args:
        image: the image's file.
        root: the folder of the data set; only folders in it are replaced.
    """
    name = f"{image.stem}.txt"
    *folders, _ = image.parts
    positions = reversed(range(len(root.parts), len(folders)))
    places = {
        position: (str(Path(*folders[:position])), "labels", *folders[position + 1 :], name)
        for position in positions
    }
    images = next((place for place in places if folders[place].lower() == "images"), None)
    usual = [] if images is None else [places.pop(images)]
    return [*usual, (str(image.parent), name), *places.values()]


def read_labels(
    path: Path, place: str, described: YoloFolder, split: str, problems: list[Problem]
) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a label file: (number of the line, what ``parse_line`` returns).

    Lines that are of another form are problems, and left out.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
        if len(lines) > MAX_LINES:
            raise ValueError(f"it has more than {MAX_LINES} lines")
    except UnicodeDecodeError as error:
        text = f"{place}: it is not UTF-8 text (byte {error.start})"
        problems.append(Problem(split, "not-yolo", text))
        return []
    except (OSError, ValueError) as error:
        problems.append(Problem(split, "not-yolo", f"{place}: it cannot be read: {error}"))
        return []
    labels = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            labels.append((number, parse_line(line, described)))
        except ValueError as error:
            problems.append(Problem(split, "not-yolo", f"{place}: line {number}: {error}"))
    return labels


def parse_line(line: str, described: YoloFolder) -> dict[str, Any]:
    """The object on a line of a label file.

    Returns:
        ``class``; ``corners``: left, top, right and bottom in fractions; ``numbers``: how many
        numbers after the class are read, more than 4 of which are a polygon; and
        ``like_keypoints``: whether this polygon could be a box and its keypoints.

    Raises:
        ValueError: it is of another form; the message says what it must be.
    """
    words = line.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(
            "it must be finite numbers with a decimal point and blanks between them, got "
            f"{shown(line.strip())}"
        )
    first = numbers[0]
    if not (first.is_integer() and int(first) in described.names):
        known = sorted(described.names)
        valid = f"{known[0]} to {known[-1]}" if known else "none"
        raise ValueError(
            f"it must begin with the number of a class of {described.description} ({valid}), got "
            f"{shown(words[0])}"
        )
    values = numbers[1:5] if described.keypoints else numbers[1:]
    is_polygon = len(values) >= 6 and len(values) % 2 == 0
    if len(values) != 4 and not is_polygon:
        hint = ""
        if len(values) == 5:
            hint = "; a sixth one, as of a detection's score, is not read"
        elif len(values) > 5 and not described.keypoints:
            hint = "; if these are keypoints after a box, add kpt_shape to the YAML file"
        raise ValueError(
            "after the class it must have four numbers (centre x, centre y, width, height) or a "
            f"polygon of at least three points, got {len(values)} numbers{hint}"
        )
    if max(map(abs, values)) > MAX_FRACTION:
        raise ValueError(
            f"its numbers must be fractions of the image's width and height, got "
            f"{shown(line.strip())}: these look like pixels"
        )
    if is_polygon:
        xs, ys = values[::2], values[1::2]
        corners = [min(xs), min(ys), max(xs), max(ys)]
    else:
        x, y, width, height = values
        corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return {
        "class": int(first),
        "corners": corners,
        "numbers": len(values),
        "like_keypoints": is_polygon and _like_keypoints(values),
    }


def _like_keypoints(values: list[float]) -> bool:
    """Whether numbers could be a box in the image, and points in it with or without a visibility.

    A point that is not visible may be at (0, 0).
    """
    x, y, width, height, *rest = values
    left, right = x - width / 2 - ROUNDING, x + width / 2 + ROUNDING
    top, bottom = y - height / 2 - ROUNDING, y + height / 2 + ROUNDING
    if min(left, top) < -2 * ROUNDING or max(right, bottom) > 1 + 2 * ROUNDING:
        return False

    def in_box(points: list[list[float]]) -> bool:
        return all(
            (left <= point[0] <= right and top <= point[1] <= bottom) or point[:2] == [0, 0]
            for point in points
        )

    pairs = [rest[start : start + 2] for start in range(0, len(rest), 2)]
    triples = [rest[start : start + 3] for start in range(0, len(rest), 3)]
    have_visibility = len(rest) % 3 == 0 and all(point[2] in (0, 1, 2) for point in triples)
    return in_box(pairs) or (have_visibility and in_box(triples))
