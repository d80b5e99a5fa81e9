"""Pascal VOC's folders, converted to COCO's format.

A folder with ``Annotations/`` and ``JPEGImages/``, and usually ``ImageSets/Main/`` (``VOC2007``),
or one that holds such folders (``VOCdevkit``), which then count as one data set. Nothing is written
into it. Tools write the same files into other folders: into ``annotations/`` and
``images/``, ``labels/`` and ``data/`` (FiftyOne), or beside each other (labelImg, and Roboflow in a
folder per split). Where no other layout fits, they may be in folders of any names, such as
``annots/`` and ``images/``, or ``train_images/``, ``train_xml/``, ``test_images/`` and
``test_xml/``: an XML file belongs to the image of its name. Images then count only in folders with
annotated images, and a line says which folders are used.

* Splits: where most images of a ``test`` list have annotations, as in VOC 2007, it is
  the test split, and all ``trainval`` lists form the training split (``train`` and ``val`` where
  there is no ``trainval``). Otherwise ``train`` and ``val`` are the splits. So ``VOCdevkit`` with
  2007 and 2012 is the usual "07+12". Without lists, folders that are named as splits are the
  splits. A single list (CVAT's ``default``), or none of these, is divided
  (:func:`focal_star.data.layouts.halving.divide`).
* Lists of other tools may be named otherwise (CVAT's ``Train`` and ``Validation``). If this is so
  for the validation images, they are the validation split, and test images are not used. Lists may
  also be in ``ImageSets/`` or, if both splits have one, beside ``Annotations/``.
* A line of a list is a name; a suffix (``.jpg``), folders, and a flag (``1``, ``-1``) or the
  annotation file behind it are allowed. Images and annotation files may be in folders.
* An image without an annotation file has no objects: labelImg writes none for it. Without a list,
  an annotation file without an image is left out. There is a warning of both.
* Boxes: VOC counts pixels from 1 and includes the last, so that x is ``xmin - 1`` and the width
  ``xmax - xmin + 1``; Detectron2's evaluation of VOC does the same. Other tools count from 0:
  where a corner of any box is there, or the files are FiftyOne's, x is ``xmin`` and the width
  ``xmax - xmin`` in the whole data set. A line says which rule was used, except in VOC's own
  folders with VOC's rule.
* Of a rotated box of CVAT, the upright box around it counts.
* Objects marked ``difficult`` become crowds (``iscrowd`` 1): not trained on, and a detection of one
  counts neither for nor against, as in VOC. Differences: Detectron2's own loader of VOC trains on
  them; and a crowd may be matched by any number of detections that lie mostly within it.
* The metric is COCO's, not VOC's AP at an IoU of 0.5 (though ``AP50`` is close to it).
* Categories are the names that occur in the two splits, in the order of the alphabet (VOC's own
  order), with ids from 1.

A file is XML without a document type: entities are not expanded.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from focal_star.data.layouts.dataset import Dataset, converted, number_categories
from focal_star.data.layouts.file_names import images_below
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.problems import Problem
from focal_star.data.layouts.split import SOURCE, SPLITS, splits_by_name
from focal_star.data.layouts.voc_objects import read_object, set_boxes
from focal_star.data.layouts.voc_places import (
    SCATTERED,
    lists_of,
    places_of,
    scattered_in,
    xml_below,
    years_of,
)
from focal_star.data.layouts.xml_files import parse_xml, text_of
from focal_star.io.image_files import SUFFIXES, PhotographError, upright_size
from focal_star.io.quoting import shown

PARTS = ("Annotations", "ImageSets/Main", "JPEGImages")
"""The parts of a VOC folder; the second may be missing."""

ALL = ""
"""Stands for a list of all images, where there is no list."""

_BEHIND = re.compile(r"\s+([-+]?[01]|\S+\.xml)$")
"""What may follow the name of an image in a list: whether it shows a class, or its annotations."""


def convert(folder: Path | str) -> Dataset:
    """Read the annotations of a VOC folder; of images, only the names.

    An image without a size in its annotation file is read for it.
    """
    folder = Path(folder).resolve()
    years = [_Year(path, path == folder) for path in years_of(folder) or [folder]]
    dataset = converted(folder, years[0].image_folder if years[0].is_single else folder)
    lists, is_divided = _lists(years, dataset)
    for split, of_split in lists.items():
        images: list[dict] = []
        annotations: list[dict] = []
        for year, list_name in of_split:
            for name in year.names(list_name, split, dataset):
                read = year.read(name, split, dataset)
                if read is None:
                    continue
                image, objects = read
                image["id"] = len(images) + 1
                images.append(image)
                for entry in objects:
                    annotations.append(
                        {"id": len(annotations) + 1, "image_id": image["id"]} | entry
                    )
        dataset.contents[split] = {"images": images, "annotations": annotations}
    for year in years:
        year.note_folders(dataset)
    set_boxes(dataset, {year.places for year in years})
    if is_divided:
        divide(dataset)
    first: dict[str, str] = {}
    for content in dataset.contents.values():
        for annotation in content["annotations"]:
            first.setdefault(annotation["category"], annotation[SOURCE])
    number_categories(dataset.contents, first)
    return dataset


def _lists(
    years: list["_Year"], dataset: Dataset
) -> tuple[dict[str, list[tuple["_Year", str]]], bool]:
    """Split -> the lists of ImageSets/Main that it is made of; and whether they are to be divided,
    which are then all of the training split."""
    tested = [year for year in years if year.has_annotated_test]
    if tested and not any(year.has_list_of_tool for year in years):
        train = [(year, name) for year in years for name in year.trainval()]
        lists = {"train": train, "val": [(year, "test") for year in tested]}
        if any(name != "trainval" for _, name in train):
            _note_lists(lists, dataset)
        return lists, False
    if any(year.has_list("val") for year in years):
        unused = dict.fromkeys((year.place_of_list("test") for year in tested), "")
        dataset.doubts.note_unused(unused)
        return {split: [(year, split) for year in years] for split in SPLITS}, False
    split_of = splits_by_name(year.folder.name for year in years)
    if "train" in split_of.values():
        dataset.doubts.note_unused(split_of)
        return {
            split: [(year, ALL) for year in years if split_of.get(year.folder.name) == split]
            for split in SPLITS
        }, False
    names = {year: year.single_list() for year in years}
    return {"train": list(names.items())}, True


def _note_lists(lists: dict[str, list[tuple["_Year", str]]], dataset: Dataset) -> None:
    for split, of_split in lists.items():
        names = " and ".join(year.place_of_list(name) for year, name in of_split)
        dataset.doubts.note(split, f"these are the images of {names}; there is no trainval.txt")


class _Year:
    """One folder with annotation files, images and perhaps ImageSets."""

    def __init__(self, folder: Path, is_single: bool):
        self.folder, self.is_single = folder, is_single
        self.place = "" if is_single else f"{folder.name}/"
        self.places = places_of(folder) or SCATTERED
        self._annotations, self._pictures = (
            f"{part}/" if part and self.places != SCATTERED else "" for part in self.places
        )
        self.image_folder = folder / self.places[1]
        self._scattered = scattered_in(folder) if self.places == SCATTERED else None
        if self._scattered is None:
            paths = xml_below(folder / self.places[0])
            self._annotated = {os.path.splitext(path)[0]: path for path in paths}
        else:
            self._annotated = dict(self._scattered.annotated)
        self._images: dict[str, list[str]] = {}
        self._unused_images: list[str] = []
        for name in images_below(self.image_folder):
            if self._scattered and os.path.dirname(name) not in self._scattered.image_folders:
                self._unused_images.append(name)
            else:
                self._images.setdefault(os.path.splitext(name)[0], []).append(name)
        self._lists = lists_of(folder) if self._scattered is None else {}
        if not all(map(self._is_of_images, self._lists)):
            self._lists = {}

    def note_folders(self, dataset: Dataset) -> None:
        """Note which folders of any names are used."""
        if self._scattered is None:
            return
        files = {os.path.dirname(path) for path in self._scattered.annotated.values()}
        annotated, pictures = (
            " and ".join(shown(f"{path}/") for path in sorted(paths))
            for paths in (files, self._scattered.image_folders)
        )
        text = f"the annotation files in {annotated} and the images in {pictures} are used"
        if annotated == pictures:
            text = f"the annotation files and images in {pictures} are used"
        dataset.doubts.note("train", text)
        dataset.doubts.note_left_out(
            "image", "in folders without an annotated image", self._unused_images
        )
        dataset.doubts.note_left_out(
            "XML file", "with an image that another one annotates", self._scattered.repeated
        )
        for path in self._scattered.without_image:
            dataset.doubts.add("train", "no-image", shown(path))

    def _is_of_images(self, list_name: str) -> bool:
        """Whether a list is one of images: beside ``Annotations/``, it can be of another tool."""
        if "/" in self._lists[list_name]:
            return True
        names = set(self._lines(list_name) or ())
        return len(names & (self._images.keys() | self._annotated.keys())) > len(names) / 2

    def place_of_list(self, name: str) -> str:
        """The path of a list below the data set's folder."""
        return f"{self.place}{self._lists.get(name, f'ImageSets/Main/{name}.txt')}"

    def place_of_annotations(self, name: str) -> str:
        """The path of an image's annotation file below the data set's folder."""
        return f"{self.place}{self._annotations}{self._annotated.get(name, f'{name}.xml')}"

    @property
    def has_annotated_test(self) -> bool:
        """Whether there is a list of test images, and annotations of most of them."""
        names = set(self._lines("test") or ())
        return len(names & self._annotated.keys()) > len(names) / 2

    def has_list(self, name: str) -> bool:
        return name in self._lists

    @property
    def has_list_of_tool(self) -> bool:
        """Whether the list of the validation split has another name than VOC's."""
        return PurePosixPath(self._lists.get("val", "val.txt")).name != "val.txt"

    def trainval(self) -> list[str]:
        """The lists of the images to train and validate on."""
        both = [name for name in SPLITS if self.has_list(name)]
        return both if both and not self.has_list("trainval") else ["trainval"]

    def single_list(self) -> str:
        """The list of a data set without splits."""
        return next((n for n in ("default", "trainval", "train") if self.has_list(n)), ALL)

    def names(self, list_name: str, split: str, dataset: Dataset) -> list[str]:
        """The images of a list."""
        if list_name == ALL:
            for name in sorted(self._annotated.keys() - self._images.keys()):
                dataset.doubts.add(split, "no-image", shown(self.place_of_annotations(name)))
            return sorted(self._images)
        names = self._lines(list_name)
        place = self.place_of_list(list_name)
        if names is None:
            text = "there is no such list, or it is not text in UTF-8"
            dataset.problems.append(Problem(split, "missing-file", f"{place}: {text}"))
        elif len(names) != len(set(names)):
            twice = next(name for name in names if names.count(name) > 1)
            text = f"{place}: the image {shown(twice)} is there twice"
            dataset.problems.append(Problem(split, "duplicate-file-name", text))
        return list(dict.fromkeys(names or ()))

    def _lines(self, list_name: str) -> list[str] | None:
        try:
            path = self.folder / self._lists[list_name]
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (KeyError, OSError, UnicodeDecodeError):
            return None
        return [self._name(line.strip()) for line in lines if line.strip()]

    def _name(self, line: str) -> str:
        """The name of an image as a path without a suffix, below JPEGImages/."""
        spellings = [line, _BEHIND.sub("", line)]
        spellings += [text.replace("\\", "/").removeprefix("./") for text in spellings]
        spellings += [text.rpartition("JPEGImages/")[2] for text in spellings]
        spellings += [
            stem
            for text in spellings
            for stem, suffix in [os.path.splitext(text)]
            if suffix.lower() in SUFFIXES | {".xml"}
        ]
        known = (t for t in spellings if t in self._images or t in self._annotated)
        return next(known, spellings[1])

    def read(
        self, name: str, split: str, dataset: Dataset
    ) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        """COCO's entries of an image and its objects, without ids; None where there are none."""
        place = self.place_of_annotations(name)

        def add(kind: str, text: str) -> None:
            dataset.problems.append(Problem(split, kind, f"{place}: {text}"))

        files = self._images.get(name, [])
        if len(files) != 1:
            state = f"has {', '.join(map(shown, files))}" if files else "has none"
            kind = "duplicate-file-name" if files else "missing-image"
            add(kind, f"one image of that name must be in {self._pictures or './'}, which {state}")
            return None
        file = self.image_folder / files[0]
        root = None
        try:
            if name in self._annotated:
                root = _parse(self.folder / self._annotations / self._annotated[name])
            else:
                dataset.doubts.add(split, "no-annotation-file", shown(files[0]))
            size = _size(root, file)
        except (OSError, ValueError) as error:
            add("not-voc", getattr(error, "strerror", None) or str(error))
            return None
        below = files[0] if self.is_single else f"{self.place}{self._pictures}{files[0]}"
        image = {"file_name": below, "width": size[0], "height": size[1], SOURCE: place}
        objects = []
        for number, element in enumerate(root.findall("object") if root is not None else (), 1):
            where = f"object {number}"
            try:
                objects.append(read_object(element) | {SOURCE: f"{place}: {where}"})
            except ValueError as error:
                add("not-voc", f"{where}: {error}")
        return image, objects


def _parse(path: Path) -> ElementTree.Element:
    root = parse_xml(path)
    if root.tag != "annotation":
        raise ValueError(f"its root must be <annotation>, and is <{root.tag[:100]}>")
    return root


def _size(root: ElementTree.Element | None, image: Path) -> tuple[int, int]:
    """(width, height) from the file; from the image if there is no file or it gives none."""
    given = [
        None if root is None else text_of(root, f"size/{side}") for side in ("width", "height")
    ]
    if all(text in (None, "", "0") for text in given):
        try:
            return upright_size(image)
        except PhotographError as error:
            what = "there is no such file" if root is None else "it gives no size"
            raise ValueError(f"{what}, and {shown(image.name)}: {error}") from error
    plain = [re.sub(r"\.0*$", "", text or "") for text in given]
    sides = [int(text) for text in plain if text.isdecimal() and len(text) < 10]
    if len(sides) != 2:
        raise ValueError(f"width and height must be whole numbers of px, got {shown(given)}")
    return sides[0], sides[1]
