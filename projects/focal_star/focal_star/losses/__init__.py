"""Classification losses of dense detectors: pure functions of logits and targets.

Symbols: x is a logit, y its binary label, s = x where y = 1 and -x where y = 0,
p_t = sigmoid(s) is the predicted probability of the true label, and alpha_t is alpha where y = 1
and 1 - alpha where y = 0 (1 if alpha is None). softplus(-s) = -log(p_t).

Every loss is one file with one function of this form:

    loss(logits, targets, *, alpha, gamma, reduction="none") -> Tensor

    logits: x, any shape, any floating-point type.
    targets: y, the shape of ``logits``; bool, or float in [0, 1].
    alpha: weight of the positive label in [0, 1]; None for no weighting.
    gamma: the exponent; its range depends on the loss.
    reduction: "none" (the shape of ``logits``), "sum" or "mean" (a scalar).
    Returns the loss, float32 (float64 for float64 logits).
    Raises ValueError for an invalid shape or value.

Every loss is computed in float32 or better, regardless of the input's type and of autocast. Loss
and gradient are finite for every finite logit: a logit at which the loss would overflow float32 is
clamped to the last one at which it does not, and a gradient is clamped to the range of the logits'
type. Up to that logit the formula is exact.

A target between 0 and 1 (label smoothing) mixes the losses of the two labels linearly,
y loss(x, 1) + (1 - y) loss(x, 0), as the smoothed cross entropy does.

A new loss is a new file in this folder, which is imported here; docs/own_loss.md has an example.
"""

from importlib import import_module
from pkgutil import iter_modules

from focal_star.identity.running_loss import capture
from focal_star.losses.base import LOSSES, named
from focal_star.losses.cross_entropy import cross_entropy_loss
from focal_star.losses.focal import focal_loss
from focal_star.losses.focal_star import focal_star_loss

# isort: split
from focal_star.losses.focal_appendix import focal_appendix_loss  # the last one in LOSSES

__all__ = [
    "LOSSES",
    "cross_entropy_loss",
    "focal_appendix_loss",
    "focal_loss",
    "focal_star_loss",
    "named",
]

for _module in iter_modules(__path__, f"{__name__}."):
    if not _module.ispkg and _module.name.rpartition(".")[2].isidentifier():  # not "focal copy"
        import_module(_module.name)

capture(LOSSES.values())
