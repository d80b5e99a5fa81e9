"""What takes the place of an image's pixels, and of matching anchors to its objects."""

from dataclasses import dataclass
from typing import Any

from detectron2.structures import Instances
from torch import Tensor

FEATURES = "frozen_features"
"""The entry of a mapped image, (H, W, C), that takes the place of its pixels."""


@dataclass(frozen=True)
class StoredFeatures:
    """What a backbone takes in place of a batch of images.

    Attributes:
        maps: (N, C, H, W), the output of the backbone's last frozen stage.
    """

    maps: Tensor


class LabelledInstances(Instances):
    """The objects of an image, with what ``RetinaNet.label_anchors`` would find for it.

    A selection of the objects is Detectron2's ``Instances`` again.
    """

    def __init__(self, image_size: tuple[int, int], anchors: Tensor, **fields: Any):
        """
        Args:
            image_size: height and width, px.
            anchors: (2, R) int16, of each of the R anchors its label, and the number of the object
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
