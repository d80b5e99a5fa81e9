"""Proof of the classification loss that a training ran: the hash of its code and some values."""

import logging
import math
from typing import Any

import torch

from focal_star.modeling.retinanet import FocalStarRetinaNet

logger = logging.getLogger(__name__)

P_T = (0.1, 0.5, 0.9)
"""A hard, a middling and an easy example."""


def log_loss_proof(model: FocalStarRetinaNet, code: str) -> dict[str, Any]:
    """Log which loss a model trains, and return the proof for the record of the training.

    The values are those of the form that is trained, fused or as it is written, with the model's
    alpha, gamma and other options.

    Args:
        model: the model that is trained.
        code: SHA-256 of the code of its loss.

    Returns:
        ``code``; ``fused``, whether a fused form computes it; ``positive`` and ``negative``, the
        losses of one logit of that label where p_t is each of ``P_T``, None where that is not
        finite.
    """
    values = {
        label: [_value(model, p_t, positive=label == "positive") for p_t in P_T]
        for label in ("positive", "negative")
    }
    is_fused = model.fused_loss is not None
    positive, negative = (", ".join(f"{value:.5g}" for value in each) for each in values.values())
    logger.info(
        "Loss %s, code %s, %s. At p_t = %s it is %s for a positive and %s for a negative",
        model.loss_name,
        code[:12],
        "fused" if is_fused else "as it is written",
        ", ".join(map(str, P_T)),
        positive,
        negative,
    )
    return {"code": code, "fused": is_fused} | {
        label: [value if math.isfinite(value) else None for value in each]
        for label, each in values.items()
    }


@torch.no_grad()
def _value(model: FocalStarRetinaNet, p_t: float, positive: bool) -> float:
    s = math.log(p_t / (1 - p_t))
    logits = torch.tensor([[s if positive else -s]], device=model.device)
    if model.fused_loss is None:
        targets = torch.tensor([[positive]], device=model.device)
        return model.classification_loss(logits, targets).item()
    label = 0 if positive else 1  # of one class, or background
    return model.fused_loss(logits, torch.tensor([label], device=model.device)).item()
