"""Reads the objects in Pascal VOC's annotation files, and computes their boxes."""

import math
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

from focal_star.data.layouts.dataset import Dataset
from focal_star.data.layouts.rotation import box_around
from focal_star.data.layouts.split import SOURCE
from focal_star.data.layouts.voc_places import FIFTYONE, PLACES
from focal_star.data.layouts.xml_files import text_of
from focal_star.io.quoting import shown

CORNERS = ("xmin", "ymin", "xmax", "ymax")

_FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1, "unspecified": 0}
"""Texts of ``<difficult>`` -> its value; labelImg and CVAT write words."""


def read_object(element: ElementTree.Element) -> dict[str, Any]:
    """COCO's entry of an object, whose ``bbox`` and ``area`` :func:`set_boxes` computes.

    Returns:
        ``bbox`` has the corners as the file has them; ``rotation`` is in degrees.

    Raises:
        ValueError: it is of another form; the message says what it must be.
    """
    name = text_of(element, "name")
    if not name:
        raise ValueError("it has no <name>")
    corners = _corners(element)
    given = text_of(element, "difficult") or "0"
    flag = _FLAGS.get(given.lower())
    if flag is None:
        raise ValueError(f"<difficult> of {shown(name)} must be 0 or 1, got {shown(given)}")
    return {
        "category": name,
        "bbox": corners,
        "area": math.nan,
        "iscrowd": flag,
        "rotation": _rotation(element),
    }


def _corners(element: ElementTree.Element) -> list[float]:
    texts = [text_of(element, f"bndbox/{corner}") for corner in CORNERS]
    try:
        values = [float(text or "") for text in texts]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise ValueError(f"<bndbox> must have {', '.join(CORNERS)}, got {shown(texts)}")
    if values[2] < values[0] or values[3] < values[1]:
        raise ValueError(f"xmax and ymax must not be below xmin and ymin, got {shown(texts)}")
    return values


def _rotation(element: ElementTree.Element) -> float:
    """The rotation of a box in degrees, which CVAT writes as an attribute of the object."""
    for attribute in element.findall("attributes/attribute"):
        if text_of(attribute, "name") == "rotation":
            with suppress(ValueError):
                degrees = float(text_of(attribute, "value") or "")
                return degrees if math.isfinite(degrees) else 0
    return 0


def set_boxes(dataset: Dataset, places: set[tuple[str, str]]) -> None:
    """Turn the corners and rotations of all objects into the boxes and areas of COCO's format.

    Args:
        dataset: its objects are as :func:`read_object` returns them.
        places: those of `PLACES` that its files are in.
    """
    first = _first_pixel(dataset, places)
    for split, content in dataset.contents.items():
        sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
        for annotation in content["annotations"]:
            left, top, right, bottom = annotation["bbox"]
            box = [left - first, top - first, right - left + first, bottom - top + first]
            if degrees := annotation.pop("rotation"):
                corners = [left - first, top - first, right, bottom]
                left, top, right, bottom = box_around(
                    corners, degrees, sizes[annotation["image_id"]]
                )
                box = [left, top, round(right - left, 4), round(bottom - top, 4)]
                dataset.doubts.add(split, "box-rotated", shown(annotation[SOURCE]))
            annotation["bbox"] = [
                int(value) if float(value).is_integer() else value for value in box
            ]
            annotation["area"] = box[2] * box[3]


def _first_pixel(dataset: Dataset, places: set[tuple[str, str]]) -> int:
    """The number that the first pixel has in the corners of boxes: VOC's 1, or 0."""
    objects = [
        annotation for content in dataset.contents.values() for annotation in content["annotations"]
    ]
    at_0 = next(
        (annotation for annotation in objects if any(0 <= v < 1 for v in annotation["bbox"][:2])),
        None,
    )
    rule, first = "the corners of the boxes are read as counting pixels from", 0
    if at_0 is not None:
        dataset.doubts.note("train", f"{rule} 0, because {shown(at_0[SOURCE])} has one below 1")
    elif FIFTYONE in places:
        dataset.doubts.note("train", f"{rule} 0, as FiftyOne writes them")
    else:
        first = 1
        if objects and places != {PLACES[0]}:
            dataset.doubts.note("train", f"{rule} 1, as in Pascal VOC; none is at 0")
    return first
