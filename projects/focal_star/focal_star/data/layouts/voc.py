"""Pascal VOC's folders, converted to COCO's format.

A folder with ``Annotations/``, ``ImageSets/Main/`` and ``JPEGImages/`` (``VOC2007``), or one that
holds such folders (``VOCdevkit``), which then count as one data set. Nothing is written into it.

* Splits: where most images of a ``test`` list have annotations, as in VOC 2007, it is
  the test split, and all ``trainval`` lists form the training split. Otherwise ``train`` and
  ``val`` are the splits. So ``VOCdevkit`` with 2007 and 2012 is the usual "07+12".
* Boxes: VOC counts pixels from 1 and includes the last, so that x is ``xmin - 1`` and the width
  ``xmax - xmin + 1``; Detectron2's evaluation of VOC does the same.
* Objects marked ``difficult`` become crowds (``iscrowd`` 1): not trained on, and a detection of one
  counts neither for nor against, as in VOC. Differences: Detectron2's own loader of VOC trains on
  them; and a crowd may be matched by any number of detections that lie mostly within it.
* The metric is COCO's, not VOC's AP at an IoU of 0.5 (though ``AP50`` is close to it).
* Categories are the names that occur in the two splits, in the order of the alphabet (VOC's own
  order), with ids from 1.

A file is XML without a document type: entities are not expanded.
"""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from focal_star.data.layouts.problems import Problem, holds
from focal_star.data.layouts.split import SOURCE, Split
from focal_star.io.image_files import PhotographError, read_photograph
from focal_star.io.quoting import shown
from focal_star.io.writing import write_whole

PARTS = ("Annotations", "ImageSets/Main", "JPEGImages")
"""The parts that identify a VOC folder."""

SPLITS = ("train", "val")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class Converted:
    """A VOC data set in COCO's format.

    Attributes:
        folder: the VOC folder.
        image_root: the folder that every ``file_name`` is relative to.
        contents: split -> content of its annotation file; each entry names its source.
        problems: the entries that could not be converted and are left out of the contents.
    """

    folder: Path
    image_root: Path
    contents: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def write(self, into: Path) -> None:
        """Write a folder in COCO's format, whose ``images`` is a link to VOC's own.

        Existing files are replaced one at a time if they differ.
        """
        into.mkdir(parents=True, exist_ok=True)
        link = into / "images"
        if not link.is_symlink() or link.readlink() != self.image_root:
            new = into / f".images.{os.getpid()}"
            new.unlink(missing_ok=True)
            new.symlink_to(self.image_root, target_is_directory=True)
            new.replace(link)
        for split in self.splits(into):
            content = json.dumps(self.contents[split.name]).encode()
            if not (
                split.annotation_file.exists() and split.annotation_file.read_bytes() == content
            ):
                write_whole(split.annotation_file, content)

    def splits(self, into: Path) -> tuple[Split, Split]:
        """The splits as they are, or will be, in the folder that :meth:`write` is given."""
        train, val = (
            Split(name, into / f"instances_{name}.json", self.image_root) for name in SPLITS
        )
        return train, val


def is_voc(folder: Path | str) -> bool:
    """Whether a folder is one of VOC, or holds such folders."""
    return bool(_years(Path(folder)))


def convert(folder: Path | str) -> Converted:
    """Read the annotations of a VOC folder; of images, only the names.

    An image without a size in its annotation file is read for it.
    """
    folder = Path(folder).resolve()
    years = [_Year(path, path == folder) for path in _years(folder)]
    image_root = folder / "JPEGImages" if years[0].is_single else folder
    converted = Converted(folder, image_root)
    for split, lists in _lists(years).items():
        images: list[dict] = []
        annotations: list[dict] = []
        for year, list_name in lists:
            for name in year.names(list_name, split, converted.problems):
                read = year.read(name, split, converted.problems)
                if read is None:
                    continue
                image, objects = read
                image["id"] = len(images) + 1
                images.append(image)
                for one in objects:
                    annotations.append({"id": len(annotations) + 1, "image_id": image["id"]} | one)
        converted.contents[split] = {"images": images, "annotations": annotations}
    first: dict[str, str] = {}
    for content in converted.contents.values():
        for annotation in content["annotations"]:
            first.setdefault(annotation["category"], annotation[SOURCE])
    ids = {name: number for number, name in enumerate(sorted(first), start=1)}
    for content in converted.contents.values():
        content["categories"] = [
            {"id": number, "name": name, SOURCE: first[name]} for name, number in ids.items()
        ]
        for annotation in content["annotations"]:
            annotation["category_id"] = ids[annotation.pop("category")]
    return converted


def _years(folder: Path) -> list[Path]:
    if _is_year(folder):
        return [folder]
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except (OSError, ValueError):
        return []
    return [path for path in inside if _is_year(path)]


def _is_year(folder: Path) -> bool:
    return all(holds((folder / part).is_dir) for part in PARTS)


def _lists(years: list["_Year"]) -> dict[str, list[tuple["_Year", str]]]:
    """Split -> the lists of ImageSets/Main that it is made of."""
    tested = [year for year in years if year.has_annotated("test")]
    if not tested:
        return {split: [(year, split) for year in years] for split in SPLITS}
    return {
        "train": [(year, "trainval") for year in years],
        "val": [(year, "test") for year in tested],
    }


