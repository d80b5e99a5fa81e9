"""The fused losses through torch.compile: one pass over the logits, where a compiler is there.

On a CPU that is a C++ compiler, on a GPU Triton. The first call compiles, for some seconds, what
the loss, the number of classes and the type need; images of other sizes and other alpha, gamma,
cap or beta do not compile again.
"""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType

import torch
from torch import Tensor

from focal_star.losses.fused.eager import by_masks, in_blocks
from focal_star.losses.fused.formulas import FUSED, Loss, Number, as_tensor, computed_type


def in_one_pass(
    rows: Tensor, labels: Tensor, loss: Loss, scale: Number, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """The scaled sum and its gradient, as ``focal_star.losses.fused.function.Form`` says."""
    if len(rows) < 2:  # to the compiler 0 and 1 are constants, of which each would compile anew
        return in_blocks(rows, labels, loss, scale, with_gradient)
    computed = computed_type(rows)
    rows, labels = rows.contiguous(), labels.contiguous()
    torch._dynamo.mark_dynamic(rows, 0)
    torch._dynamo.mark_dynamic(labels, 0)
    given = {key: value for key, value in loss.own.items() if value is not None}
    numbers = _numbers(
        (*loss.weights, loss.limit(computed), loss.gamma, *given.values()), computed, rows.device
    )
    own = dict.fromkeys(loss.own) | dict(zip(given, numbers[4:], strict=True))
    factor = as_tensor(scale, computed, rows.device)
    run = _compiled(loss.name, tuple(given), rows.shape[1], rows.dtype, rows.device)
    # Under another autocast it would be compiled again, for the same numbers.
    with torch.no_grad(), torch.autocast(rows.device.type, enabled=False):
        total, gradient = run(rows, labels, loss.name, numbers[:4], own, factor)
    return total, gradient if with_gradient else None


@lru_cache(None)
def _compiled(*key: object) -> Callable[..., tuple[Tensor, Tensor]]:
    """A compiled function for each key, of which it is compiled once.

    The compiler counts by code object, and refuses to compile one for more than eight kinds of
    arguments. So each key gets a code object of its own.
    """
    own = FunctionType(_loss_and_gradient.__code__.replace(), globals())
    return torch.compile(own, fullgraph=True)


@lru_cache(64)
def _numbers(
    values: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """Tensors of no dimensions, which the compiler takes for variables."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).unbind()


def _loss_and_gradient(
    rows: Tensor,
    labels: Tensor,
    name: str,
    numbers: tuple[Tensor, ...],
    own: dict[str, Tensor | None],
    scale: Tensor,
) -> tuple[Tensor, Tensor]:
    *weights, limit, gamma = numbers
    total, slope = by_masks(
        rows, labels, lambda t: FUSED[name](t, gamma, **own), tuple(weights), limit, scale
    )
    return total.to(computed_type(rows)), slope
