"""The losses as the fused forms compute them: loss and derivative together.

Almost all pairs (anchor, class) are negatives, so the formulas are written for a negative. For a
positive, the signs of the logit and of the derivative are reversed.

Symbols as in ``focal_star.losses``, and t = -s: the logit of a negative, minus the logit of a
positive. q = sigmoid(t) = 1 - p_t, and softplus(t) = -log(p_t).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from focal_star.losses.base import largest_logit

Number: TypeAlias = float | Tensor
"""A float, or a scalar tensor, which a compiler does not treat as a constant."""

FAST_POWERS = (0.5, 1.0, 2.0, 3.0)
"""Exponents that torch computes by multiplications or a root."""


def _cross_entropy(t: Tensor) -> tuple[Tensor, Tensor]:
    loss, q, _ = _softplus(t)
    return loss, q


def _focal(t: Tensor, gamma: Number) -> tuple[Tensor, Tensor]:
    """q^gamma softplus(t), and its derivative q^gamma (gamma (1 - q) softplus(t) + q)."""
    if isinstance(gamma, Tensor):
        loss, q, p = _softplus(t.clone())
        weight = (t - loss).mul_(gamma).exp_()  # log(q) = t - softplus(t)
        slope = p.mul_(loss).mul_(gamma).add_(q)
    else:
        log_q = None if gamma in FAST_POWERS else t.clone()
        loss, q, p = _softplus(t)
        weight = q**gamma if log_q is None else log_q.sub_(loss).mul_(gamma).exp_()
        slope = q.addcmul_(p, loss, value=gamma)
    return loss.mul_(weight), slope.mul_(weight)


def _focal_star(t: Tensor, gamma: Number, weight_cap: Number | None) -> tuple[Tensor, Tensor]:
    """exp(gamma t) softplus(t), and its derivative exp(gamma t) (gamma softplus(t) + q).

    Where exp(gamma t) is above its cap it is a constant.
    """
    weight = (t * gamma).exp_()
    loss, slope, _ = _softplus(t)
    if weight_cap is None:
        slope.add_(loss * gamma)
    else:
        slope.add_(torch.where(weight <= weight_cap, loss, 0.0).mul_(gamma))
        weight = weight.clamp_(max=weight_cap)
    return loss.mul_(weight), slope.mul_(weight)


def _focal_appendix(t: Tensor, gamma: Number, beta: Number) -> tuple[Tensor, Tensor]:
    """softplus(gamma t - beta) / gamma, and its derivative sigmoid(gamma t - beta)."""
    loss, q, _ = _softplus((t * gamma).sub_(beta))
    return loss.div_(gamma), q


FUSED: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "ce": lambda t, gamma: _cross_entropy(t),
    "focal": _focal,
    "focal_star": _focal_star,
    "focal_appendix": _focal_appendix,
}
"""Name of a loss -> (t, gamma, its other options) -> loss and derivative by t, both like t, which
may be overwritten."""

WRITTEN_FOR = {
    "ce": "59d8407cbb38b806a714505a50bd3e6b4a96c17c980601c6f6f9db578eb9ed4b",
    "focal": "59e585327fb071873db77cd6f5d512506248d1a7c3f0566b62fac6591af2acd9",
    "focal_star": "d14dc5cf77981336521739d844a5c35c88df83285f2b5664a65d8279c4f2214f",
    "focal_appendix": "07cc501456678247c96069b57d2694646933c846ffff20b24b6f8acb7460b5d2",
}
"""Name of a loss -> SHA-256 of the code that its formula computes, of
:func:`focal_star.identity.loss_code.hashes`.

After an edit of ``focal_star.losses``, change the formula here too, and enter the new hash, which
the failing test prints.
"""


@dataclass(frozen=True)
class Loss:
    """A loss with its options bound.

    Attributes:
        name: of ``FUSED``.
        alpha: weight of the positive label in [0, 1]; None for no weighting.
        gamma: of the loss.
        options: its other options, ``weight_cap`` of focal_star, ``beta`` of focal_appendix.
    """

    name: str
    alpha: float | None
    gamma: float
    options: Mapping[str, float | None]

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and derivative by t, without alpha; t may be overwritten."""
        return FUSED[self.name](t, self.gamma, **self.options)

    @property
    def weights(self) -> tuple[float, float]:
        """alpha_t of a positive and of a negative."""
        return (1.0, 1.0) if self.alpha is None else (self.alpha, 1.0 - self.alpha)

    def limit(self, dtype: torch.dtype) -> float:
        """Where t is clamped if it is computed in ``dtype``."""
        return largest_logit(dtype, self.gamma if self.name == "focal_star" else 0.0)


def computed_type(logits: Tensor) -> torch.dtype:
    """The type in which a loss of these logits is computed: float32, or float64 for float64."""
    return torch.promote_types(logits.dtype, torch.float32)


def as_tensor(number: Number, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of no dimensions, made without waiting for the device."""
    if isinstance(number, Tensor):
        return number.to(device, dtype)
    return torch.full((), number, dtype=dtype, device=device)


def gradient_type(logits: Tensor) -> torch.dtype:
    """The type that their gradient has until the loss's own factor is known.

    It is the logits' own, but float32 for float16, whose range a gradient that is not yet scaled
    could leave.
    """
    return computed_type(logits) if logits.dtype == torch.float16 else logits.dtype


def _softplus(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """softplus(t), in the memory of t, and q and 1 - q, from one exponential.

    softplus(t) = max(t, 0) - log(1 - sigmoid(-|t|)), and sigmoid(-|t|) is the lesser of the two.
    """
    q = t.sigmoid()
    p = 1 - q
    return t.clamp_(min=0).sub_(torch.minimum(q, p).neg_().log1p_()), q, p
