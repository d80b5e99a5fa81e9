"""Parts of Detectron2's RetinaNet that compute the same in less time, where maps are small.

A training on small images spends much of its time between the convolutions and on convolutions of
a few pixels. What stands here does less of both, in training alone: a detector in evaluation mode
is Detectron2's own, in its export, its timing and its numbers.
"""

import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.meta_arch.retinanet import RetinaNetHead
from torch import Tensor, nn
from torch.nn import functional as F

FEW_PIXELS = 2**10
"""Pixels of a level, of all images of a batch, up to which it is joined to others."""

MOST_PIXELS = 2**13
"""Pixels of the largest level, likewise, above which the head is Detectron2's: the convolutions
themselves then take the time."""


class QuickFrozenBatchNorm(FrozenBatchNorm2d):
    """Its scale and shift are computed once, not from four tensors in each forward pass."""

    _affine: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not x.requires_grad:
            return super().forward(x)
        if self._affine is None:
            scale = self.weight * (self.running_var + self.eps).rsqrt()
            shift = self.bias - self.running_mean * scale
            self._affine = scale.reshape(1, -1, 1, 1), shift.reshape(1, -1, 1, 1)
        scale, shift = (part.to(x.dtype) for part in self._affine)
        return torch.addcmul(shift, x, scale)

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        self._affine = None
        super()._load_from_state_dict(*args, **kwargs)

    def _apply(self, *args, **kwargs) -> nn.Module:
        self._affine = None  # of another type, or on another device
        return super()._apply(*args, **kwargs)


class QuickAnchorGenerator(DefaultAnchorGenerator):
    """The anchors of maps as large as those of the batch before are not made again."""

    _made: tuple[object, list[Tensor]] | None = None

    def _grid_anchors(self, grid_sizes: list[list[int]]) -> list[Tensor]:
        if not self.training:
            return super()._grid_anchors(grid_sizes)
        key = [tuple(size) for size in grid_sizes], next(self.buffers()).device
        if self._made is None or self._made[0] != key:
            self._made = key, super()._grid_anchors(grid_sizes)
        return list(self._made[1])


class QuickHead(RetinaNetHead):
    """The small levels go through both subnets on one map, side by side, a pixel of zeros apart.

    A 3 x 3 convolution then sees of each level what it sees of it alone, if what the one before it
    wrote between the levels is set to zero. The first convolutions of both subnets, which see the
    same map, are one.
    """

    def __init__(self, head: RetinaNetHead):
        """
        Args:
            head: whose layers it takes over, with their weights and their names.
        """
        nn.Module.__init__(self)
        self.__dict__.update(vars(head))

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """As RetinaNetHead's: of each level (N, A x K, H, W) and (N, A x 4, H, W)."""
        pixels = [level[:, 0].numel() for level in features]  # falling from level to level
        small = [level for level, few in zip(features, pixels, strict=True) if few <= FEW_PIXELS]
        if not self.training or pixels[0] > MOST_PIXELS or len(small) < 2:
            return super().forward(features)
        large = features[: -len(small)]
        sizes = [tuple(level.shape[2:]) for level in small]
        is_level = _joined([small[0].new_ones(1, 1, *size) for size in sizes])
        first = self.cls_subnet[0], self.bbox_subnet[0]
        weight, bias = (torch.cat([getattr(c, name) for c in first]) for name in ("weight", "bias"))
        found = [self._of_map(level, weight, bias, None) for level in large]
        of_small = self._of_map(_joined(small), weight, bias, is_level)
        found += zip(*(_apart(x, sizes) for x in of_small), strict=True)
        logits, deltas = map(list, zip(*found, strict=True))
        return logits, deltas

    def _of_map(
        self, x: Tensor, weight: Tensor, bias: Tensor, is_level: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Both subnets of a map; ``is_level`` is 0 between its levels, None if it has but one."""
        found = F.conv2d(x, weight, bias, padding=1).chunk(2, dim=1)
        parts = (self.cls_subnet, self.cls_score), (self.bbox_subnet, self.bbox_pred)
        logits, deltas = (
            predictor(_through(list(subnet)[1:], own, is_level))
            for own, (subnet, predictor) in zip(found, parts, strict=True)
        )
        return logits, deltas


def _through(layers: list[nn.Module], x: Tensor, is_level: Tensor | None) -> Tensor:
    for layer in layers:
        x = layer(x)
        if is_level is not None and isinstance(layer, nn.ReLU):
            x = x * is_level
    return x


def _joined(levels: list[Tensor]) -> Tensor:
    """Side by side, from the highest to the lowest, zeros right of each and below the lower."""
    height = levels[0].shape[2]
    return torch.cat([F.pad(x, (0, 1, 0, height - x.shape[2])) for x in levels], dim=3)


def _apart(x: Tensor, sizes: list[tuple[int, int]]) -> list[Tensor]:
    """What :func:`_joined` has joined."""
    columns = x.split([width + 1 for _, width in sizes], dim=3)
    return [part[:, :, :h, :w] for part, (h, w) in zip(columns, sizes, strict=True)]


def quick_head(head: nn.Module) -> nn.Module:
    """A quick head of the same layers if it is Detectron2's and normalises nothing over a map.

    Any other head is returned as it is.
    """
    layers = (*head.cls_subnet, *head.bbox_subnet) if type(head) is RetinaNetHead else ()
    is_quick = layers and all(isinstance(layer, nn.Conv2d | nn.ReLU) for layer in layers)
    return QuickHead(head) if is_quick else head
