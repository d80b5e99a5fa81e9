"""RetinaNet's loss of the boxes, without waiting for a GPU where Detectron2's own would.

Detectron2 selects the positive anchors by a mask, and checks that all anchors have an area. On a
GPU both make the host wait until all earlier work is done.
"""

import torch
from detectron2.layers import cat
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import Boxes
from torch import Tensor

from focal_star.compat import box_regression_loss

L1_BELOW = 1e-5
"""A beta below this means plain L1, as in fvcore's ``smooth_l1_loss``."""


def dense_box_loss(
    anchors: list[Boxes],
    transform: Box2BoxTransform,
    pred_anchor_deltas: list[Tensor],
    gt_boxes: list[Tensor],
    pos_mask: Tensor,
    loss_type: str,
    beta: float,
) -> Tensor:
    """The sum of the loss over the positive anchors, in float32 or better.

    N images, R anchors over all levels. On a CPU, and for a ``loss_type`` other than
    ``smooth_l1``, Detectron2's own function computes it from the positives only; elsewhere the same
    terms are summed in another order.

    Args:
        anchors: the anchors of each level.
        transform: from two boxes to the deltas between them.
        pred_anchor_deltas: one (N, R_l, 4) for each level l, R_l its anchors.
        gt_boxes: N of shape (R, 4), the box matched to each anchor; those of anchors that are not
            positive may be anything.
        pos_mask: (N, R) bool.
        loss_type: ``MODEL.RETINANET.BBOX_REG_LOSS_TYPE``.
        beta: ``MODEL.RETINANET.SMOOTH_L1_LOSS_BETA``.
    """
    computed = torch.promote_types(pred_anchor_deltas[0].dtype, torch.float32)
    wide = [deltas.to(computed) for deltas in pred_anchor_deltas]
    if pos_mask.device.type == "cpu" or loss_type != "smooth_l1":
        images, places = pos_mask.nonzero(as_tuple=True)  # the positives, P in all
        return box_regression_loss(
            [Boxes(Boxes.cat(anchors).tensor[places])],
            transform,
            [cat(wide, dim=1)[images, places][None]],
            [torch.stack(gt_boxes)[images, places]],
            torch.ones_like(places, dtype=torch.bool)[None],
            box_reg_loss_type=loss_type,
            smooth_l1_beta=beta,
        )
    return masked_smooth_l1(anchors, transform, wide, gt_boxes, pos_mask, beta)


def masked_smooth_l1(
    anchors: list[Boxes],
    transform: Box2BoxTransform,
    pred_anchor_deltas: list[Tensor],
    gt_boxes: list[Tensor],
    pos_mask: Tensor,
    beta: float,
) -> Tensor:
    """The smooth L1 loss of :func:`dense_box_loss`, by masks instead of positions."""
    predicted, mask = cat(pred_anchor_deltas, dim=1), pos_mask[..., None]  # (N, R, 4), (N, R, 1)
    wanted = _deltas(Boxes.cat(anchors).tensor, torch.stack(gt_boxes), transform)
    # The logarithm of a box without area, and its gradient, must not reach the sum.
    error = torch.where(mask, predicted - wanted, 0.0).abs()
    if beta >= L1_BELOW:
        error = torch.where(error < beta, 0.5 * error**2 / beta, error - 0.5 * beta)
    return error.sum()


def _deltas(anchors: Tensor, boxes: Tensor, transform: Box2BoxTransform) -> Tensor:
    """``transform.get_deltas`` of (R, 4) anchors and (N, R, 4) boxes, without its assertion."""

    def centres_and_sizes(corners: Tensor) -> tuple[Tensor, Tensor]:
        sizes = corners[..., 2:] - corners[..., :2]
        return corners[..., :2] + 0.5 * sizes, sizes

    (from_, size), (to, new_size) = centres_and_sizes(anchors), centres_and_sizes(boxes)
    wx, wy, ww, wh = transform.weights
    shift, growth = (to - from_) / size, torch.log(new_size / size)
    parts = (wx * shift[..., 0], wy * shift[..., 1], ww * growth[..., 0], wh * growth[..., 1])
    return torch.stack(parts, dim=-1)
