"""RetinaNet with a classification loss chosen in the config."""

from collections.abc import Callable
from functools import cached_property, partial
from inspect import signature
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import cat
from detectron2.modeling import META_ARCH_REGISTRY, RetinaNet
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor
from torch.nn import functional as F

from focal_star.box_loss import dense_box_loss
from focal_star.compat import update_loss_normalizer
from focal_star.kernels import check_kernel, fused_or_none
from focal_star.kernels.formulas import Number, as_tensor
from focal_star.losses import LOSSES
from focal_star.ohem import select_anchors
from focal_star.quick_parts import quick_anchor_generator, quick_head

FEW_ENTRIES = 2**20
"""Logits of a batch up to which one loss of all levels, copied together, takes less time than one
loss a level; above it the copy would cost memory."""


@META_ARCH_REGISTRY.register()
class FocalStarRetinaNet(RetinaNet):
    """Detectron2's RetinaNet with another classification loss.

    N images, R anchors over all levels, K classes. With ``loss="focal"`` and no ``select_anchors``
    it is Detectron2's own RetinaNet.

    On a GPU nothing of :meth:`losses` makes the host wait for it; ``select_anchors``, a
    ``BBOX_REG_LOSS_TYPE`` other than ``smooth_l1``, and a loss that has no fused form, do. What the
    loss counted is therefore only put into the event storage by :meth:`put_num_pos_anchors`, which
    a trainer calls after the step.
    """

    known_anchors: Tensor | None = None
    """What :meth:`label_anchors` would find for the next batch, (N, 2, R): each anchor's label,
    and the number of the object that it is matched to."""

    _num_pos_anchors: Tensor | None = None
    """A mean over the images, which the storage does not have yet."""

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
            weight_cap: largest modulating factor of ``focal_star``; None for no cap. Of other
                losses, as of beta: for those that take it.
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
        self.head = quick_head(self.head)
        self.anchor_generator = quick_anchor_generator(self.anchor_generator)
        if loss not in LOSSES:
            raise ValueError(f"MODEL.FOCAL_STAR.LOSS is {loss!r}; valid: {', '.join(LOSSES)}")
        check_kernel(kernel)
        own, taken = {"weight_cap": weight_cap, "beta": beta}, signature(LOSSES[loss]).parameters
        options = {
            "alpha": self.focal_loss_alpha,
            "gamma": self.focal_loss_gamma,
            **{name: value for name, value in own.items() if name in taken},
        }
        self.loss_name = loss
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
        from focal_star.config.derived import check_derived  # which imports this module

        check_derived(cfg)
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
        num_pos_anchors = pos_mask.sum()
        self._num_pos_anchors = num_pos_anchors.double() / num_images
        if labels.device.type == "cpu":
            self.put_num_pos_anchors()
        normalizer = update_loss_normalizer(self, num_pos_anchors)
        return self.divided_losses(
            anchors, pred_logits, labels, pred_anchor_deltas, gt_boxes, pos_mask, normalizer
        )

    def label_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Detectron2's labels and matched boxes of the anchors, an (R,) and an (R, 4) an image."""
        known = self.known_anchors
        if known is None:
            return super().label_anchors(anchors, gt_instances)
        self.known_anchors = None
        labels, objects = known.to(self.device).long().unbind(dim=1)
        boxes = [
            image.gt_boxes.tensor[own]
            if len(image)
            else image.gt_boxes.tensor.new_zeros(*own.shape, 4)
            for image, own in zip(gt_instances, objects, strict=True)
        ]
        return list(labels), boxes

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Detectron2's images of a batch; one empty one where nobody will look at a pixel."""
        if self.known_anchors is None:
            return super().preprocess_image(batched_inputs)
        pixels = batched_inputs[0]["image"][None]
        return ImageList(pixels, [tuple(pixels.shape[2:])] * len(batched_inputs))

    def inference(
        self,
        anchors: list[Boxes],
        pred_logits: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Detectron2's detections; those of a training step (``VIS_PERIOD``) are of copies.

        Detectron2 applies the sigmoid in place, and the backward pass still needs the logits.
        """
        if self.training:
            pred_logits = [logits.detach().clone() for logits in pred_logits]
            pred_anchor_deltas = [deltas.detach() for deltas in pred_anchor_deltas]
        return super().inference(anchors, pred_logits, pred_anchor_deltas, image_sizes)

    def put_num_pos_anchors(self) -> None:
        """Tell the event storage how many anchors of an image were positive, if it is not told."""
        if self._num_pos_anchors is not None:
            get_event_storage().put_scalar("num_pos_anchors", self._num_pos_anchors.item())
            self._num_pos_anchors = None

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
        normalizer: Number,
    ) -> dict[str, Tensor]:
        """What :meth:`losses` returns, for a given divisor; nothing of the model changes.

        Args:
            labels: (N, R), the ``gt_labels`` stacked.
            pos_mask: (N, R), which of the anchors are :meth:`positive`.
            normalizer: what the sums are divided by; a tensor has no dimensions.
        """
        if self.select_anchors is not None:
            logits = cat(pred_logits, dim=1).detach()  # (N, R, K)
            labels = labels.where(self.counted_anchors(logits, labels, anchors), -1)
        loss_cls = self._loss_cls(pred_logits, labels, 1 / normalizer)
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

    def _loss_cls(self, pred_logits: list[Tensor], labels: Tensor, scale: Number) -> Tensor:
        """The classification loss of the anchors whose label is not negative, times ``scale``."""
        if self.fused_loss is None:
            valid_mask = labels >= 0
            logits, targets = cat(pred_logits, dim=1)[valid_mask], self._targets(labels[valid_mask])
            loss = self.classification_loss(logits, targets)
            return loss * as_tensor(scale, loss.dtype, loss.device)
        if sum(logits.numel() for logits in pred_logits) <= FEW_ENTRIES:
            return self.fused_loss(cat(pred_logits, dim=1), labels, scale=scale)
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
