"""The losses of ``focal_star.losses`` fused: class labels in, a sum and its gradient out.

They compute the same values as the formulas there, but need no one-hot target and no copy of the
anchors that count, and one pass over the logits gives both loss and gradient.

``formulas`` has loss and derivative of each; ``forms`` computes them, ``eager`` or ``compiled``;
:func:`fused_or_none` decides whether a fused form is used.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from focal_star.identity.running_loss import LossCodeError, loss_sha256
from focal_star.losses.fused.forms import fused_loss, in_one_pass
from focal_star.losses.fused.formulas import FUSED, WRITTEN_FOR

__all__ = ["FORMS", "FUSED", "fused_loss", "fused_or_none"]

logger = logging.getLogger(__name__)

FORMS = ("eager", "compiled")
"""Values of ``MODEL.FOCAL_STAR.KERNEL``."""


def fused_or_none(
    name: str,
    loss: Callable[..., Tensor],
    *,
    kernel: str = "eager",
    num_classes: int = 1,
    device: torch.device | str = "cpu",
    **options: Any,
) -> Callable[..., Tensor] | None:
    """The fused form of a loss with its options bound; None if the loss itself is to be used.

    A fused form is used only for the code that its formula was written for; a loss with other code
    is computed as it is written. A compiler can be missing or wrong: if it is unavailable, the
    ``eager`` form is used, and before a fused form is used, its values are compared with those of
    the loss. Each fallback logs a warning.

    Args:
        name: the name of the loss in a config.
        loss: (logits, targets) -> loss, a ``functools.partial`` that binds the options and
            ``reduction="sum"``.
        kernel: of ``FORMS``.
        num_classes: K of the training's logits, so that the comparison compiles the function that
            the training needs.
        device: the device of those logits.
        options: the options of the loss, as :func:`fused_loss` takes them.
    """
    if name not in FUSED or not _is_the_code_of_its_formula(name, loss):
        return None
    fused = partial(fused_loss, name, **options)
    if kernel == "compiled":
        try:
            like = torch.zeros(1, num_classes, device=device)
            return _same_or_none(name, loss, partial(fused, form=in_one_pass), like)
        except Exception as error:  # a compiler can fail in many ways
            reason = next(iter(str(error).splitlines()), "")
            logger.warning(
                "MODEL.FOCAL_STAR.KERNEL %s is unavailable here; falling back to eager: %s: %s",
                kernel,
                type(error).__name__,
                reason,
            )
    return _same_or_none(name, loss, fused, torch.zeros(1, 1, dtype=torch.float64))


def _is_the_code_of_its_formula(name: str, loss: Callable[..., Tensor]) -> bool:
    """Whether a loss runs the code that the fused formula was written for; if not, warn."""
    try:
        code = loss_sha256(name, loss.func if isinstance(loss, partial) else loss)
        changed = "" if code == WRITTEN_FOR[name] else f"the loss {name!r} was changed"
    except LossCodeError as error:
        changed = str(error)
    if changed:
        logger.warning("%s; its fused form is not used, so a step takes longer", changed)
    return not changed


def _same_or_none(
    name: str, loss: Callable[..., Tensor], fused: Callable[..., Tensor], like: Tensor
) -> Callable[..., Tensor] | None:
    with torch.inference_mode(False), torch.enable_grad():
        if _agree(fused, loss, like):
            return fused
    logger.warning(
        "The fused form of the loss %s has other values than focal_star.losses; it is not used",
        name,
    )
    return None


def _agree(fused: Callable[..., Tensor], loss: Callable[..., Tensor], like: Tensor) -> bool:
    """Whether the two have the same sums and gradients from very easy to very hard examples.

    Args:
        like: (1, K), with the type and device for which the fused form is compared.
    """
    num_classes = like.shape[1]
    wide = like.dtype == torch.float64
    tolerance = {"rtol": 1e-6, "atol": 1e-12} if wide else {"rtol": 1e-4, "atol": 1e-7}
    far = torch.logspace(1.5, 4, 11, dtype=torch.float64)
    s = torch.cat([-far, torch.linspace(-20, 20, 81, dtype=torch.float64), far])

    def written(x: Tensor, labels: Tensor) -> Tensor:
        return loss(x, labels[:, None] == torch.arange(num_classes))

    for label, sign in ((0, 1), (num_classes, -1)):  # a positive of the first class, then none
        found = []
        for compute, device in ((fused, like.device), (written, "cpu")):
            logits = (sign * s)[:, None].repeat(1, num_classes).to(device, like.dtype)
            logits.requires_grad_()
            total = compute(logits, torch.full((len(s),), label, device=device))
            gradient = torch.autograd.grad(total, logits)[0]
            found.append([part.detach().cpu().double() for part in (total, gradient)])
        if not all(torch.allclose(a, b, **tolerance) for a, b in zip(*found, strict=True)):
            return False
    return True
