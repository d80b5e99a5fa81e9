"""Whether a loss has a fused form that computes the same."""

import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from focal_star.kernels.eager import FUSED, fused_loss

logger = logging.getLogger(__name__)


def fused_or_none(
    name: str, loss: Callable[..., Tensor], **options: float | None
) -> Callable[..., Tensor] | None:
    """The fused form of a loss with its options bound; None where the loss itself is to be used.

    ``focal_star.losses`` is where a loss is defined. One that was changed there, and not here, is
    computed as it stands there: the two are compared before a fused form is used.

    Args:
        name: of the loss in a config.
        loss: (logits, targets, reduction) -> loss, its options bound.
        options: those options, as :func:`focal_star.kernels.fused_loss` takes them.
    """
    if name not in FUSED:
        return None
    fused = partial(fused_loss, name, **options)
    with torch.inference_mode(False), torch.enable_grad():
        if _agree(fused, loss):
            return fused
    logger.warning(
        "The fused form of the loss %s computes something else than focal_star.losses; it is not "
        "used",
        name,
    )
    return None


def _agree(fused: Callable[..., Tensor], loss: Callable[..., Tensor]) -> bool:
    """Whether the two have the same sums and gradients from very easy to very hard examples."""
    s = torch.linspace(-20, 20, 81, dtype=torch.float64)
    for label, sign in ((0, 1), (1, -1)):  # one class: a positive, then background
        found = []
        for of in (
            lambda x, label=label: fused(x, torch.full((len(x),), label)),
            lambda x, label=label: loss(x, x.new_full(x.shape, label == 0, dtype=torch.bool)),
        ):
            logits = (sign * s)[:, None].requires_grad_()
            total = of(logits)
            found.append((total.detach(), *torch.autograd.grad(total, logits)))
        if not all(
            torch.allclose(a, b, rtol=1e-6, atol=1e-12) for a, b in zip(*found, strict=True)
        ):
            return False
    return True
