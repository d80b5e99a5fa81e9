"""LabelMe's format, converted to COCO's: one JSON file per image, beside it or in another folder.

* The image is the one of ``imagePath``, which may be relative to the JSON file, absolute on another
  machine, or have backslashes; where there is none, it is the one with the JSON file's name. An
  image that is only in ``imageData`` is a problem, and so are two JSON files of one image.
* Folders that are named as splits are the splits, of images or else of JSON files; other data are
  divided (:func:`focal_star.data.layouts.halving.divide`).
* Objects are rectangles, rotated rectangles, polygons, circles and masks, of which the upright box
  around them counts; that of a circle or a rotated rectangle ends at the edge of the image, beyond
  which LabelMe lets them extend. The corners of a mask are its first and last pixel, so that its
  width is the difference of x plus 1. ``shape_type`` may be missing, which means a polygon.
* Shapes of one label and one ``group_id`` are one object.
* Points, lines and line strips are problems, because they would be left out. Shapes with the label
  ``__ignore__`` are left out, as by LabelMe's own converters, with a warning.
* A size that is null or missing is the image's, after it is turned by its EXIF orientation, as
  LabelMe turns it.
* An image without a JSON file has no objects, if it is in a folder with annotated images; a line
  counts the others. JSON files without ``shapes`` are no annotation files.
"""

import math
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from focal_star.data.layouts.coco_values import are_finite
from focal_star.data.layouts.dataset import Dataset, converted
from focal_star.data.layouts.entries import Entries
from focal_star.data.layouts.file_names import (
    MAX_FILES,
    ImageFolder,
    files_below,
    images_below,
    is_as_named,
)
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.json_files import read_json
from focal_star.data.layouts.problems import Problem, holds
from focal_star.data.layouts.split import SOURCE
from focal_star.io.image_files import PhotographError, upright_size
from focal_star.io.quoting import shown

MAX_OPENED = 500
"""JSON files of a folder that are opened to see whether it is LabelMe's."""

END_BYTES = 2**16
"""Bytes at the start and at the end of a file that say whether it is LabelMe's; between them, there
can be an image."""

IGNORED = "__ignore__"
"""The label of shapes that LabelMe's own converters leave out."""

NUM_POINTS = {
    "rectangle": (2, 4), "oriented_rectangle": (4,), "rotation": (4,), "circle": (2,), "mask": (2,),
}  # fmt: skip
"""``shape_type`` -> the valid numbers of points; a polygon has 3 or more. X-AnyLabeling writes
rectangles with four points, and ``rotation`` for LabelMe's ``oriented_rectangle``."""

_SHAPES = re.compile(rb'"shapes"\s*:\s*\[|"(shape_type|points)"\s*:')
_IMAGE = re.compile(rb'"image(Path|Data|Height|Width)"\s*:')


def is_labelme(folder: Path | str, deep: bool = True) -> bool:
    """Whether there are JSON files of LabelMe below a folder, or directly in it."""
    folder = Path(folder)
    return any(_has_keys(folder / path) for path in islice(_json_below(folder, deep), MAX_OPENED))


def _json_below(folder: Path, deep: bool = True) -> Iterator[str]:
    paths = islice(files_below(folder, deep), MAX_FILES)
    return (path for path in paths if path.lower().endswith(".json"))


def _has_keys(path: Path) -> bool:
    """Whether a file seems to be LabelMe's, by the keys at its start and at its end."""
    if not holds(path.is_file):
        return False
    try:
        with path.open("rb") as file:
            ends = file.read(END_BYTES)
            file.seek(max(os.fstat(file.fileno()).st_size - END_BYTES, len(ends)))
            ends += file.read(END_BYTES)
    except OSError:
        return False
    return _SHAPES.search(ends) is not None and _IMAGE.search(ends) is not None


def convert(folder: Path | str) -> Dataset:
    """Read the JSON files; of images, only the names, and the sizes that no file gives."""
    folder = Path(folder).resolve()
    dataset = converted(folder, folder)
    files = _Files(dataset)
    for place in _json_below(folder):
        files.read(place)
    files.add_others()
    dataset.contents = files.entries.numbered()
    divide(dataset, by_source=True)
    return dataset


class _LabelMeError(ValueError):
    """A value that is not LabelMe's; the message says what it must be."""


