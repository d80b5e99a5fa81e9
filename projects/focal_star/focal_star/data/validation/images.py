"""Reads each image of a split once: for its hash, its faults, and losses in its conversion."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from focal_star.data.layouts.dataset import Stamp, stamp_of
from focal_star.data.layouts.linked import linked_text
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

CACHE = Path("output/cache")
"""Default folder for the conversions of data sets, and for what is known of their images."""


@dataclass(frozen=True)
class ImageOptions:
    """How the images of a data set are read and checked.

    Attributes:
        bit_depth: ``INPUT.BIT_DEPTH``.
        max_pixels: ``INPUT.MAX_PIXELS``; None for Pillow's limit.
        links: ``DATASETS.LINKS``.
        cache: the folder in which the facts of images are cached; None for no cache.
    """

    bit_depth: int | None = None
    max_pixels: int | None = None
    links: bool = False
    cache: Path | None = None


PLAIN = ImageOptions()
"""How images are read by default."""


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image file after one reading.

    Attributes:
        size: (width, height) in px, None where it cannot be decoded or was not.
        is_turned: whether its EXIF orientation swapped width and height.
        fault: kind and text of the problem, None where there is none.
        sha256: the SHA-256 of the file.
        pixels: a hash of its pixels and size; b"" where it was not decoded.
        stamp: the stamp of the file when it was read.
        conversions: what is done to its pixels when it is read.
    """

    size: tuple[int, int] | None = None
    is_turned: bool = False
    fault: tuple[str, str] | None = None
    sha256: bytes = b""
    pixels: bytes = b""
    stamp: Stamp | None = None
    conversions: Conversions = Conversions()


def check_image(path: Path | None, options: ImageOptions = PLAIN) -> ImageFacts:
    """Read and decode an image as the loader does."""
    if path is None:
        return ImageFacts()
    if not holds(path.is_file):
        reason = "does not exist"
        if holds(path.is_symlink):
            reason = "is a link to a file that does not exist"
        elif holds(path.exists):
            reason = "is not a regular file"
        return ImageFacts(fault=("missing-image", f"{shown(str(path))} {reason}"))
    stamp = None
    try:
        stamp, content = stamp_of(path), path.read_bytes()
        limit = options.max_pixels or Image.MAX_IMAGE_PIXELS
        photograph = decode(content, options.bit_depth, limit)
    except (PhotographError, OSError) as error:
        text = getattr(error, "strerror", None) or str(error)
        if (target := linked_text(path)) is not None:
            text = (
                f"it holds the path of another file, {shown(str(target))}, as a link does that was "
                "copied as text; DATASETS.LINKS True reads that file"
            )
        text = f"{shown(path.name)} cannot be decoded: {text}"
        return ImageFacts(fault=("broken-image", text), stamp=stamp)
    return ImageFacts(
        photograph.image.size,
        photograph.is_turned,
        sha256=hashlib.sha256(content).digest(),
        pixels=_pixel_hash(photograph.image),
        stamp=stamp,
        conversions=photograph.conversions,
    )


def _pixel_hash(image: Image.Image) -> bytes:
    digest = hashlib.blake2b(f"{image.size}".encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.digest()


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
    words = f"{CONVERSIONS[SIXTEEN_BITS]}; the largest value is {max_value}"
    if bit_depth is not None:
        return f"{words}, and INPUT.BIT_DEPTH {bit_depth} makes {2**bit_depth - 1} white"
    in_use = next((bits for bits in DEPTHS if max_value < 2**bits), MAX_BITS)
    if in_use == MAX_BITS:
        return words
    return (
        f"{words}, so only {in_use} bits seem to be used, and the images become nearly black, with "
        f"{2 ** (in_use - 8)} of 256 levels; INPUT.BIT_DEPTH {in_use} scales them correctly"
    )
