"""Finds the folders that hold Pascal VOC's files: annotations in XML, and images."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from focal_star.data.layouts.file_names import (
    MAX_FILES,
    files_below,
    images_below,
    is_image_name,
)
from focal_star.data.layouts.problems import holds
from focal_star.data.layouts.split import TEST_NAMES, TRAIN_NAMES, VAL_NAMES, kinds_of_splits

FIFTYONE = ("labels", "data")

PLACES = (
    ("Annotations", "JPEGImages"), ("annotations", "images"), ("Annotations", "images"),
    FIFTYONE, ("", ""),
)  # fmt: skip
"""Where annotation files and images usually are in a folder."""

SCATTERED = (".", ".")
"""Stands for folders of any names."""

MAX_DEPTH = 3
"""Folders in each other that an annotation file may be in, where these have any names."""

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
    """Whether VOC's files are in any of `PLACES` in a folder, or in folders in it."""
    return bool(years_of(Path(folder)))


def years_of(folder: Path, places: tuple[tuple[str, str], ...] = PLACES) -> list[Path]:
    """The folders of a data set; those of VOC itself where there are any."""
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
    return []


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


@dataclass(frozen=True)
class Scattered:
    """Annotation files and images in folders of any names.

    Attributes:
        annotated: path of an image without its suffix -> path of its annotation file.
        without_image: annotation files without an image.
        repeated: annotation files with an image that another file annotates.
        image_folders: the folders with annotated images.
    """

    annotated: dict[str, str]
    without_image: list[str]
    repeated: list[str]
    image_folders: set[str]


def is_scattered(folder: Path | str, deep: bool = True) -> bool:
    """Whether there are VOC's files in folders of any names below a folder, or directly in it."""
    folder = Path(folder)
    has_files = any(True for _ in islice(xml_below(folder, deep), 1))
    return has_files and scattered_in(folder) is not None


def scattered_in(folder: Path) -> Scattered | None:
    """The annotation files and images below a folder; None if most of the files have no image.

    An annotation file belongs to the image of its name. Of several, it is the one whose folders are
    most like its own: the same split, then the most names in common.
    """
    by_stem: dict[str, list[str]] = {}
    for path in images_below(folder):
        without_suffix = os.path.splitext(path)[0]
        by_stem.setdefault(os.path.basename(without_suffix), []).append(without_suffix)
    annotated: dict[str, str] = {}
    without_image, repeated = [], []
    for path in islice(xml_below(folder), MAX_FILES):
        if path.count("/") > MAX_DEPTH:
            continue
        stem = os.path.splitext(os.path.basename(path))[0]
        image = _most_alike(path, sorted(set(by_stem.get(stem, ()))))
        if image is None:
            without_image.append(path)
        elif annotated.setdefault(image, path) != path:
            repeated.append(path)
    if len(annotated) <= len(without_image):
        return None
    image_folders = {os.path.dirname(image) for image in annotated}
    return Scattered(annotated, without_image, repeated, image_folders)


def _most_alike(path: str, images: list[str]) -> str | None:
    """The image whose folders are most like those of an annotation file; None for none."""
    folders = path.split("/")[:-1]
    kinds = kinds_of_splits(folders)

    def likeness(image: str) -> tuple[bool, int]:
        others = image.split("/")[:-1]
        return kinds_of_splits(others) == kinds, len(set(folders) & set(others))

    return max(images, key=likeness, default=None)


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
