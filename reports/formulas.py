"""The losses as functions of p_t, in numpy: what the report draws without needing torch.

p_t is the probability that the model gives to the true label; alpha_t is 1 here. The losses that
are trained with live in ``focal_star.losses``; a test holds the two together.
"""

import numpy as np


def cross_entropy(p_t: np.ndarray) -> np.ndarray:
    """-log(p_t), for p_t in (0, 1]."""
    return -np.log(p_t)


def focal(p_t: np.ndarray, gamma: float) -> np.ndarray:
    """-(1 - p_t)^gamma log(p_t): arXiv:1708.02002, equation 4."""
    return -((1 - p_t) ** gamma) * np.log(p_t)


def focal_star(p_t: np.ndarray, gamma: float) -> np.ndarray:
    """-((1 - p_t) / p_t)^gamma log(p_t): the proposal of FL*, equation 6."""
    return -(((1 - p_t) / p_t) ** gamma) * np.log(p_t)


LOSSES = {
    "ce": lambda p_t, gamma: cross_entropy(p_t),
    "focal": focal,
    "focal_star": focal_star,
}
"""Name in configs -> function of (p_t, gamma)."""
