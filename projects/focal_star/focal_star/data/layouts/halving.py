"""Divides data that have no splits into a training and a validation split."""

import hashlib
from typing import Any

from focal_star.data.layouts.dataset import Dataset

VAL_SHARE = 5
"""One image in this many is a validation image."""


def divide(dataset: Dataset) -> None:
    """Move validation images of the training split into a split of their own.

    Which ones they are depends only on their file names, so that further images move none; but at
    least one image of two or more is in each split. A warning says what was done.
    """
    content = dataset.contents["train"]
    images = [image for image in _entries(content, "images") if _is_id(image.get("id"))]
    ranked = sorted(
        ((_number(image.get("file_name")), image["id"]) for image in images),
        key=lambda pair: pair[0],
    )
    chosen = {image_id for number, image_id in ranked if number % VAL_SHARE == 0}
    if len(images) > 1:
        chosen = chosen or {ranked[0][1]}
        if len(chosen) == len(images):
            chosen.discard(ranked[-1][1])
    for split, is_val in (("train", False), ("val", True)):
        dataset.contents[split] = content | {
            key: [
                entry
                for entry in _entries(content, key)
                if (_is_id(entry.get(name)) and entry[name] in chosen) == is_val
            ]
            for key, name in (("images", "id"), ("annotations", "image_id"))
        }
    dataset.doubts.note(
        "val",
        f"the data have no validation split, so one image in {VAL_SHARE}, chosen by a hash of its "
        "file name, is used for validation; if your images resemble each other, like frames of a "
        "video, split them yourself",
    )


def _entries(content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = content.get(key)
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


def _is_id(value: Any) -> bool:
    return type(value) in (int, str)


def _number(name: Any) -> int:
    return int.from_bytes(hashlib.sha256(str(name).encode("utf-8", "replace")).digest()[:8], "big")
