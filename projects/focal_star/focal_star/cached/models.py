"""Detectors that train in less time, with the same numbers: ``mini`` and ``frozen`` use them.

In evaluation mode they are Detectron2's own. In training they take cached features instead of
pixels if a batch has them (:mod:`focal_star.mini.feature_cache`).
"""

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import cat
from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.structures import Boxes, ImageList, Instances
from torch import Tensor, nn

from focal_star.cached.fast_layers import CachedAnchorGenerator, packed_head
from focal_star.cached.inputs import FEATURES, CachedFeatures, LabelledInstances
from focal_star.losses.fused.formulas import Number
from focal_star.modeling.retinanet import FocalStarRetinaNet

DETECTRON2_NAMES = {
    "CachedGeneralizedRCNN": "GeneralizedRCNN",
    "CachedRetinaNet": "RetinaNet",
}
"""Model here -> Detectron2's own one, which detects the same."""

MAX_JOINED_LOGITS = 2**20
"""Up to this number of logits per batch, the levels are copied together for one loss, which takes
less time than one loss per level. Above it the copy would cost memory."""


class AcceptsCachedFeatures(nn.Module):
    """A detector of Detectron2 that also takes cached features instead of the pixels of a batch."""

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Return Detectron2's images of a batch, or cached features in their place."""
        if not all(FEATURES in image for image in batched_inputs):
            return super().preprocess_image(batched_inputs)
        with torch.autocast(self.device.type, enabled=False):  # it stacks only its own types
            features = torch.stack([image[FEATURES] for image in batched_inputs]).to(self.device)
        sizes = [image["instances"].image_size for image in batched_inputs]
        return ImageList(CachedFeatures(features.permute(0, 3, 1, 2)), sizes)


@META_ARCH_REGISTRY.register()
class CachedRetinaNet(AcceptsCachedFeatures, FocalStarRetinaNet):
    """FocalStarRetinaNet that trains in less time where maps are small.

    It has the parameters of FocalStarRetinaNet. What it computes in training differs in the last
    bits: the small levels share the convolutions of the head, and the classification loss.
    """

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        parts = super().from_config(cfg)
        parts["head"] = packed_head(parts["head"])
        if cfg.MODEL.ANCHOR_GENERATOR.NAME == "DefaultAnchorGenerator":
            shapes = parts["backbone"].output_shape()
            of_levels = [shapes[name] for name in parts["head_in_features"]]
            parts["anchor_generator"] = CachedAnchorGenerator(cfg, of_levels)
        return parts

    def label_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Detectron2's (R,) labels and (R, 4) matched boxes of the anchors, per image."""
        if not all(isinstance(objects, LabelledInstances) for objects in gt_instances):
            return super().label_anchors(anchors, gt_instances)
        cached = torch.stack([objects.anchors for objects in gt_instances]).long()
        labels, numbers = cached.unbind(dim=1)
        boxes = [
            objects.gt_boxes.tensor[matched]
            if len(objects)
            else objects.gt_boxes.tensor.new_zeros(*matched.shape, 4)
            for objects, matched in zip(gt_instances, numbers, strict=True)
        ]
        return list(labels), boxes

    def loss_cls(self, pred_logits: list[Tensor], labels: Tensor, scale: Number) -> Tensor:
        if sum(logits.numel() for logits in pred_logits) <= MAX_JOINED_LOGITS:
            pred_logits = [cat(pred_logits, dim=1)]
        return super().loss_cls(pred_logits, labels, scale)


@META_ARCH_REGISTRY.register()
class CachedGeneralizedRCNN(AcceptsCachedFeatures, GeneralizedRCNN):
    """Detectron2's two-stage detector."""
