"""Inputs of a detector that replace the pixels of an image and the matching of its anchors."""

from dataclasses import dataclass
from typing import Any

from detectron2.structures import Instances
from torch import Tensor

FEATURES = "frozen_features"
"""Key of a mapped image whose value, (H, W, C), replaces its pixels."""


@dataclass(frozen=True)
class CachedFeatures:
    """The input of a backbone instead of a batch of images.

    Attributes:
        maps: (N, C, H, W), the output of the backbone's last frozen stage.
    """

    maps: Tensor


class LabelledInstances(Instances):
    """The objects of one image, with the result of ``RetinaNet.label_anchors``.

    A selection of the objects is a plain ``Instances`` again.
    """

    def __init__(self, image_size: tuple[int, int], anchors: Tensor, **fields: Any):
        """
        Args:
            image_size: height and width, px.
            anchors: (2, R) int16, the label of each of the R anchors, and the number of the object
                that it is matched to.
            fields: those of the objects.
        """
        super().__init__(image_size, **fields)
        self._anchors = anchors

    @property
    def anchors(self) -> Tensor:
        """See ``__init__``."""
        return self._anchors

    def to(self, *args: Any, **kwargs: Any) -> "LabelledInstances":
        """The same on another device."""
        moved = super().to(*args, **kwargs)
        anchors = self._anchors.to(*args, **kwargs)
        return LabelledInstances(self.image_size, anchors, **moved.get_fields())