class _Files:
    """The JSON files of a folder, as they are converted.

    Attributes:
        entries: what they are converted to; all of it is in the training split.
    """

    def __init__(self, dataset: Dataset):
        self.entries = Entries()
        self._dataset, self._folder = dataset, dataset.folder
        self._search = ImageFolder(self._folder)
        self._images = dict.fromkeys(images_below(self._folder))
        self._by_stem: dict[str, list[str]] = {}
        for path in self._images:
            self._by_stem.setdefault(_stem(path), []).append(path)
        self._place_of: dict[str, str] = {}  # image -> its JSON file
        self._unrelated: list[str] = []

    def _refuse(self, kind: str, text: str) -> None:
        self._dataset.problems.append(Problem("train", kind, text))

    def read(self, place: str) -> None:
        """Add the image of a JSON file, with its objects.

        Args:
            place: the path of the file below the data set's folder.
        """
        path, problems = self._folder / place, list[Problem]()
        content = None
        if self._of_stem(place) or _has_keys(path):
            content, _ = read_json(path, "train", problems, allow_mark=True)
        faults = [problem for problem in problems if problem.kind != "not-coco"]
        for fault in faults:
            self._refuse(fault.kind, f"{place}{fault.message.removeprefix(path.name)}")
        if content is None or "shapes" not in content:
            self._unrelated += [] if faults else [place]
            return
        image = self._image_of(place, content)
        if image is None:
            return
        if self._place_of.setdefault(image, place) != place:
            text = f"{place}: {self._place_of[image]} already annotates the image {shown(image)}"
            self._refuse("duplicate-file-name", text)
            return
        try:
            size = _size(content, self._folder / image)
        except _LabelMeError as error:
            self._refuse("not-labelme", f"{place}: {error}")
            return
        except PhotographError as error:
            self._refuse("broken-image", f"{place}: {shown(image)}: {error}")
            return
        image_id = self.entries.add_image(
            "train", {"file_name": image, "width": size[0], "height": size[1], SOURCE: place}
        )
        for number, label, corners in self._objects(place, content["shapes"], size):
            left, top, right, bottom = corners
            box = [_plain(value) for value in (left, top, right - left, bottom - top)]
            self.entries.add_object("train", image_id, label, box, f"{place}: shapes[{number}]")

    def _image_of(self, place: str, content: dict[str, Any]) -> str | None:
        """The image of a JSON file, below the folder; None with a problem where there is none."""
        parent, name = self._folder / os.path.dirname(place), content.get("imagePath")
        if isinstance(name, str) and name:
            path = name.replace("\\", "/")
            exact = os.path.relpath(os.path.normpath(parent / path), self._folder)
            if exact in self._images:
                return exact
            if found := self._search.find(name, parent):
                if not is_as_named(self._folder / found, path, self._folder):
                    self._dataset.doubts.add("train", "name-found", shown(name))
                return found
        if found := self._of_stem(place):
            self._dataset.doubts.add("train", "image-of-stem", shown(place))
            return found
        text = f"{place}: its imagePath {shown(name)} is not in the folder"
        if content.get("imageData"):
            text += (
                "; its imageData has the image, which is not read: save it beside the file, as "
                f"{_stem(place, fold=False)}.png"
            )
        self._refuse("missing-image", text)
        return None

    def _of_stem(self, place: str) -> str | None:
        """The image with the name of a JSON file; None where there is not exactly one."""
        paths = self._by_stem.get(_stem(place), [])
        if beside := [p for p in paths if os.path.dirname(p) == os.path.dirname(place)]:
            return beside[0] if len(beside) == 1 else None
        parent = self._folder / os.path.dirname(place)
        found = {self._search.find(os.path.basename(path), parent) for path in paths} - {None}
        return found.pop() if len(found) == 1 else None

    def _objects(
        self, place: str, shapes: Any, size: tuple[int, int]
    ) -> list[tuple[int, str, list[float]]]:
        """The number of the first shape, the label, and left, top, right and bottom of the box (px)
        of each object; shapes that are none become problems."""
        if not isinstance(shapes, list):
            self._refuse("not-labelme", f"{place}: shapes must be a list, got {shown(shapes)}")
            return []
        objects: dict[Any, tuple[int, str, list[float]]] = {}
        for number, shape in enumerate(shapes):
            try:
                label, group, corners = _shape(shape, size)
            except _LabelMeError as error:
                self._refuse("not-labelme", f"{place}: shapes[{number}]: {error}")
                continue
            if label == IGNORED:
                self._dataset.doubts.add("train", "shape-ignored", f"{place}: shapes[{number}]")
                continue
            key = number if group is None else (label, group)
            first, _, others = objects.get(key, (number, label, corners))
            objects[key] = first, label, [
                pick(pair)
                for pick, pair in zip(
                    (min, min, max, max), zip(corners, others, strict=True), strict=True
                )
            ]  # fmt: skip
        return list(objects.values())

    def add_others(self) -> None:
        """Add the images without a JSON file in the folders of the others; count what is unused."""
        folders, unused = {os.path.dirname(image) for image in self._place_of}, list[str]()
        for image in self._images:
            if image in self._place_of:
                continue
            if os.path.dirname(image) not in folders:
                unused.append(image)
                continue
            try:
                size = upright_size(self._folder / image)
            except PhotographError as error:
                self._refuse("broken-image", f"{image}: {error}")
                continue
            self._dataset.doubts.add("train", "no-annotation-file", shown(image))
            self.entries.add_image(
                "train", {"file_name": image, "width": size[0], "height": size[1], SOURCE: image}
            )
        doubts = self._dataset.doubts
        doubts.note_left_out("image", "in folders without an annotated image", unused)
        doubts.note_left_out("JSON file", "without shapes", self._unrelated)


