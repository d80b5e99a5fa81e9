"""Classification losses of dense detectors: pure functions of logits and targets.

Symbols: x is a logit, y its binary label, s = x where y = 1 and -x where y = 0,
p_t = sigmoid(s) is the probability given to the true label, and alpha_t is alpha where y = 1 and
1 - alpha where y = 0 (1 where alpha is None). softplus(-s) = -log(p_t).

Every loss is computed in float32 or better whatever the input's type and autocast say. Loss and
gradient are finite for every finite logit: a logit beyond the point where the loss would leave
the range of float32 is treated as if it stood at that point, and a gradient that would leave the
range of the logits' own type is the largest of that type. Below that point the formula is exact.

A target between 0 and 1 (label smoothing) mixes the losses of the two labels linearly,
y loss(x, 1) + (1 - y) loss(x, 0), as the smoothed cross entropy does.

A new loss is one function with its name above it, :func:`named`; docs/own_loss.md shows one.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "LOSSES",
    "cross_entropy_loss",
    "focal_appendix_loss",
    "focal_loss",
    "focal_star_loss",
    "named",
]

LOSSES: dict[str, Callable[..., Tensor]] = {}
"""Name in a config (``MODEL.FOCAL_STAR.LOSS``) -> loss, in the order of this file."""


def named(name: str) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Return a decorator that registers a loss in ``LOSSES``.

    The loss takes ``logits`` and ``targets`` and, by keyword, ``alpha``, ``gamma`` and
    ``reduction``; where it names ``beta`` or ``weight_cap``, it gets those of the config too.

    Raises:
        ValueError: a loss of that name is already registered.
    """

    def enter(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        if name in LOSSES:
            raise ValueError(f"loss {name!r} is already registered; choose another name")
        LOSSES[name] = loss
        return loss

    return enter


@named("ce")
def cross_entropy_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    alpha: float | None = None,
    gamma: float = 0.0,
    reduction: str = "none",
) -> Tensor:
    """The alpha-balanced cross entropy, -alpha_t log(p_t).

    Source: "Focal Loss for Dense Object Detection" (arXiv:1708.02002), eq. 3.

    Args:
        logits: x, any shape, any floating-point type.
        targets: y, the shape of ``logits``; bool, or float in [0, 1].
        alpha: weight of the positive label in [0, 1]; None for no weighting.
        gamma: not used; every loss takes it, so that a config can switch between them.
        reduction: "none" (the shape of ``logits``), "sum" or "mean" (a scalar).

    Returns:
        The loss, float32 (float64 for float64 logits).

    Raises:
        ValueError: a shape, alpha or reduction that is not one of these.
    """
    del gamma
    return _loss(lambda s: _softplus(-s), logits, targets, alpha, reduction)


@named("focal")
def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    alpha: float | None = None,
    gamma: float = 2.0,
    reduction: str = "none",
) -> Tensor:
    """The focal loss FL, -alpha_t (1 - p_t)^gamma log(p_t).

    Source: "Focal Loss for Dense Object Detection" (arXiv:1708.02002), eq. 5. At gamma = 0 it is
    :func:`cross_entropy_loss`.

    Args:
        logits: x, any shape, any floating-point type.
        targets: y, the shape of ``logits``; bool, or float in [0, 1].
        alpha: weight of the positive label in [0, 1]; None for no weighting.
        gamma: the focusing parameter, >= 0.
        reduction: "none" (the shape of ``logits``), "sum" or "mean" (a scalar).

    Returns:
        The loss, float32 (float64 for float64 logits).

    Raises:
        ValueError: a shape, alpha, gamma or reduction that is not one of these.
    """
    _check_gamma(gamma, "focal_loss", at_least=0.0)
    # (1 - p_t)^gamma as exp(-gamma softplus(s)): no pow, whose gradient at 0 is not finite.
    return _loss(
        lambda s: torch.exp(-gamma * _softplus(s)) * _softplus(-s),
        logits,
        targets,
        alpha,
        reduction,
    )


