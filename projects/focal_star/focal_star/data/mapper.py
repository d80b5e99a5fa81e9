"""Detectron2's mapper of images and boxes, with this project's reader and a cache."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T

from focal_star.data.images import ImageError, read_image

Mapper = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns Detectron2's record of an image into the model's input."""

CACHE_BYTES = 2**30


class BoxMapper(DatasetMapper):
    """Detectron2's mapper of images and boxes, with :func:`focal_star.data.images.read_image`.

    Masks, keypoints and proposals, which no detector of this project uses, are left out.

    Attributes:
        bit_depth: ``INPUT.BIT_DEPTH``; None for a config of Detectron2 without this key.
    """

    def __init__(self, cfg: CfgNode, is_train: bool = True):
        super().__init__(cfg, is_train)
        self.bit_depth: int | None = cfg.INPUT.get("BIT_DEPTH")

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """
        Args:
            dataset_dict: Detectron2's record of one image.

        Returns:
            The model's input: ``image`` (C, H, W) uint8 and, in training, ``instances``.

        Raises:
            ImageError: the image cannot be read, or has another size than its record says.
        """
        record = dataset_dict.copy()  # the values are not changed
        pixels = read_image(record["file_name"], self.image_format, self.bit_depth)
        try:
            utils.check_image_size(record, pixels)
        except utils.SizeMismatchError as error:
            raise ImageError(str(error)) from error
        augmented = T.AugInput(pixels)
        transforms = self.augmentations(augmented)
        shape = augmented.image.shape[:2]
        record["image"] = torch.as_tensor(np.ascontiguousarray(augmented.image.transpose(2, 0, 1)))
        annotations = record.pop("annotations", None)
        if self.is_train and annotations is not None:
            boxes = [
                utils.transform_instance_annotations(_only_box(annotation), transforms, shape)
                for annotation in annotations
                if not annotation.get("iscrowd", 0)
            ]
            instances = utils.annotations_to_instances(boxes, shape)
            record["instances"] = utils.filter_empty_instances(instances)
        return record


def _only_box(annotation: dict[str, Any]) -> dict[str, Any]:
    return {key: annotation[key] for key in ("bbox", "bbox_mode", "category_id")}


def build_train_mapper(cfg: CfgNode) -> BoxMapper:
    """:class:`CachingMapper` where nothing in the mapping is random, else :class:`BoxMapper`."""
    deterministic = (
        cfg.INPUT.RANDOM_FLIP == "none"
        and len(set(cfg.INPUT.MIN_SIZE_TRAIN)) == 1
        and not cfg.INPUT.CROP.ENABLED
    )
    return (CachingMapper if deterministic else BoxMapper)(cfg, is_train=True)


class CachingMapper(BoxMapper):
    """Keeps each image decoded and its boxes mapped, up to ``CACHE_BYTES`` of pixels."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._mapped: dict[str, dict[str, Any]] = {}
        self._bytes = 0

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        key = dataset_dict["file_name"]
        if key not in self._mapped:
            mapped = super().__call__(dataset_dict)
            size = mapped["image"].numel() * mapped["image"].element_size()
            if self._bytes + size > CACHE_BYTES:
                return mapped
            self._mapped[key] = mapped
            self._bytes += size
        return copy.copy(self._mapped[key])


def build_test_mapper(cfg: CfgNode) -> BoxMapper:
    """The mapper of testing, which keeps no boxes."""
    return BoxMapper(cfg, is_train=False)


def build_validation_mapper(cfg: CfgNode, cached: bool) -> BoxMapper:
    """The mapper of testing, which keeps the boxes; :class:`CachingMapper` if cached."""
    mapper = (CachingMapper if cached else BoxMapper)(cfg, is_train=False)
    mapper.is_train = True  # now it only decides that boxes are kept
    return mapper
