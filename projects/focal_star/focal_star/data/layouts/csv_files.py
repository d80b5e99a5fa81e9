"""CSV files with a row per object, converted to COCO's format.

They are those of Roboflow (``_annotations.csv`` in the folder of each split, with a header or, for
RetinaNet, without one), of TensorFlow's tutorials (``images/train_labels.csv``,
``images/test_labels.csv``) and of keras-retinanet (``annotations.csv``), and any others with such
columns (:mod:`focal_star.data.layouts.csv_tables`), in the data set's folder and the folders in it;
only if there is none, in the folders in these.

* The split of a file is a word in its name, or else in that of its folder. Several files of a split
  are joined. Test images are used only where there are no validation images.
* A file without a split is one of training data where another is of validation data only, without
  the images of that one, which a line counts; where the others have both splits, it is not used.
  Where no file has a split, and where all are of training data, the data are divided
  (:func:`focal_star.data.layouts.halving.divide`).
* Corners are pixels, counted from 0, so that the width of a box is ``xmax - xmin``.
* Sizes are those of the images. A row that gives another width or height is reported by the check.
* An image that no row names has no objects if it is in a folder that is named as a split, with only
  images of that split. Others could be of any split, or of none: a line counts those beside images
  that are used.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from focal_star.data.layouts.csv_tables import (
    Columns,
    CsvError,
    Row,
    columns_of,
    is_empty,
    read_rows,
)
from focal_star.data.layouts.dataset import Dataset, converted
from focal_star.data.layouts.entries import Entries
from focal_star.data.layouts.file_names import ImageFolder, images_below, is_as_named
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.problems import Problem, counted
from focal_star.data.layouts.split import SOURCE, kinds_of_splits, splits_by_name
from focal_star.io.image_files import PhotographError, upright_size
from focal_star.io.quoting import shown

MAX_OPENED = 1000
"""CSV files of a folder that are opened to see which columns they have."""

MAX_FOLDERS = 1000
"""Folders of a level that are searched for CSV files."""

UNKNOWN = ""
"""The kind of split of a file whose name has none."""


def is_csv(folder: Path | str, deep: bool = True) -> bool:
    """Whether there are CSV files of boxes in a folder and the folders in it, or only in it."""
    return bool(_tables_of(Path(folder), deep))


def _tables_of(folder: Path, deep: bool = True) -> dict[str, Columns]:
    """Path of each CSV file of boxes below a folder -> its columns."""
    levels = _csv_by_level(folder)
    for num_levels in (2, 1) if deep else (1,):
        paths = [path for level in islice(levels, num_levels) for path in level]
        columns = {path: columns_of(folder / path) for path in paths[:MAX_OPENED]}
        if tables := {path: found for path, found in columns.items() if found is not None}:
            return tables
    return {}


def _csv_by_level(folder: Path) -> Iterator[list[str]]:
    """The CSV files in a folder, then those in the folders in it, and so on, as sorted paths
    relative to it."""
    places = [""]
    while places:
        files, inside = list[str](), list[str]()
        for place in places[:MAX_FOLDERS]:
            with suppress(OSError, ValueError), os.scandir(folder / place) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        inside.append(f"{place}{entry.name}/")
                    elif entry.name.lower().endswith(".csv"):
                        files.append(f"{place}{entry.name}")
        yield files
        places = inside


def kind_of(path: str) -> str:
    """The split that a file's name has as a word, or else its folder's: "train", "val", "test";
    `UNKNOWN` where neither has exactly one."""
    folders, name = os.path.split(path)
    for part in (os.path.splitext(name)[0], *reversed(folders.split("/"))):
        kinds = kinds_of_splits([part])
        if kinds:
            return kinds.pop() if len(kinds) == 1 else UNKNOWN
    return UNKNOWN


def convert(folder: Path | str) -> Dataset:
    """Read the CSV files; of images, only their sizes."""
    folder = Path(folder).resolve()
    dataset = converted(folder, folder)
    columns = _tables_of(folder)
    split_of, is_divided = _splits(dataset, columns)
    tables = _Tables(dataset)
    # Those of a known split come first: the others are without their images.
    for path in sorted(split_of, key=lambda path: (kind_of(path) == UNKNOWN, path)):
        tables.read(path, columns[path], split_of[path])
    tables.add_unnamed()
    tables.finish()
    dataset.contents = tables.entries.numbered()
    if is_divided:
        divide(dataset)
    return dataset


def _splits(dataset: Dataset, columns: dict[str, Columns]) -> tuple[dict[str, str], bool]:
    """Path of each file that is used -> its split; and whether the training split is divided."""
    folder = dataset.folder
    nearby = [path for level in islice(_csv_by_level(folder), 2) for path in level]
    others = [path for path in nearby if path not in columns]
    if not any(path.count("/") > 1 for path in columns):
        deeper = [path for level in islice(_csv_by_level(folder), 2, 3) for path in level]
        of_boxes = [path for path in deeper[:MAX_OPENED] if columns_of(folder / path) is not None]
        dataset.doubts.note_left_out("CSV file", "in deeper folders", of_boxes)
    for path in [path for path in others if is_empty(folder / path) and kind_of(path)]:
        others.remove(path)
        dataset.problems.append(Problem("both", "not-csv", f"{path}: it is empty"))
    kind = {path: kind_of(path) for path in columns}
    of_kind = splits_by_name(kind.values()) or {"train": "train"}
    is_divided = "val" not in of_kind.values()
    if UNKNOWN in kind.values():
        has_both = not is_divided and "train" in kind.values()
        of_kind[UNKNOWN] = "" if has_both else "train"
    split_of = {path: of_kind[kind[path]] for path in columns}
    unused = [path for path, split in split_of.items() if not split]
    dataset.doubts.note_unused({path: "" for path in unused if kind[path] != UNKNOWN})
    of_all = [path for path in unused if kind[path] == UNKNOWN]
    dataset.doubts.note_left_out("CSV file", "beside those of the splits", of_all)
    dataset.doubts.note_left_out("CSV file", "without columns of boxes", others)
    used = {path: split for path, split in split_of.items() if split}
    if "train" not in used.values():
        text = f"there is no CSV file of training images, only {', '.join(map(shown, used))}"
        dataset.problems.append(Problem("train", "missing-file", text))
    return used, is_divided


Object = tuple[str, tuple[int | float, ...]]
"""The category and the corners of an object."""


@dataclass
class _Image:
    """An image of a split.

    Attributes:
        split: "train" or "val".
        source: the file and the line that name it first.
        size: (width, height) of the image in px.
        other_size: the first other one that a row gives; the check reports it.
        rows: its objects, each after its file and line.
    """

    split: str
    source: str
    size: tuple[int, int]
    other_size: tuple[int, int] | None = None
    rows: list[tuple[str, Row]] = field(default_factory=list)

    @property
    def objects(self) -> set[Object]:
        return {(row.category, row.corners) for _, row in self.rows}


class _Tables:
    """The rows of CSV files, as they are converted.

    Attributes:
        entries: what they are converted to, after :meth:`finish`.
    """

    def __init__(self, dataset: Dataset):
        self.entries = Entries()
        self._dataset, self._folder = dataset, dataset.folder
        self._search = ImageFolder(self._folder)
        self._images: dict[tuple[str, str], _Image] = {}  # by split and path
        self._found: dict[tuple[str, str], str | None] = {}  # by file and name
        self._of_val: dict[str, set[Object]] = {}  # rows of files without a split
        self._files_of: dict[tuple[str, str], set[str]] = {}  # those with rows of an image

    def _refuse(self, split: str, kind: str, text: str) -> None:
        self._dataset.problems.append(Problem(split, kind, text))

    def read(self, path: str, columns: Columns, split: str) -> None:
        """Add the rows of a file to a split.

        Args:
            path: of the file, below the data set's folder.
            columns: of the file.
            split: "train" or "val".
        """
        rows, problems = list[Row](), list[str]()
        try:
            for row in read_rows(self._folder / path, columns):
                problems.append(row) if isinstance(row, str) else rows.append(row)
        except CsvError as error:
            problems.append(str(error))
        for text in problems:
            self._refuse(split, "not-csv", f"{path}: {text}")
        boxes = [row.corners for row in rows if row.corners]
        if boxes and all(0 <= value <= 1 for corners in boxes for value in corners):
            text = f"{path}: every corner is from 0 to 1; multiply them by the sides of the images"
            self._refuse(split, "normalised-boxes", text)
            return
        for row in rows:
            self._add(path, row, split)

    def _add(self, path: str, row: Row, split: str) -> None:
        place = f"{path}: line {row.line}"
        if (path, row.image) not in self._found:
            self._found[path, row.image] = self._find(path, row.image, split, place)
        image = self._found[path, row.image]
        if image is None:
            return
        if kind_of(path) == UNKNOWN and split == "train" and ("val", image) in self._images:
            objects = self._of_val.setdefault(image, set())
            objects |= {(row.category, row.corners)} if row.corners else set()
            return
        self._files_of.setdefault((split, image), set()).add(path)
        entry = self._images.get((split, image))
        if entry is None:
            try:
                size = upright_size(self._folder / image)
            except PhotographError as error:
                self._refuse(split, "broken-image", f"{place}: {shown(image)}: {error}")
                self._found[path, row.image] = None
                return
            entry = self._images[split, image] = _Image(split, place, size)
            path_in_row = row.image.replace("\\", "/")
            kinds = kinds_of_splits([os.path.dirname(image)])
            is_of_another = bool(kinds) and (split == "train") != ("train" in kinds)
            if is_of_another or not is_as_named(self._folder / image, path_in_row, self._folder):
                self._dataset.doubts.add(split, "name-found", shown(row.image))
        if entry.other_size is None and row.size != entry.size:
            entry.other_size = row.size
        if row.corners:
            entry.rows.append((place, row))

    def _find(self, path: str, name: str, split: str, place: str) -> str | None:
        """The path of an image below the folder; None with a problem where it is not there."""
        kind = kind_of(path)
        found = self._search.find(name, self._folder / os.path.dirname(path), kind)
        if found is None:
            text = f"{place}: the image {shown(name)} is not in the folder"
            self._refuse(split, "missing-image", text)
        return found

    def add_unnamed(self) -> None:
        """Add the images that no row names in the folders of the splits; count the others."""
        splits_in: dict[str, set[str]] = {}
        for split, image in self._images:
            splits_in.setdefault(os.path.dirname(image), set()).add(split)
        named, unused = {image for _, image in self._found_images()}, list[str]()
        for image in images_below(self._folder) if splits_in else ():
            parent = os.path.dirname(image)
            if image in named or parent not in splits_in:
                continue
            if len(splits_in[parent]) > 1 or len(kinds_of_splits([parent])) != 1:
                unused.append(image)
                continue
            (split,) = splits_in[parent]
            try:
                size = upright_size(self._folder / image)
            except PhotographError as error:
                self._refuse(split, "broken-image", f"{image}: {error}")
                continue
            self._images[split, image] = _Image(split, image, size)
            self._dataset.doubts.add(split, "no-row", shown(image))
        self._dataset.doubts.note_left_out("image", "that no row names", unused)

    def _found_images(self) -> Iterator[tuple[str, str]]:
        return ((path, image) for (path, _), image in self._found.items() if image is not None)

    def _note_joined(self) -> None:
        """Count the images with rows in several files, which may be two versions of the data."""
        several = {key: files for key, files in self._files_of.items() if len(files) > 1}
        for split in dict.fromkeys(split for split, _ in several):
            of_split = [files for (of, _), files in several.items() if of == split]
            names = " and ".join(map(shown, sorted(set().union(*of_split))))
            images = counted(len(of_split), "image")
            text = f"{names} are joined; {images} with rows in more than one of them"
            self._dataset.doubts.note(split, text)

    def finish(self) -> None:
        """Make COCO's entries of all rows."""
        if self._of_val:
            differing = [
                path
                for path, objects in self._of_val.items()
                if objects != self._images["val", path].objects
            ]
            text = f"{counted(len(self._of_val), 'image')} of files without a split, such as "
            text += f"{shown(min(self._of_val))}: used in validation only"
            if differing:
                text += (
                    f"; {len(differing)} of them have other objects there, such as "
                    f"{shown(min(differing))}"
                )
            self._dataset.doubts.note("val", text)
        self._note_joined()
        for (split, path), image in self._images.items():
            width, height = image.other_size or image.size
            image_id = self.entries.add_image(
                split, {"file_name": path, "width": width, "height": height, SOURCE: image.source}
            )
            for place, row in image.rows:
                left, top, right, bottom = row.corners
                box = [left, top, _difference(right, left), _difference(bottom, top)]
                self.entries.add_object(split, image_id, row.category, box, place)


def _difference(high: int | float, low: int | float) -> int | float:
    return round(high - low, 4)
