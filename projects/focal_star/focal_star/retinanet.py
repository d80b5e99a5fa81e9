"""RetinaNet with a classification loss chosen in the config."""

from collections.abc import Callable
from functools import cached_property, partial

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import cat
from detectron2.modeling import META_ARCH_REGISTRY, RetinaNet
from detectron2.modeling.box_regression import _dense_box_regression_loss
from detectron2.structures import Boxes
from detectron2.utils.events import get_event_storage
from torch import Tensor
from torch.nn import functional as F

from focal_star.compat import update_loss_normalizer
from focal_star.kernels import FORMS, fused_or_none
from focal_star.losses import LOSSES
from focal_star.ohem import select_anchors


@META_ARCH_REGISTRY.register()
class FocalStarRetinaNet(RetinaNet):
    """Detectron2's RetinaNet with another classification loss.

    N images, R anchors over all levels, K classes. With ``loss="focal"`` and no ``select_anchors``
    it is Detectron2's own RetinaNet.
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
            weight_cap: largest modulating factor of ``focal_star``; None for no cap.
            beta: shift of ``focal_appendix``, in logits.
            kernel: what computes the loss, of :data:`focal_star.kernels.FORMS`.
            select_anchors: :func:`focal_star.ohem.select_anchors` with its options bound; None
                where every anchor that is not ignored counts.
            kwargs: the arguments of Detectron2's RetinaNet; ``focal_loss_alpha`` (None for no
                weighting) and ``focal_loss_gamma`` are those of every loss.

        Raises:
            ValueError: an unknown loss or kernel, or an alpha or gamma that the loss does not
                take.
        """
        super().__init__(**kwargs)
        if loss not in LOSSES:
            raise ValueError(f"MODEL.FOCAL_STAR.LOSS is {loss!r}; valid: {', '.join(LOSSES)}")
        if kernel not in FORMS:
            raise ValueError(f"MODEL.FOCAL_STAR.KERNEL is {kernel!r}; valid: {', '.join(FORMS)}")
        own = {"focal_star": {"weight_cap": weight_cap}, "focal_appendix": {"beta": beta}}
        options = {
            "alpha": self.focal_loss_alpha,
            "gamma": self.focal_loss_gamma,
            **own.get(loss, {}),
        }
        self.classification_loss = partial(LOSSES[loss], reduction="sum", **options)
        self.select_anchors = select_anchors
        self.classification_loss(torch.zeros(1), torch.zeros(1))  # a bad alpha ends here, not later
        self._fused_loss_options = {"name": loss, "kernel": kernel, **options}

    @cached_property
    def fused_loss(self) -> Callable[..., Tensor] | None:
        """(logits, labels, scale) -> loss; None where ``classification_loss`` is to be used.

        Chosen at the first loss: to compile one takes seconds that an evaluation does not need.
        """
        return fused_or_none(
            loss=self.classification_loss,
            num_classes=self.num_classes,
            device=self.device,
            **self._fused_loss_options,
        )

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        own, ohem = cfg.MODEL.FOCAL_STAR, cfg.MODEL.OHEM
        select = partial(
            select_anchors,
            method=ohem.METHOD,
            batch_size=ohem.BATCH_SIZE,
            nms_thresh=ohem.NMS_THRESH,
        )
        return {
            **super().from_config(cfg),
            "loss": own.LOSS,
            "weight_cap": own.WEIGHT_CAP,
            "beta": own.BETA,
            "kernel": own.KERNEL,
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
            ``loss_cls`` and ``loss_box_reg``: sums over the anchors that count, divided by the
            running number of positive anchors. ``select_anchors`` has to do with ``loss_cls``
            alone: not with the boxes, not with the divisor.
        """
        num_images = len(gt_labels)
        labels = torch.stack(gt_labels)  # (N, R)
        pos_mask = self.positive(labels)
        num_pos_anchors = pos_mask.sum().item()
        get_event_storage().put_scalar("num_pos_anchors", num_pos_anchors / num_images)
        normalizer = update_loss_normalizer(self, num_pos_anchors)
        return self.divided_losses(
            anchors, pred_logits, labels, pred_anchor_deltas, gt_boxes, pos_mask, normalizer
        )

    def positive(self, labels: Tensor) -> Tensor:
        """Which anchors are positive: a bool like their labels."""
        return (labels >= 0) & (labels != self.num_classes)

    def divided_losses(
        self,
        anchors: list[Boxes],
        pred_logits: list[Tensor],
        labels: Tensor,
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
        pos_mask: Tensor,
        normalizer: float,
    ) -> dict[str, Tensor]:
        """What :meth:`losses` returns, for a given divisor; nothing of the model changes.

        Args:
            labels: (N, R), the ``gt_labels`` stacked.
            pos_mask: (N, R), which of the anchors are :meth:`positive`.
            normalizer: what the sums are divided by.
        """
        if self.select_anchors is not None:
            logits = cat(pred_logits, dim=1).detach()  # (N, R, K)
            labels = labels.where(self.counted_anchors(logits, labels, anchors), -1)
        loss_cls = self._loss_cls(pred_logits, labels, 1 / normalizer)
        loss_box_reg = _dense_box_regression_loss(
            anchors,
            self.box2box_transform,
            pred_anchor_deltas,
            gt_boxes,
            pos_mask,
            box_reg_loss_type=self.box_reg_loss_type,
            smooth_l1_beta=self.smooth_l1_beta,
        )
        return {"loss_cls": loss_cls, "loss_box_reg": loss_box_reg / normalizer}

    def _loss_cls(self, pred_logits: list[Tensor], labels: Tensor, scale: float) -> Tensor:
        """The classification loss of the anchors whose label is not negative, times ``scale``."""
        if self.fused_loss is None:
            valid_mask = labels >= 0
            logits, targets = cat(pred_logits, dim=1)[valid_mask], self._targets(labels[valid_mask])
            return self.classification_loss(logits, targets) * scale
        of_levels = labels.split([logits.shape[1] for logits in pred_logits], dim=1)
        losses = map(partial(self.fused_loss, scale=scale), pred_logits, of_levels)
        return torch.stack(list(losses)).sum()

    def _targets(self, labels: Tensor) -> Tensor:
        """(...) labels, none of them to ignore -> (..., K) bool."""
        return F.one_hot(labels, self.num_classes + 1)[..., :-1].bool()

    def counted_anchors(self, logits: Tensor, labels: Tensor, anchors: list[Boxes]) -> Tensor:
        """Which anchors count in ``loss_cls``.

        Args:
            logits: (N, R, K), detached.
            labels: (N, R), as the ``gt_labels`` of :meth:`losses`.
            anchors: the anchors of each level.

        Returns:
            (N, R) bool.
        """
        valid_mask = labels >= 0
        if self.select_anchors is None:
            return valid_mask
        targets = self._targets(labels.clamp(min=0))  # those to ignore do not take part
        losses = self.classification_loss(logits, targets, reduction="none").sum(dim=2)
        boxes = Boxes.cat(anchors).tensor
        return torch.stack(
            [
                self.select_anchors(*image, boxes)
                for image in zip(losses, valid_mask, self.positive(labels), strict=True)
            ]
        )
