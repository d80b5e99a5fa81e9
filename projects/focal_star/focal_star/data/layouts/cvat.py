"""CVAT's own format ("CVAT for images 1.1"), converted to COCO's.

``annotations.xml`` lists images (name, width, height, perhaps a subset) with boxes and polygons, of
which the box counts. Subsets named as splits are the splits; other data are divided. Masks, points
and polylines are problems, and so are the tracks of a video ("CVAT for video"), because they would
be left out.
"""

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from focal_star.data.layouts.coco import TRAIN_NAMES, VAL_NAMES
from focal_star.data.layouts.dataset import Dataset, converted
from focal_star.data.layouts.file_names import ImageFolder
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.problems import Problem, holds
from focal_star.data.layouts.split import SOURCE
from focal_star.data.layouts.xml_files import parse_xml
from focal_star.io.quoting import shown

FILE = "annotations.xml"

CORNERS = ("xtl", "ytl", "xbr", "ybr")

IGNORED_TAGS = ("tag", "attribute")
"""Children of an image that are no objects."""


def is_cvat(folder: Path | str) -> bool:
    """Whether a folder is an export in CVAT's own format."""
    return holds((Path(folder) / FILE).is_file)


def convert(folder: Path | str) -> Dataset:
    """Read ``annotations.xml``; of images, only the names."""
    folder = Path(folder).resolve()
    dataset = converted(folder, folder)
    dataset.contents = {"train": None, "val": None}

    def add(split: str, kind: str, text: str) -> None:
        dataset.problems.append(Problem(split, kind, f"{FILE}: {text}"))

    try:
        root = parse_xml(folder / FILE)
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
    splits = [_split_of(element.get("subset", "")) for element in elements]
    has_splits = "val" in splits
    search = ImageFolder(folder)
    contents: dict[str, dict[str, Any]] = {
        split: {"images": [], "annotations": []} for split in dataset.contents
    }
    names: dict[str, None] = {}
    for number, element in enumerate(elements):
        split = splits[number] if has_splits else "train"
        if not split:
            add("both", "not-cvat", f"image {number}: its subset {shown(element.get('subset'))} is "
                f"neither of {', '.join(TRAIN_NAMES + VAL_NAMES)}")  # fmt: skip
            continue
        content, place = contents[split], f"{FILE}: image {number}"
        name = element.get("name", "")
        found = search.find(name, folder / "images")
        if found is None:
            add(split, "missing-image", f"image {number}: {shown(name)} is not in the folder")
            continue
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
                label, box = _object(child)
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
        names.setdefault((element.text or "").strip())
    ids = {name: number for number, name in enumerate(sorted(names), start=1) if name}
    for content in contents.values():
        content["categories"] = [{"id": i, "name": n, SOURCE: FILE} for n, i in ids.items()]
        for annotation in content["annotations"]:
            annotation["category_id"] = ids[annotation.pop("category")]
    dataset.contents = dict(contents)
    if not has_splits:
        divide(dataset)
    return dataset


def _split_of(subset: str) -> str:
    return (
        "val" if subset.lower() in VAL_NAMES else "train" if subset.lower() in TRAIN_NAMES else ""
    )


def _side(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError(f"width and height must be whole numbers of px, got {shown(text)}")
    return int(text)


def _object(element: ElementTree.Element) -> tuple[str, list[float]]:
    label = element.get("label", "").strip()
    if not label:
        raise ValueError("it has no label")
    if element.tag == "box":
        corners = [_number(element.get(corner, "")) for corner in CORNERS]
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