@named("focal_star")
def focal_star_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    alpha: float | None = None,
    gamma: float = 0.5,
    reduction: str = "none",
    weight_cap: float | None = None,
) -> Tensor:
    """The modified focal loss FL*, -alpha_t ((1 - p_t) / p_t)^gamma log(p_t).

    As ((1 - p_t) / p_t) = exp(-s), it is alpha_t exp(-gamma s) softplus(-s): easy examples
    (s > 0) weigh less than in the cross entropy, hard ones more, without bound. At gamma = 0 it
    is :func:`cross_entropy_loss`.

    This is the FL* of the proposal "Modification of Focal Loss in Object Detection" (Zheng and
    Li, 2023), eq. 6. The appendix of arXiv:1708.02002 has another function of that name; here
    that one is :func:`focal_appendix_loss`.

    Args:
        logits: x, any shape, any floating-point type.
        targets: y, the shape of ``logits``; bool, or float in [0, 1].
        alpha: weight of the positive label in [0, 1]; None for no weighting.
        gamma: the exponent of the modulating factor, >= 0.
        reduction: "none" (the shape of ``logits``), "sum" or "mean" (a scalar).
        weight_cap: largest value of the modulating factor, > 0; None for no cap.

    Returns:
        The loss, float32 (float64 for float64 logits).

    Raises:
        ValueError: a shape, alpha, gamma, weight_cap or reduction that is not one of these.
    """
    _check_gamma(gamma, "focal_star_loss", at_least=0.0)
    if weight_cap is not None and not weight_cap > 0:
        raise ValueError(f"focal_star_loss: weight_cap is {weight_cap}; valid: > 0, or None")

    def loss(s: Tensor) -> Tensor:
        exponent = -gamma * s
        if weight_cap is not None:
            exponent = exponent.clamp(max=math.log(weight_cap))
        return torch.exp(exponent) * _softplus(-s)

    return _loss(loss, logits, targets, alpha, reduction, growth=gamma)


@named("focal_appendix")
def focal_appendix_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    alpha: float | None = None,
    gamma: float = 1.0,
    reduction: str = "none",
    beta: float = 0.0,
) -> Tensor:
    """The alternate focal loss, -alpha_t log(sigmoid(gamma s + beta)) / gamma.

    Source: "Focal Loss for Dense Object Detection" (arXiv:1708.02002), appendix A, where it is
    written FL*; fvcore ships it with beta = 0 as ``sigmoid_focal_loss_star``. At gamma = 1 and
    beta = 0 it is :func:`cross_entropy_loss`. It is not this project's :func:`focal_star_loss`.

    Args:
        logits: x, any shape, any floating-point type.
        targets: y, the shape of ``logits``; bool, or float in [0, 1].
        alpha: weight of the positive label in [0, 1]; None for no weighting.
        gamma: steepness, > 0.
        reduction: "none" (the shape of ``logits``), "sum" or "mean" (a scalar).
        beta: shift of the loss curve, in logits.

    Returns:
        The loss, float32 (float64 for float64 logits).

    Raises:
        ValueError: a shape, alpha, gamma or reduction that is not one of these.
    """
    _check_gamma(gamma, "focal_appendix_loss", above=0.0)
    return _loss(
        lambda s: _softplus(-(gamma * s + beta)) / gamma, logits, targets, alpha, reduction
    )


def _loss(
    loss: Callable[[Tensor], Tensor],
    logits: Tensor,
    targets: Tensor,
    alpha: float | None,
    reduction: str,
    growth: float = 0.0,
) -> Tensor:
    """Apply ``loss``, a function of s, to logits and targets.

    Args:
        growth: g where the loss grows as exp(-g s) for hard examples.
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


class _Saturate(torch.autograd.Function):
    """Logits in float32 or better, held inside the range where exp(growth |x|) |x| is finite.

    The gradient passes straight through, so that a saturated logit is still pulled back; on its
    way into a narrower type it is held inside that type's range.
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


def largest_logit(dtype: torch.dtype, growth: float) -> float:
    """The largest |x| at which a loss that grows as exp(growth |x|) is computed as it stands.

    Args:
        dtype: what it is computed in.
        growth: >= 0; 0 for a loss that grows no faster than |x|.
    """
    largest = 1e30  # leaves room for the products of x with gamma
    if growth <= 0:
        return largest
    # This share of the type's exponent range lets the loss be exact up to 1e30 in float32, with
    # room above for the factor |x| and for the sum over some million saturated anchors.
    return min(largest, 0.78 * math.log(torch.finfo(dtype).max) / growth)


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)). On CPU logsigmoid is vectorised and softplus is not: ten times as fast."""
    return -F.logsigmoid(-x)


def _check_gamma(
    gamma: float, name: str, at_least: float = -math.inf, above: float = -math.inf
) -> None:
    if not (math.isfinite(gamma) and gamma >= at_least and gamma > above):
        valid = f"> {above:g}" if math.isfinite(above) else f">= {at_least:g}"
        raise ValueError(f"{name}: gamma is {gamma}; valid: a finite number {valid}")
