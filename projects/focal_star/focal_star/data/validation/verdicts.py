"""Caches that a folder is valid, and its description, while no file of it changes.

Only folders whose own annotation files are in COCO's plain format are cached; the others are read
again. A change of this package's code, or of how images are read, makes a verdict void.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import PIL

from focal_star.data.layouts.coco import is_coco, splits_of
from focal_star.data.layouts.dataset import Stamp, stamp_of
from focal_star.data.validation.image_facts_cache import MIN_IMAGES, SETTLED_SECONDS
from focal_star.data.validation.images import ImageOptions
from focal_star.data.validation.split_check import SplitCheck
from focal_star.identity.sources import SHA256
from focal_star.io.writing import write_whole

Cards = dict[str, dict[str, Any]]


def known_cards(folder: Path, options: ImageOptions) -> Cards | None:
    """Split -> its description; None where the folder must be checked."""
    file = _file(folder, options)
    if file is None or not file.is_file() or not is_coco(folder):
        return None
    try:
        content = json.loads(file.read_bytes())
        if content["header"] != _header(folder, options):
            return None
        for root, stamps in content["stamps"].items():
            for name, *stamp in stamps:
                if stamp_of(f"{root}/{name}") != tuple(stamp):
                    return None
        return content["cards"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remember(
    folder: Path, options: ImageOptions, checks: tuple[SplitCheck, ...], cards: Cards
) -> None:
    """Cache the description of a valid folder, unless a file of it has just been changed."""
    file = _file(folder, options)
    if file is None or sum(len(check.facts) for check in checks) < MIN_IMAGES:
        return
    stamps: dict[str, list[tuple[str, int, int, int]]] = {}
    latest = 0
    for check in checks:
        annotation_file = check.split.annotation_file
        rows: list[tuple[Path, str, Stamp | None]] = [
            (annotation_file.parent, annotation_file.name, check.stamp)
        ]
        rows += [(check.split.image_root, name, one.stamp) for name, one in check.named_facts()]
        for root, name, stamp in rows:
            if stamp is None:
                return
            stamps.setdefault(str(root), []).append((name, *stamp))
            latest = max(latest, stamp[2])
    if time.time_ns() - latest < SETTLED_SECONDS * 1e9:
        return
    content = {"header": _header(folder, options), "stamps": stamps, "cards": cards}
    with suppress(OSError):  # a folder that cannot be written, or a full disk: no cache
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(content).encode())


def _file(folder: Path, options: ImageOptions) -> Path | None:
    if options.cache is None:
        return None
    name = os.path.realpath(folder).encode("utf-8", "surrogateescape")
    return options.cache / "checked_folders" / f"{hashlib.sha256(name).hexdigest()[:16]}.json"


def _header(folder: Path, options: ImageOptions) -> list[Any]:
    """What a verdict depends on besides the content of files."""
    places = [
        str(p) for s in splits_of(folder.resolve()) for p in (s.annotation_file, s.image_root)
    ]
    return [
        SHA256, PIL.__version__, options.bit_depth, options.max_pixels, options.links, *places,
    ]  # fmt: skip