def _stem(path: str, fold: bool = True) -> str:
    stem = os.path.splitext(os.path.basename(path))[0]
    return stem.casefold() if fold else stem


def _size(content: dict[str, Any], image: Path) -> tuple[int, int]:
    """(width, height) in px from the file; where it does not give both, from the image.

    Raises:
        _LabelMeError: a value is no whole number.
        PhotographError: the image is needed and cannot be read.
    """
    given: list[Any] = [content.get("imageWidth"), content.get("imageHeight")]
    if None in given:
        size = upright_size(image)
        given = [size[n] if value is None else value for n, value in enumerate(given)]
    if not (are_finite(given) and all(value == int(value) for value in given)):
        text = "imageWidth and imageHeight must be whole numbers of px"
        raise _LabelMeError(f"{text}, got {shown(given)}")
    return int(given[0]), int(given[1])


def _shape(shape: Any, size: tuple[int, int]) -> tuple[str, str | None, list[float]]:
    """The label and group of a shape, and left, top, right and bottom of the box around it, px.

    Args:
        shape: an entry of ``shapes``.
        size: (width, height) of the image, px.

    Raises:
        _LabelMeError: it has no box.
    """
    if not isinstance(shape, dict):
        raise _LabelMeError(f"it must be an object, got {shown(shape)}")
    label, kind, points = shape.get("label"), shape.get("shape_type"), shape.get("points")
    if not isinstance(label, str) or not label.strip():
        raise _LabelMeError(f"label must be a text that is not empty, got {shown(label)}")
    kind = "polygon" if kind is None else kind
    if kind != "polygon" and (not isinstance(kind, str) or kind not in NUM_POINTS):
        known = ", ".join(["polygon", *NUM_POINTS])
        raise _LabelMeError(
            f"its shape_type {shown(kind)} is not read, only {known}; delete it, or draw a box"
        )
    if not isinstance(points, list) or not all(are_finite(p) and len(p) == 2 for p in points):
        raise _LabelMeError(f"points must be pairs [x, y] of finite numbers, got {shown(points)}")
    numbers = NUM_POINTS.get(kind, ())
    if len(points) < 3 if kind == "polygon" else len(points) not in numbers:
        valid = " or ".join(map(str, numbers)) or "3 or more"
        raise _LabelMeError(f"a {kind} must have {valid} points, got {len(points)}")
    xs, ys = ([float(point[axis]) for point in points] for axis in (0, 1))
    corners = [min(xs), min(ys), max(xs), max(ys)]
    if kind == "circle":
        radius = math.hypot(xs[1] - xs[0], ys[1] - ys[0])
        corners = [xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius]
    elif kind == "mask":
        corners = [*corners[:2], corners[2] + 1, corners[3] + 1]
    if kind in ("circle", "oriented_rectangle", "rotation"):
        corners = [min(max(v, 0), side) for v, side in zip(corners, (*size, *size), strict=True)]
    group = shape.get("group_id")
    return label.strip(), None if group is None else repr(group), corners


def _plain(value: float) -> int | float:
    """A coordinate rounded to 0.0001 px; an integer where it is one."""
    value = round(float(value), 4)
    return int(value) if value.is_integer() else value
