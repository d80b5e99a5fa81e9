"""Finds and reads the images of the data set that a study was evaluated on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ablations.storage.layout import ROOT
from focal_star.io.image_files import MAX_BITS, MIN_BITS, PhotographError, read_photograph
from reports.detections.matching import PictureError
from reports.results.load import Results


@dataclass(frozen=True)
class DatasetImages:
    """The files of a data set that pictures are made from.

    Attributes:
        name: of the data set.
        annotations: of its validation split, COCO's format.
        images: their folder.
        bit_depth: ``INPUT.BIT_DEPTH`` that the detectors read them with.
    """

    name: str
    annotations: Path
    images: Path
    bit_depth: int | None = None

    def read(
        self, file_name: str, longest: int, window: tuple[float, float, float, float] | None = None
    ) -> tuple[np.ndarray, tuple[float, float, float, float]]:
        """An image, or the part of it within a window, scaled down where it is large.

        Its pixels are those that the detectors were given, before these scale them.

        Args:
            file_name: as the annotations have it.
            longest: the longest edge that is wanted, px; smaller ones are not enlarged.
            window: left, top, right and bottom, px; what is beyond the image is cut off.

        Returns:
            (H, W, 3) uint8, and left, top, right and bottom of it in px of the whole image.

        Raises:
            PictureError: it is not there, not in the folder, or not a picture.
        """
        path = self.path(file_name)
        try:
            image = read_photograph(path, self.bit_depth)
        except PhotographError as error:
            raise PictureError(f"{path} cannot be read as an image: {error}") from error
        extent = (0, 0, *image.size) if window is None else _within(window, image.size)
        image = image.crop(extent)
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        return np.asarray(image), extent

    def path(self, file_name: str) -> Path:
        """Where a file of this name is.

        Raises:
            PictureError: not in the folder: annotations do not say what else a report embeds.
        """
        try:
            path = (self.images / file_name).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise PictureError(f"{file_name!r} is no file name") from error
        if not path.is_relative_to(self.images.resolve()):
            raise PictureError(f"{file_name!r} is not in the data set's folder of images")
        return path


def dataset_images(results: Results) -> DatasetImages:
    """Where the images of a study are.

    Raises:
        PictureError: that is not known, or they are gone.
    """
    dataset = results.prepared.dataset if results.prepared else {}
    annotation_file, image_root = _places(dataset)
    try:
        there = (ROOT / image_root).is_dir()
    except (OSError, ValueError):
        there = False
    if not there:
        raise PictureError(f"the data set's images are not in {image_root!r}")
    name = dataset.get("name") or (ROOT / annotation_file).parent.name
    return DatasetImages(
        str(name), ROOT / annotation_file, ROOT / image_root, _bit_depth(results.prepared.config)
    )


def _bit_depth(config: Mapping[str, Any]) -> int | None:
    """``INPUT.BIT_DEPTH`` of a config; None where it has none, as those of older studies."""
    about = config.get("INPUT")
    bits = about.get("BIT_DEPTH") if isinstance(about, Mapping) else None
    return bits if type(bits) is int and MIN_BITS <= bits <= MAX_BITS else None


def _places(dataset: Mapping[str, Any]) -> tuple[str, str]:
    """The validation split's annotation file, and the folder of its images."""
    val = dataset.get("val")
    if isinstance(val, Mapping):
        places = val.get("annotation_file"), val.get("image_root")
        if all(isinstance(place, str) and place for place in places):
            return places
    folder = dataset.get("folder")  # all that was recorded before 0.3
    if not folder or not isinstance(folder, str):
        raise PictureError("the folder of the data set is not known")
    return f"{folder}/instances_val.json", f"{folder}/images"


def _within(window: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, ...]:
    """The part of a window that is in an image, in whole px; at least one of them."""
    left, top = (min(max(int(at), 0), edge - 1) for at, edge in zip(window[:2], size, strict=True))
    right, bottom = (min(int(at) + 1, edge) for at, edge in zip(window[2:], size, strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)
