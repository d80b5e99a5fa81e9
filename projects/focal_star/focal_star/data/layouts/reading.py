"""Reads a folder in whichever layout it has."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from focal_star.data.layouts import (
    coco,
    coco_values,
    csv_files,
    cvat,
    fiftyone,
    labelme,
    voc,
    voc_places,
    yolo,
    yolo_files,
)
from focal_star.data.layouts.coco_values import entries_of
from focal_star.data.layouts.dataset import COCO_FORMAT, Dataset
from focal_star.data.layouts.file_names import folders_below
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.json_files import read_json
from focal_star.data.layouts.problems import counted
from focal_star.data.layouts.split import Split

LAYOUTS = (
    *coco.LAYOUTS,
    f"Pascal VOC's: {', '.join(voc.PARTS)}, or XML files and images in one folder or in two",
    "YOLO's: data.yaml (names, train, val), images/ and labels/, or obj.data, or classes.txt",
    "CVAT's: annotations.xml and images/",
    "FiftyOne's: samples.json and data/, or labels.json and data/",
    "LabelMe's: a JSON file per image",
    "CSV files with the columns filename, class, xmin, ymin, xmax and ymax",
)
"""The layouts, in words."""

Converter = Callable[[Path], Dataset]

_OTHERS: tuple[tuple[Callable[[Path], bool], Converter], ...] = (
    (voc_places.is_voc, voc.convert),
    (yolo.is_yolo, yolo.convert),
    (cvat.is_cvat, cvat.convert),
    (fiftyone.is_fiftyone, fiftyone.convert),
    (voc_places.is_like_voc, voc.convert),
)
"""Whether a layout other than COCO's fits a folder, and its reader."""


def read(folder: Path | str, links: bool = False) -> Dataset | None:
    """The data set in a folder; None where no layout fits.

    Layouts whose files may have any names and be in any folders come last, because such files often
    lie beside those of another layout that were made from them, or that they were made from.

    Args:
        folder: an existing folder.
        links: whether its images may be links out of it.

    Raises:
        OSError: the folder cannot be read.
    """
    folder = Path(folder).resolve()
    if coco.is_coco(folder):
        return _coco(folder, coco.splits_of(folder), links)
    converters = [convert for fits, convert in _OTHERS if fits(folder)]
    if not converters:
        if single := coco.single_file_of(folder):
            return _coco(folder, (single,), links)
        if yolo.is_like_yolo(folder):
            converters = [yolo.convert]
    first = _converted(folder, converters[0]) if converters else None
    if first is not None and _num_annotated(first) and not _is_unclear(folder, converters[0]):
        return _bounded(first, links)
    others = dict.fromkeys([*converters[1:], *_of_any_folders(folder)])
    datasets = {convert: _converted(folder, convert) for convert in others}
    if first is not None:
        datasets = {converters[0]: first} | datasets
    dataset = _fullest(datasets, first)
    return None if dataset is None else _bounded(dataset, links)


def _converted(folder: Path, convert: Converter) -> Dataset:
    dataset = convert(folder)
    dataset.layout, _ = _WORDS[convert]
    return dataset


def _is_unclear(folder: Path, converter: Converter) -> bool:
    """Whether files of another layout may be the ones that count: YOLO's label files with no more
    than the names of the classes. labelImg writes these where its format is changed."""
    description = yolo_files.description_of(folder) if converter is yolo.convert else None
    return description is not None and yolo_files.has_only_names(description)


def _of_any_folders(folder: Path) -> list[Converter]:
    """The readers that fit of layouts whose files may have any names and be in any folders."""
    fitting: list[Converter] = []
    if coco.splits_by_word(folder):
        fitting.append(_coco_by_word)
    inside = folders_below(folder)
    is_of_one = any(_is_of_another(place, but_voc=True) for place in inside)
    is_of_voc = is_of_one or any(map(voc_places.is_like_voc, inside))
    for fits, convert, is_inside in (
        (voc_places.is_scattered, voc.convert, is_of_one),
        (labelme.is_labelme, labelme.convert, is_of_voc),
        (csv_files.is_csv, csv_files.convert, is_of_voc),
    ):
        if fits(folder, deep=False) or (not is_inside and fits(folder)):
            fitting.append(convert)
    return fitting


