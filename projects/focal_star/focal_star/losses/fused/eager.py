"""The fused losses in plain torch operations, for where there is no compiler.

On a CPU the positives, a few, are computed by themselves, and everything else as negatives: in
blocks that bound the memory, where a positive and what is ignored stand as negatives without any
loss. Elsewhere the host would have to wait for a device to know where the positives are: there
every entry is computed as what it is, by masks.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from focal_star.losses.fused.formulas import Loss, Number, as_tensor, computed_type, gradient_type

BLOCK = 2**18
"""Entries of a block, 1 MiB of float32, of which a block needs four at a time: with fewer, the
calls of torch cost more than is won by staying in a nearer cache."""

DEVICE_BLOCK = 2**22
"""Entries of a block by masks, 16 MiB of float32: it bounds the memory."""

NO_LOSS = -1e30
"""A t at which every loss and its derivative are 0."""


def in_blocks(
    rows: Tensor, labels: Tensor, loss: Loss, scale: Number, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The scaled sum and its gradient, as ``focal_star.losses.fused.function.Form`` says."""
    if rows.device.type != "cpu":
        return _in_blocks_by_masks(rows, labels, loss, scale, with_gradient)
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

    factor = negative_weight * scale
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
            _keep(slope, factor, gradient[block])
    value, slope = loss(-rows[anchors, classes].to(computed).clamp(-limit, limit))
    if gradient is not None:
        of_positives = torch.empty_like(slope, dtype=kept)
        _keep(slope, -positive_weight * scale, of_positives)
        gradient.view(-1)[places] = of_positives
    total = sums.sum() * negative_weight + value.double().sum() * positive_weight
    return (total * scale).to(computed), gradient


def by_masks(
    rows: Tensor,
    labels: Tensor,
    formula: Callable[[Tensor], tuple[Tensor, Tensor]],
    weights: tuple[Tensor, Tensor],
    limit: Number,
    scale: Tensor,
) -> tuple[Tensor, Tensor]:
    """The scaled sum, float64, and its gradient, of ``gradient_type``, without positions.

    Args:
        rows: (M, K).
        labels: (M,).
        formula: t -> loss and derivative by t, without alpha.
        weights: alpha_t of a positive and of a negative, of ``computed_type``.
        limit: where t is held.
        scale: of ``computed_type``.
    """
    computed, kept = computed_type(rows), gradient_type(rows)
    positive = labels[:, None] == torch.arange(rows.shape[1], device=rows.device)
    counts = (labels >= 0)[:, None]
    t = rows.to(computed).clamp(-limit, limit)
    value, slope = formula(torch.where(positive, -t, t))
    weight = torch.where(positive, *weights)
    total = torch.where(counts, value * weight, 0.0).sum(1).double().sum() * scale
    slope = torch.where(positive, -slope, slope) * (weight * scale)
    slope = torch.where(counts, slope, 0.0)
    if kept != computed:
        range_ = torch.finfo(kept)
        slope = slope.clamp(range_.min, range_.max)
    return total, slope.to(kept)


def _in_blocks_by_masks(
    rows: Tensor, labels: Tensor, loss: Loss, scale: Number, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """As :func:`in_blocks`; nothing of it waits for the device."""
    computed, kept = computed_type(rows), gradient_type(rows)
    weights = tuple(as_tensor(weight, computed, rows.device) for weight in loss.weights)
    factor = as_tensor(scale, computed, rows.device)
    gradient = torch.empty(rows.shape, dtype=kept, device=rows.device) if with_gradient else None
    total = torch.zeros((), dtype=torch.float64, device=rows.device)
    height = max(1, DEVICE_BLOCK // max(rows.shape[1], 1))
    for start in range(0, len(rows), height):
        block = slice(start, start + height)
        value, slope = by_masks(
            rows[block], labels[block], loss, weights, loss.limit(computed), factor
        )
        total += value
        if gradient is not None:
            gradient[block] = slope
    return total.to(computed), gradient


def _keep(slope: Tensor, factor: Number, out: Tensor) -> None:
    """Write ``slope`` times ``factor`` to ``out``; where its type is narrower, inside its range."""
    if out.dtype == slope.dtype:
        torch.mul(slope, factor, out=out)
    else:
        range_ = torch.finfo(out.dtype)
        out.copy_(slope.mul_(factor).clamp_(range_.min, range_.max))
