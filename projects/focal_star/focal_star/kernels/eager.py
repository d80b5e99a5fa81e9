"""The fused losses in plain torch operations, for where there is no compiler.

Every (anchor, class) is a negative but a few: so the loss is computed as that of negatives
everywhere, with the logits of the positives turned round beforehand and their weight changed
afterwards. The logits are worked on in blocks that stay in a CPU's cache.

Symbols as in ``focal_star.losses``, and t = -s: the logit of a negative, minus the logit of a
positive. q = sigmoid(t) = 1 - p_t, and softplus(t) = -log(p_t).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from focal_star.losses import largest_logit

BLOCK = 2**17
"""Entries of a block: 0.5 MiB of float32, of which a block needs four at a time."""


def _cross_entropy(t: Tensor) -> tuple[Tensor, Tensor]:
    return _softplus(t), t.sigmoid()


def _focal(t: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """q^gamma softplus(t), and its derivative q^gamma (gamma (1 - q) softplus(t) + q)."""
    q, loss = t.sigmoid(), _softplus(t)
    weight = q**gamma
    slope = (1 - q).mul_(loss).mul_(gamma).add_(q).mul_(weight)
    return loss.mul_(weight), slope


def _focal_star(t: Tensor, gamma: float, weight_cap: float | None) -> tuple[Tensor, Tensor]:
    """exp(gamma t) softplus(t), and its derivative exp(gamma t) (gamma softplus(t) + q).

    Where exp(gamma t) is at its cap it is a constant.
    """
    loss, slope = _softplus(t), t.sigmoid()
    exponent = t * gamma
    if weight_cap is None:
        weight = exponent.exp_()
        slope.add_(loss, alpha=gamma)
    else:
        highest = math.log(weight_cap)
        slope.add_(torch.where(exponent <= highest, loss, 0.0), alpha=gamma)
        weight = exponent.clamp_(max=highest).exp_()
    return loss.mul_(weight), slope.mul_(weight)


def _focal_appendix(t: Tensor, gamma: float, beta: float) -> tuple[Tensor, Tensor]:
    """softplus(gamma t - beta) / gamma, and its derivative sigmoid(gamma t - beta)."""
    shifted = (t * gamma).sub_(beta)
    return _softplus(shifted).div_(gamma), shifted.sigmoid_()


FUSED: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "ce": lambda t, gamma: _cross_entropy(t),
    "focal": _focal,
    "focal_star": _focal_star,
    "focal_appendix": _focal_appendix,
}
"""Name of a loss -> (t, gamma, its own arguments) -> loss and derivative by t, both like t."""


def fused_loss(
    name: str,
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: float | None,
    gamma: float,
    scale: float = 1.0,
    **own: float | None,
) -> Tensor:
    """The sum of a loss over all (anchor, class) whose anchor counts, times ``scale``.

    Args:
        name: of ``FUSED``; its formula, and what alpha, gamma and ``own`` are, stand in
            ``focal_star.losses``.
        logits: (..., K), any floating-point type.
        labels: (...), int64: a class in 0..K-1, K for background, negative to leave an anchor
            out.
        alpha: weight of the positive label in [0, 1]; None for no weighting.
        gamma: of the loss.
        scale: a factor of the sum, such as one over the number of positive anchors.
        own: ``weight_cap`` of focal_star, ``beta`` of focal_appendix.

    Returns:
        A scalar, float32 (float64 for float64 logits). It can be differentiated once, with
        respect to the logits. Of memory it takes their gradient (float32 for float16, whose range
        a gradient that is not yet scaled could leave) and a few blocks.
    """
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels have the shape {tuple(labels.shape)}, logits {tuple(logits.shape)}; the "
            "labels' must be that of the logits without the last dimension"
        )
    weights = (1.0, 1.0) if alpha is None else (alpha, 1.0 - alpha)
    growth = gamma if name == "focal_star" else 0.0

    def loss(t: Tensor) -> tuple[Tensor, Tensor]:
        return FUSED[name](t, gamma, **own)

    return _Fused.apply(logits, labels, loss, weights, growth, scale)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels, loss, weights, growth, scale):
        total, gradient = _loss_and_gradient(
            logits.detach(), labels, loss, weights, growth, scale, ctx.needs_input_grad[0]
        )
        ctx.dtype = logits.dtype
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, output_gradient: Tensor):
        (gradient,) = ctx.saved_tensors
        # Looking at a number on a GPU would wait for all its work.
        if gradient.device.type != "cpu" or output_gradient.item() != 1.0:
            gradient = gradient * output_gradient
        if gradient.dtype != ctx.dtype:
            range_ = torch.finfo(ctx.dtype)
            gradient = gradient.clamp(range_.min, range_.max).to(ctx.dtype)
        return gradient, None, None, None, None, None


def _loss_and_gradient(
    logits: Tensor,
    labels: Tensor,
    loss: Callable[[Tensor], tuple[Tensor, Tensor]],
    weights: tuple[float, float],
    growth: float,
    scale: float,
    with_gradient: bool,
) -> tuple[Tensor, Tensor | None]:
    """The scaled sum, and its gradient by the logits."""
    num_classes = logits.shape[-1]
    rows, labels = logits.reshape(-1, num_classes), labels.reshape(-1)
    positive_weight, negative_weight = weights
    computed = torch.promote_types(logits.dtype, torch.float32)
    limit = largest_logit(computed, growth)
    kept = computed if logits.dtype == torch.float16 else logits.dtype
    gradient = torch.empty(rows.shape, dtype=kept, device=rows.device) if with_gradient else None

    anchors = ((labels >= 0) & (labels < num_classes)).nonzero().squeeze(1)
    places = anchors * num_classes + labels[anchors]  # of the positives, among all entries
    height = max(1, BLOCK // max(num_classes, 1))
    starts = range(0, len(rows), height)
    bounds = torch.tensor([*starts, len(rows)], device=anchors.device)
    ends = torch.searchsorted(anchors, bounds).tolist()

    sums = torch.empty(len(rows), dtype=computed, device=rows.device)  # of each anchor's negatives
    positives = torch.empty(len(anchors), dtype=computed, device=rows.device)
    for number, start in enumerate(starts):
        block = slice(start, start + height)
        mine = slice(ends[number], ends[number + 1])
        at = places[mine] - start * num_classes
        t = rows[block].to(computed).clamp(-limit, limit).contiguous()
        flat = t.view(-1)
        flat[at] = -flat[at]
        value, slope = loss(t)
        flat = value.view(-1)
        positives[mine] = flat[at]
        flat[at] = 0.0
        torch.sum(value, 1, out=sums[block])
        if gradient is not None:
            flat = slope.view(-1)
            of_positives = flat[at] * (-positive_weight * scale)
            slope.mul_(negative_weight * scale)
            flat[at] = of_positives
            if kept != computed:
                range_ = torch.finfo(kept)
                slope.clamp_(range_.min, range_.max)
            gradient[block] = slope
    ignored = labels < 0
    sums.masked_fill_(ignored, 0.0)
    total = sums.double().sum() * negative_weight + positives.double().sum() * positive_weight
    if gradient is not None:
        gradient[ignored] = 0.0
        gradient = gradient.view(logits.shape)
    return (total * scale).to(computed), gradient


def _softplus(t: Tensor) -> Tensor:
    """log(1 + exp(t)), a tensor of its own."""
    return F.logsigmoid(-t).neg_()
