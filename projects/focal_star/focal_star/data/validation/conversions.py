"""Which images of a data set are converted when they are read, and what that may lose."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from focal_star.data.problems import shown
from focal_star.io.image_files import (
    CONVERSIONS,
    MAX_BITS,
    SIXTEEN_BITS,
    Look,
    PhotographError,
    look_at,
)

DEPTHS = (8, 10, 12, 14, 16)
"""The bits per value that cameras and scanners write into files of 16 bits."""


def conversions(
    image_root: Path, file_names: Sequence[str], bit_depth: int | None = None
) -> list[str]:
    """Say once per kind how many images are converted to RGB with 8 bits per value.

    Args:
        image_root: the folder of the images.
        file_names: relative to it.
        bit_depth: ``INPUT.BIT_DEPTH`` that they are read with.

    Returns:
        A line for each kind of :data:`focal_star.io.image_files.CONVERSIONS` that is there: the
        number of images, an example, what it has, and what becomes of it. Images that cannot be
        read are not counted; the check of a data set names them.
    """
    with ThreadPoolExecutor() as pool:
        looks = list(pool.map(lambda name: _look(image_root / name), file_names))
    lines = []
    for kind, words in CONVERSIONS.items():
        of_kind = [n for n, look in enumerate(looks) if kind in look.conversions]
        if not of_kind:
            continue
        if kind == SIXTEEN_BITS:
            words = _sixteen_bits(max(looks[n].greatest for n in of_kind), bit_depth)
        example = shown(file_names[of_kind[0]])
        lines.append(f"{len(of_kind)} of {len(looks)} images (such as {example}): {words}")
    return lines


def _look(path: Path) -> Look:
    try:
        return look_at(path)
    except PhotographError:
        return Look()


def _sixteen_bits(greatest: int, bit_depth: int | None) -> str:
    """What becomes of images of 16 bits per value with this greatest value of all."""
    words = f"{CONVERSIONS[SIXTEEN_BITS]}; the greatest value is {greatest}"
    if bit_depth is not None:
        return f"{words}, and INPUT.BIT_DEPTH {bit_depth} makes {2**bit_depth - 1} white"
    in_use = next((bits for bits in DEPTHS if greatest < 2**bits), MAX_BITS)
    if in_use == MAX_BITS:
        return words
    return (
        f"{words}, so that {in_use} bits seem to be in use and the images are read nearly black, "
        f"with {2 ** (in_use - 8)} of 256 levels; INPUT.BIT_DEPTH {in_use} scales them"
    )
