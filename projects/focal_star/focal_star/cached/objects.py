"""The objects of images whose features are cached: one file for all images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from focal_star.cached.inputs import LabelledInstances

FILE = "objects.npz"
"""The file in the folder of a cache."""


def save_objects(
    folder: Path,
    boxes: Sequence[np.ndarray],
    classes: Sequence[np.ndarray],
    size: tuple[int, int],
) -> None:
    """Write the objects of all images.

    Args:
        folder: the folder of the cache.
        boxes: of each image, (M, 4) float32 corners.
        classes: of each image, (M,) int64.
        size: height and width of the images, px.
    """
    np.savez(
        folder / FILE,
        boxes=np.concatenate(boxes),
        classes=np.concatenate(classes),
        starts=np.cumsum([0, *(len(one) for one in classes)]),
        size=np.array(size),
    )


class CachedObjects:
    """Reads what :func:`save_objects` has written.

    Attributes:
        size: height and width of the images, px.
    """

    def __init__(self, folder: Path):
        content = np.load(folder / FILE)
        self._boxes = torch.from_numpy(content["boxes"])
        self._classes = torch.from_numpy(content["classes"])
        self._starts = content["starts"].tolist()
        self.size: tuple[int, int] = tuple(content["size"].tolist())

    def instances(self, row: int, anchors: np.ndarray | None = None) -> Instances:
        """The objects of an image.

        Args:
            row: the number of the image.
            anchors: the labels of its anchors, a row of
                :func:`focal_star.cached.anchor_labels.cached_labels`; None to label them later.
        """
        rows = slice(self._starts[row], self._starts[row + 1])
        fields = {
            "gt_boxes": Boxes(self._boxes[rows].clone()),
            "gt_classes": self._classes[rows].clone(),
        }
        if anchors is None:
            return Instances(self.size, **fields)
        return LabelledInstances(self.size, torch.from_numpy(anchors), **fields)
