"""Which form of a loss is used: whether it can run here, and computes the same."""

import importlib
import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from focal_star.identity.running_loss import LossCodeError, code_of
from focal_star.losses.fused.eager import in_blocks
from focal_star.losses.fused.formulas import FUSED, WRITTEN_FOR
from focal_star.losses.fused.function import Form, fused_loss

logger = logging.getLogger(__name__)

FORMS = ("eager", "compiled")
"""Values of ``MODEL.FOCAL_STAR.KERNEL``."""

REMOVED_FORM = "triton"
"""A value that old configs may have."""


def valid_forms(kernel: object) -> str:
    """The valid values of ``MODEL.FOCAL_STAR.KERNEL``, in words, for a message about another."""
    valid = f"one of {', '.join(FORMS)}"
    if kernel != REMOVED_FORM:
        return valid
    return f"{valid} ({REMOVED_FORM} was removed: on a GPU, compiled makes a Triton kernel)"


def check_kernel(kernel: str) -> None:
    """Refuse a value of ``MODEL.FOCAL_STAR.KERNEL``.

    Raises:
        ValueError: it is not of ``FORMS``.
    """
    if kernel not in FORMS:
        raise ValueError(f"MODEL.FOCAL_STAR.KERNEL is {kernel!r}; valid: {valid_forms(kernel)}")


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

    ``focal_star.losses`` is where a loss is defined. A fused form is used only for the code that
    its formula was written for; a loss with other code is computed as it is written there. As a
    compiler may also be wrong or missing, the values of both forms are compared before a fused form
    is used, and a form that is unavailable falls back to ``eager``. Each case logs a warning.

    Args:
        name: of the loss in a config.
        loss: (logits, targets, reduction) -> loss, a ``functools.partial`` that binds the options.
        kernel: of ``FORMS``.
        num_classes: K of the logits that are to come, so that what is compiled for the comparison
            is compiled for them too.
        device: of those logits.
        options: the loss's, as :func:`focal_star.losses.fused.fused_loss` takes them.

    Raises:
        ValueError: an unknown kernel.
    """
    check_kernel(kernel)
    if name not in FUSED or not _is_the_code_of_its_formula(name, loss):
        return None
    if kernel != "eager":
        try:
            like = torch.zeros(1, num_classes, device=device)
            fused = partial(fused_loss, name, form=load_form(kernel), **options)
            return _same_or_none(name, loss, fused, like)
        except Exception as error:  # a compiler fails in many ways, and each leaves the eager form
            reason = next(iter(str(error).splitlines()), "")
            logger.warning(
                "MODEL.FOCAL_STAR.KERNEL %s is unavailable here; falling back to eager: %s: %s",
                kernel,
                type(error).__name__,
                reason,
            )
    like = torch.zeros(1, 1, dtype=torch.float64)
    return _same_or_none(name, loss, partial(fused_loss, name, **options), like)


def load_form(kernel: str) -> Form:
    """What computes a loss in a form of ``FORMS``.

    Raises:
        ImportError: it lacks a package.
    """
    if kernel == "eager":
        return in_blocks
    return importlib.import_module("focal_star.losses.fused.compiled").in_one_pass


def _is_the_code_of_its_formula(name: str, loss: Callable[..., Tensor]) -> bool:
    """Whether a loss runs the code that the fused formula was written for; if not, warn."""
    try:
        changed = code_of(name, loss.func if isinstance(loss, partial) else loss)
        changed = "" if changed == WRITTEN_FOR[name] else f"the loss {name!r} was changed"
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
    far = torch.logspace(1.5, 4, 11, dtype=torch.float64)
    s = torch.cat([-far, torch.linspace(-20, 20, 81, dtype=torch.float64), far])
    for label, sign in ((0, 1), (num_classes, -1)):  # a positive of the first class, then none
        found = []
        for of, device in (
            (lambda x, y: fused(x, y), like.device),
            (lambda x, y: loss(x, _targets(x, y)), "cpu"),
        ):
            logits = (sign * s)[:, None].repeat(1, num_classes).to(device, like.dtype)
            logits.requires_grad_()
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
