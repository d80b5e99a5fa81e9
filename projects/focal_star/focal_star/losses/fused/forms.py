"""Computes the fused losses, differentiable by autograd.

There are two forms. :func:`in_blocks` uses plain torch operations. On a CPU it computes the few
positives separately, and all other entries as negatives in blocks, which limit the memory; there
the entries of positives and of ignored anchors are replaced by negatives whose loss is 0. On a GPU
this would make the host wait for the positions of the positives, so masks select them instead.
:func:`in_one_pass` compiles the masked form with torch.compile: with a C++ compiler on a CPU, with
Triton on a GPU. The first call compiles for some seconds. Another loss, number of classes or type
compiles again; another image size, alpha, gamma, cap or beta does not.
"""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from focal_star.losses.fused.formulas import (
    FUSED,
    Loss,
    Number,
    as_tensor,
    computed_type,
    gradient_type,
)

Form = Callable[[Tensor, Tensor, Loss, Number, bool], tuple[Tensor, Tensor | None]]
"""(logits (M, K), labels (M,), loss, scale, whether a gradient is wanted) -> the scaled sum, a
scalar of ``computed_type``, and its gradient by the logits, (M, K) of ``gradient_type``."""

BLOCK = 2**18
"""Entries per block: 1 MiB of float32, with four such arrays at a time. In smaller blocks, the
overhead of torch's calls is larger than the gain from a faster cache."""

DEVICE_BLOCK = 2**22
"""Entries per masked block: 16 MiB of float32, which limits the memory."""

NO_LOSS = -1e30
"""A t at which every loss and its derivative are 0."""


