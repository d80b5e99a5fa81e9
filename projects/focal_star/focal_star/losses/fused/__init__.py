"""The losses of ``focal_star.losses`` fused: class labels in, a sum and its gradient out.

They give what the formulas there give, without a one-hot target, without a copy of the anchors
that count, and with loss and gradient from one pass over the logits. What computes them is a form:
``eager`` or ``compiled``.
"""

from focal_star.losses.fused.choice import FORMS, check_kernel, fused_or_none, valid_forms
from focal_star.losses.fused.formulas import FUSED
from focal_star.losses.fused.function import fused_loss

__all__ = ["FORMS", "FUSED", "check_kernel", "fused_loss", "fused_or_none", "valid_forms"]
