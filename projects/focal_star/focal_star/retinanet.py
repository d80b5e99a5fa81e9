"""RetinaNet with a classification loss chosen in the config."""

from functools import partial

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
from focal_star.losses import LOSSES


@META_ARCH_REGISTRY.register()
class FocalStarRetinaNet(RetinaNet):
    """Detectron2's RetinaNet with another classification loss.

    N images, R anchors over all levels, K classes. With ``loss="focal"`` it is Detectron2's own
    RetinaNet.
    """

    @configurable
    def __init__(
        self,
        *,
        loss: str = "focal_star",
        weight_cap: float | None = None,
        beta: float = 0.0,
        **kwargs,
    ):
        """
        Args:
            loss: a name of :data:`focal_star.losses.LOSSES`.
            weight_cap: largest modulating factor of ``focal_star``; None for no cap.
            beta: shift of ``focal_appendix``, in logits.
            kwargs: the arguments of Detectron2's RetinaNet; ``focal_loss_alpha`` (None for no
                weighting) and ``focal_loss_gamma`` are those of every loss.

        Raises:
            ValueError: an unknown loss, or an alpha or gamma that the loss does not take.
        """
        super().__init__(**kwargs)
        if loss not in LOSSES:
            raise ValueError(f"MODEL.FOCAL_STAR.LOSS is {loss!r}; valid: {', '.join(LOSSES)}")
        own = {"focal_star": {"weight_cap": weight_cap}, "focal_appendix": {"beta": beta}}
        self.classification_loss = partial(
            LOSSES[loss],
            alpha=self.focal_loss_alpha,
            gamma=self.focal_loss_gamma,
            reduction="sum",
            **own.get(loss, {}),
        )
        self.classification_loss(torch.zeros(1), torch.zeros(1))  # a bad alpha ends here, not later

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        own = cfg.MODEL.FOCAL_STAR
        return {
            **super().from_config(cfg),
            "loss": own.LOSS,
            "weight_cap": own.WEIGHT_CAP,
            "beta": own.BETA,
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
            running number of positive anchors.
        """
        num_images = len(gt_labels)
        labels = torch.stack(gt_labels)  # (N, R)
        valid_mask = labels >= 0
        pos_mask = valid_mask & (labels != self.num_classes)
        num_pos_anchors = pos_mask.sum().item()
        get_event_storage().put_scalar("num_pos_anchors", num_pos_anchors / num_images)
        normalizer = update_loss_normalizer(self, num_pos_anchors)

        targets = F.one_hot(labels[valid_mask], self.num_classes + 1)[:, :-1].bool()
        loss_cls = self.classification_loss(cat(pred_logits, dim=1)[valid_mask], targets)
        loss_box_reg = _dense_box_regression_loss(
            anchors,
            self.box2box_transform,
            pred_anchor_deltas,
            gt_boxes,
            pos_mask,
            box_reg_loss_type=self.box_reg_loss_type,
            smooth_l1_beta=self.smooth_l1_beta,
        )
        return {"loss_cls": loss_cls / normalizer, "loss_box_reg": loss_box_reg / normalizer}
