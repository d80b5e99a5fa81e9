"""The cross entropy, ``ce`` in configs."""

from torch import Tensor

from focal_star.losses.base import alpha_balanced, named, softplus


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
        logits, targets, alpha, reduction: see :mod:`focal_star.losses`.
        gamma: ignored; every loss takes it, so that a config can switch between losses.
    """
    del gamma
    return alpha_balanced(lambda s: softplus(-s), logits, targets, alpha, reduction)
