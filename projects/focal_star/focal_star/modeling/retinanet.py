"""RetinaNet with a classification loss chosen in the config."""

from collections.abc import Callable
from functools import partial

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import cat
from detectron2.modeling import META_ARCH_REGISTRY, RetinaNet
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor

from focal_star.compat import update_loss_normalizer
from focal_star.losses.fused.formulas import Number, as_tensor
from focal_star.modeling.box_loss import dense_box_loss
from focal_star.modeling.classification import ClassificationLoss
from focal_star.modeling.ohem import select_anchors
from focal_star.modeling.subnets import initialise_subnets

CONFIG_CHECKS: list[Callable[[CfgNode], None]] = []
"""Called with the config that a model is built from; :mod:`focal_star.config` adds one."""


@META_ARCH_REGISTRY.register()
class FocalStarRetinaNet(ClassificationLoss, RetinaNet):
    """Detectron2's RetinaNet with another classification loss.

    N images, R anchors over all levels, K classes. With ``loss="focal"`` and no ``select_anchors``
    it is Detectron2's own RetinaNet.

    On a GPU, :meth:`losses` makes the host wait for the labels of the anchors, as Detectron2's
    ``label_anchors`` does. After that the host waits only with ``select_anchors``, with a
    ``BBOX_REG_LOSS_TYPE`` other than ``smooth_l1``, or with a loss that has no fused form.
    """

    @configurable
    def __init__(
        self,
        *,
        loss: str = "focal_star",
        weight_cap: float | None = None,
        beta: float = 0.0,
        kernel: str = "eager",
        select_anchors: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None = None,
        **kwargs,
    ):
        """
        Args:
            loss: a name of :data:`focal_star.losses.LOSSES`.
            weight_cap: largest modulating factor of ``focal_star``, and of every other loss that
                has this parameter; None for no cap.
            beta: shift of ``focal_appendix``, in logits.
            kernel: what computes the loss, of :data:`focal_star.losses.fused.FORMS`.
            select_anchors: :func:`focal_star.modeling.ohem.select_anchors` with its options bound;
                None if every anchor that is not ignored counts.
            kwargs: the arguments of Detectron2's RetinaNet; ``focal_loss_alpha`` (None for no
                weighting) and ``focal_loss_gamma`` are those of every loss.

        Raises:
            ValueError: an unknown loss or kernel, or an alpha or gamma that the loss does not
                take.
        """
        super().__init__(**kwargs)
        self.select_anchors = select_anchors
        self.choose_loss(
            loss, kernel, self.focal_loss_alpha, self.focal_loss_gamma, weight_cap, beta
        )

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        for check in CONFIG_CHECKS:
            check(cfg)
        chosen, ohem = cfg.MODEL.FOCAL_STAR, cfg.MODEL.OHEM
        select = partial(
            select_anchors,
            method=ohem.METHOD,
            batch_size=ohem.BATCH_SIZE,
            nms_thresh=ohem.NMS_THRESH,
        )
        parts = super().from_config(cfg)
        initialise_subnets(parts["head"], cfg.MODEL.RETINANET.SUBNET_INIT)
        return parts | {
            "loss": chosen.LOSS,
            "weight_cap": chosen.WEIGHT_CAP,
            "beta": chosen.BETA,
            "kernel": chosen.KERNEL,
            "select_anchors": None if ohem.METHOD is None else select,
        }

    def losses(
        self,
        anchors: list[Boxes],
        pred_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses of a batch, as Detectron2's RetinaNet returns them.

        Args:
            anchors: the anchors of each level.
            pred_logits: one (N, R_l, K) for each level l, R_l its anchors.
            gt_labels: N of shape (R,): a class in 0..K-1, K for background, -1 to ignore.
            pred_anchor_deltas: one (N, R_l, 4) for each level.
            gt_boxes: N of shape (R, 4): the box matched to each anchor, x1 y1 x2 y2 in px.

        Returns:
            ``loss_cls`` and ``loss_box_reg``: each is a sum over the anchors that are not ignored,
            divided by the running number of positive anchors. ``select_anchors`` affects neither
            ``loss_box_reg`` nor the divisor.
        """
        labels = torch.stack(gt_labels)  # (N, R)
        pos_mask = self.positive(labels)
        num_pos_anchors = pos_mask.sum()
        self._log_num_pos_anchors(num_pos_anchors, num_images=len(gt_labels))
        normalizer = update_loss_normalizer(self, num_pos_anchors)
        return self.divided_losses(
            anchors, pred_logits, labels, pred_anchor_deltas, gt_boxes, pos_mask, normalizer
        )

    def _log_num_pos_anchors(self, number: Tensor, num_images: int) -> None:
        """Log it as Detectron2 does, but before the losses are computed, because this waits."""
        get_event_storage().put_scalar("num_pos_anchors", number.item() / num_images)

    def divided_losses(
        self,
        anchors: list[Boxes],
        pred_logits: list[Tensor],
        labels: Tensor,
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
        pos_mask: Tensor,
        normalizer: Number,
    ) -> dict[str, Tensor]:
        """The losses of :meth:`losses` for a given divisor; the model does not change.

        Args:
            labels: (N, R), the ``gt_labels`` stacked.
            pos_mask: (N, R), which of the anchors are :meth:`positive`.
            normalizer: what the sums are divided by; a tensor has no dimensions.
        """
        if self.select_anchors is not None:
            logits = cat(pred_logits, dim=1).detach()  # (N, R, K)
            labels = labels.where(self.counted_anchors(logits, labels, anchors), -1)
        loss_cls = self.loss_cls(pred_logits, labels, 1 / normalizer)
        loss_box_reg = dense_box_loss(
            anchors,
            self.box2box_transform,
            pred_anchor_deltas,
            gt_boxes,
            pos_mask,
            self.box_reg_loss_type,
            self.smooth_l1_beta,
        )
        divisor = as_tensor(normalizer, loss_box_reg.dtype, loss_box_reg.device)
        return {"loss_cls": loss_cls, "loss_box_reg": loss_box_reg / divisor}

    def inference(
        self,
        anchors: list[Boxes],
        pred_logits: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Detectron2's detections; in a training step (``VIS_PERIOD``) from copies of the logits.

        Detectron2 0.5 applies the sigmoid in place, and the backward pass still needs the logits.
        Its main branch never calls this method: there, ``VIS_PERIOD`` has no effect on RetinaNet.
        """
        if self.training:
            pred_logits = [logits.detach().clone() for logits in pred_logits]
            pred_anchor_deltas = [deltas.detach() for deltas in pred_anchor_deltas]
        return super().inference(anchors, pred_logits, pred_anchor_deltas, image_sizes)
