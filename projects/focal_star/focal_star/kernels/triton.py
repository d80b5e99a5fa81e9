"""The fused losses as one Triton kernel, for a GPU: logits read once, their gradient written once.

So far its numbers have been seen in Triton's interpreter alone (``TRITON_INTERPRET=1``), which
computes on a CPU what the kernel says. It has been compiled for a GPU, but not run on one; how fast
it is has not been measured.

Its formulas are those of ``focal_star.kernels.formulas`` once more: Triton cannot call torch.
"""

import contextlib
import os

import torch
import triton
import triton.language as tl
from torch import Tensor

from focal_star.kernels.eager import in_blocks
from focal_star.kernels.formulas import Loss, Number, as_tensor, computed_type, gradient_type

ENTRIES = 1024
"""Entries of a program."""

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Whether Triton interprets its kernels, on CPU tensors, instead of compiling them."""


def in_one_kernel(
    rows: Tensor, labels: Tensor, loss: Loss, scale: Number, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The scaled sum and its gradient, as ``focal_star.kernels.function.Form`` says.

    float64 logits are left to the eager form, and so are none at all.
    """
    if rows.dtype == torch.float64 or rows.numel() == 0:
        return in_blocks(rows, labels, loss, scale, with_gradient)
    rows, labels, computed = rows.contiguous(), labels.contiguous(), computed_type(rows)
    kept = gradient_type(rows)
    gradient = torch.empty(rows.shape, dtype=kept, device=rows.device) if with_gradient else None
    programs = triton.cdiv(rows.numel(), ENTRIES)
    sums = torch.empty(programs, dtype=computed, device=rows.device)
    weight_cap = loss.own.get("weight_cap")
    numbers = (
        *loss.weights,
        loss.limit(computed),
        loss.gamma,
        loss.own.get("beta", 0.0),
        0.0 if weight_cap is None else weight_cap,
        torch.finfo(kept).max,
    )
    on_device = torch.cuda.device(rows.device) if rows.is_cuda else contextlib.nullcontext()
    with on_device:
        _kernel[(programs,)](
            rows,
            labels,
            rows if gradient is None else gradient,
            sums,
            as_tensor(scale, computed, rows.device),
            rows.numel(),
            *map(float, numbers),
            NUM_CLASSES=rows.shape[1],
            LOSS=loss.name,
            CAPPED=weight_cap is not None,
            SQUARED=loss.gamma == 2.0,
            WITH_GRADIENT=with_gradient,
            ENTRIES=ENTRIES,
        )
    return (sums.double().sum() * scale).to(computed), gradient


@triton.jit
def _kernel(
    logits,
    labels,
    gradient,
    sums,
    scale,
    num_entries,
    positive_weight,
    negative_weight,
    limit,
    gamma,
    beta,
    weight_cap,
    largest,
    NUM_CLASSES: tl.constexpr,
    LOSS: tl.constexpr,
    CAPPED: tl.constexpr,
    SQUARED: tl.constexpr,
    WITH_GRADIENT: tl.constexpr,
    ENTRIES: tl.constexpr,
):
    """Loss and gradient of ENTRIES entries; ``sums`` gets the program's weighted loss."""
    program = tl.program_id(0).to(tl.int64)
    at = program * ENTRIES + tl.arange(0, ENTRIES)
    there = at < num_entries
    first = program * ENTRIES // NUM_CLASSES
    ahead = (program * ENTRIES - first * NUM_CLASSES).to(tl.int32) + tl.arange(0, ENTRIES)
    label = tl.load(labels + first + ahead // NUM_CLASSES, mask=there, other=-1)
    positive = label == ahead % NUM_CLASSES
    counts = there & (label >= 0)

    x = tl.load(logits + at, mask=there, other=0.0).to(tl.float32)
    # Comparisons, unlike minimum and maximum, let a NaN through.
    x = tl.where(x > limit, limit, tl.where(x < -limit, -limit, x))
    t = tl.where(positive, -x, x)
    if LOSS == "focal_appendix":
        t = t * gamma - beta
    e = tl.exp(-tl.abs(t))
    rounded = 1.0 + e
    # log(1 + e) where 1 + e is rounded: what the rounding took is given back.
    below = tl.where(rounded == 1.0, 1.0, rounded - 1.0)
    log1p = tl.where(rounded == 1.0, e, tl.log(rounded) * (e / below))
    softplus = tl.where(t < 0.0, 0.0, t) + log1p
    q = tl.where(t < 0.0, e, 1.0) / rounded
    if LOSS == "focal":
        weight = q * q if SQUARED else tl.exp(gamma * (t - softplus))
        slope = weight * (gamma * (1.0 - q) * softplus + q)
        value = weight * softplus
    elif LOSS == "focal_star":
        weight = tl.exp(gamma * t)
        growing = gamma * softplus
        if CAPPED:
            growing = tl.where(weight <= weight_cap, growing, 0.0)
            weight = tl.where(weight > weight_cap, weight_cap, weight)
        slope = weight * (growing + q)
        value = weight * softplus
    elif LOSS == "focal_appendix":
        slope = q
        value = softplus / gamma
    else:
        slope = q
        value = softplus

    alpha_t = tl.where(positive, positive_weight, negative_weight)
    tl.store(sums + program, tl.sum(tl.where(counts, value * alpha_t, 0.0)))
    if WITH_GRADIENT:
        slope = tl.where(positive, -slope, slope) * (alpha_t * tl.load(scale))
        slope = tl.where(slope > largest, largest, tl.where(slope < -largest, -largest, slope))
        slope = tl.where(counts, slope, 0.0)
        tl.store(gradient + at, slope.to(gradient.dtype.element_ty), mask=there)
