"""A data set as every layout's reader returns it: its two splits, in COCO's format."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from focal_star.data.layouts.problems import Doubts, Problem
from focal_star.data.layouts.split import SOURCE, SPLITS, Split
from focal_star.io.writing import write_whole

COCO_FORMAT = "COCO's format"

Stamp = tuple[int, int, int]
"""Inode, size and time of the last change (ns) of a file."""

WARNINGS_KEY = "warnings"
"""Key of a converted annotation file: the lines that its conversion warned of."""


def stamp_of(path: Path | str) -> Stamp:
    about = os.stat(path)
    return about.st_ino, about.st_size, about.st_mtime_ns


@dataclass(frozen=True)
class FileState:
    """Which content of an annotation file was read.

    Attributes:
        sha256: of its bytes.
        stamp: from before it was read; None for a conversion that is not written.
        has_mark: whether it began with a byte order mark.
    """

    sha256: bytes
    stamp: Stamp | None = None
    has_mark: bool = False


@dataclass
class Dataset:
    """The splits of a data set in COCO's format.

    Attributes:
        folder: the folder that was given.
        splits: the training and the validation split. Where the data set is converted, all images
            are relative to the ``image_root`` of both.
        contents: split -> content of its annotation file, None where it cannot be read; each
            converted entry names its source.
        files: split -> which content was read; only of annotation files in COCO's format.
        is_converted: whether the contents are others than those of files in COCO's format.
        problems: of the annotation files; entries that could not be read are left out of
            ``contents``.
        doubts: what was doubtful in them.
        layout: in which layout the folder was read, in words.
    """

    folder: Path
    splits: tuple[Split, Split]
    contents: dict[str, Any] = field(default_factory=dict)
    files: dict[str, FileState] = field(default_factory=dict)
    is_converted: bool = True
    problems: list[Problem] = field(default_factory=list)
    doubts: Doubts = field(default_factory=Doubts)
    layout: str = COCO_FORMAT

    def texts(self) -> dict[str, bytes]:
        """Split -> the annotation file that :meth:`write` writes, with its warnings."""
        return {
            split: json.dumps(
                content | {WARNINGS_KEY: lines} if (lines := self.doubts.lines(split)) else content
            ).encode()
            for split, content in self.contents.items()
            if content is not None
        }

    def states(self) -> dict[str, FileState]:
        """Split -> which content its annotation file has, or would have once written."""
        if not self.is_converted:
            return self.files
        return {s: FileState(hashlib.sha256(text).digest()) for s, text in self.texts().items()}

    def write(self, into: Path) -> None:
        """Write a folder in COCO's format, whose ``images`` is a link to the data set's own.

        Existing files are replaced one at a time if they differ.
        """
        into.mkdir(parents=True, exist_ok=True)
        image_root = self.splits[0].image_root
        link = into / "images"
        if not link.is_symlink() or link.readlink() != image_root:
            new = into / f".images.{os.getpid()}"
            new.unlink(missing_ok=True)
            new.symlink_to(image_root, target_is_directory=True)
            new.replace(link)
        for split, text in self.texts().items():
            path = into / f"instances_{split}.json"
            if not (path.exists() and path.read_bytes() == text):
                write_whole(path, text)


def converted(folder: Path, image_root: Path) -> Dataset:
    """An empty data set that a reader of another layout fills.

    Args:
        folder: the folder that was given, which no link may lead out of.
        image_root: the folder that every ``file_name`` is relative to.
    """
    train, val = (Split(name, Path(name), image_root, folder) for name in SPLITS)
    return Dataset(folder, (train, val))


def number_categories(contents: Mapping[str, dict[str, Any]], sources: Mapping[str, str]) -> None:
    """Add the categories of converted splits, with ids from 1 on in the order of their names.

    Args:
        contents: split -> its content; an annotation names its ``category``, which its
            ``category_id`` replaces.
        sources: name of each category -> the file, and the entry there, that has it.
    """
    ids = {name: number for number, name in enumerate(sorted(sources), start=1)}
    for content in contents.values():
        content["categories"] = [
            {"id": number, "name": name, SOURCE: sources[name]} for name, number in ids.items()
        ]
        for annotation in content["annotations"]:
            annotation["category_id"] = ids[annotation.pop("category")]
