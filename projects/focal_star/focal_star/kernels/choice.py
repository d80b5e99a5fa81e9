"""Which form of a loss is used: whether it can run here, and computes the same."""

import importlib
import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from focal_star.kernels.eager import in_blocks
from focal_star.kernels.formulas import FUSED
from focal_star.kernels.function import Form, fused_loss

logger = logging.getLogger(__name__)

FORMS = ("eager", "compiled", "triton")
"""Values of ``MODEL.FOCAL_STAR.KERNEL``; a module of this package each."""


class Unavailable(RuntimeError):
    """A form that cannot run here; the message says what it lacks."""


def fused_or_none(
    name: str,
    loss: Callable[..., Tensor],
    *,
    kernel: str = "eager",
    num_classes: int = 1,
    device: torch.device | str = "cpu",
    **options: float | None,
) -> Callable[..., Tensor] | None:
    """The fused form of a loss with its options bound; None where the loss itself is to be used.

    ``focal_star.losses`` is where a loss is defined. One that was changed there, and not here, is
    computed as it stands there: the two are compared before a fused form is used. A form that
    cannot run here is replaced by the eager one, with a warning.

    Args:
        name: of the loss in a config.
        loss: (logits, targets, reduction) -> loss, its options bound.
        kernel: of ``FORMS``.
        num_classes: K of the logits that are to come, so that what is compiled for the comparison
            is compiled for them too.
        device: of those logits.
        options: the loss's, as :func:`focal_star.kernels.fused_loss` takes them.

    Raises:
        ValueError: an unknown kernel.
    """
    if kernel not in FORMS:
        raise ValueError(f"MODEL.FOCAL_STAR.KERNEL is {kernel!r}; valid: {', '.join(FORMS)}")
    if name not in FUSED:
        return None
    if kernel != "eager":
        try:
            form = load_form(kernel, torch.device(device))
            like = torch.zeros(1, num_classes, device=device)
            return _same_or_none(name, loss, partial(fused_loss, name, form=form, **options), like)
        except Exception as error:  # a compiler fails in many ways, and each leaves the eager form
            reason = next(iter(str(error).splitlines()), "")
            logger.warning(
                "MODEL.FOCAL_STAR.KERNEL %s cannot be used here, eager is instead: %s: %s",
                kernel,
                type(error).__name__,
                reason,
            )
    like = torch.zeros(1, 1, dtype=torch.float64)
    return _same_or_none(name, loss, partial(fused_loss, name, **options), like)


def load_form(kernel: str, device: torch.device) -> Form:
    """What computes a loss in a form of ``FORMS``.

    Raises:
        Unavailable: it cannot run on this device.
        ImportError: it lacks a package.
    """
    if kernel == "eager":
        return in_blocks
    if kernel == "compiled":
        return importlib.import_module("focal_star.kernels.compiled").in_one_pass
    module = importlib.import_module("focal_star.kernels.triton")
    if device.type != "cuda" and not module.INTERPRETED:
        raise Unavailable(f"Triton's kernels run on a GPU, the logits are on {device}")
    return module.in_one_kernel


def _same_or_none(
    name: str, loss: Callable[..., Tensor], fused: Callable[..., Tensor], like: Tensor
) -> Callable[..., Tensor] | None:
    with torch.inference_mode(False), torch.enable_grad():
        if _agree(fused, loss, like):
            return fused
    logger.warning(
        "The fused form of the loss %s computes something else than focal_star.losses; it is not "
        "used",
        name,
    )
    return None


def _agree(fused: Callable[..., Tensor], loss: Callable[..., Tensor], like: Tensor) -> bool:
    """Whether the two have the same sums and gradients from very easy to very hard examples.

    Args:
        like: (1, K), of the type and on the device that the fused form is tried with.
    """
    num_classes = like.shape[1]
    wide = like.dtype == torch.float64
    tolerance = {"rtol": 1e-6, "atol": 1e-12} if wide else {"rtol": 1e-4, "atol": 1e-7}
    s = torch.linspace(-20, 20, 81, dtype=torch.float64)
    for label, sign in ((0, 1), (num_classes, -1)):  # a positive of the first class, then none
        found = []
        for of, dtype, device in (
            (lambda x, y: fused(x, y), like.dtype, like.device),
            (lambda x, y: loss(x, _targets(x, y)), torch.float64, "cpu"),
        ):
            logits = (sign * s)[:, None].repeat(1, num_classes).to(device, dtype).requires_grad_()
            total = of(logits, torch.full((len(s),), label, device=device))
            found.append(
                [
                    part.detach().cpu().double()
                    for part in (total, *torch.autograd.grad(total, logits))
                ]
            )
        if not all(torch.allclose(a, b, **tolerance) for a, b in zip(*found, strict=True)):
            return False
    return True


def _targets(logits: Tensor, labels: Tensor) -> Tensor:
    """One-hot, bool."""
    return labels[:, None] == torch.arange(logits.shape[1])
