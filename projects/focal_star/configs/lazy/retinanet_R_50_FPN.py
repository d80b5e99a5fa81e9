"""RetinaNet R-50-FPN with the losses of this project, as a LazyConfig (Python, not a CfgNode).

    from detectron2.config import LazyConfig, instantiate
    net = instantiate(LazyConfig.load("retinanet_R_50_FPN.py").model)

This file defines only the model. Detectron2's ``tools/lazyconfig_train_net.py`` has the optimizer,
data and schedule. Load initial weights, such as ImageNet's for the backbone.
"""

from detectron2.config import LazyCall as L
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone.fpn import LastLevelP6P7
from detectron2.modeling.backbone.resnet import BasicStem, ResNet
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.meta_arch.retinanet import RetinaNetHead

from focal_star.modeling.retinanet import FocalStarRetinaNet

CHANNELS = 256

model = L(FocalStarRetinaNet)(
    # The loss: a name of focal_star.losses.LOSSES, and its parameters.
    loss="focal_star",
    focal_loss_alpha=0.25,
    focal_loss_gamma=0.5,
    weight_cap=None,
    beta=0.0,
    num_classes=80,
    backbone=L(FPN)(
        bottom_up=L(ResNet)(
            stem=L(BasicStem)(in_channels=3, out_channels=64, norm="FrozenBN"),
            stages=L(ResNet.make_default_stages)(depth=50, stride_in_1x1=True, norm="FrozenBN"),
            out_features=["res3", "res4", "res5"],
            freeze_at=2,
        ),
        in_features=["res3", "res4", "res5"],
        out_channels=CHANNELS,
        top_block=L(LastLevelP6P7)(in_channels=2048, out_channels=CHANNELS),
    ),
    head_in_features=["p3", "p4", "p5", "p6", "p7"],
    head=L(RetinaNetHead)(
        input_shape=[ShapeSpec(channels=CHANNELS)] * 5,
        num_classes="${..num_classes}",
        conv_dims=[CHANNELS] * 4,
        prior_prob=0.01,
        num_anchors=9,
    ),
    anchor_generator=L(DefaultAnchorGenerator)(
        sizes=[[size * 2 ** (i / 3) for i in range(3)] for size in (32, 64, 128, 256, 512)],
        aspect_ratios=[0.5, 1.0, 2.0],
        strides=[8, 16, 32, 64, 128],
        offset=0.0,
    ),
    box2box_transform=L(Box2BoxTransform)(weights=[1.0, 1.0, 1.0, 1.0]),
    anchor_matcher=L(Matcher)(
        thresholds=[0.4, 0.5], labels=[0, -1, 1], allow_low_quality_matches=True
    ),
    pixel_mean=[103.53, 116.28, 123.675],
    pixel_std=[1.0, 1.0, 1.0],
    input_format="BGR",
)
