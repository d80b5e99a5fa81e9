"""CVAT's own format ("CVAT for images 1.1"), converted to COCO's.

``annotations.xml`` lists images (name, width, height, perhaps a subset) with boxes and polygons, of
which the box counts, around a rotated one. Subsets named as splits are the splits; other data are
divided. FiftyOne names the file ``labels.xml``, and its images are in ``data/``. Masks, points
and polylines are problems, and so are the tracks of a video ("CVAT for video"), because they would
be left out. In "CVAT for images", the frames of a video are images whose names lack their suffix.
"""

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from focal_star.data.layouts.dataset import Dataset, converted, number_categories
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

    def add(split: str, kind: str, text: str) -> None:
        dataset.problems.append(Problem(split, kind, f"{file}: {text}"))

    try:
        root = parse_xml(folder / file)
        if root.tag != "annotations":
            raise ValueError(f"its root must be <annotations>, and is <{root.tag[:100]}>")
        if root.find("track") is not None:
            raise ValueError(
                "it has the tracks of a video; export it as CVAT for images 1.1, or as COCO 1.0"
            )
    except (OSError, ValueError) as error:
        add("both", "not-cvat", getattr(error, "strerror", None) or str(error))
        return dataset
    elements = root.findall("image")
    subsets = [element.get("subset", "") for element in elements]
    split_of = splits_by_name(subsets)
    dataset.doubts.note_unused(split_of)
    search = ImageFolder(folder)
    places = (folder / "images", folder / "data")
    image_root = next((place for place in places if holds(place.is_dir)), folder)
    contents: dict[str, dict[str, Any]] = {
        split: {"images": [], "annotations": []} for split in dataset.contents
    }
    names: dict[str, None] = {}
    for number, element in enumerate(elements):
        split = split_of.get(subsets[number]) if split_of else "train"
        if split is None:
            add("both", "not-cvat", f"image {number}: its subset {shown(element.get('subset'))} is "
                f"neither of {', '.join(TRAIN_NAMES + HELD_OUT_NAMES)}")  # fmt: skip
        if not split:
            continue
        content, place = contents[split], f"{file}: image {number}"
        name = element.get("name", "")
        expected = folder / "images" / subsets[number]
        # CVAT names the frames of a video without the suffix that it gives their files.
        found = search.find(name, expected) or search.find(f"{name}.png", expected)
        if found is None:
            add(split, "missing-image", f"image {number}: {shown(name)} is not in the folder")
            continue
        image = folder / found
        if not any(is_as_named(path, name, image_root) for path in (image, image.with_suffix(""))):
            dataset.doubts.add(split, "name-found", shown(name))
        try:
            width, height = (_side(element.get(side, "")) for side in ("width", "height"))
        except ValueError as error:
            add(split, "not-cvat", f"image {number} ({shown(name)}): {error}")
            continue
        image_id = len(content["images"]) + 1
        content["images"].append(
            {"id": image_id, "file_name": found, "width": width, "height": height, SOURCE: place}
        )
        for child in element:
            if child.tag in IGNORED_TAGS:
                continue
            where = f"image {number} ({shown(name)}): <{child.tag[:100]}>"
            try:
                label, box = _object(child, (width, height))
            except ValueError as error:
                add(split, "not-cvat", f"{where}: {error}")
                continue
            names.setdefault(label)
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category": label,
                    "bbox": box,
                    "iscrowd": 0,
                    SOURCE: place,
                }
            )
    for element in root.findall("meta//labels/label/name"):  # also those without an object
        if name := (element.text or "").strip():
            names.setdefault(name)
    number_categories(contents, dict.fromkeys(names, file))
    dataset.contents = dict(contents)
    if not split_of:
        divide(dataset)
    return dataset


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