class _Year:
    """One folder with Annotations, ImageSets and JPEGImages."""

    def __init__(self, folder: Path, is_single: bool):
        self.folder, self.is_single = folder, is_single
        self._place = "" if is_single else f"{folder.name}/"
        self._annotated = {
            name.removesuffix(".xml")
            for name in os.listdir(folder / "Annotations")
            if name.endswith(".xml")
        }
        self._images: dict[str, list[str]] = {}
        for name in sorted(os.listdir(folder / "JPEGImages")):
            self._images.setdefault(os.path.splitext(name)[0], []).append(name)

    def has_annotated(self, list_name: str) -> bool:
        """Whether there is such a list, and annotations of most of its images."""
        names = set(self._lines(list_name) or ())
        return len(names & self._annotated) > len(names) / 2

    def names(self, list_name: str, split: str, problems: list[Problem]) -> list[str]:
        """The images of a list."""
        names = self._lines(list_name)
        place = f"{self._place}ImageSets/Main/{list_name}.txt"
        if names is None:
            text = "there is no such list, or it is not text in UTF-8"
            problems.append(Problem(split, "missing-file", f"{place}: {text}"))
        elif len(names) != len(set(names)):
            twice = next(name for name in names if names.count(name) > 1)
            text = f"{place}: the image {shown(twice)} is there twice"
            problems.append(Problem(split, "duplicate-file-name", text))
        return list(dict.fromkeys(names or ()))

    def _lines(self, list_name: str) -> list[str] | None:
        try:
            path = self.folder / "ImageSets" / "Main" / f"{list_name}.txt"
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            return None
        return [line.strip() for line in lines if line.strip()]

    def read(
        self, name: str, split: str, problems: list[Problem]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        """COCO's entries of an image and its objects, without ids; None where there are none."""
        place = f"{self._place}Annotations/{name}.xml"

        def add(kind: str, text: str) -> None:
            problems.append(Problem(split, kind, f"{place}: {text}"))

        files = self._images.get(name, [])
        if len(files) != 1:
            found = f"has {', '.join(map(shown, files))}" if files else "has none"
            kind = "duplicate-file-name" if files else "missing-image"
            add(kind, f"one image of that name must be in JPEGImages/, which {found}")
        if name not in self._annotated:
            add("missing-file", f"the image {shown(name)} of the split has no annotation file")
            return None
        if len(files) != 1:
            return None
        try:
            root = _parse(self.folder / "Annotations" / f"{name}.xml")
            size = _size(root, self.folder / "JPEGImages" / files[0])
        except (OSError, ValueError) as error:
            add("not-voc", getattr(error, "strerror", None) or str(error))
            return None
        below = files[0] if self.is_single else f"{self._place}JPEGImages/{files[0]}"
        image = {"file_name": below, "width": size[0], "height": size[1], SOURCE: place}
        objects = []
        for number, element in enumerate(root.findall("object"), start=1):
            where = f"object {number}"
            try:
                objects.append(_object(element) | {SOURCE: f"{place}: {where}"})
            except ValueError as error:
                add("not-voc", f"{where}: {error}")
        return image, objects


class _WithoutDoctype(ElementTree.TreeBuilder):
    def doctype(self, *_: Any) -> None:
        raise ValueError("it has a document type; VOC's annotations have none")


def _parse(path: Path) -> ElementTree.Element:
    try:
        parser = ElementTree.XMLParser(target=_WithoutDoctype())
        root = ElementTree.fromstring(path.read_bytes(), parser)
    except (ElementTree.ParseError, LookupError) as error:  # the latter: an unknown encoding
        raise ValueError(f"it is not XML ({error})") from error
    if root.tag != "annotation":
        raise ValueError(f"its root must be <annotation>, and is <{root.tag[:100]}>")
    return root


def _size(root: ElementTree.Element, image: Path) -> tuple[int, int]:
    """(width, height) from the file; from the image if the file gives none."""
    given = [_text(root, f"size/{side}") for side in ("width", "height")]
    if all(text in (None, "", "0") for text in given):
        try:
            return read_photograph(image).size
        except PhotographError as error:
            raise ValueError(f"it gives no size, and {shown(image.name)}: {error}") from error
    sides = [int(text) for text in given if text and text.isdecimal() and len(text) < 10]
    if len(sides) != 2:
        raise ValueError(f"width and height must be whole numbers of px, got {shown(given)}")
    return sides[0], sides[1]


def _object(element: ElementTree.Element) -> dict[str, Any]:
    name = _text(element, "name")
    if not name:
        raise ValueError("it has no <name>")
    left, top, right, bottom = _corners(element)
    flag = _text(element, "difficult") or "0"
    if flag not in ("0", "1"):
        raise ValueError(f"<difficult> of {shown(name)} must be 0 or 1, got {shown(flag)}")
    box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
    return {
        "category": name,
        "bbox": [int(value) if value == int(value) else value for value in box],
        "area": box[2] * box[3],
        "iscrowd": int(flag),
    }


def _corners(element: ElementTree.Element) -> list[float]:
    texts = [_text(element, f"bndbox/{corner}") for corner in CORNERS]
    try:
        values = [float(text or "") for text in texts]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise ValueError(f"<bndbox> must have {', '.join(CORNERS)}, got {shown(texts)}")
    if values[2] < values[0] or values[3] < values[1]:
        raise ValueError(f"xmax and ymax must not be below xmin and ymin, got {shown(texts)}")
    return values


def _text(element: ElementTree.Element, path: str) -> str | None:
    text = element.findtext(path)
    return None if text is None else text.strip()
