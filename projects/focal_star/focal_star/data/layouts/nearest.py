"""Says what is in a folder that has no layout, and which layout it resembles."""

import os
import re
from contextlib import suppress
from pathlib import Path

from focal_star.data.layouts.csv_tables import EXPECTED
from focal_star.data.layouts.file_names import folders_below, listed
from focal_star.data.layouts.problems import holds
from focal_star.data.layouts.reading import LAYOUTS, is_dataset
from focal_star.io.image_files import SUFFIXES

_VALID = f"valid is {'; or '.join(LAYOUTS)}"

_ABOUT = ("readme", "requirements", "license")
"""Starts of the names of files that are no annotations, in lower case."""


def nearest(folder: Path) -> str:
    """What is in a folder that has no layout, and which layout it resembles."""
    try:
        content = listed(folder)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not content:
        return f"it is empty; {_VALID}"
    return f"it has {content}; {_guess(folder) or _VALID}"


def _guess(folder: Path) -> str:
    inside = next((place for place in folders_below(folder) if is_dataset(place)), None)
    if inside is not None:
        return f"the data set seems to be the folder {inside.relative_to(folder)}/ in it"
    for place in (folder, *folders_below(folder)):
        if lacking := _lacking_of_voc(place):
            where = "" if place == folder else f" in {place.relative_to(folder)}/"
            verb = "are" if len(lacking) > 1 else "is"
            parts = " and ".join(lacking)
            return f"the nearest layout is Pascal VOC's, and {parts} {verb} missing{where}"
    all_ends = _ends_below(folder)
    for end, text in _UNREAD.items():
        if end in all_ends and not all_ends & {".xml", ".txt", ".json"}:
            return text
    if ".json" in all_ends:
        via = _file_of_via(folder)
        return f"{via} {_VIA}" if via else _JSON
    if holds((folder / "labels").is_dir) or ".txt" in all_ends:
        return (
            "the nearest layout is YOLO's, and data.yaml, which names the classes and the splits, "
            "or classes.txt, which names the classes, is missing"
        )
    if ".xml" in all_ends:
        return "the nearest layout is Pascal VOC's, whose XML files are named as their images"
    return "there are images, but no annotation file" if all_ends & SUFFIXES else ""


_JSON = (
    "the nearest layout is COCO's, and its annotation files must be named instances_train.json and "
    "instances_val.json, or annotations.json where there are no splits"
)

_VIA = "is VIA's format, which is not read; export it from VIA as COCO"

_UNREAD = {
    ".zip": "archives are not read; unpack them",
    ".csv": EXPECTED,
    ".jsonl": "JSONL files are not read; convert them to COCO's format",
    ".tfrecord": "TFRecord files are not read; convert them to COCO's format",
    ".parquet": "Parquet files are not read; convert them to COCO's format",
}
"""End of a file's name -> what a message says of a folder with such annotations."""


_OF_VIA = re.compile(
    rb'"filename"\s*:.{,2000}?"regions"\s*:|"_via_(settings|img_metadata)"', re.DOTALL
)

VIA_BYTES = 2**14
"""Bytes at the start of a file that say whether it is VIA's."""


def _file_of_via(folder: Path) -> str:
    """The path of a file of VIA (VGG Image Annotator) in a folder or those in it; "" for none.

    It maps keys to entries with the name of an image and its regions.
    """
    for place in (folder, *folders_below(folder)):
        for path in sorted(place.glob("*.json")):
            with suppress(OSError):
                if not holds(path.is_file):
                    continue
                with path.open("rb") as file:
                    if _OF_VIA.search(file.read(VIA_BYTES)):
                        return path.relative_to(folder).as_posix()
    return ""


def _lacking_of_voc(folder: Path) -> list[str]:
    """The folders that one with others of Pascal VOC's lacks; nothing where it has none of them."""
    with suppress(OSError):
        names = set(os.listdir(folder))
        ends = {
            end for name in ("annotations", "Annotations") for end in _ends_below(folder / name)
        }
        if (
            names & {"annotations", "Annotations", "ImageSets", "JPEGImages"}
            and ".json" not in ends
        ):
            return [f"{part}/" for part in ("Annotations", "JPEGImages") if part not in names]
    return []


def _ends_below(folder: Path) -> set[str]:
    """The ends of the names of files in a folder and the folders in it, in lower case."""
    ends: set[str] = set()
    for place in (folder, *(folders_below(folder) if holds(folder.is_dir) else ())):
        with suppress(OSError):
            names = map(str.lower, os.listdir(place))
            ends |= {Path(name).suffix for name in names if not name.startswith(_ABOUT)}
    return ends
