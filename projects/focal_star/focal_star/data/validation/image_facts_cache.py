"""Caches what is known of image files, so that an unchanged file is hashed and decoded once."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import PIL

from focal_star.data.layouts.dataset import stamp_of
from focal_star.data.validation.images import ImageFacts, ImageOptions, check_image
from focal_star.io.image_files import Conversions
from focal_star.io.writing import write_whole

VERSION = 2
"""Raise it with each change of what is known of an image."""

SETTLED_SECONDS = 2.0
"""A file that was changed less than this long ago could change again without a new stamp."""

MIN_IMAGES = 100
"""Fewer images than that are read again, which takes a second."""

CHUNK = 64
"""Images per task of a thread."""


def facts_of(
    names: Sequence[str | None], root: Path, split: str, options: ImageOptions
) -> list[ImageFacts]:
    """The facts of images, from the cache where a file is unchanged.

    Args:
        names: the paths of the images below ``root``; None for an image that has none.
        root: the folder of the images.
        split: "train" or "val"; each has a cache of its own.
        options: how they are read; its ``cache`` may be None.
    """
    root = Path(os.path.realpath(root))
    file = _file(root, split, options) if len(names) >= MIN_IMAGES else None
    known = _load(file, options) if file else {}
    paths = [None if name is None else root / name for name in names]
    results: list[ImageFacts | None] = [None] * len(paths)
    if known:
        for number, name in enumerate(names):
            cached = known.get(name) if name is not None else None
            if cached is not None:
                with suppress(OSError):
                    if stamp_of(f"{root}/{name}") == cached.stamp:
                        results[number] = cached
    missing = [number for number, facts in enumerate(results) if facts is None]
    chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]

    def check(chunk: list[int]) -> list[ImageFacts]:
        return [check_image(paths[number], options) for number in chunk]

    # Pillow releases the interpreter's lock while it decodes, so threads use every core.
    with ThreadPoolExecutor() as pool:
        for chunk, facts in zip(chunks, pool.map(check, chunks), strict=True):
            for number, result in zip(chunk, facts, strict=True):
                results[number] = result
    complete = [facts for facts in results if facts is not None]
    assert len(complete) == len(paths), (len(complete), len(paths))
    if file and missing:
        with suppress(OSError):  # a folder that cannot be written, or a full disk: no cache
            _save(file, options, zip(names, complete, strict=True))
    return complete


def _file(root: Path, split: str, options: ImageOptions) -> Path | None:
    if options.cache is None:
        return None
    name = hashlib.sha256(f"{root}\n{split}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return options.cache / "checked_images" / f"{name}.json"


def _header(options: ImageOptions) -> list[object]:
    return [VERSION, PIL.__version__, options.bit_depth, options.max_pixels]


def _load(file: Path, options: ImageOptions) -> dict[str, ImageFacts]:
    """Path -> facts; {} where there is no such file, or one of other options."""
    try:
        content = json.loads(file.read_bytes())
        if content["header"] != _header(options):
            return {}
        return {
            path: ImageFacts(
                size=None if size is None else (size[0], size[1]),
                is_turned=is_turned,
                fault=None if fault is None else (fault[0], fault[1]),
                sha256=bytes.fromhex(sha256),
                pixels=bytes.fromhex(pixels),
                stamp=(stamp[0], stamp[1], stamp[2]),
                conversions=Conversions(frozenset(kinds), max_value) if kinds else _NONE,
            )
            for path, (stamp, size, is_turned, fault, sha256, pixels, kinds, max_value) in content[
                "facts"
            ].items()
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return {}


_NONE = Conversions()


def _save(
    file: Path, options: ImageOptions, facts: Iterable[tuple[str | None, ImageFacts]]
) -> None:
    settled = time.time_ns() - SETTLED_SECONDS * 1e9
    rows = {
        name: [
            one.stamp, one.size, one.is_turned, one.fault, one.sha256.hex(), one.pixels.hex(),
            sorted(one.conversions.kinds), one.conversions.max_value,
        ]
        for name, one in facts
        if name is not None and one.stamp is not None and one.stamp[2] < settled
    }  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps({"header": _header(options), "facts": rows}).encode())
