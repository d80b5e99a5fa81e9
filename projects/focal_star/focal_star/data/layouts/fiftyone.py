"""FiftyOne's own formats, converted to COCO's.

* ``FiftyOneDataset``: ``samples.json`` and ``data/``. The objects are those of the field
  ``ground_truth``, or of the only field with detections. Tags named as splits are the splits.
* ``FiftyOneImageDetectionDataset``: ``labels.json`` with ``classes`` and ``labels``, and ``data/``,
  whose images it names without their suffixes.

A ``bounding_box`` is [x, y, width, height] of the upper left corner and the size, in fractions of
the image. Data without a validation split are divided.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from focal_star.data.layouts.coco_values import are_finite
from focal_star.data.layouts.dataset import Dataset, converted
from focal_star.data.layouts.entries import Entries
from focal_star.data.layouts.file_names import ImageFolder, images_below, is_as_named
from focal_star.data.layouts.halving import divide
from focal_star.data.layouts.json_files import read_json
from focal_star.data.layouts.problems import Problem, holds
from focal_star.data.layouts.split import SOURCE, splits_by_name
from focal_star.io.image_files import PhotographError, upright_size
from focal_star.io.quoting import shown

SAMPLES, LABELS = "samples.json", "labels.json"

_START = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"(classes|labels)"')
"""How labels.json begins in FiftyOne's own format; in COCO's, it has the same name."""


def is_fiftyone(folder: Path | str) -> bool:
    """Whether a folder is an export in one of FiftyOne's own formats."""
    folder = Path(folder)
    if holds((folder / SAMPLES).is_file):
        return True
    try:
        with (folder / LABELS).open("rb") as file:
            return _START.match(file.read(200)) is not None
    except OSError:
        return False


class _FiftyOneError(ValueError):
    """An entry that is not of FiftyOne's form; the message says what it must be."""


def convert(folder: Path | str) -> Dataset:
    """Read the annotation file; of images, only their sizes."""
    folder = Path(folder).resolve()
    dataset = converted(folder, folder)
    dataset.contents = {"train": None, "val": None}
    file = folder / (SAMPLES if holds((folder / SAMPLES).is_file) else LABELS)
    content, _ = read_json(file, "both", dataset.problems, allow_mark=True)
    if content is None:
        return dataset
    is_samples = file.name == SAMPLES
    try:
        samples = list(_samples(content) if is_samples else _labels(content, folder / "data"))
    except _FiftyOneError as error:
        dataset.problems.append(Problem("both", "not-fiftyone", f"{file.name}: {error}"))
        return dataset
    split_of = splits_by_name(tag for _, _, tags, _ in samples for tag in tags)
    dataset.doubts.note_unused(split_of)
    search, entries = ImageFolder(folder), Entries(file.name)
    for place, name, tags, objects in samples:
        place = f"{file.name}: {place}"
        splits = {split_of[tag] for tag in tags if tag in split_of} if split_of else {"train"}
        if len(splits) != 1:
            text = f"{place}: its tags {shown(tags)} must name one split"
            dataset.problems.append(Problem("both", "not-fiftyone", text))
            continue
        (split,) = splits
        if not split:
            continue
        file_name = search.find(name, folder / "data", split if split_of else "")
        size = _size(dataset, split, place, name, file_name)
        if file_name is None or size is None:
            continue
        image_id = entries.add_image(
            split,
            {"file_name": file_name, SOURCE: place, "width": size[0], "height": size[1]},
        )
        for where, label, box in _boxes(dataset, split, place, objects):
            scaled = [round(v * size[n % 2], 4) for n, v in enumerate(box)]
            entries.add_object(split, image_id, label, scaled, where)
    dataset.contents = entries.numbered()
    if not split_of:
        divide(dataset)
    return dataset


