"""Reads an image of a data set for training, testing and pretraining."""

from pathlib import Path

import numpy as np

from focal_star.data.layouts.problems import DatasetError
from focal_star.io.image_files import PhotographError, read_photograph


class ImageError(DatasetError):
    """An image that cannot be read in a training or a test; the message names its file."""

    def __init__(self, message: str):
        # A worker's error is constructed again in the main process, from its traceback.
        ValueError.__init__(self, message.strip().rpartition(f"{type(self).__name__}: ")[2])


def read_image(path: Path | str, channels: str = "RGB", bit_depth: int | None = None) -> np.ndarray:
    """Read an image by :func:`focal_star.io.image_files.read_photograph`.

    For images of 8 bits per value without transparency, Detectron2's ``read_image`` returns the
    same. For others, Detectron2's clips grey levels of 16 bits at 255 and shows transparent pixels.

    Args:
        path: the file.
        channels: the order, "RGB" or "BGR".
        bit_depth: ``INPUT.BIT_DEPTH``.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: it cannot be read.
    """
    assert channels in ("RGB", "BGR"), channels
    try:
        pixels = np.asarray(read_photograph(Path(path), bit_depth))
    except PhotographError as error:
        raise ImageError(f"the image {path}: {error}") from error
    return pixels[:, :, ::-1] if channels == "BGR" else pixels
