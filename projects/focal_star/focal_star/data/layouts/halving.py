"""Divides data that have no splits into a training and a validation split."""

import hashlib
import os
import re
from typing import Any

from focal_star.data.layouts.coco_values import entries_of
from focal_star.data.layouts.dataset import Dataset
from focal_star.data.layouts.problems import Doubts
from focal_star.data.layouts.split import SOURCE, SPLITS, kinds_of_splits, splits_by_name
from focal_star.io.quoting import shown

VAL_SHARE = 5
"""One image in this many is a validation image."""

Id = int | str

_OF_COPY = re.compile(r"\.rf\.\w+(?=\.\w+$)")
"""What Roboflow adds to the name of a photograph, another one for each augmented copy."""


def divide(dataset: Dataset, by_source: bool = False) -> None:
    """Move validation images of the training split into a split of their own.

    Where the images are in folders that are named as splits, these are the splits. Otherwise, which
    ones they are depends only on their file names, so that further images move none; but at least
    one image of two or more, and of those with objects, is in each split. The copies of a
    photograph that Roboflow augments are in the same split. A warning says what was done.

    Args:
        dataset: all of it is in the training split.
        by_source: whether the folders of the files that images were converted from may also be the
            splits, where those of the images are not.
    """
    content = dataset.contents["train"]
    images, sources = (
        [
            (str(image.get(key)), image["id"])
            for image in entries_of(content, "images")
            if _is_id(image.get("id"))
        ]
        for key in ("file_name", SOURCE)
    )
    annotated = {
        e["image_id"] for e in entries_of(content, "annotations") if _is_id(e.get("image_id"))
    }
    doubts = dataset.doubts
    split_of = _by_folder(images, annotated, doubts)
    if by_source:
        split_of = split_of or _by_folder(sources, annotated, doubts)
    split_of = split_of or _by_hash(images, annotated, doubts)
    for split in SPLITS:
        dataset.contents[split] = content | {
            key: [
                entry
                for entry in entries_of(content, key)
                if split_of.get(entry[name] if _is_id(entry.get(name)) else "", "train") == split
            ]
            for key, name in (("images", "id"), ("annotations", "image_id"))
        }


def _by_folder(images: list[tuple[str, Id]], annotated: set[Id], doubts: Doubts) -> dict[Id, str]:
    """Id of an image -> the split that its folder is named as, "" for none.

    The folder is the first one in which the paths of the images differ. Nothing is returned where
    there is not a folder of each split with annotated images.
    """
    folders = {name: name.split("/")[:-1] for name, _ in images}
    depth = len(os.path.commonprefix([*folders.values()]))
    folder_of = {name: (parts[depth:] or ["./"])[0] for name, parts in folders.items()}
    kind_of = {folder: " ".join(sorted(kinds_of_splits([folder]))) for folder in folder_of.values()}
    of_kind = splits_by_name(kind_of.values())
    split_of = {folder: of_kind.get(kind, "") for folder, kind in kind_of.items()}
    if not set(SPLITS) <= {
        split_of[folder_of[name]] for name, image_id in images if image_id in annotated
    }:
        return {}
    doubts.note_unused(split_of)
    for split in SPLITS:
        folders_of_split = sorted(folder for folder, of in split_of.items() if of == split)
        doubts.note(split, f"these are the images in {', '.join(map(shown, folders_of_split))}")
    return {image_id: split_of[folder_of[name]] for name, image_id in images}


def _by_hash(images: list[tuple[str, Id]], annotated: set[Id], doubts: Doubts) -> dict[Id, str]:
    """Id of an image -> its split."""
    photographs: dict[str, list[tuple[str, Id]]] = {}
    for name, image_id in images:
        photographs.setdefault(_OF_COPY.sub("", name), []).append((name, image_id))
    # A photograph with one copy goes by its whole name, as any image of other tools does.
    ids = {
        copies[0][0] if len(copies) == 1 else photograph: [image_id for _, image_id in copies]
        for photograph, copies in photographs.items()
    }
    ranked = sorted(ids, key=_number)
    chosen = {name for name in ranked if _number(name) % VAL_SHARE == 0}
    with_objects = [name for name in ranked if not annotated.isdisjoint(ids[name])]
    for names in (ranked, with_objects):  # at least one of each in both splits
        if len(names) > 1 and chosen.isdisjoint(names):
            chosen.add(names[0])
        if len(names) > 1 and chosen.issuperset(names):
            chosen.discard(names[-1])
    doubts.note(
        "val",
        f"the data have no validation split, so one image in {VAL_SHARE}, chosen by a hash of its "
        "file name, is used for validation; if your images resemble each other, like frames of a "
        "video, split them yourself",
    )
    return {image_id: "val" for name in chosen for image_id in ids[name]}


def _is_id(value: Any) -> bool:
    return type(value) in (int, str)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:8], "big")
