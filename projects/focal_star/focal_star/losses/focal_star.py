"""The modified focal loss FL*, ``focal_star`` in configs: this project's loss."""

import math

import torch
from torch import Tensor

from focal_star.losses.base import alpha_balanced, check_gamma, named, softplus


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

    As (1 - p_t) / p_t = exp(-s), it is alpha_t exp(-gamma s) softplus(-s): easy examples (s > 0)
    weigh less than in the cross entropy, hard ones more, without bound. At gamma = 0 it is the
    cross entropy.

    This is the FL* of the proposal "Modification of Focal Loss in Object Detection" (Zheng and
    Li, 2023), eq. 6. The appendix of arXiv:1708.02002 has another function of that name; here
    that one is ``focal_appendix_loss``.

    Args:
        logits, targets, alpha, reduction: see :mod:`focal_star.losses`.
        gamma: the exponent of the modulating factor, >= 0.
        weight_cap: largest value of the modulating factor, > 0; None for no cap.
    """
    check_gamma(gamma, "focal_star_loss", at_least=0.0)
    if weight_cap is not None and not weight_cap > 0:
        raise ValueError(f"focal_star_loss: weight_cap is {weight_cap}; valid: > 0, or None")

    def loss(s: Tensor) -> Tensor:
        exponent = -gamma * s
        if weight_cap is not None:
            exponent = exponent.clamp(max=math.log(weight_cap))
        return torch.exp(exponent) * softplus(-s)

    return alpha_balanced(loss, logits, targets, alpha, reduction, growth=gamma)
