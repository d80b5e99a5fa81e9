"""Optimizers: Detectron2's SGD, AdamW, and clipping by the norm of all gradients together."""

import itertools

import torch
from detectron2.config import CfgNode
from detectron2.solver import build as solver

from focal_star.config.keys import FULL_MODEL


def build_optimizer(cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimizer of ``SOLVER.OPTIMIZER``, with the clipping of ``SOLVER.CLIP_GRADIENTS``.

    Detectron2's "norm" clips each parameter by itself, which changes the direction of the step;
    "full_model" scales all gradients alike.
    """
    options = cfg.SOLVER
    params = _merged(
        solver.get_default_optimizer_params(
            model,
            base_lr=options.BASE_LR,
            weight_decay=options.WEIGHT_DECAY,
            weight_decay_norm=options.WEIGHT_DECAY_NORM,
            bias_lr_factor=options.BIAS_LR_FACTOR,
            weight_decay_bias=options.WEIGHT_DECAY_BIAS,
        )
    )
    if options.OPTIMIZER == "AdamW":
        kind = torch.optim.AdamW
        arguments = {"betas": tuple(options.BETAS), "fused": True}
    else:
        kind = torch.optim.SGD
        arguments = {"momentum": options.MOMENTUM, "nesterov": options.NESTEROV}
    clip = options.CLIP_GRADIENTS
    if clip.ENABLED and clip.CLIP_TYPE == FULL_MODEL:
        kind = _clipping(kind, clip.CLIP_VALUE, clip.NORM_TYPE)
    else:
        kind = solver.maybe_add_gradient_clipping(cfg, kind)
    return kind(params, lr=options.BASE_LR, **arguments)


def _merged(groups: list[dict]) -> list[dict]:
    """Parameter groups of equal options as one: Detectron2 0.5 makes a group of each tensor."""
    merged: dict[tuple, dict] = {}
    for group in groups:
        options = tuple(sorted((k, v) for k, v in group.items() if k != "params"))
        merged.setdefault(options, dict(options) | {"params": []})["params"] += group["params"]
    return list(merged.values())


def _clipping(kind: type, max_norm: float, norm_type: float) -> type:
    """``kind`` with a step that first clips by the norm of all gradients together."""

    class FullModelClipping(kind):
        gradient_norm: torch.Tensor | None = None
        """Norm of all gradients of the next step together, if it is already computed."""

        def step(self, closure=None):
            params = list(itertools.chain(*(group["params"] for group in self.param_groups)))
            if self.gradient_norm is None or norm_type != 2:
                torch.nn.utils.clip_grad_norm_(params, max_norm, norm_type)
            else:  # as torch's, which computes the norm again
                factor = (max_norm / (self.gradient_norm + 1e-6)).clamp(max=1.0)
                if factor.device.type != "cpu" or factor < 1:
                    torch._foreach_mul_([p.grad for p in params if p.grad is not None], factor)
            self.gradient_norm = None
            return super().step(closure)

    return FullModelClipping
