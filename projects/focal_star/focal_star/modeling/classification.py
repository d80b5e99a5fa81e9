"""The classification loss of a dense detector: which one it is, and which anchors count in it."""

from collections.abc import Callable
from functools import cached_property, partial
from inspect import signature
from typing import Any

import torch
from detectron2.layers import cat
from detectron2.structures import Boxes
from torch import Tensor
from torch.nn import functional as F

from focal_star.losses import LOSSES
from focal_star.losses.fused import FORMS, fused_or_none
from focal_star.losses.fused.formulas import Number, as_tensor


class ClassificationLoss:
    """The part of a RetinaNet that computes ``loss_cls``.

    N images, R anchors over all levels, K classes. ``num_classes`` and ``device`` are the model's.
    """

    num_classes: int
    device: torch.device
    select_anchors: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None = None

    def choose_loss(
        self,
        name: str,
        kernel: str,
        alpha: float | None,
        gamma: float,
        weight_cap: float | None,
        beta: float,
    ) -> None:
        """Set the loss and its options; the last two are for the losses that take them.

        Raises:
            ValueError: an unknown loss or kernel, or an alpha or gamma that the loss does not
                take.
        """
        if name not in LOSSES:
            raise ValueError(f"MODEL.FOCAL_STAR.LOSS is {name!r}; valid: {', '.join(LOSSES)}")
        if kernel not in FORMS:
            raise ValueError(f"MODEL.FOCAL_STAR.KERNEL is {kernel!r}; valid: {', '.join(FORMS)}")
        taken = signature(LOSSES[name]).parameters
        special = {"weight_cap": weight_cap, "beta": beta}
        special = {option: value for option, value in special.items() if option in taken}
        options: dict[str, Any] = {"alpha": alpha, "gamma": gamma, **special}
        self.loss_name, self.loss_kernel = name, kernel
        self.classification_loss = partial(LOSSES[name], reduction="sum", **options)
        self.classification_loss(torch.zeros(1), torch.zeros(1))  # refuses a bad alpha or gamma
        self._fused_loss_options = {"name": name, "kernel": kernel, **options}

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

    def positive(self, labels: Tensor) -> Tensor:
        """Which anchors are positive: a bool like their labels."""
        return (labels >= 0) & (labels != self.num_classes)

    def counted_anchors(self, logits: Tensor, labels: Tensor, anchors: list[Boxes]) -> Tensor:
        """Which anchors count in ``loss_cls``.

        Args:
            logits: (N, R, K), detached.
            labels: (N, R), a class in 0..K-1, K for background, -1 to ignore.
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

    def loss_cls(self, pred_logits: list[Tensor], labels: Tensor, scale: Number) -> Tensor:
        """The classification loss of the anchors that are not ignored.

        Args:
            pred_logits: one (N, R_l, K) for each level l, R_l its anchors.
            labels: (N, R), a class in 0..K-1, K for background, negative to ignore.
            scale: the factor by which the sum over these anchors is multiplied.
        """
        if self.fused_loss is None:
            valid_mask = labels >= 0
            logits, targets = cat(pred_logits, dim=1)[valid_mask], self._targets(labels[valid_mask])
            loss = self.classification_loss(logits, targets)
            return loss * as_tensor(scale, loss.dtype, loss.device)
        of_levels = labels.split([logits.shape[1] for logits in pred_logits], dim=1)
        losses = map(partial(self.fused_loss, scale=scale), pred_logits, of_levels)
        return torch.stack(list(losses)).sum()

    def _targets(self, labels: Tensor) -> Tensor:
        """(...) labels, none of them to ignore -> (..., K) bool."""
        return F.one_hot(labels, self.num_classes + 1)[..., :-1].bool()
