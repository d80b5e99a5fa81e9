"""The parts that all losses share: registry, labels, alpha, reductions and the range of numbers.

The hash of every loss covers this file, so an edit of its code makes the records of all losses
stale.
"""

import inspect
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

LOSSES: dict[str, Callable[..., Tensor]] = {}
"""Name in a config (``MODEL.FOCAL_STAR.LOSS``) -> loss, in the order of registration."""


def named(name: str) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Return a decorator that registers a loss in ``LOSSES``.

    The loss takes ``logits`` and ``targets`` and, by keyword, ``alpha``, ``gamma`` and
    ``reduction``. If it has a parameter ``beta`` or ``weight_cap``, it also gets the config's.

    Args:
        name: the name of the loss in a config, written as a constant: the files are read, not run,
            to compute the hash of a loss's code.

    Raises:
        ValueError: a loss of that name is already registered; the message names both files.
    """

    def enter(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        if name in LOSSES:
            raise ValueError(
                f"loss {name!r} of {_file_of(loss)} is already registered by "
                f"{_file_of(LOSSES[name])}; choose another name in one of them"
            )
        LOSSES[name] = loss
        return loss

    return enter


def _file_of(loss: Callable[..., Tensor]) -> str:
    """The file that defines a loss; its module if it is no plain function."""
    code = getattr(inspect.unwrap(loss), "__code__", None)
    return code.co_filename if code else f"the module {loss.__module__}"


def alpha_balanced(
    loss: Callable[[Tensor], Tensor],
    logits: Tensor,
    targets: Tensor,
    alpha: float | None,
    reduction: str,
    growth: float = 0.0,
) -> Tensor:
    """Apply a function of s to logits and targets: alpha_t loss(s).

    Args:
        loss: s, any shape, float32 or float64 -> the loss, the shape and type of s.
        logits: x, any shape, any floating-point type.
        targets: y, the shape of ``logits``; bool, or float in [0, 1].
        alpha: weight of the positive label in [0, 1]; None for no weighting.
        reduction: "none" (the shape of ``logits``), "sum" or "mean" (a scalar).
        growth: g if the loss grows as exp(-g s) for hard examples; it is then kept finite.

    Returns:
        The loss, float32 (float64 for float64 logits).

    Raises:
        ValueError: an invalid shape, alpha or reduction.
    """
    if targets.shape != logits.shape:
        raise ValueError(
            f"targets have the shape {tuple(targets.shape)}, logits {tuple(logits.shape)}; "
            "they must be equal"
        )
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; valid: a number in [0, 1], or None for no weighting")
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"reduction is {reduction!r}; valid: 'none', 'sum', 'mean'")
    positive_weight, negative_weight = (1.0, 1.0) if alpha is None else (alpha, 1.0 - alpha)
    with torch.autocast(logits.device.type, enabled=False):
        x = _Saturate.apply(logits, growth)
        if targets.dtype == torch.bool:  # hard labels need one branch, not two
            value = loss(torch.where(targets, x, -x))
            value = value * torch.where(
                targets, x.new_full((), positive_weight), x.new_full((), negative_weight)
            )
        else:
            y = targets.to(x.dtype)
            value = positive_weight * y * loss(x) + negative_weight * (1 - y) * loss(-x)
        return value if reduction == "none" else getattr(value, reduction)()


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)). On CPU logsigmoid is vectorised and softplus is not: ten times as fast."""
    return -F.logsigmoid(-x)


def check_gamma(
    gamma: float, name: str, at_least: float = -math.inf, above: float = -math.inf
) -> None:
    """Refuse a gamma that is not finite or not in the range of a loss.

    Raises:
        ValueError: gamma is invalid; the message names the loss, the value and the valid range.
    """
    if not (math.isfinite(gamma) and gamma >= at_least and gamma > above):
        valid = f"> {above:g}" if math.isfinite(above) else f">= {at_least:g}"
        raise ValueError(f"{name}: gamma is {gamma}; valid: a finite number {valid}")


def largest_logit(dtype: torch.dtype, growth: float) -> float:
    """The largest |x| at which a loss that grows as exp(growth |x|) is exact.

    Args:
        dtype: the type in which the loss is computed.
        growth: >= 0; 0 for a loss that grows no faster than |x|.
    """
    largest = 1e30  # leaves room for the products of x with gamma
    if growth <= 0:
        return largest
    # With this share of the type's exponent range, the loss is exact up to 1e30 in float32. The
    # rest leaves room for the factor |x| and for the sum over some million saturated anchors.
    return min(largest, 0.78 * math.log(torch.finfo(dtype).max) / growth)


class _Saturate(torch.autograd.Function):
    """Logits in float32 or better, clamped to the range where exp(growth |x|) |x| is finite.

    The gradient passes straight through, so that a saturated logit is still pulled back; it is
    clamped to the range of the logits' own type.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, growth: float) -> Tensor:
        ctx.dtype = logits.dtype
        x = logits.to(torch.promote_types(logits.dtype, torch.float32))
        limit = largest_logit(x.dtype, growth)
        return x.clamp(-limit, limit)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        range_ = torch.finfo(ctx.dtype)
        return gradient.clamp(range_.min, range_.max).to(ctx.dtype), None
