"""The losses in numpy, so that the report can draw them without torch.

p_t is the probability that the model gives to the true label, s its logit; alpha_t is 1 here. The
losses for training are in ``focal_star.losses``; a test compares the two.
"""

import math
from collections.abc import Callable

import numpy as np

SATURATES_AT = 0.78 * math.log(np.finfo(np.float32).max)
"""Beyond this gamma |s|, the training keeps FL* at its value there."""


def cross_entropy(p_t: np.ndarray) -> np.ndarray:
    """-log(p_t), for p_t in (0, 1]."""
    return -np.log(p_t)


def focal(p_t: np.ndarray, gamma: float) -> np.ndarray:
    """-(1 - p_t)^gamma log(p_t): arXiv:1708.02002, equation 4."""
    return -((1 - p_t) ** gamma) * np.log(p_t)


def focal_star(p_t: np.ndarray, gamma: float) -> np.ndarray:
    """-((1 - p_t) / p_t)^gamma log(p_t): the proposal of FL*, equation 6."""
    return -(((1 - p_t) / p_t) ** gamma) * np.log(p_t)


def focal_appendix(p_t: np.ndarray, gamma: float, beta: float = 1.0) -> np.ndarray:
    """-log(sigmoid(gamma s + beta)) / gamma: arXiv:1708.02002, appendix A."""
    with np.errstate(divide="ignore"):
        s = np.log(p_t / (1 - p_t))
    return np.logaddexp(0, -(gamma * s + beta)) / gamma


LOSSES = {
    "ce": lambda p_t, gamma: cross_entropy(p_t),
    "focal": focal,
    "focal_star": focal_star,
    "focal_appendix": focal_appendix,
}
"""Name in configs -> function of (p_t, gamma)."""


def focal_of_logit(s: np.ndarray, gamma: float) -> np.ndarray:
    """:func:`focal` of s = logit(p_t), exact where p_t is 0 or 1 to all digits."""
    return np.exp(-gamma * np.logaddexp(0, s)) * np.logaddexp(0, -s)


def focal_star_of_logit(s: np.ndarray, gamma: float) -> np.ndarray:
    """:func:`focal_star` of s = logit(p_t): exp(-gamma s) log(1 + exp(-s)), as it is trained."""
    if gamma > 0:
        s = np.clip(s, -SATURATES_AT / gamma, SATURATES_AT / gamma)
    return np.exp(-gamma * s) * np.logaddexp(0, -s)


OF_LOGIT = {"focal": focal_of_logit, "focal_star": focal_star_of_logit}
"""Name in configs -> function of (s, gamma); both are the cross entropy at gamma = 0."""


def cumulative_shares(
    s: np.ndarray, counts: np.ndarray, loss: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The share of a loss that the easiest examples contribute, as in figure 4 of arXiv:1708.02002.

    Args:
        s: (N,) logits of p_t; all examples of a bin count as if they lay in its middle.
        counts: (N,) the number of examples of each.
        loss: falls with s.

    Returns:
        The share of the examples, those of the lowest loss first, and the share of the loss, both
        rising from 0 to 1. Both empty where there is no example or no loss.
    """
    order = np.argsort(-s)
    counts = counts[order].astype(float)
    examples, losses = np.cumsum(counts), np.cumsum(counts * loss(s[order]))
    if not len(s) or not (examples[-1] > 0 and losses[-1] > 0):
        return np.empty(0), np.empty(0)
    return (
        np.concatenate([[0.0], examples / examples[-1]]),
        np.concatenate([[0.0], losses / losses[-1]]),
    )
