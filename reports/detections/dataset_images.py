"""The validation images of a study's data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ablations.storage.layout import ROOT
from focal_star.io.image_files import MAX_BITS, MIN_BITS, PhotographError, read_photograph
from reports.detections.outcomes import PictureError
from reports.results.load import Results


@dataclass(frozen=True)
class DatasetImages:
    """The validation files of a data set.

    Attributes:
        name: the name of the data set.
        annotations: the annotations of its validation split, COCO's format.
        images: the folder of the images.
        bit_depth: ``INPUT.BIT_DEPTH`` that the detectors read them with.
    """

    name: str
    annotations: Path
    images: Path
    bit_depth: int | None = None

    def read(
        self, file_name: str, longest: int, window: tuple[float, float, float, float] | None = None
    ) -> tuple[np.ndarray, tuple[float, float, float, float]]:
        """An image or a window of it, scaled down if it is large.

        The pixels are those of the detectors' input before its scaling.

        Args:
            file_name: as the annotations have it.
            longest: the maximum edge, px; smaller images are not enlarged.
            window: left, top, right and bottom, px; clipped to the image.

        Returns:
            (H, W, 3) uint8, and left, top, right and bottom of it in px of the whole image.

        Raises:
            PictureError: the file does not exist, is outside the folder or is no image.
        """
        path = self.path(file_name)
        try:
            image = read_photograph(path, self.bit_depth)
        except PhotographError as error:
            raise PictureError(f"{path} cannot be read as an image: {error}") from error
        extent = _within(window or (0, 0, *image.size), image.size)
        image = image.crop(extent)
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        return np.asarray(image), extent

    def path(self, file_name: str) -> Path:
        """The path of a file.

        Raises:
            PictureError: it is outside the folder; a report embeds no other files.
        """
        try:
            path = (self.images / file_name).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise PictureError(f"{file_name!r} is no file name") from error
        if not path.is_relative_to(self.images.resolve()):
            raise PictureError(f"{file_name!r} is not in the data set's folder of images")
        return path


def dataset_images(results: Results) -> DatasetImages:
    """The validation images of a study.

    Raises:
        PictureError: their folder is unknown or does not exist.
    """
    prepared = results.prepared
    dataset, config = (prepared.dataset, prepared.config) if prepared else ({}, {})
    annotation_file, image_root = _places(dataset)
    try:
        there = (ROOT / image_root).is_dir()
    except (OSError, ValueError):
        there = False
    if not there:
        raise PictureError(f"the data set's images are not in {image_root!r}")
    name = dataset.get("name") or (ROOT / annotation_file).parent.name
    return DatasetImages(str(name), ROOT / annotation_file, ROOT / image_root, _bit_depth(config))


def _bit_depth(config: Mapping[str, Any]) -> int | None:
    """``INPUT.BIT_DEPTH`` of a config, None if it has none."""
    about = config.get("INPUT")
    bits = about.get("BIT_DEPTH") if isinstance(about, Mapping) else None
    return bits if type(bits) is int and MIN_BITS <= bits <= MAX_BITS else None


def _places(dataset: Mapping[str, Any]) -> tuple[str, str]:
    """The validation split's annotation file, and the folder of its images."""
    val = dataset.get("val")
    if isinstance(val, Mapping):
        annotations, images = val.get("annotation_file"), val.get("image_root")
        if isinstance(annotations, str) and isinstance(images, str) and annotations and images:
            return annotations, images
    folder = dataset.get("folder")
    if not folder or not isinstance(folder, str):
        raise PictureError("the folder of the data set is unknown")
    return f"{folder}/instances_val.json", f"{folder}/images"


def _within(
    window: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The part of a window inside an image in whole px, at least 1 x 1."""
    left, top = (min(max(int(at), 0), edge - 1) for at, edge in zip(window[:2], size, strict=True))
    right, bottom = (min(int(at) + 1, edge) for at, edge in zip(window[2:], size, strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)
