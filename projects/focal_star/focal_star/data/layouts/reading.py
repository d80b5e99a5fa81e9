"""Reads a folder in whichever layout it has."""

import os
from contextlib import suppress
from pathlib import Path

from focal_star.data.layouts import coco, coco_values, cvat, fiftyone, voc, voc_places, yolo
from focal_star.data.layouts.dataset import Dataset
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.json_files import read_json
from focal_star.data.layouts.problems import holds
from focal_star.data.layouts.split import Split
from focal_star.io.image_files import SUFFIXES
from focal_star.io.quoting import shown

LAYOUTS = (
    *coco.LAYOUTS,
    f"Pascal VOC's: {', '.join(voc.PARTS)}, or XML files beside their images",
    "YOLO's: data.yaml (names, train, val), images/ and labels/, or obj.data, or classes.txt",
    "CVAT's: annotations.xml and images/",
    "FiftyOne's: samples.json and data/, or labels.json and data/",
)
"""The layouts, in words."""

_OTHERS = (
    (voc_places.is_voc, voc.convert),
    (yolo.is_yolo, yolo.convert),
    (cvat.is_cvat, cvat.convert),
    (fiftyone.is_fiftyone, fiftyone.convert),
    (voc_places.is_like_voc, voc.convert),
)
"""Whether a layout other than COCO's fits a folder, and its reader."""

MAX_LISTED = 12
"""Entries of a folder that a message lists."""


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
    for fits, convert in _OTHERS:
        if fits(folder):
            return _bounded(convert(folder), links)
    if single := coco.single_file_of(folder):
        return _coco(folder, (single,), links)
    return _bounded(yolo.convert(folder), links) if yolo.is_like_yolo(folder) else None


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


def nearest(folder: Path) -> str:
    """What is in a folder that has no layout, and which layout it resembles."""
    try:
        names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not names:
        return "it is empty"
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    content = f"it has {', '.join(map(shown, names[:MAX_LISTED]))}{more}"
    guess = _guess(folder, {name.lower() for name in names})
    return f"{content}; {guess}" if guess else content


def _guess(folder: Path, names: set[str]) -> str:
    inside = next((place for place in _folders_below(folder) if is_dataset(place)), None)
    if inside is not None:
        return f"the data set seems to be the folder {inside.relative_to(folder)}/ in it"
    ends = {Path(name).suffix for name in names if not name.endswith("/")}
    if names & {"jpegimages/", "imagesets/"} or "annotations/" in names and ".json" not in ends:
        endings = _ends_below(folder / "annotations") | _ends_below(folder / "Annotations")
        lacking = [f"{part}/" for part in ("Annotations", "JPEGImages")
                   if not holds((folder / part).is_dir)]  # fmt: skip
        if ".json" not in endings and lacking:
            verb = "are" if len(lacking) > 1 else "is"
            return f"the nearest layout is Pascal VOC's, and {' and '.join(lacking)} {verb} missing"
    all_ends = ends | _ends_below(folder)
    for given, text in _UNREAD.items():
        if given in all_ends and not all_ends & {".xml", ".txt", ".json"}:
            return text
    if ".json" in all_ends:
        return _JSON
    if "labels/" in names or ".txt" in all_ends:
        return (
            "the nearest layout is YOLO's, and data.yaml, which names the classes and the splits, "
            "or classes.txt, which names the classes, is missing"
        )
    if ".xml" in all_ends:
        return "the nearest layout is Pascal VOC's, whose XML files are named as their images"
    return "there are images, but no annotation file" if all_ends & SUFFIXES else ""


_JSON = (
    "the nearest layout is COCO's, and its annotation files must be named instances_train.json and "
    "instances_val.json, or annotations.json where there are no splits; JSON files of LabelMe, "
    "with one file per image, must be converted to COCO's format first"
)

_UNREAD = {
    ".zip": "archives are not read; unpack them",
    ".csv": "CSV files are not read; convert them to COCO's format",
    ".jsonl": "JSONL files are not read; convert them to COCO's format",
    ".tfrecord": "TFRecord files are not read; convert them to COCO's format",
    ".parquet": "Parquet files are not read; convert them to COCO's format",
}
"""End of a file's name -> what a message says of a folder with such annotations."""

MAX_FOLDERS = 100
"""The max number of folders in a folder that are searched for a data set."""


def _folders_below(folder: Path) -> list[Path]:
    """The folders in a folder, and those in them."""
    folders = [place for place in sorted(folder.iterdir()) if holds(place.is_dir)][:MAX_FOLDERS]
    for place in [*folders]:
        with suppress(OSError):
            folders += [p for p in sorted(place.iterdir()) if holds(p.is_dir)]
    return folders[:MAX_FOLDERS]


def _ends_below(folder: Path) -> set[str]:
    """The ends of the names of files in a folder and the folders in it, in lower case."""
    ends: set[str] = set()
    for place in (folder, *(_folders_below(folder) if holds(folder.is_dir) else ())):
        with suppress(OSError):
            ends |= {Path(name).suffix.lower() for name in os.listdir(place)}
    return ends


def is_dataset(folder: Path) -> bool:
    """Whether a layout fits a folder."""
    fits = (coco.is_coco, coco.single_file_of, yolo.is_like_yolo, *(fits for fits, _ in _OTHERS))
    return any(test(folder) for test in fits)
