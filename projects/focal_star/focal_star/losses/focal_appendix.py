"""The alternate focal loss of the focal loss paper's appendix, ``focal_appendix`` in configs."""

from torch import Tensor

from focal_star.losses.base import alpha_balanced, check_gamma, named, softplus


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
    beta = 0 it is the cross entropy. It is not this project's ``focal_star_loss``.

    Args:
        logits, targets, alpha, reduction: see :mod:`focal_star.losses`.
        gamma: steepness, > 0.
        beta: shift of the loss curve, in logits.
    """
    check_gamma(gamma, "focal_appendix_loss", above=0.0)

    def loss(s: Tensor) -> Tensor:
        return softplus(-(gamma * s + beta)) / gamma

    return alpha_balanced(loss, logits, targets, alpha, reduction)
