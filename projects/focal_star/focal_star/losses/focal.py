"""The focal loss FL, ``focal`` in configs."""

import torch
from torch import Tensor

from focal_star.losses.base import alpha_balanced, check_gamma, named, softplus


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
    the cross entropy.

    Args:
        logits, targets, alpha, reduction: see :mod:`focal_star.losses`.
        gamma: the focusing parameter, >= 0.
    """
    check_gamma(gamma, "focal_loss", at_least=0.0)

    def loss(s: Tensor) -> Tensor:
        # (1 - p_t)^gamma as exp(-gamma softplus(s)): no pow, whose gradient at 0 is not finite.
        return torch.exp(-gamma * softplus(s)) * softplus(-s)

    return alpha_balanced(loss, logits, targets, alpha, reduction)
