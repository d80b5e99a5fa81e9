"""Predicts the classification loss of the first iteration, before anything is trained."""

import logging
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling import RetinaNet
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils import comm
from torch import Tensor

from focal_star.compat import INITIAL_NORMALIZER, MOMENTUM
from focal_star.data.registration import training_records
from focal_star.modeling.anchors import anchors_of_image

logger = logging.getLogger(__name__)

MAX_IMAGES = 64
"""The maximum number of images whose anchors are matched for a prediction."""


def predict_first_loss(
    loss: Callable[..., Tensor],
    prior_prob: float,
    num_classes: int,
    num_anchors: float,
    num_pos_anchors: float,
    num_images: int,
    num_matched_anchors: float | None = None,
) -> float:
    """``loss_cls`` of the first iteration, where every score is the prior pi.

    Args:
        loss: (logits, targets) -> sum of the elements' losses.
        prior_prob: pi, the score that the head starts with.
        num_classes: K.
        num_anchors: anchors per image that enter the loss (not ignored and, with OHEM, selected).
        num_pos_anchors: positive anchors among them.
        num_images: N, images per process: each process divides the losses of its share of a batch
            by the positive anchors of that share.
        num_matched_anchors: positive anchors per image, counting or not, which the normaliser
            is made of; None where all count.

    Returns:
        The sum over N images divided by the loss normaliser after its first update. The loss that
        is logged, a mean over the processes, is the same.
    """
    logit = torch.tensor([math.log(prior_prob / (1 - prior_prob))])
    positive = loss(logit, torch.ones(1)).item()
    negative = loss(logit, torch.zeros(1)).item()
    total = num_pos_anchors * positive + (num_anchors * num_classes - num_pos_anchors) * negative
    positives = num_images * (
        num_pos_anchors if num_matched_anchors is None else num_matched_anchors
    )
    normalizer = MOMENTUM * INITIAL_NORMALIZER + (1 - MOMENTUM) * max(positives, 1)
    return num_images * total / normalizer


def log_first_loss(cfg: CfgNode, model: RetinaNet) -> float:
    """Predict the first ``loss_cls`` for a config, log it, and warn if it is too large.

    The processes share a batch. The anchors are matched to the boxes of the first
    ``MAX_IMAGES`` images that the training reads (those without objects, too, unless
    ``DATALOADER.FILTER_EMPTY_ANNOTATIONS``), at the first of the training scales, so that the share
    of positives is the data's own.
    """
    anchors, positives, matched = _count_anchors(cfg, model)
    predicted = predict_first_loss(
        model.classification_loss,
        cfg.MODEL.RETINANET.PRIOR_PROB,
        model.num_classes,
        anchors,
        positives,
        max(1, cfg.SOLVER.IMS_PER_BATCH // comm.get_world_size()),
        matched,
    )
    logger.info(
        "Predicted first loss_cls: %.4g (%s, alpha %s, gamma %s, prior %s; %.0f anchors and %.1f "
        "positives per image, %d classes)",
        predicted,
        cfg.MODEL.FOCAL_STAR.LOSS,
        cfg.MODEL.RETINANET.FOCAL_LOSS_ALPHA,
        cfg.MODEL.RETINANET.FOCAL_LOSS_GAMMA,
        cfg.MODEL.RETINANET.PRIOR_PROB,
        anchors,
        positives,
        model.num_classes,
    )
    if not predicted <= cfg.MODEL.FOCAL_STAR.FIRST_LOSS_WARNING:
        logger.warning(
            "The first loss_cls is predicted at %.4g, above "
            "MODEL.FOCAL_STAR.FIRST_LOSS_WARNING = %g. Training may diverge. Remedies: a smaller "
            "gamma, a larger MODEL.RETINANET.PRIOR_PROB, MODEL.FOCAL_STAR.WEIGHT_CAP, "
            "SOLVER.CLIP_GRADIENTS.",
            predicted,
            cfg.MODEL.FOCAL_STAR.FIRST_LOSS_WARNING,
        )
    return predicted


def _count_anchors(cfg: CfgNode, model: RetinaNet) -> tuple[float, float, float]:
    """The anchors that enter the loss, the positive ones among them, and all positive anchors.

    The mean over the first images that the training reads.
    """
    records = training_records(cfg)[:MAX_IMAGES]

    @cache
    def anchors_of(height: int, width: int) -> list[Boxes]:
        return [boxes.to("cpu") for boxes in anchors_of_image(model, height, width)]

    counts = torch.zeros(3)
    prior = cfg.MODEL.RETINANET.PRIOR_PROB
    for record in records:
        height, width = record["height"], record["width"]
        scale = cfg.INPUT.MIN_SIZE_TRAIN[0] / min(height, width)
        scale = min(scale, cfg.INPUT.MAX_SIZE_TRAIN / max(height, width))
        truth = Instances((round(height * scale), round(width * scale)))
        objects = _objects(record)
        boxes = [BoxMode.convert(o["bbox"], o["bbox_mode"], BoxMode.XYXY_ABS) for o in objects]
        truth.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) * scale)
        truth.gt_classes = torch.tensor([o["category_id"] for o in objects], dtype=torch.int64)
        anchors = anchors_of(*truth.image_size)
        (labels,), _ = model.label_anchors(anchors, [truth])
        logits = torch.full((1, len(labels), model.num_classes), math.log(prior / (1 - prior)))
        counted = model.counted_anchors(logits, labels[None], anchors)[0]
        positive = (labels >= 0) & (labels != model.num_classes)
        counts += torch.tensor([mask.sum() for mask in (counted, counted & positive, positive)])
    anchors, positives, matched = (counts / max(len(records), 1)).tolist()
    return anchors, positives, matched


def _objects(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations of an image that boxes are learnt from, without crowds."""
    return [one for one in record["annotations"] if not one.get("iscrowd", 0)]
