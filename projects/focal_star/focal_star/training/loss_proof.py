"""Proof of the classification loss that a training ran: the hash of its code and some values."""

import inspect
import logging
import math
import textwrap
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from focal_star.losses import LOSSES
from focal_star.modeling.retinanet import FocalStarRetinaNet

logger = logging.getLogger(__name__)

P_T = (0.1, 0.5, 0.9)
"""A hard, a middling and an easy example."""

CURVE_LOW, CURVE_HIGH, CURVE_POINTS = -20.0, 20.0, 401
"""The logits s of p_t at which the curve of a loss is recorded, at equal distances."""

MAX_SUMMARY = 400
"""Characters of a loss's docstring that are recorded."""

EASY_LOGIT = -100.0
"""A logit at which every loss of this project is negligible for a negative."""


def log_loss_proof(model: FocalStarRetinaNet, code: str) -> dict[str, Any]:
    """Log which loss a model trains, and return the proof for the record of the training.

    The values come from the method that computes ``loss_cls`` of a batch, so they reflect the
    options and the form (fused, compiled, or the plain formula) that the training uses.

    Args:
        model: the model that is trained.
        code: SHA-256 of the code of its loss.

    Returns:
        ``name``; ``code``; ``options`` (``alpha``, ``gamma`` and, if the loss has them,
        ``weight_cap`` and ``beta``); ``kernel``, the config's; ``fused``, whether a fused form
        computes it; ``positive`` and ``negative``, the losses of one logit of that label where p_t
        is each of ``P_T``, None where that is not finite; ``summary``, the first paragraph of its
        docstring; ``curve``, what :func:`loss_curve` returns, None if the loss raises there.
    """
    options = dict(getattr(model.classification_loss, "keywords", {}))
    options.pop("reduction", None)
    values = {
        label: [_value(model, p_t, positive=label == "positive") for p_t in P_T]
        for label in ("positive", "negative")
    }
    is_fused = model.fused_loss is not None
    positive, negative = (", ".join(f"{value:.5g}" for value in each) for each in values.values())
    logger.info(
        "Loss %s (%s), code %s, %s. At p_t = %s it is %s for a positive and %s for a negative",
        model.loss_name,
        ", ".join(f"{name} {value}" for name, value in options.items()),
        code[:12],
        f"kernel {model.loss_kernel}, fused" if is_fused else "as it is written",
        ", ".join(map(str, P_T)),
        positive,
        negative,
    )
    return {
        "name": model.loss_name,
        "code": code,
        "options": options,
        "kernel": model.loss_kernel,
        "fused": is_fused,
        "summary": _summary(LOSSES[model.loss_name].__doc__),
        "curve": _curve_or_none(model.loss_name, options),
    } | {label: [_finite(value) for value in each] for label, each in values.items()}


@torch.no_grad()
def loss_curve(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The plain formula of a loss over s = logit(p_t) without alpha, so that a report can draw it.

    It is called with one logit at a time: a loss that normalises over its logits cannot mix the
    points.

    Args:
        name: a name of :data:`focal_star.losses.LOSSES`.
        options: its options.

    Returns:
        ``low`` and ``high``, the first and last s; ``positive`` and ``negative``, the loss of that
        label at each s with four significant digits, None where it is not finite.
    """
    # Alpha = 1/2 weighs both labels equally, and some losses do not take None.
    loss = partial(LOSSES[name], **{**options, "alpha": 0.5, "reduction": "sum"})
    curve: dict[str, Any] = {"low": CURVE_LOW, "high": CURVE_HIGH}
    for label, sign in (("positive", 1.0), ("negative", -1.0)):
        target = torch.tensor([sign > 0])
        values = [
            2 * loss(sign * s[None], target).item()
            for s in torch.linspace(CURVE_LOW, CURVE_HIGH, CURVE_POINTS)
        ]
        curve[label] = [_finite(float(f"{value:.4g}")) for value in values]
    return curve


def _curve_or_none(name: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The curve, without effect on the training: a figure must not change or end it."""
    try:
        with torch.random.fork_rng(devices=[]):
            return loss_curve(name, options)
    except Exception as error:
        logger.warning("The report has no curve of loss %s: %s", name, error)
        return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _summary(docstring: str | None) -> str:
    first, _, _ = inspect.cleandoc(docstring or "").partition("\n\n")
    return textwrap.shorten(first, MAX_SUMMARY, placeholder=" ...")


@torch.no_grad()
def _value(model: FocalStarRetinaNet, p_t: float, positive: bool) -> float:
    s = math.log(p_t / (1 - p_t))
    return _of_positive(model, s) if positive else _of_negative(model, -s)


def _of_negative(model: FocalStarRetinaNet, logit: float) -> float:
    """The loss of a negative: the mean over the K logits of a background anchor."""
    logits = torch.full((1, 1, model.num_classes), logit, device=model.device)
    background = torch.tensor([[model.num_classes]], device=model.device)
    return model.loss_cls([logits], background, 1.0).item() / model.num_classes


def _of_positive(model: FocalStarRetinaNet, logit: float) -> float:
    """The loss of a positive: an anchor of the first class, without its K - 1 easy negatives."""
    logits = torch.full((1, 1, model.num_classes), EASY_LOGIT, device=model.device)
    logits[..., 0] = logit
    first = torch.tensor([[0]], device=model.device)
    easy = (model.num_classes - 1) * _of_negative(model, EASY_LOGIT)
    return model.loss_cls([logits], first, 1.0).item() - easy
