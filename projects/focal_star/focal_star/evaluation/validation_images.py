"""Measures a detector on validation images without any effect on its training.

Nothing here draws from the training's random generators or changes the model: the network is in
evaluation mode, and RetinaNet's running loss normalizer stays as it is.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.evaluation import inference_context
from detectron2.modeling import GeneralizedRCNN, RetinaNet
from detectron2.modeling.meta_arch.retinanet import permute_to_N_HWA_K
from detectron2.structures import Boxes
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from focal_star.data.mapper import Mapper, build_validation_mapper
from focal_star.modeling.retinanet import FocalStarRetinaNet
from focal_star.random_state import kept_random_state

LOSS_NAMES = ("loss_cls", "loss_box_reg")
TWO_STAGE_LOSS_NAMES = (*LOSS_NAMES, "loss_rpn_cls", "loss_rpn_loc")


def validation_records(cfg: CfgNode, num_images: int = 0) -> list[dict[str, Any]]:
    """Detectron2's records of the first ``num_images`` validation images; 0 for all."""
    records = [record for name in cfg.DATASETS.TEST for record in DatasetCatalog.get(name)]
    return records[:num_images] if num_images else records


class ValidationImages:
    """The first images of the validation split, mapped as for a test, with their boxes.

    With several processes, each one reads a share of the images.
    """

    def __init__(self, cfg: CfgNode, num_images: int = 0, mapper: Mapper | None = None):
        """
        Args:
            cfg: its ``DATASETS.TEST`` in their order, and as many images in a batch as a process
                trains on.
            num_images: how many; 0 for all.
            mapper: None for one that reads each image each time.
        """
        records = validation_records(cfg, num_images)
        self.num_images = len(records)  # over all processes
        self._records = records[comm.get_rank() :: comm.get_world_size()]
        self._mapper = mapper or build_validation_mapper(cfg, cached=False)
        self._batch_size = max(1, cfg.SOLVER.IMS_PER_BATCH // comm.get_world_size())

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """Yield batches of images of one size, so that none is padded to the size of another."""
        mapped = map(self._mapper, self._records)
        for _, images in itertools.groupby(mapped, key=lambda image: image["image"].shape):
            while batch := list(itertools.islice(images, self._batch_size)):
                yield batch


@dataclass(frozen=True)
class Matched:
    """A RetinaNet's predictions for a batch, and the labels of its anchors.

    N images, R anchors over all levels, K classes.

    Attributes:
        anchors: those of each level.
        pred_logits: one (N, R_l, K) for each level l, R_l its anchors.
        labels: (N, R), a class in 0..K-1, K for background, -1 to ignore.
        pred_anchor_deltas: one (N, R_l, 4) for each level.
        gt_boxes: N of shape (R, 4), the box matched to each anchor.
    """

    anchors: list[Boxes]
    pred_logits: list[Tensor]
    labels: Tensor
    pred_anchor_deltas: list[Tensor]
    gt_boxes: list[Tensor]


def matched_batches(model: FocalStarRetinaNet, images: ValidationImages) -> Iterator[Matched]:
    """The predictions for each batch of this process, without gradients; exhaust the iterator."""
    with inference_context(model), torch.no_grad(), kept_random_state():
        for batch in images.batches():
            yield matched(model, batch)


def mean_losses(model: nn.Module, images: ValidationImages) -> dict[str, float]:
    """The losses of the images of all processes, by name. Every process must call this.

    A RetinaNet's sums are divided by the number of positive anchors of these images, whereas those
    of a training batch are divided by a running mean over the batches before it.
    """
    if isinstance(model, FocalStarRetinaNet):
        return _mean_dense_losses(model, images)
    return _mean_two_stage_losses(model, images)


def _mean_dense_losses(model: FocalStarRetinaNet, images: ValidationImages) -> dict[str, float]:
    """``loss_cls`` and ``loss_box_reg``."""
    rows = []
    for batch in matched_batches(model, images):
        pos_mask = model.positive(batch.labels)
        losses = model.divided_losses(
            batch.anchors,
            batch.pred_logits,
            batch.labels,
            batch.pred_anchor_deltas,
            batch.gt_boxes,
            pos_mask,
            normalizer=1.0,
        )
        rows.append([pos_mask.sum().item(), *(losses[name].item() for name in LOSS_NAMES)])
    rows = list(itertools.chain(*comm.all_gather(rows)))
    positives, *sums = (math.fsum(column) for column in zip(*rows, strict=True))
    return {name: total / max(positives, 1.0) for name, total in zip(LOSS_NAMES, sums, strict=True)}


def _mean_two_stage_losses(model: GeneralizedRCNN, images: ValidationImages) -> dict[str, float]:
    """The losses of both stages, a mean over the images.

    Anchors and proposals are sampled as in training, with a fixed seed.
    """
    rows = []
    with (
        inference_context(model),
        torch.no_grad(),
        kept_random_state(),
        EventStorage(),
        _without_pictures(model),
    ):
        torch.manual_seed(0)
        for part in (model, model.proposal_generator, model.roi_heads):
            part.training = True  # they then return losses; the network stays as it is tested
        for batch in images.batches():
            try:
                losses = model(batch)
            except FloatingPointError:  # raised for proposals that are not finite
                losses = {}
            rows.append((len(batch), {name: loss.item() for name, loss in losses.items()}))
    rows = list(itertools.chain(*comm.all_gather(rows)))
    total = sum(number for number, _ in rows)
    return {
        name: math.fsum(number * losses.get(name, math.nan) for number, losses in rows) / total
        for name in TWO_STAGE_LOSS_NAMES
    }


@contextmanager
def _without_pictures(model: GeneralizedRCNN) -> Iterator[None]:
    period, model.vis_period = model.vis_period, 0
    try:
        yield
    finally:
        model.vis_period = period


def matched(model: RetinaNet, batch: list[dict[str, Any]]) -> Matched:
    """A model's predictions for a batch, in the mode that the model is in."""
    pixels = model.preprocess_image(batch).tensor
    features = model.backbone(pixels)
    features = [features[name] for name in model.head_in_features]
    anchors = model.anchor_generator(features)
    pred_logits, pred_anchor_deltas = model.head(features)
    truth = [image["instances"].to(model.device) for image in batch]
    gt_labels, gt_boxes = model.label_anchors(anchors, truth)
    return Matched(
        anchors=anchors,
        pred_logits=[permute_to_N_HWA_K(x, model.num_classes) for x in pred_logits],
        labels=torch.stack(gt_labels),
        pred_anchor_deltas=[permute_to_N_HWA_K(x, 4) for x in pred_anchor_deltas],
        gt_boxes=gt_boxes,
    )
