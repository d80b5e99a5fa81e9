"""Reads each image of a split once: for its hash, its faults, and losses in its conversion."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from focal_star.data.layouts.problems import holds
from focal_star.io.image_files import (
    CONVERSIONS,
    MAX_BITS,
    SIXTEEN_BITS,
    Conversions,
    PhotographError,
    decode,
    find_conversions,
)
from focal_star.io.quoting import shown

DEPTHS = (8, 10, 12, 14, 16)
"""The bits per value that cameras and scanners write into files of 16 bits."""

Stamp = tuple[int, int, int]
"""Inode, size and time of the last change (ns) of a file."""


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image file after one reading.

    Attributes:
        size: (width, height) in px, None where it cannot be decoded or was not.
        is_turned: whether its EXIF orientation swapped width and height.
        fault: kind and text of the problem, None where there is none.
        sha256: the SHA-256 of the file.
        stamp: the stamp of the file when it was read.
        conversions: what is done to its pixels when it is read.
    """

    size: tuple[int, int] | None = None
    is_turned: bool = False
    fault: tuple[str, str] | None = None
    sha256: bytes = b""
    stamp: Stamp | None = None
    conversions: Conversions = Conversions()


def stamp_of(path: Path) -> Stamp:
    about = os.stat(path)
    return about.st_ino, about.st_size, about.st_mtime_ns


def check_image(path: Path | None, bit_depth: int | None = None) -> ImageFacts:
    """Read and decode an image as the loader does; ``bit_depth`` is ``INPUT.BIT_DEPTH``."""
    if path is None:
        return ImageFacts()
    if not holds(path.is_file):
        reason = "is not a regular file" if holds(path.exists) else "does not exist"
        return ImageFacts(fault=("missing-image", f"{shown(str(path))} {reason}"))
    try:
        stamp, content = stamp_of(path), path.read_bytes()
        photograph = decode(content, bit_depth, Image.MAX_IMAGE_PIXELS)
    except (PhotographError, OSError) as error:
        text = getattr(error, "strerror", None) or error
        return ImageFacts(fault=("broken-image", f"{shown(path.name)} cannot be decoded: {text}"))
    return ImageFacts(
        photograph.image.size,
        photograph.is_turned,
        sha256=hashlib.sha256(content).digest(),
        stamp=stamp,
        conversions=photograph.conversions,
    )


def read_image_facts(path: Path) -> ImageFacts:
    """The hash and the conversions of an image that is not to be checked.

    Raises:
        OSError: it cannot be read.
    """
    stamp, content = stamp_of(path), path.read_bytes()
    try:
        conversions = find_conversions(content)
    except PhotographError:
        conversions = Conversions()
    return ImageFacts(sha256=hashlib.sha256(content).digest(), stamp=stamp, conversions=conversions)


def describe_conversions(
    file_names: Sequence[str], conversions: Sequence[Conversions], bit_depth: int | None = None
) -> list[str]:
    """Describe how images are converted to RGB with 8 bits per value.

    Args:
        file_names: the file names of the images.
        conversions: the conversions of each image.
        bit_depth: ``INPUT.BIT_DEPTH`` that they are read with.

    Returns:
        A line per kind of :data:`focal_star.io.image_files.CONVERSIONS` that occurs: how many
        images, an example, what they have, and what is done to them.
    """
    lines = []
    for kind, words in CONVERSIONS.items():
        of_kind = [n for n, done in enumerate(conversions) if kind in done.kinds]
        if not of_kind:
            continue
        if kind == SIXTEEN_BITS:
            values = (conversions[n].max_value for n in of_kind)
            words = _sixteen_bits(max(value for value in values if value is not None), bit_depth)
        example = shown(file_names[of_kind[0]])
        lines.append(f"{len(of_kind)} of {len(conversions)} images (such as {example}): {words}")
    return lines


def _sixteen_bits(max_value: int, bit_depth: int | None) -> str:
    """Describe the conversion of images of 16 bits per value with this greatest value."""
    words = f"{CONVERSIONS[SIXTEEN_BITS]}; the greatest value is {max_value}"
    if bit_depth is not None:
        return f"{words}, and INPUT.BIT_DEPTH {bit_depth} makes {2**bit_depth - 1} white"
    in_use = next((bits for bits in DEPTHS if max_value < 2**bits), MAX_BITS)
    if in_use == MAX_BITS:
        return words
    return (
        f"{words}, so that {in_use} bits seem to be in use and the images are read nearly black, "
        f"with {2 ** (in_use - 8)} of 256 levels; INPUT.BIT_DEPTH {in_use} scales them"
    )
