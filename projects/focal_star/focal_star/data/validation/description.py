"""Describes the content of a split in numbers, and identifies it by a hash."""

import hashlib
import json
import math
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_star.data.layouts.coco import splits_of
from focal_star.data.layouts.dataset import FileState, Stamp, stamp_of
from focal_star.data.layouts.problems import Doubts
from focal_star.data.layouts.split import Split
from focal_star.data.validation.doubts import find_doubts, written_warnings
from focal_star.data.validation.image_facts_cache import SETTLED_SECONDS
from focal_star.data.validation.images import (
    ImageFacts,
    describe_conversions,
    read_image_facts,
)

SMALL, MEDIUM = 32**2, 96**2
"""COCO's bounds of an object's area, px: below the first it is small, below the second medium."""


@dataclass(frozen=True)
class _Described:
    """A description, and the files that it was made from."""

    card: dict[str, Any]
    bit_depth: int | None
    stamps: dict[Path, Stamp]


_DESCRIBED: dict[tuple[str, str], _Described] = {}
"""The descriptions made by this process, so that no file is read twice while it is unchanged."""


def describe(split: Split, bit_depth: int | None = None) -> dict[str, Any]:
    """Describe the content of a split, which must have passed the check.

    Args:
        split: the files of the split.
        bit_depth: ``INPUT.BIT_DEPTH`` that its images are read with.

    Returns:
        ``sha256`` in hex, which changes with any byte of the annotation file or of an image that
        it lists; ``conversions``, the lines of
        :func:`focal_star.data.validation.images.describe_conversions`; ``warnings``, the lines on
        what is doubtful; and what :func:`contents` counts.
    """
    known = known_description(split)
    if known is not None and known.bit_depth == bit_depth:
        return dict(known.card)
    stamp, data = stamp_of(split.annotation_file), split.annotation_file.read_bytes()
    content = json.loads(data)
    paths = [split.image_root / image["file_name"] for image in content["images"]]
    with ThreadPoolExecutor() as pool:
        facts = list(pool.map(read_image_facts, paths))
    file = FileState(hashlib.sha256(data).digest(), stamp)
    return describe_content(split, content, file, facts, bit_depth)


def describe_content(
    split: Split,
    content: dict[str, Any],
    annotation_file: FileState,
    facts: Sequence[ImageFacts],
    bit_depth: int | None,
) -> dict[str, Any]:
    """Like :func:`describe`, for files that have been read.

    Args:
        split: the files of the split.
        content: the content of the annotation file, decoded.
        annotation_file: which content it is.
        facts: the facts of each image, in the order of the file.
        bit_depth: see :func:`describe`.
    """
    order = sorted(range(len(facts)), key=lambda number: content["images"][number]["id"])
    names = [content["images"][number]["file_name"] for number in order]
    digest = hashlib.sha256(annotation_file.sha256)
    for number in order:
        digest.update(facts[number].sha256)
    conversions = [facts[number].conversions for number in order]
    doubts = Doubts()
    find_doubts(split.name, content, doubts)
    card = {
        "sha256": digest.hexdigest(),
        "conversions": describe_conversions(names, conversions, bit_depth),
        "warnings": [*written_warnings(content), *doubts.lines(split.name)],
        **contents(content),
    }
    paths = [split.image_root / name for name in names]
    file_stamps = [annotation_file.stamp, *(facts[number].stamp for number in order)]
    stamps = {
        path: stamp
        for path, stamp in zip([split.annotation_file, *paths], file_stamps, strict=True)
        if stamp is not None
    }
    if annotation_file.stamp is not None:  # a conversion that is not written has none
        latest = max(changed for *_, changed in stamps.values())
        if time.time_ns() - latest > SETTLED_SECONDS * 1e9:
            _DESCRIBED[_key(split)] = _Described(card, bit_depth, stamps)
    return dict(card)


def _key(split: Split) -> tuple[str, str]:
    return os.path.abspath(split.annotation_file), os.path.abspath(split.image_root)


def known_description(split: Split) -> _Described | None:
    """The description that this process has made of a split, if its files are unchanged."""
    known = _DESCRIBED.get(_key(split))
    try:
        unchanged = known and all(stamp_of(path) == was for path, was in known.stamps.items())
    except OSError:
        unchanged = False
    return known if unchanged else None


def dataset_sha256(folder: Path | str) -> str:
    """The fingerprint of both splits of a folder in COCO's format, which must be valid."""
    digests = []
    for split in splits_of(folder):
        known = known_description(split)
        digests.append((known.card if known else describe(split))["sha256"])
    return joined_sha256(digests)


def joined_sha256(digests: Iterable[str]) -> str:
    """The fingerprint of a data set, from those of its splits in the order of `splits_of`."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def contents(annotations: dict[str, Any]) -> dict[str, Any]:
    """Count and measure the images and objects of an annotation file.

    Args:
        annotations: the content of an annotation file that has passed the check.

    Returns:
        ``num_images``; ``num_instances`` (annotations, crowds included); ``num_crowd``;
        ``num_categories``; ``category_names`` in the order of their ids; and, without crowds:
        ``num_small``, ``num_medium`` and ``num_large`` (objects by COCO's areas; the box's area
        where none is given), ``num_without_objects`` (images), ``objects_per_image`` (mean, one
        decimal), ``most_objects_per_image``
        and ``per_category`` (name -> objects); ``object_size`` (the square root of a box's area),
        ``width`` and ``height`` (minimum, median and maximum, px).
    """
    images = annotations["images"]
    objects = [a for a in annotations["annotations"] if not a.get("iscrowd", 0)]
    areas = [a.get("area", a["bbox"][2] * a["bbox"][3]) for a in objects]
    in_image = Counter(a["image_id"] for a in objects)
    in_category = Counter(a["category_id"] for a in objects)
    categories = sorted(annotations["categories"], key=lambda category: category["id"])
    return {
        "num_images": len(images),
        "num_instances": len(annotations["annotations"]),
        "num_crowd": len(annotations["annotations"]) - len(objects),
        "num_categories": len(categories),
        "category_names": [category["name"] for category in categories],
        "num_small": sum(area < SMALL for area in areas),
        "num_medium": sum(SMALL <= area < MEDIUM for area in areas),
        "num_large": sum(area >= MEDIUM for area in areas),
        "num_without_objects": len(images) - len(in_image),
        "objects_per_image": round(len(objects) / len(images), 1) if images else None,
        "most_objects_per_image": max(in_image.values(), default=0),
        "width": _spread([image["width"] for image in images]),
        "height": _spread([image["height"] for image in images]),
        "object_size": _spread([_size(*a["bbox"]) for a in objects]),
        "per_category": {c["name"]: in_category[c["id"]] for c in categories},
    }


def _size(x: float, y: float, width: float, height: float) -> float:
    return round(math.sqrt(max(width * height, 0)), 1)


def _spread(lengths: list[Any]) -> list[float]:
    return [min(lengths), statistics.median(lengths), max(lengths)] if lengths else []