def in_blocks(
    rows: Tensor, labels: Tensor, loss: Loss, scale: Number, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The scaled sum and its gradient, see ``Form``."""
    if rows.device.type != "cpu":
        return in_masked_blocks(rows, labels, loss, scale, with_gradient)
    num_classes = rows.shape[-1]
    positive_weight, negative_weight = loss.weights
    computed, kept = computed_type(rows), gradient_type(rows)
    limit = loss.limit(computed)
    gradient = torch.empty(rows.shape, dtype=kept, device=rows.device) if with_gradient else None

    others = (labels != num_classes).nonzero().squeeze(1)  # the few that are not background
    classes = labels[others]
    ignored, anchors = others[classes < 0], others[classes >= 0]
    classes = labels[anchors]
    places = anchors * num_classes + classes  # the index of each positive among all entries
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
            _write_scaled(slope, factor, gradient[block])
    value, slope = loss(-rows[anchors, classes].to(computed).clamp(-limit, limit))
    if gradient is not None:
        of_positives = torch.empty_like(slope, dtype=kept)
        _write_scaled(slope, -positive_weight * scale, of_positives)
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
    """The scaled sum, float64, and its gradient, of ``gradient_type``, by masks.

    Args:
        rows: (M, K).
        labels: (M,).
        formula: t -> loss and derivative by t, without alpha.
        weights: alpha_t of a positive and of a negative, of ``computed_type``.
        limit: where t is clamped.
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


def in_masked_blocks(
    rows: Tensor, labels: Tensor, loss: Loss, scale: Number, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The scaled sum and its gradient, see ``Form``, without waiting for the device."""
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


def _write_scaled(slope: Tensor, factor: Number, out: Tensor) -> None:
    """Write ``slope`` times ``factor`` to ``out``, clamped to the range of a narrower type."""
    if out.dtype == slope.dtype:
        torch.mul(slope, factor, out=out)
    else:
        range_ = torch.finfo(out.dtype)
        out.copy_(slope.mul_(factor).clamp_(range_.min, range_.max))


def in_one_pass(
    rows: Tensor, labels: Tensor, loss: Loss, scale: Number, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The scaled sum and its gradient, see ``Form``."""
    if len(rows) < 2:  # the compiler treats sizes 0 and 1 as constants, and would compile each
        return in_blocks(rows, labels, loss, scale, with_gradient)
    computed = computed_type(rows)
    rows, labels = rows.contiguous(), labels.contiguous()
    torch._dynamo.mark_dynamic(rows, 0)
    torch._dynamo.mark_dynamic(labels, 0)
    given = {key: value for key, value in loss.options.items() if value is not None}
    numbers = _numbers(
        (*loss.weights, loss.limit(computed), loss.gamma, *given.values()), computed, rows.device
    )
    options = dict.fromkeys(loss.options) | dict(zip(given, numbers[4:], strict=True))
    factor = as_tensor(scale, computed, rows.device)
    run = _compiled(loss.name, tuple(given), rows.shape[1], rows.dtype, rows.device)
    # Another state of autocast would compile it again, with the same result.
    with torch.no_grad(), torch.autocast(rows.device.type, enabled=False):
        total, gradient = run(rows, labels, loss.name, numbers[:4], options, factor)
    return total, gradient if with_gradient else None


@lru_cache(None)
def _compiled(*key: object) -> Callable[..., tuple[Tensor, Tensor]]:
    """The compiled function of a key; each key is compiled once.

    The compiler compiles a code object for at most eight kinds of arguments, so each key gets its
    own code object.
    """
    copied = FunctionType(_loss_and_gradient.__code__.replace(), globals())
    return torch.compile(copied, fullgraph=True)


@lru_cache(64)
def _numbers(
    values: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """Scalar tensors, which the compiler treats as variables."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).unbind()


def _loss_and_gradient(
    rows: Tensor,
    labels: Tensor,
    name: str,
    numbers: tuple[Tensor, ...],
    options: dict[str, Tensor | None],
    scale: Tensor,
) -> tuple[Tensor, Tensor]:
    *weights, limit, gamma = numbers
    total, slope = by_masks(
        rows, labels, lambda t: FUSED[name](t, gamma, **options), tuple(weights), limit, scale
    )
    return total.to(computed_type(rows)), slope


def fused_loss(
    name: str,
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: float | None,
    gamma: float,
    scale: Number = 1.0,
    form: Form = in_blocks,
    **options: float | None,
) -> Tensor:
    """The sum of a loss over all (anchor, class) whose anchor counts, times ``scale``.

    Args:
        name: of ``FUSED``; ``focal_star.losses`` defines it, and alpha, gamma and ``options``.
        logits: (..., K), any floating-point type.
        labels: (...), int64: a class in 0..K-1, K for background, negative for an anchor that is
            ignored.
        alpha: weight of the positive label in [0, 1]; None for no weighting.
        gamma: the exponent or steepness of the loss.
        scale: a factor of the sum, such as one over the number of positive anchors. Autograd
            treats it as a constant. For a scalar tensor on the logits' device, the host does not
            wait.
        form: the function that computes the sum and the gradient.
        options: ``weight_cap`` of focal_star, ``beta`` of focal_appendix.

    Returns:
        A scalar, float32 (float64 for float64 logits). It can be differentiated once, with
        respect to the logits. The only large array in memory is their gradient. For float16 logits
        it is float32, because a gradient that is not yet scaled can overflow float16.
    """
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels have the shape {tuple(labels.shape)}, logits {tuple(logits.shape)}; labels "
            "must have the shape of the logits without its last dimension"
        )
    return _Fused.apply(logits, labels, form, Loss(name, alpha, gamma, options), scale)


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
        if gradient.dtype != dtype:  # the factor comes after: GradScaler must see its overflow
            range_ = torch.finfo(dtype)
            gradient = gradient.clamp(range_.min, range_.max)
        # On a GPU, reading a number would wait for all queued work.
        if gradient.device.type != "cpu" or output_gradient.item() != 1.0:
            gradient = gradient * output_gradient
        return gradient.to(dtype).view(shape), None, None, None, None
