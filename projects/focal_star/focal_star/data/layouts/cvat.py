"""CVAT's own format ("CVAT for images 1.1"), converted to COCO's.

``annotations.xml`` lists images (name, width, height, perhaps a subset) with boxes and polygons, of
which the box counts, around a rotated one. Subsets named as splits are the splits; other data are
divided. FiftyOne names the file ``labels.xml``, and its images are in ``data/``. Masks, points
and polylines are problems, and so are the tracks of a video ("CVAT for video"), because they would
be left out. In "CVAT for images", the frames of a video are images whose names lack their suffix.
"""

import math
from pathlib import Path
from xml.etree import ElementTree

from focal_star.data.layouts.dataset import Dataset, converted
from focal_star.data.layouts.entries import Entries
from focal_star.data.layouts.file_names import ImageFolder, is_as_named
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.problems import Problem, holds
from focal_star.data.layouts.rotation import box_around
from focal_star.data.layouts.split import HELD_OUT_NAMES, SOURCE, TRAIN_NAMES, splits_by_name
from focal_star.data.layouts.xml_files import parse_xml
from focal_star.io.quoting import shown

FILES = ("annotations.xml", "labels.xml")
"""Names of the annotation file."""

CORNERS = ("xtl", "ytl", "xbr", "ybr")

IGNORED_TAGS = ("tag", "attribute")
"""Children of an image that are no objects."""


def is_cvat(folder: Path | str) -> bool:
    """Whether a folder is an export in CVAT's own format."""
    return _file_of(Path(folder)) is not None


def _file_of(folder: Path) -> str | None:
    return next((name for name in FILES if holds((folder / name).is_file)), None)


def convert(folder: Path | str) -> Dataset:
    """Read the annotation file; of images, only the names."""
    folder = Path(folder).resolve()
    file = _file_of(folder)
    assert file is not None, folder
    dataset = converted(folder, folder)
    dataset.contents = {"train": None, "val": None}
    try:
        root = _root(folder / file)
    except (OSError, ValueError) as error:
        text = f"{file}: {getattr(error, 'strerror', None) or error}"
        dataset.problems.append(Problem("both", "not-cvat", text))
        return dataset
    elements = root.findall("image")
    split_of = splits_by_name(element.get("subset", "") for element in elements)
    dataset.doubts.note_unused(split_of)
    images = _Images(file, dataset)
    for number, element in enumerate(elements):
        subset = element.get("subset", "")
        split = split_of.get(subset) if split_of else "train"
        if split is None:
            images.refuse("both", "not-cvat", f"image {number}: its subset "
                f"{shown(element.get('subset'))} is neither of "
                f"{', '.join(TRAIN_NAMES + HELD_OUT_NAMES)}")  # fmt: skip
        if split:
            images.add(number, element, split, subset)
    for element in root.findall("meta//labels/label/name"):  # also those without an object
        if name := (element.text or "").strip():
            images.entries.add_category(name, file)
    dataset.contents = images.entries.numbered()
    if not split_of:
        divide(dataset)
    return dataset


def _root(path: Path) -> ElementTree.Element:
    """The root of an annotation file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not one of CVAT for images.
    """
    root = parse_xml(path)
    if root.tag != "annotations":
        raise ValueError(f"its root must be <annotations>, and is <{root.tag[:100]}>")
    if root.find("track") is not None:
        raise ValueError(
            "it has the tracks of a video; export it as CVAT for images 1.1, or as COCO 1.0"
        )
    return root


class _Images:
    """The images of an annotation file, as they are converted.

    Attributes:
        entries: what they are converted to.
    """

    def __init__(self, file: str, dataset: Dataset):
        self.entries = Entries(file)
        self._file, self._dataset, self._folder = file, dataset, dataset.folder
        self._search = ImageFolder(self._folder)
        places = (self._folder / "images", self._folder / "data")
        self._image_root = next((place for place in places if holds(place.is_dir)), self._folder)

    def refuse(self, split: str, kind: str, text: str) -> None:
        self._dataset.problems.append(Problem(split, kind, f"{self._file}: {text}"))

    def add(self, number: int, element: ElementTree.Element, split: str, subset: str) -> None:
        """Add an image to a split, with its objects."""
        name = element.get("name", "")
        file_name = self._file_name(name, subset)
        if file_name is None:
            self.refuse(split, "missing-image", f"image {number}: {shown(name)} is not in the "
                "folder")  # fmt: skip
            return
        image = self._folder / file_name
        spellings = (image, image.with_suffix(""))
        if not any(is_as_named(path, name, self._image_root) for path in spellings):
            self._dataset.doubts.add(split, "name-found", shown(name))
        try:
            width, height = (_side(element.get(side, "")) for side in ("width", "height"))
        except ValueError as error:
            self.refuse(split, "not-cvat", f"image {number} ({shown(name)}): {error}")
            return
        place = f"{self._file}: image {number}"
        image_id = self.entries.add_image(
            split, {"file_name": file_name, "width": width, "height": height, SOURCE: place}
        )
        for child in element:
            if child.tag in IGNORED_TAGS:
                continue
            try:
                category, box = _object(child, (width, height))
            except ValueError as error:
                where = f"image {number} ({shown(name)}): <{child.tag[:100]}>"
                self.refuse(split, "not-cvat", f"{where}: {error}")
                continue
            self.entries.add_object(split, image_id, category, box, place)

    def _file_name(self, name: str, subset: str) -> str | None:
        """The path of an image below the folder; None where it is not there."""
        expected = self._folder / "images" / subset
        # CVAT names the frames of a video without the suffix that it gives their files.
        return self._search.find(name, expected) or self._search.find(f"{name}.png", expected)


def _side(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError(f"width and height must be whole numbers of px, got {shown(text)}")
    return int(text)


def _object(element: ElementTree.Element, size: tuple[int, int]) -> tuple[str, list[float]]:
    label = element.get("label", "").strip()
    if not label:
        raise ValueError("it has no label")
    if element.tag == "box":
        corners = [_number(element.get(corner, "")) for corner in CORNERS]
        corners = box_around(corners, _number(element.get("rotation", "0")), size)
    elif element.tag == "polygon":
        pairs = [pair.split(",") for pair in element.get("points", "").split(";")]
        if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
            raise ValueError("its points must be at least three pairs x,y between semicolons")
        xs, ys = ([_number(pair[axis]) for pair in pairs] for axis in (0, 1))
        corners = [min(xs), min(ys), max(xs), max(ys)]
    else:
        raise ValueError("only boxes and polygons are read; export the others as COCO 1.0")
    left, top, right, bottom = corners
    return label, [left, top, round(right - left, 4), round(bottom - top, 4)]


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"its corners must be finite numbers, got {shown(text)}")
    return value
