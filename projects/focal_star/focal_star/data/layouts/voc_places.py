"""Finds the folders that hold Pascal VOC's files: annotations in XML, and images."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from focal_star.data.layouts.file_names import files_below, images_below, is_image_name
from focal_star.data.layouts.problems import holds
from focal_star.data.layouts.split import TEST_NAMES, TRAIN_NAMES, VAL_NAMES

FIFTYONE = ("labels", "data")

PLACES = (
    ("Annotations", "JPEGImages"), ("annotations", "images"), ("Annotations", "images"),
    FIFTYONE, ("", ""),
)  # fmt: skip
"""Where annotation files and images usually are in a folder."""

MAX_SEARCHED = 1000
"""A folder with no annotation file among so many files has none."""

_NAMES_OF_LISTS = {
    "default": ("default",),
    "trainval": ("trainval",),
    "train": TRAIN_NAMES,
    "val": VAL_NAMES,
    "test": TEST_NAMES,
}
"""What a list is of -> its names, the preferred one first; upper case counts as well."""


def is_voc(folder: Path | str) -> bool:
    """Whether a folder is one of VOC, or holds such folders."""
    return bool(years_of(Path(folder), PLACES[:1]))


def is_like_voc(folder: Path | str) -> bool:
    """Whether VOC's files are in a folder, in any of `PLACES` or in others, or in folders in it."""
    return bool(years_of(Path(folder)))


def years_of(folder: Path, places: tuple[tuple[str, str], ...] = PLACES) -> list[Path]:
    """The folders of a data set; those of VOC itself where there are any.

    With all `PLACES`, folders of any names count, where there is none of the usual ones.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        inside = [folder / name for name in names if (folder / name).is_dir()]
    except (OSError, ValueError):
        return []
    for some in (places[:1], places[1:]):
        if places_of(folder, some) is not None:
            return [folder]
        if years := [path for path in inside if places_of(path, some) is not None]:
            return years
    return [folder] if places == PLACES and other_places_of(folder) is not None else []


def places_of(folder: Path, places: tuple[tuple[str, str], ...] = PLACES) -> tuple[str, str] | None:
    """The one of some places that a folder has; None for none."""
    for annotations, images in places:
        if not all(holds((folder / part).is_dir) for part in (annotations, images)):
            continue
        if (annotations, images) == PLACES[0]:
            return PLACES[0]
        deep = bool(images)
        stems = _stems(xml_below(folder / annotations, deep))
        if not stems:  # also where the folder cannot be listed
            continue
        names = images_below(folder / images) if deep else os.listdir(folder)
        if any(os.path.splitext(name)[0] in stems and is_image_name(name) for name in names):
            return annotations, images
    return None


def other_places_of(folder: Path) -> tuple[str, str] | None:
    """The folder of annotation files and that of their images, whatever they are called.

    Both may be the same. Most of the annotation files must have an image; of several such pairs of
    folders, it is the one with the most.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (OSError, ValueError):
        return None
    inside = [name for name in names if holds((folder / name).is_dir)]
    annotated = {name: _stems(xml_below(folder / name)) for name in inside
                 if _has_xml(folder / name)}  # fmt: skip
    if not annotated:
        return None
    pictures = {name: _stems(images_below(folder / name)) for name in inside}
    num_both = {
        (annotations, images): len(annotated[annotations] & pictures[images])
        for annotations in annotated
        for images in inside
    }
    best = max(num_both, key=lambda pair: num_both[pair])
    return best if num_both[best] > len(annotated[best[0]]) / 2 else None


def _has_xml(folder: Path) -> bool:
    return any(path.lower().endswith(".xml") for path in islice(files_below(folder), MAX_SEARCHED))


def _stems(paths: Iterable[str]) -> set[str]:
    return {os.path.splitext(path)[0] for path in paths}


def xml_below(folder: Path, deep: bool = True) -> Iterator[str]:
    """The annotation files below a folder, or directly in it, as paths relative to it."""
    return (path for path in files_below(folder, deep) if path.lower().endswith(".xml"))


def lists_of(folder: Path) -> dict[str, str]:
    """What a list of images is of -> its path in a folder.

    The keys are "default", "trainval", "train", "val" and "test".
    """
    for place in ("ImageSets/Main/", "ImageSets/"):
        if lists := _lists_in(folder, place):
            return lists
    lists = _lists_in(folder, "")
    return lists if {"train", "val"} <= lists.keys() else {}


def _lists_in(folder: Path, place: str) -> dict[str, str]:
    try:
        names = sorted(os.listdir(folder / place))
    except OSError:
        return {}
    name_of = {name[:-4].lower(): name for name in names if name.endswith(".txt")}
    lists = {key: [name_of[n] for n in of if n in name_of] for key, of in _NAMES_OF_LISTS.items()}
    return {key: f"{place}{names[0]}" for key, names in lists.items() if names}
