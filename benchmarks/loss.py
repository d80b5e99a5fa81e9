"""The classification loss, forward and backward, against Detectron2's and torchvision's."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from fvcore.nn import sigmoid_focal_loss_jit
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from benchmarks.harness import Case, Side
from focal_star.losses import focal_loss
from focal_star.losses.fused import FORMS, fused_or_none

TITLE = "Classification loss (FL, γ = 2, α = 0.25), forward and backward"

SHAPES = {"mini": (16, 3069, 10), "COCO": (2, 100_000, 80)}
"""Name -> images, anchors per image, classes."""

OPTIONS = {"alpha": 0.25, "gamma": 2.0}
NORMALIZER = 100.0


def cases(on_gpu: bool) -> list[dict[str, Any]]:
    """On a GPU the number of threads does not matter."""
    return [
        {"shape": list(shape), "name": name, "dtype": dtype, "threads": threads}
        for name, shape in SHAPES.items()
        for dtype in ("float32", "bfloat16")
        for threads in ((1,) if on_gpu else (1, 2))
    ]


def build(shape: list[int], name: str, dtype: str, threads: int) -> Case:
    """Logits as at the beginning of a training, and labels as rare as there."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    logits, labels = _inputs(*shape, getattr(torch, dtype), device)
    paths = _project_forms(shape[-1], device) | {
        "Detectron2": partial(_through_targets, sigmoid_focal_loss_jit),
        "torchvision": partial(_through_targets, sigmoid_focal_loss),
    }
    size = " × ".join(f"{number:,}" for number in shape)
    sides = [Side(path, partial(_step, loss, logits, labels)) for path, loss in paths.items()]
    if device == "cuda":  # the bound of a kernel that reads logits and writes gradients once
        sides.append(Side("no loss, the logits copied", partial(_copy, logits)))
    return Case(
        title=f"{name}: {size}, {dtype}",
        sides=sides,
        baseline="Detectron2",
        rounds=60 if logits.numel() < 2e6 else 5,
        budget_seconds=10,
        warmup=1 if logits.numel() > 2e6 else 3,
        input_bytes=logits.numel() * logits.element_size(),
    )


def _inputs(
    num_images: int, num_anchors: int, num_classes: int, dtype: torch.dtype, device: str
) -> tuple[Tensor, Tensor]:
    """Logits around the prior 0.01; of the labels 1 in 300 is positive, 1 in 100 ignored."""
    generator = torch.Generator().manual_seed(0)
    shape = (num_images, num_anchors)
    logits = torch.randn(*shape, num_classes, generator=generator) - 4.6
    draw = torch.rand(shape, generator=generator)
    labels = torch.full(shape, num_classes)
    labels[draw < 1 / 100] = -1
    classes = torch.randint(num_classes, shape, generator=generator)
    labels = torch.where(draw > 1 - 1 / 300, classes, labels)
    return logits.to(device, dtype).requires_grad_(), labels.to(device)


def _project_forms(num_classes: int, device: str) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """This project's forms that can run here."""
    loss = partial(focal_loss, reduction="sum", **OPTIONS)
    forms = {}
    for kernel in FORMS:
        fused = fused_or_none(
            "focal", loss, kernel=kernel, num_classes=num_classes, device=device, **OPTIONS
        )
        if fused is not None and (kernel == "eager" or "form" in fused.keywords):
            forms[f"this project, {kernel}"] = partial(fused, scale=1 / NORMALIZER)
    return forms


def _through_targets(loss: Callable[..., Tensor], logits: Tensor, labels: Tensor) -> Tensor:
    """What Detectron2's RetinaNet.losses does with the logits."""
    valid = labels >= 0
    targets = F.one_hot(labels[valid], num_classes=logits.shape[-1] + 1)[:, :-1]
    total = loss(logits[valid], targets.to(logits.dtype), **OPTIONS, reduction="sum")
    return total / NORMALIZER


def _copy(logits: Tensor) -> None:
    logits.detach().clone()
    if logits.is_cuda:
        torch.cuda.synchronize()


def _step(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> None:
    logits.grad = None
    loss(logits, labels).backward()
    logits.grad = None
    if logits.is_cuda:
        torch.cuda.synchronize()
