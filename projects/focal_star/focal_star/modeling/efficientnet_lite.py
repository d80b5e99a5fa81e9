"""EfficientNet-Lite0 as a backbone of Detectron2: it is fast on a CPU.

It is EfficientNet-B0 ("EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
arXiv:1905.11946, table 1) without squeeze-and-excitation, with ReLU6, and with its batch norms
folded into the convolutions (:func:`folded`). A config uses it by
``MODEL.BACKBONE.NAME: build_retinanet_efficientnet_lite0_fpn_backbone`` and
``MODEL.FPN.IN_FEATURES: [block4, block10, block15]``. The weights expect RGB images as
``(x - 127) / 128``.
"""

from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from detectron2.layers import Conv2d, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelP6P7
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = (
    # kernel size, expansion, stride, output channels, blocks
    (3, 1, 1, 16, 1),
    (3, 6, 2, 24, 2),
    (5, 6, 2, 40, 2),
    (3, 6, 2, 80, 3),
    (5, 6, 1, 112, 3),
    (5, 6, 2, 192, 4),
    (3, 6, 1, 320, 1),
)
STEM_CHANNELS = 32
EPSILON = 1e-3
"""The epsilon of the batch norms that are folded."""

OUTPUTS = {"block4": ShapeSpec(40, stride=8), "block10": ShapeSpec(112, stride=16)}
OUTPUTS["block15"] = ShapeSpec(320, stride=32)
"""The last block of each stride, with its channels."""


@dataclass(frozen=True)
class StoredMaps:
    """The input of the backbone instead of images: its outputs before they are normalised.

    Attributes:
        maps: name -> (N, C, H, W), float32.
    """

    maps: dict[str, Tensor]


class EfficientNetLite0(Backbone):
    """The blocks up to stride 32. Each output is normalised by a batch norm without parameters."""

    def __init__(self, freeze_at: int = 0):
        """
        Args:
            freeze_at: number of frozen parts: the stem and the seven stages, as Detectron2 counts
                them in a ResNet.
        """
        super().__init__()
        self.stem = _convolution(3, STEM_CHANNELS, 3, stride=2)
        blocks, channels, stages = [], STEM_CHANNELS, [[self.stem]]
        for kernel_size, expansion, stride, out_channels, number in STAGES:
            stages.append([])
            for index in range(number):
                first = stride if index == 0 else 1
                blocks.append(_Block(channels, out_channels, kernel_size, expansion, first))
                channels = out_channels
                stages[-1].append(blocks[-1])
        self.blocks = nn.ModuleList(blocks)
        self.norms = nn.ModuleDict(
            {name: nn.BatchNorm2d(shape.channels, affine=False) for name, shape in OUTPUTS.items()}
        )
        self.is_frozen = freeze_at >= len(stages)
        for module in sum(stages[:freeze_at], []):
            module.requires_grad_(False)

    def output_shape(self) -> dict[str, ShapeSpec]:
        return dict(OUTPUTS)

    @property
    def size_divisibility(self) -> int:
        return 32

    def forward(self, x: Tensor | StoredMaps) -> dict[str, Tensor]:
        """Name -> map, from (N, 3, H, W) normalised images, H and W multiples of 32, or from
        stored maps."""
        maps = x.maps if isinstance(x, StoredMaps) else self.maps(x)
        return {name: self.norms[name](features) for name, features in maps.items()}

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """The outputs of :data:`OUTPUTS` before they are normalised."""
        outputs = {}
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen):
            x = self.stem(_padded(x, 3))
            for index, block in enumerate(self.blocks):
                x = block(x)
                if f"block{index}" in OUTPUTS:
                    outputs[f"block{index}"] = x
        return outputs


class _Block(nn.Module):
    """Expand, convolve each channel, project; the input is added if the shape is the same."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, expansion: int, stride: int
    ):
        super().__init__()
        width = in_channels * expansion
        self.expand = _convolution(in_channels, width, 1) if expansion != 1 else None
        self.depthwise = _convolution(width, width, kernel_size, stride, groups=width)
        self.project = _convolution(width, out_channels, 1, activation=None)
        self.pads = kernel_size if stride == 2 else 0
        self.has_skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        branch = x if self.expand is None else self.expand(x)
        branch = self.depthwise(_padded(branch, self.pads) if self.pads else branch)
        branch = self.project(branch)
        return x + branch if self.has_skip else branch


def _convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    activation=F.relu6,
) -> Conv2d:
    return Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2 if stride == 1 else 0,  # else by _padded
        groups=groups,
        activation=activation,
    )


def folded(weight: Tensor, norm: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that also does what the batch norm after it does.

    Args:
        weight: (C, ...), of the convolution without bias.
        norm: ``weight``, ``bias``, ``running_mean`` and ``running_var`` of the batch norm, (C,).
    """
    scale = norm["weight"] / (norm["running_var"] + EPSILON).sqrt()
    bias = norm["bias"] - norm["running_mean"] * scale
    return weight * scale.reshape(-1, *[1] * (weight.dim() - 1)), bias


def _padded(x: Tensor, kernel_size: int) -> Tensor:
    """TensorFlow's padding "same" for a stride of 2 and an even size: one more at the end."""
    before, after = (kernel_size - 2) // 2, (kernel_size - 1) // 2
    return F.pad(x, (before, after, before, after))


@BACKBONE_REGISTRY.register()
def build_efficientnet_lite0_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> EfficientNetLite0:
    """The network alone, with ``MODEL.BACKBONE.FREEZE_AT``."""
    return EfficientNetLite0(cfg.MODEL.BACKBONE.FREEZE_AT)


@BACKBONE_REGISTRY.register()
def build_retinanet_efficientnet_lite0_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """The network under the feature pyramid of RetinaNet, P3 to P7."""
    channels, width = OUTPUTS["block15"].channels, cfg.MODEL.FPN.OUT_CHANNELS
    return FPN(
        bottom_up=build_efficientnet_lite0_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=width,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelP6P7(channels, width, "block15"),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
