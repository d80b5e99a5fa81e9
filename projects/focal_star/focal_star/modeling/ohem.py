"""Online hard example mining (OHEM): which anchors count in the classification loss.

Source: "Training Region-based Object Detectors with Online Hard Example Mining"
(arXiv:1604.03540), in the form that "Focal Loss for Dense Object Detection" (arXiv:1708.02002),
section 5.1 and table 1d, compares with the focal loss: an anchor is scored by its loss,
non-maximum suppression is applied over the anchors' boxes, and the batch of an image is made of
the anchors of highest loss that remain. "OHEM 1:3" makes it of one positive to three negatives.
"""

import torch
from torch import Tensor
from torchvision.ops import nms

METHODS = ("ohem", "ohem_1_3")

NEGATIVES_PER_POSITIVE = 3


def select_anchors(
    losses: Tensor,
    valid: Tensor,
    positive: Tensor,
    boxes: Tensor,
    *,
    method: str,
    batch_size: int,
    nms_thresh: float,
) -> Tensor:
    """The anchors of one image whose loss counts.

    Anchors are taken in the order of their loss, highest first, equal losses in the order of
    their index. The suppression runs over positives and negatives together.

    With "ohem_1_3" positives are at most a quarter of the batch, the negatives three times the
    positives that are taken. An image from which no positive is taken counts as if it had one: it
    gives three negatives, so that the model also learns from images of background only.

    Args:
        losses: (R,) float, the loss of each anchor, summed over classes.
        valid: (R,) bool, the anchors that take part.
        positive: (R,) bool, those matched to an object.
        boxes: (R, 4) float, the anchors, x1 y1 x2 y2 in px.
        method: "ohem" or "ohem_1_3".
        batch_size: maximum number of anchors to take, >= 1; >= 4 for "ohem_1_3".
        nms_thresh: an anchor is dropped where its IoU with one of higher loss that is kept is
            above this, in [0, 1].

    Returns:
        (R,) bool, True at the anchors taken; there may be fewer than ``batch_size``.
    """
    candidates = valid.nonzero().squeeze(1)
    ranked = candidates[losses[candidates].argsort(descending=True, stable=True)]
    positive, boxes = positive[ranked], boxes[ranked]
    # Whether greedy NMS keeps an anchor depends only on those before it. So the first few of the
    # ranking are tried, and more only if too few of these are kept.
    tried, taken, complete = batch_size, ranked[:0], False
    while not complete:
        # Ranks as scores leave no tie to the implementation; float32 holds them up to 2^24.
        scores = torch.arange(len(boxes[:tried]), 0, -1, dtype=boxes.dtype, device=boxes.device)
        survivors = nms(boxes[:tried], scores, nms_thresh)
        if method == "ohem":
            taken, complete = survivors[:batch_size], len(survivors) >= batch_size
        else:
            taken, complete = _one_to_three(survivors, positive, tried, batch_size)
        complete = complete or tried >= len(ranked)
        tried *= 2
    selected = torch.zeros_like(valid)
    selected[ranked[taken]] = True
    return selected


def _one_to_three(
    survivors: Tensor, positive: Tensor, tried: int, batch_size: int
) -> tuple[Tensor, bool]:
    """Those of ``survivors`` that make the batch, and whether trying more could not change them.

    Args:
        survivors: ranks, ascending, that NMS kept of the first ``tried``.
        positive: bool, by rank.
    """
    share = batch_size // (1 + NEGATIVES_PER_POSITIVE)
    is_positive = positive[survivors]
    positives = survivors[is_positive][:share]
    wanted = NEGATIVES_PER_POSITIVE * max(len(positives), 1)
    negatives = survivors[~is_positive][:wanted]
    complete = len(negatives) == wanted and (len(positives) == share or not positive[tried:].any())
    return torch.cat([positives, negatives]), complete
