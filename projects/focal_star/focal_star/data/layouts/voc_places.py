"""Finds the folders that hold Pascal VOC's files: annotations in XML, and images."""

import os
from collections.abc import Iterator
from pathlib import Path

from focal_star.data.layouts.file_names import images_below, is_image_name
from focal_star.data.layouts.problems import holds

PLACES = (
    ("Annotations", "JPEGImages"), ("annotations", "images"), ("Annotations", "images"),
    ("labels", "data"), ("", ""),
)  # fmt: skip
"""Where annotation files and images are in a folder."""


def is_voc(folder: Path | str) -> bool:
    """Whether a folder is one of VOC, or holds such folders."""
    return bool(years_of(Path(folder), PLACES[:1]))


def is_like_voc(folder: Path | str) -> bool:
    """Whether VOC's files are in any of `PLACES` in a folder, or in folders in it."""
    return bool(years_of(Path(folder)))


def years_of(folder: Path, places: tuple[tuple[str, str], ...] = PLACES) -> list[Path]:
    """The folders of a data set; those of VOC itself where there are any."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
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
        stems = {os.path.splitext(path)[0] for path in xml_below(folder / annotations, deep)}
        if not stems:  # also where the folder cannot be listed
            continue
        names = images_below(folder / images) if deep else os.listdir(folder)
        if any(os.path.splitext(name)[0] in stems and is_image_name(name) for name in names):
            return annotations, images
    return None


def xml_below(folder: Path, deep: bool = True) -> Iterator[str]:
    """The annotation files below a folder, or directly in it, as paths relative to it."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(folders) if deep else []
        below = os.path.relpath(parent, folder)
        for name in sorted(names):
            if name.lower().endswith(".xml"):
                yield name if below == "." else f"{below}/{name}"