def _size(
    dataset: Dataset, split: str, place: str, name: str, file_name: str | None
) -> tuple[int, int] | None:
    """(width, height) of an image, px; None with a problem where it cannot be read.

    Args:
        dataset: the data set, for what is doubtful and for problems.
        split: the split of the image.
        place: the sample of the image in the annotation file.
        name: the image's name there.
        file_name: its path below the data set's folder; None where it is not there.
    """
    folder = dataset.folder
    try:
        if file_name is None:
            raise PhotographError(f"{shown(name)} is not in the folder")
        size = upright_size(folder / file_name)
    except PhotographError as error:
        kind = "missing-image" if file_name is None else "broken-image"
        dataset.problems.append(Problem(split, kind, f"{place}: {error}"))
        return None
    if not is_as_named(folder / file_name, name, folder / "data"):
        dataset.doubts.add(split, "name-found", shown(name))
    return size


def _boxes(
    dataset: Dataset, split: str, place: str, objects: list[dict[str, Any]]
) -> Iterator[tuple[str, str, list[float]]]:
    """The place in the file, label and bounding box of each object that has both.

    The others become problems of the data set.
    """
    for number, entry in enumerate(objects):
        where = f"{place}: object {number}"
        label, box = entry.get("label"), entry.get("bounding_box") or []
        if isinstance(label, str) and label and are_finite(box) and len(box) == 4:
            yield where, label, box
            continue
        text = (
            f"{where} must have a label and four finite numbers as its bounding_box, got "
            f"{shown(entry)}"
        )
        dataset.problems.append(Problem(split, "not-fiftyone", text))


Entry = tuple[str, str, list[str], list[dict[str, Any]]]
"""The place of a sample in its file, the name of its image, its tags, its objects."""


def _samples(content: dict[str, Any]) -> Iterator[Entry]:
    samples = content.get("samples")
    if not (isinstance(samples, list) and samples and all(isinstance(s, dict) for s in samples)):
        raise _FiftyOneError(f"samples must be a list of objects, got {shown(samples)}")
    fields = {
        key: None
        for sample in samples
        for key, value in sample.items()
        if isinstance(value, dict) and value.get("_cls") in ("Detections", "Detection")
    }
    if "ground_truth" not in fields and len(fields) != 1:
        raise _FiftyOneError(
            f"detections must be in the field ground_truth, or in a single one; found {[*fields]}; "
            "export the right one as fo.types.COCODetectionDataset"
        )
    field = "ground_truth" if "ground_truth" in fields else next(iter(fields))
    for number, sample in enumerate(samples):
        name, tags, value = (
            sample.get("filepath"),
            sample.get("tags") or [],
            sample.get(field) or {},
        )
        if not (isinstance(name, str) and isinstance(tags, list) and isinstance(value, dict)):
            raise _FiftyOneError(
                f"samples[{number}] must have a filepath, a list of tags and detections"
            )
        place = f"samples[{number}]"
        objects = value.get("detections") if "detections" in value else [value] if value else []
        yield place, name, [t for t in tags if isinstance(t, str)], _objects(objects, place)


def _labels(content: dict[str, Any], image_folder: Path) -> Iterator[Entry]:
    labels: Any = content.get("labels")
    classes = content.get("classes")
    if not isinstance(labels, dict):
        raise _FiftyOneError(f"labels must be an object, got {shown(labels)}")
    files = {str(Path(name).with_suffix("")): name for name in images_below(image_folder)}
    unlisted: dict[str, Any] = dict.fromkeys(sorted(set(files) - set(labels)))
    for key, value in [*labels.items(), *unlisted.items()]:
        place = f"labels[{shown(key)}]"
        objects = [
            one | {"label": _named(one.get("label"), classes)} for one in _objects(value, place)
        ]
        yield place, files.get(key) or key, [], objects


def _objects(value: Any, place: str) -> list[dict[str, Any]]:
    value = [] if value is None else value
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _FiftyOneError(f"{place}: its detections must be a list of objects")
    return value


def _named(label: Any, classes: Any) -> Any:
    """The name of a class that is given by its number."""
    if type(label) is int and isinstance(classes, list) and 0 <= label < len(classes):
        return classes[label]
    return label
