"""Where the classification loss comes from: its distribution over the anchors of images.

For every (anchor, class) of validation images, s = logit(p_t) is counted: s = x for a positive, -x
for a negative, where x is the logit. Every loss here is a function of s, so the histogram of s of
one checkpoint gives the distribution of every loss over anchors, for any gamma, as in figure 4 of
"Focal Loss for Dense Object Detection" (arXiv:1708.02002). The histogram has the same size for any
number of anchors.
"""

from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from torch import Tensor

from focal_star.data.mapper import Mapper
from focal_star.evaluation.validation_images import ValidationImages, matched_batches
from focal_star.losses import LOSSES
from focal_star.modeling.retinanet import FocalStarRetinaNet

VERSION = 1
"""Version of the entry's form."""

LOW, HIGH, NUM_BINS = -30.0, 30.0, 1200
"""The bins have equal widths; the outermost ones also count the values beyond."""

BLOCK = 2**20
"""Number of entries that are counted at a time."""

KINDS = ("foreground", "background")


class LossDistribution:
    """The histograms of s of foreground and of background entries.

    Attributes:
        counts: kind of ``KINDS`` -> (NUM_BINS,) int64. NaN counts as the lowest s, the hardest.
    """

    def __init__(self) -> None:
        self.counts = {kind: torch.zeros(NUM_BINS, dtype=torch.int64) for kind in KINDS}

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count the entries of R anchors.

        Args:
            logits: (..., R, K).
            labels: (..., R), a class in 0..K-1, K for background, -1 to ignore.
        """
        is_valid = labels >= 0
        is_positive = is_valid & (labels < logits.shape[-1])
        positives = logits[is_positive].gather(1, labels[is_positive][:, None])
        self.counts["foreground"] += _counted(positives)
        # Counts all as negative, then corrects: cheaper than a mask of all entries.
        self.counts["background"] += _counted(-logits[is_valid]) - _counted(-positives)

    def entry(self, images: int) -> dict[str, Any]:
        """The counts of all processes, as a record has them. Every process must call this.

        Args:
            images: number of images.

        Returns:
            ``version``, ``low``, ``high``, ``num_bins``, ``images``, and for ``foreground`` and
            ``background`` the ``bins`` that are not empty and their ``counts``.
        """
        counts_of = torch.stack([self.counts[kind] for kind in KINDS])
        total = torch.stack(comm.all_gather(counts_of)).sum(dim=0)
        entry: dict[str, Any] = {"version": VERSION, "low": LOW, "high": HIGH}
        entry |= {"num_bins": NUM_BINS, "images": images}
        for kind, counts in zip(KINDS, total, strict=True):
            bins = counts.nonzero().squeeze(1)
            entry[kind] = {"bins": bins.tolist(), "counts": counts[bins].tolist()}
        return entry


def loss_distribution(
    cfg: CfgNode, model: FocalStarRetinaNet, num_images: int = 0, mapper: Mapper | None = None
) -> dict[str, Any]:
    """What :meth:`LossDistribution.entry` returns, over the first validation images.

    Args:
        cfg: the config, which names the data set.
        model: the model; its parameters and mode are left as they are.
        num_images: how many images; 0 for all.
        mapper: see :class:`focal_star.evaluation.validation_images.ValidationImages`.
    """
    images, distribution = ValidationImages(cfg, num_images, mapper), LossDistribution()
    for batch in matched_batches(model, images):
        distribution.add(torch.cat(batch.pred_logits, dim=1), batch.labels)
    return distribution.entry(images.num_images)


def cumulative_loss(
    entry: dict[str, Any], kind: str, loss: str, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """The cumulative normalised loss: what share of it the easiest entries carry.

    A bin counts as if all its entries lay in its middle, and within a bin the loss is spread
    evenly. On 100,000 entries that moves the curve by less than 0.001; by up to 0.01 where a few
    entries carry most of the loss, as for focal_star at gamma 2 (test_loss_distribution.py).

    Args:
        entry: what :meth:`LossDistribution.entry` returned.
        kind: "foreground" or "background".
        loss: a name of :data:`focal_star.losses.LOSSES`.
        gamma: the loss's parameter.

    Returns:
        The share of the entries, the easiest first, and the share of the loss, both rising from 0
        to 1. Where there is no entry, or no loss, both are NaN.
    """
    bins, counts = (np.array(entry[kind][key], dtype=np.int64) for key in ("bins", "counts"))
    width = (entry["high"] - entry["low"]) / entry["num_bins"]
    s = torch.from_numpy(entry["low"] + (bins[::-1] + 0.5) * width)  # a loss falls with s
    losses = LOSSES[loss](s, torch.ones_like(s), gamma=gamma).numpy() * counts[::-1]
    curves = (np.concatenate([[0.0], np.cumsum(part)]) for part in (counts[::-1], losses))
    with np.errstate(invalid="ignore"):
        entries, loss_sums = (curve / curve[-1] for curve in curves)
    return entries, loss_sums


def hardest_share(entry: dict[str, Any], kind: str, loss: str, gamma: float, share: float) -> float:
    """The share of the loss that this share of the entries carries, the hardest ones."""
    return float(1 - np.interp(1 - share, *cumulative_loss(entry, kind, loss, gamma)))


def _counted(values: Tensor) -> Tensor:
    """The histogram of the numbers of a tensor of any shape."""
    counts = torch.zeros(NUM_BINS, dtype=torch.int64)
    for block in values.detach().reshape(-1).split(BLOCK):
        places = (block.float() - LOW) * (NUM_BINS / (HIGH - LOW))
        places = places.clamp(0, NUM_BINS - 1).nan_to_num(nan=0.0).long()
        counts += torch.bincount(places, minlength=NUM_BINS).cpu()
    return counts
