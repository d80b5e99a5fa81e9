"""The anchors of a RetinaNet for an image of a given size, without running the network."""

import math

import torch
from detectron2.modeling import RetinaNet
from detectron2.structures import Boxes


def anchors_of_image(model: RetinaNet, height: int, width: int) -> list[Boxes]:
    """The anchors of each level, on the model's device.

    Args:
        model: the detector.
        height: height of the image before it is padded, px.
        width: width of the image before it is padded, px.
    """
    divisor = max(model.backbone.size_divisibility, 1)
    height, width = (math.ceil(extent / divisor) * divisor for extent in (height, width))
    shapes = model.backbone.output_shape()
    strides = [shapes[name].stride for name in model.head_in_features]
    maps = [torch.empty(1, 1, math.ceil(height / s), math.ceil(width / s)) for s in strides]
    return model.anchor_generator(maps)