def _fullest(datasets: dict[Converter, Dataset], first: Dataset | None) -> Dataset | None:
    """The data set with the most annotated images; lines say what is not used.

    Args:
        datasets: what each reader read of the same folder, the preferred one first.
        first: the one of a layout with the usual names, which may be broken.
    """
    best = max(datasets.values(), key=_num_annotated, default=None)
    if best is None or not _num_annotated(best):
        return best
    if first and not _num_annotated(first) and 2 * _num_annotated(best) < _num_images(best):
        return first  # its problem is more likely to be the one to solve
    for convert, other in datasets.items():
        number = _num_annotated(other)
        if other is best or not (number or other is first):
            continue
        _, files = _WORDS[convert]
        if number:
            text = f"{files}, which have objects in {counted(number, 'image')}, are not used"
        else:
            why = other.problems[0].message if other.problems else "they have no objects"
            text = f"{files} are not used: {why}"
        best.doubts.note("train", text)
    return best


def _num_annotated(dataset: Dataset) -> int:
    """The number of images that have objects."""
    return sum(
        len({repr(entry.get("image_id")) for entry in entries_of(content, "annotations")})
        for content in dataset.contents.values()
        if content is not None
    )


def _num_images(dataset: Dataset) -> int:
    contents = [content for content in dataset.contents.values() if content is not None]
    return sum(len(entries_of(content, "images")) for content in contents)


def _coco_by_word(folder: Path) -> Dataset:
    splits = coco.splits_by_word(folder)
    assert splits is not None, folder
    dataset = _coco(folder, splits, links=False)
    dataset.is_converted = True
    train, val = (replace(split, image_root=folder) for split in splits)
    dataset.splits = train, val
    for split in splits:
        content, below = dataset.contents[split.name], split.image_root.relative_to(folder)
        for image in entries_of(content, "images") if content is not None else ():
            if isinstance(image.get("file_name"), str):
                image["file_name"] = (below / image["file_name"]).as_posix()
    return dataset


_WORDS: dict[Converter, tuple[str, str]] = {
    voc.convert: ("Pascal VOC's format", "the XML files"),
    yolo.convert: ("YOLO's format", "YOLO's label files"),
    cvat.convert: ("CVAT's format", "CVAT's annotations"),
    fiftyone.convert: ("FiftyOne's format", "FiftyOne's annotations"),
    labelme.convert: ("LabelMe's format", "LabelMe's files"),
    csv_files.convert: ("CSV files", "the CSV files"),
    _coco_by_word: (COCO_FORMAT, "COCO's files"),
}
"""Reader -> what a text calls the layout, and the files of it."""


def _coco(folder: Path, splits: tuple[Split, ...], links: bool) -> Dataset:
    train, val = splits if len(splits) == 2 else (splits[0], splits[0])
    dataset = Dataset(folder, (train, val), is_converted=False)
    for split in splits:
        content, state = read_json(
            split.annotation_file, split.name, dataset.problems, allow_mark=True
        )
        dataset.contents[split.name] = content
        if state is not None:
            dataset.files[split.name] = state
            dataset.is_converted |= state.has_mark
    coco_values.make_plain(dataset, links)
    if len(splits) == 1 and dataset.contents["train"] is not None:
        divide(dataset)
        dataset.is_converted = True
    if len(splits) == 1:
        whole, _ = dataset.splits
        dataset.splits = whole, Split("val", whole.annotation_file, whole.image_root, whole.folder)
    return _bounded(dataset, links)


def _bounded(dataset: Dataset, links: bool) -> Dataset:
    """Allow links out of the data set's folder, or not."""
    bounds = Path("/") if links else dataset.folder
    train, val = (
        Split(split.name, split.annotation_file, split.image_root, bounds)
        for split in dataset.splits
    )
    dataset.splits = train, val
    return dataset


def is_dataset(folder: Path) -> bool:
    """Whether a layout fits a folder."""
    return _is_of_another(folder) or bool(_of_any_folders(folder))


def _is_of_another(folder: Path, but_voc: bool = False) -> bool:
    """Whether a layout fits a folder whose files have the usual names and folders.

    Args:
        folder: the folder.
        but_voc: whether Pascal VOC's files do not count.
    """
    readers = _OTHERS if not but_voc else [(f, convert) for f, convert in _OTHERS
                                           if convert is not voc.convert]  # fmt: skip
    fits = (coco.is_coco, coco.single_file_of, yolo.is_like_yolo, *(fits for fits, _ in readers))
    return any(test(folder) for test in fits)
