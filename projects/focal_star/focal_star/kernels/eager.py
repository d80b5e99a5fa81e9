"""The fused losses in plain torch operations, for where there is no compiler.

The positives, a few, are computed by themselves, and everything else as negatives: in blocks that
stay in a CPU's cache, where a positive and what is ignored stand as negatives without any loss.
"""

import torch
from torch import Tensor

from focal_star.kernels.formulas import Loss, computed_type, gradient_type

BLOCK = 2**16
"""Entries of a block: 0.25 MiB of float32, of which a block needs four at a time."""

NO_LOSS = -1e30
"""A t at which every loss and its derivative are 0."""


def in_blocks(
    rows: Tensor, labels: Tensor, loss: Loss, scale: float, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The scaled sum and its gradient, as ``focal_star.kernels.function.Form`` says."""
    num_classes = rows.shape[-1]
    positive_weight, negative_weight = loss.weights
    computed, kept = computed_type(rows), gradient_type(rows)
    limit = loss.limit(computed)
    gradient = torch.empty(rows.shape, dtype=kept, device=rows.device) if with_gradient else None

    others = (labels != num_classes).nonzero().squeeze(1)  # than background: a few
    classes = labels[others]
    ignored, anchors = others[classes < 0], others[classes >= 0]
    classes = labels[anchors]
    places = anchors * num_classes + classes  # of the positives, among all entries
    height = max(1, BLOCK // max(num_classes, 1))
    starts = range(0, len(rows), height)
    bounds = torch.tensor([*starts, len(rows)], device=rows.device)
    ends = torch.stack([torch.searchsorted(of, bounds) for of in (anchors, ignored)]).tolist()

    sums = torch.zeros(len(starts), dtype=torch.float64, device=rows.device)
    for number, start in enumerate(starts):
        block = slice(start, start + height)
        mine, left_out = (slice(of[number], of[number + 1]) for of in ends)
        t = rows[block].to(computed).clamp(-limit, limit).contiguous()
        t.view(-1)[places[mine] - start * num_classes] = NO_LOSS
        t[ignored[left_out] - start] = NO_LOSS
        value, slope = loss(t)
        sums[number] = value.sum()
        if gradient is not None:
            _keep(slope, negative_weight * scale, gradient[block])
    value, slope = loss(-rows[anchors, classes].to(computed).clamp(-limit, limit))
    if gradient is not None:
        of_positives = torch.empty_like(slope, dtype=kept)
        _keep(slope, -positive_weight * scale, of_positives)
        gradient.view(-1)[places] = of_positives
    total = sums.sum() * negative_weight + value.double().sum() * positive_weight
    return (total * scale).to(computed), gradient


def _keep(slope: Tensor, factor: float, out: Tensor) -> None:
    """Write ``slope`` times ``factor`` to ``out``; where its type is narrower, inside its range."""
    if out.dtype == slope.dtype:
        torch.mul(slope, factor, out=out)
    else:
        range_ = torch.finfo(out.dtype)
        out.copy_(slope.mul_(factor).clamp_(range_.min, range_.max))
