"""Layers of Detectron2's RetinaNet that compute the same in less time if the maps are small.

A training on small images spends much of its time between the convolutions and on convolutions of
a few pixels. These layers do less of both, in training only: in evaluation mode the detector is
Detectron2's own, in its export, its timing and its numbers.
"""

import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.meta_arch.retinanet import RetinaNetHead
from torch import Tensor, nn
from torch.nn import functional as F

MAX_JOINED_PIXELS = 2**10
"""A level with at most this many pixels, over all images of a batch, is joined to others."""

MAX_PIXELS = 2**13
"""If the largest level has more pixels than this, the head is Detectron2's own, because the
convolutions then take most of the time."""


class FoldedFrozenBatchNorm(FrozenBatchNorm2d):
    """Detectron2's, with scale and shift computed once instead of in each forward pass."""

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


class CachedAnchorGenerator(DefaultAnchorGenerator):
    """Detectron2's, which reuses the anchors if the maps have the sizes of the last batch."""

    _made: tuple[object, list[Tensor]] | None = None

    def _grid_anchors(self, grid_sizes: list[list[int]]) -> list[Tensor]:
        if not self.training:
            return super()._grid_anchors(grid_sizes)
        key = [tuple(size) for size in grid_sizes], next(self.buffers()).device
        if self._made is None or self._made[0] != key:
            self._made = key, super()._grid_anchors(grid_sizes)
        return list(self._made[1])


class PackedHead(RetinaNetHead):
    """RetinaNet's head on one map with all small levels side by side, one column of zeros apart.

    A 3 x 3 convolution then computes the same as on each level separately, if the columns
    between the levels are set to zero again after each layer. The first convolutions of both
    subnets have the same input and are run as one.
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
        small = [
            level for level, few in zip(features, pixels, strict=True) if few <= MAX_JOINED_PIXELS
        ]
        if not self.training or pixels[0] > MAX_PIXELS or len(small) < 2:
            return super().forward(features)
        large = features[: -len(small)]
        sizes = [tuple(level.shape[2:]) for level in small]
        is_level = _join([small[0].new_ones(1, 1, *size) for size in sizes])
        first = self.cls_subnet[0], self.bbox_subnet[0]
        weight, bias = (torch.cat([getattr(c, name) for c in first]) for name in ("weight", "bias"))
        outputs = [self._subnets(level, weight, bias, None) for level in large]
        of_small = self._subnets(_join(small), weight, bias, is_level)
        outputs += zip(*(_split(x, sizes) for x in of_small), strict=True)
        logits, deltas = map(list, zip(*outputs, strict=True))
        return logits, deltas

    def _subnets(
        self, x: Tensor, weight: Tensor, bias: Tensor, is_level: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Run both subnets on a map; ``is_level`` is 0 between its levels, None if it has one."""
        hidden = F.conv2d(x, weight, bias, padding=1).chunk(2, dim=1)
        parts = (self.cls_subnet, self.cls_score), (self.bbox_subnet, self.bbox_pred)
        logits, deltas = (
            predictor(_through(list(subnet)[1:], maps, is_level))
            for maps, (subnet, predictor) in zip(hidden, parts, strict=True)
        )
        return logits, deltas


def _through(layers: list[nn.Module], x: Tensor, is_level: Tensor | None) -> Tensor:
    for layer in layers:
        x = layer(x)
        if is_level is not None and isinstance(layer, nn.ReLU):
            x = x * is_level
    return x


def _join(levels: list[Tensor]) -> Tensor:
    """Put levels side by side, with zeros right of each and below the lower ones."""
    height = levels[0].shape[2]
    return torch.cat([F.pad(x, (0, 1, 0, height - x.shape[2])) for x in levels], dim=3)


def _split(x: Tensor, sizes: list[tuple[int, int]]) -> list[Tensor]:
    """The inverse of :func:`_join`."""
    columns = x.split([width + 1 for _, width in sizes], dim=3)
    return [part[:, :, :h, :w] for part, (h, w) in zip(columns, sizes, strict=True)]


def packed_head(head: nn.Module) -> nn.Module:
    """Return a :class:`PackedHead` with the layers of Detectron2's head.

    Any other head, and one that normalises over a map, is returned unchanged.
    """
    layers = (*head.cls_subnet, *head.bbox_subnet) if type(head) is RetinaNetHead else ()
    is_plain = layers and all(isinstance(layer, nn.Conv2d | nn.ReLU) for layer in layers)
    return PackedHead(head) if is_plain else head
