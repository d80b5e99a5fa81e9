"""ResNets of any width: Detectron2's builder ties ResNet-18 and -34 to 64 channels."""

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN, ResNet
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem
from torch import Tensor, nn

from focal_star.cached.fast_layers import FoldedFrozenBatchNorm
from focal_star.cached.inputs import CachedFeatures
from focal_star.compat import out_features

DETECTRON2_NAMES = {
    "build_retinanet_narrow_resnet_fpn_backbone": "build_retinanet_resnet_fpn_backbone",
    "build_narrow_resnet_fpn_backbone": "build_resnet_fpn_backbone",
}
"""Backbone here -> Detectron2's own one, which is the same at a width of 64."""

NUM_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class SplitResNet(ResNet):
    """Detectron2's ResNet, whose frozen part can run apart from the rest."""

    num_frozen = 0
    """Number of frozen stages; the stem is frozen with the first."""

    def freeze(self, freeze_at: int = 0) -> nn.Module:
        self.num_frozen = max(0, freeze_at - 1)  # Detectron2 counts the stem
        return super().freeze(freeze_at)

    def frozen(self, x: Tensor) -> Tensor:
        """Run only the stem and the frozen stages."""
        x = self.stem(x)
        for stage in self.stages[: self.num_frozen]:
            x = stage(x)
        return x

    def forward(self, x: Tensor | CachedFeatures) -> dict[str, Tensor]:
        """The maps of ``out_features`` by name, from (N, 3, H, W) images or cached features."""
        if not isinstance(x, CachedFeatures):
            return super().forward(x)
        x, outputs = x.maps, {}
        named = list(zip(self.stage_names, self.stages, strict=True))
        for number, (name, stage) in enumerate(named[self.num_frozen - 1 :]):
            x = stage(x) if number else x  # cached is the output of the last frozen stage
            if name in out_features(self):
                outputs[name] = x
        return outputs


def build_narrow_resnet(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    """ResNet-18 or -34 ("Deep Residual Learning for Image Recognition", arXiv:1512.03385).

    The width is ``MODEL.RESNETS.STEM_OUT_CHANNELS`` at the stem and ``RES2_OUT_CHANNELS`` at
    res2, doubled at each stage after it. Stem and stages up to ``MODEL.BACKBONE.FREEZE_AT`` are
    frozen. Module names are those of Detectron2's ResNet.

    Raises:
        ValueError: another depth.
    """
    resnets = cfg.MODEL.RESNETS
    if resnets.DEPTH not in NUM_BLOCKS:
        raise ValueError(
            f"MODEL.RESNETS.DEPTH is {resnets.DEPTH}; valid for this backbone: "
            + ", ".join(map(str, NUM_BLOCKS))
        )
    norm = FoldedFrozenBatchNorm if resnets.NORM == "FrozenBN" else resnets.NORM
    stem = BasicStem(input_shape.channels, resnets.STEM_OUT_CHANNELS, norm=norm)
    stages, in_channels = [], resnets.STEM_OUT_CHANNELS
    for stage, num_blocks in enumerate(NUM_BLOCKS[resnets.DEPTH]):
        out_channels = resnets.RES2_OUT_CHANNELS * 2**stage
        stages.append(
            ResNet.make_stage(
                BasicBlock,
                num_blocks,
                stride_per_block=[1 if stage == 0 else 2] + [1] * (num_blocks - 1),
                in_channels=in_channels,
                out_channels=out_channels,
                norm=norm,
            )
        )
        in_channels = out_channels
    net = SplitResNet(stem, stages, out_features=resnets.OUT_FEATURES)
    return net.freeze(cfg.MODEL.BACKBONE.FREEZE_AT)


@BACKBONE_REGISTRY.register()
def build_retinanet_narrow_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """:func:`build_narrow_resnet` under the feature pyramid of RetinaNet, P3 to P7."""
    bottom_up = build_narrow_resnet(cfg, input_shape)
    channels = bottom_up.output_shape()["res5"].channels
    return _pyramid(cfg, bottom_up, LastLevelP6P7(channels, cfg.MODEL.FPN.OUT_CHANNELS))


@BACKBONE_REGISTRY.register()
def build_narrow_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """:func:`build_narrow_resnet` under the feature pyramid of Faster R-CNN, up to P6."""
    return _pyramid(cfg, build_narrow_resnet(cfg, input_shape), LastLevelMaxPool())


def _pyramid(cfg: CfgNode, bottom_up: ResNet, top_block: nn.Module) -> FPN:
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=top_block,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
