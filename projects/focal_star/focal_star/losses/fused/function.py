"""A fused loss as a function that autograd can differentiate, whatever form computes it."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from focal_star.losses.fused.eager import in_blocks
from focal_star.losses.fused.formulas import Loss, Number

Form = Callable[[Tensor, Tensor, Loss, Number, bool], tuple[Tensor, Tensor | None]]
"""(logits (M, K), labels (M,), loss, scale, whether a gradient is wanted) -> the scaled sum, a
scalar of ``computed_type``, and its gradient by the logits, (M, K) of ``gradient_type``."""


def fused_loss(
    name: str,
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: float | None,
    gamma: float,
    scale: Number = 1.0,
    form: Form = in_blocks,
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
        scale: a factor of the sum, such as one over the number of positive anchors; a tensor of no
            dimensions, on the logits' device, is not waited for. It is a constant to autograd.
        form: what computes it.
        own: ``weight_cap`` of focal_star, ``beta`` of focal_appendix.

    Returns:
        A scalar, float32 (float64 for float64 logits). It can be differentiated once, with
        respect to the logits. Of memory it takes their gradient (float32 for float16, whose range
        a gradient that is not yet scaled could leave) and little more.
    """
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels have the shape {tuple(labels.shape)}, logits {tuple(logits.shape)}; the "
            "labels' must be that of the logits without the last dimension"
        )
    return _Fused.apply(logits, labels, form, Loss(name, alpha, gamma, own), scale)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels, form, loss, scale):
        rows = logits.detach().reshape(-1, logits.shape[-1])
        total, gradient = form(rows, labels.reshape(-1), loss, scale, ctx.needs_input_grad[0])
        ctx.like = logits.dtype, logits.shape
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, output_gradient: Tensor):
        (gradient,) = ctx.saved_tensors
        dtype, shape = ctx.like
        # Looking at a number on a GPU would wait for all its work.
        if gradient.device.type != "cpu" or output_gradient.item() != 1.0:
            gradient = gradient * output_gradient
        if gradient.dtype != dtype:
            range_ = torch.finfo(dtype)
            gradient = gradient.clamp(range_.min, range_.max).to(dtype)
        return gradient.view(shape), None, None, None, None
