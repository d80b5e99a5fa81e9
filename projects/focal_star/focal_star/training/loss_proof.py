"""Proof of the classification loss that a training ran: its name, code and some values."""

import logging
import math
from functools import partial
from typing import Any

import torch

from focal_star.identity.running_loss import code_of
from focal_star.modeling.retinanet import FocalStarRetinaNet

logger = logging.getLogger(__name__)

P_T = (0.1, 0.5, 0.9)
"""A hard, a middling and an easy example."""


def log_loss_proof(model: FocalStarRetinaNet) -> dict[str, Any]:
    """Log which loss a model trains, and return it for the record of the training.

    The values are those of the form that is trained, fused or as it is written, with the model's
    alpha, gamma and other options.

    Returns:
        ``name``; ``code``, as :func:`focal_star.identity.running_loss.running_loss_code` gives it;
        ``fused``, whether a fused form computes it; ``positive`` and ``negative``, the losses of
        one logit of that label where p_t is each of ``P_T``, None where that is not finite.

    Raises:
        LossCodeError: it is unknown which code runs.
    """
    name, loss = model.loss_name, model.classification_loss
    positive = [_value(model, p_t, positive=True) for p_t in P_T]
    negative = [_value(model, p_t, positive=False) for p_t in P_T]
    proof = {
        "name": name,
        "code": code_of(name, loss.func if isinstance(loss, partial) else loss),
        "fused": model.fused_loss is not None,
        "positive": [value if math.isfinite(value) else None for value in positive],
        "negative": [value if math.isfinite(value) else None for value in negative],
    }
    logger.info(
        "Loss %s, code %s, %s. At p_t = %s it is %s for a positive and %s for a negative",
        name,
        proof["code"][:12],
        "fused" if proof["fused"] else "as it is written",
        ", ".join(map(str, P_T)),
        ", ".join(f"{value:.5g}" for value in positive),
        ", ".join(f"{value:.5g}" for value in negative),
    )
    return proof


@torch.no_grad()
def _value(model: FocalStarRetinaNet, p_t: float, positive: bool) -> float:
    s = math.log(p_t / (1 - p_t))
    logits = torch.tensor([[s if positive else -s]], device=model.device)
    if model.fused_loss is None:
        targets = torch.tensor([[positive]], device=model.device)
        return model.classification_loss(logits, targets).item()
    label = 0 if positive else 1  # of one class, or background
    return model.fused_loss(logits, torch.tensor([label], device=model.device)).item()
