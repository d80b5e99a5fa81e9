"""RetinaNet's detections, from the pixels to the boxes, as a graph that can be exported."""

import torch
from detectron2.modeling import RetinaNet
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import nms


class Detections(nn.Module):
    """The detections of Detectron2's RetinaNet in operations that can be exported.

    K classes, A anchors a location. In place of counts that depend on the image, each level has
    the same number of candidates, of which those below the threshold are dropped at once.
    """

    def __init__(self, model: RetinaNet):
        super().__init__()
        self.model = model
        self.stride = max(model.backbone.size_divisibility, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(3, H, W) float32 in 0..255 -> boxes (n, 4), scores (n,), classes (n,) int64."""
        model = self.model
        height, width = image.shape[-2], image.shape[-1]
        normal = (image - model.pixel_mean) / model.pixel_std
        below, right = (-height) % self.stride, (-width) % self.stride
        features = model.backbone(F.pad(normal, [0, right, 0, below])[None])
        features = [features[name] for name in model.head_in_features]
        anchors = [boxes.tensor for boxes in model.anchor_generator(features)]
        logits, deltas = model.head(features)
        levels = [self._candidates(*level) for level in zip(anchors, logits, deltas, strict=True)]
        boxes, scores, classes = (torch.cat(part) for part in zip(*levels, strict=True))
        boxes, scores, classes = self._kept(boxes, scores, classes)
        limits = torch.stack([torch.as_tensor(side) for side in (width, height, width, height)])
        boxes = torch.minimum(boxes.clamp(min=0), limits.to(boxes))
        full = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]) & (scores > 0)
        return boxes[full], scores[full], classes[full]

    def _candidates(self, anchors: Tensor, logits: Tensor, deltas: Tensor) -> tuple[Tensor, ...]:
        """The best of a level: boxes (k, 4), scores (k,) and classes (k,).

        Args:
            anchors: (H W A, 4).
            logits: (1, A K, H, W).
            deltas: (1, A 4, H, W).
        """
        num_classes, number = self.model.num_classes, self.model.test_topk_candidates
        scores = _by_anchor(logits, num_classes).sigmoid().flatten()
        # A small level has fewer than k, so k of score 0 are appended.
        scores, places = torch.cat([scores, scores.new_zeros(number)]).topk(number)
        places = places.where(scores > self.model.test_score_thresh, 0)
        which = places // num_classes
        boxes = self.model.box2box_transform.apply_deltas(
            _by_anchor(deltas, 4)[which], anchors[which]
        )
        return boxes, scores, places % num_classes

    def _kept(self, boxes: Tensor, scores: Tensor, classes: Tensor) -> tuple[Tensor, ...]:
        """What suppression within each class leaves, the highest scores first, filled with 0."""
        above = scores > self.model.test_score_thresh
        boxes, scores, classes = boxes[above], scores[above], classes[above]
        # Offsets separate the classes, as in torchvision's batched_nms.
        step = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).max() + 1
        survivors = nms(boxes + (classes * step)[:, None], scores, self.model.test_nms_thresh)
        most = self.model.max_detections_per_image
        scores, order = torch.cat([scores[survivors], scores.new_zeros(most)]).topk(most)
        boxes = torch.cat([boxes[survivors], boxes.new_zeros(most, 4)])[order]
        classes = torch.cat([classes[survivors], classes.new_zeros(most)])[order]
        return boxes, scores, classes


def _by_anchor(tensor: Tensor, size: int) -> Tensor:
    """(1, A size, H, W) -> (H W A, size)."""
    _, channels, height, width = tensor.shape
    return tensor.view(channels // size, size, height, width).permute(2, 3, 0, 1).reshape(-1, size)
