"""Reads a folder in whichever layout it has."""

from collections.abc import Callable
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
from focal_star.data.layouts.dataset import Dataset
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

_IN_ANY_FOLDERS: tuple[tuple[Callable[..., bool], Converter], ...] = (
    (labelme.is_labelme, labelme.convert),
    (csv_files.is_csv, csv_files.convert),
)
"""The same of layouts whose files may be in any folders. They come last: their files often lie
beside those of another layout that were made from them, or that they were made from."""


def read(folder: Path | str, links: bool = False) -> Dataset | None:
    """The data set in a folder; None where no layout fits.

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
    dataset = _converted(folder, converters) if converters else None
    if dataset is None or not _num_annotated(dataset):
        dataset = _in_any_folders(folder, dataset)
    return None if dataset is None else _bounded(dataset, links)


def _in_any_folders(folder: Path, other: Dataset | None) -> Dataset | None:
    """What the first fitting reader of `_IN_ANY_FOLDERS` reads.

    Args:
        folder: of the data set.
        other: what was read of another layout, which has no objects; it is returned where those of
            `_IN_ANY_FOLDERS` have none either.
    """
    for fits, convert in _IN_ANY_FOLDERS:
        if not _fits_in_any(fits, folder):
            continue
        dataset = convert(folder)
        if other is None:
            return dataset
        if _num_annotated(dataset):
            why = other.problems[0].message if other.problems else "they have no objects"
            text = f"annotation files of another layout are not used: {why}"
            dataset.doubts.note("train", text)
            return dataset
    return other


def _fits_in_any(fits: Callable[..., bool], folder: Path) -> bool:
    """Whether one of `_IN_ANY_FOLDERS` fits a folder, and none in it is of another layout."""
    if fits(folder, deep=False):
        return True
    return fits(folder) and not any(_is_of_another(inside) for inside in folders_below(folder))


def _converted(folder: Path, converters: list[Converter]) -> Dataset:
    """What the first one reads; of VOC's and YOLO's annotations, where both are there, and no file
    says which ones count, those of more images."""
    description = yolo_files.description_of(folder)
    is_clear = description is None or not yolo_files.has_only_names(description)
    if is_clear or converters[0] is not yolo.convert or voc.convert not in converters:
        return converters[0](folder)
    of_yolo, of_voc = yolo.convert(folder), voc.convert(folder)
    num_of_yolo, num_of_voc = _num_annotated(of_yolo), _num_annotated(of_voc)
    dataset, unused, number = of_yolo, "the XML files", num_of_voc
    if num_of_voc > num_of_yolo:
        dataset, unused, number = of_voc, "YOLO's label files", num_of_yolo
    images = counted(number, "image")
    dataset.doubts.note("train", f"{unused}, which have objects in {images}, are not used")
    return dataset


def _num_annotated(dataset: Dataset) -> int:
    """The number of images that have objects."""
    return sum(
        len({entry["image_id"] for entry in content["annotations"]})
        for content in dataset.contents.values()
        if content is not None
    )


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
    return _is_of_another(folder) or any(_fits_in_any(fits, folder) for fits, _ in _IN_ANY_FOLDERS)


def _is_of_another(folder: Path) -> bool:
    """Whether a layout fits a folder that is none of `_IN_ANY_FOLDERS`."""
    fits = (coco.is_coco, coco.single_file_of, yolo.is_like_yolo, *(fits for fits, _ in _OTHERS))
    return any(test(folder) for test in fits)
