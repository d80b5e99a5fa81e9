"""``python -m focal_star.evaluation.loss_distribution``: where the classification loss comes from.

Of every (anchor, class) of validation images, s = logit(p_t) is counted: s = x for a positive, -x
for a negative, x its logit. Every loss here is a function of s, so that the histogram of s of one
checkpoint gives the distribution of each of them over anchors, for any gamma, as in figure 4 of
"Focal Loss for Dense Object Detection" (arXiv:1708.02002). The histogram has the same size for any
number of anchors.

The command writes it to a JSON file, and prints what share of the loss the hardest entries carry::

    python -m focal_star.evaluation.loss_distribution --config-file CONFIG \\
        --weights model_final.pth --json loss_distribution.json [--images N] KEY VALUE ...
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from torch import Tensor

from focal_star.config import ConfigError, check_device, load_config
from focal_star.data.mapper import Mapper
from focal_star.data.registration import register_datasets
from focal_star.data.validation.checks import DatasetError
from focal_star.io.writing import write_whole
from focal_star.losses import LOSSES
from focal_star.modeling.retinanet import FocalStarRetinaNet
from focal_star.training.checkpoints import CompleteCheckpointer
from focal_star.training.trainer import Trainer
from focal_star.training.validation import Matched, ValidationImages, look

VERSION = 1
"""Of the entry's form."""

LOW, HIGH, NUM_BINS = -30.0, 30.0, 1200
"""The bins are equal; the outermost ones also take what lies outside."""

BLOCK = 2**20
"""Entries that are counted at a time."""

KINDS = ("foreground", "background")
GAMMAS = {"ce": (0.0,), "focal": (0.5, 1.0, 2.0, 5.0), "focal_star": (0.125, 0.25, 0.5, 1.0, 2.0)}
"""What the command prints."""
SHARES = (0.2, 0.01)
"""Of the entries, the hardest first."""


class Histogram:
    """Counts of numbers in equal bins; NaN counts as lowest, the hardest that there is."""

    def __init__(self) -> None:
        self.counts = torch.zeros(NUM_BINS, dtype=torch.int64)

    def add(self, values: Tensor) -> None:
        """Count the numbers of a tensor of any shape."""
        self.counts += _counted(values)

    def remove(self, values: Tensor) -> None:
        """Take back what was counted."""
        self.counts -= _counted(values)


class LossDistribution:
    """The histograms of s of foreground and of background entries."""

    def __init__(self) -> None:
        self.foreground, self.background = Histogram(), Histogram()

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count the entries of R anchors.

        Args:
            logits: (..., R, K).
            labels: (..., R), a class in 0..K-1, K for background, -1 to ignore.
        """
        is_valid = labels >= 0
        is_positive = is_valid & (labels < logits.shape[-1])
        positives = logits[is_positive].gather(1, labels[is_positive][:, None])
        self.foreground.add(positives)
        # As if all were negative, and then back: cheaper than a mask of all entries.
        self.background.add(-logits[is_valid])
        self.background.remove(-positives)

    def entry(self, images: int) -> dict[str, Any]:
        """The counts of all processes, as a record has them. Every process must call this.

        Args:
            images: how many were looked at.

        Returns:
            ``version``, ``low``, ``high``, ``num_bins``, ``images``, and for ``foreground`` and
            ``background`` the ``bins`` that are not empty and their ``counts``.
        """
        own = torch.stack([getattr(self, kind).counts for kind in KINDS])
        total = torch.stack(comm.all_gather(own)).sum(dim=0)
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
        cfg: of the data.
        model: as it is.
        num_images: how many images; 0 for all.
        mapper: of :class:`focal_star.training.validation.ValidationImages`.
    """
    images, found = ValidationImages(cfg, num_images, mapper), LossDistribution()

    def see(batch: Matched) -> None:
        found.add(torch.cat(batch.pred_logits, dim=1), batch.labels)

    look(model, images, see)
    return found.entry(images.num_images)


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
        gamma: of the loss.

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


def summary(entry: dict[str, Any]) -> str:
    """A table of :func:`hardest_share` in percent, for some gammas."""
    numbers = {kind: sum(entry[kind]["counts"]) for kind in KINDS}
    columns = [(kind, share) for kind in KINDS for share in SHARES]
    lines = [
        f"{entry['images']} images; (anchor, class) entries: "
        + ", ".join(f"{number:,} {kind}" for kind, number in numbers.items()),
        "Share of the loss, %, that the hardest of them carry:",
        f"{'loss':10}  {'gamma':>5}  "
        + "  ".join(f"{f'{kind} {100 * share:g} %':>15}" for kind, share in columns),
    ]
    for loss, gammas in GAMMAS.items():
        for gamma in gammas:
            shares = [100 * hardest_share(entry, kind, loss, gamma, q) for kind, q in columns]
            values = "  ".join(f"{value:15.2f}" for value in shares)
            lines.append(f"{loss:10}  {gamma:5g}  {values}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 2 where the config, the data set or a file cannot be used (it says why)."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING)
    try:
        entry = _of_checkpoint(options)
        write_whole(options.json, json.dumps(entry, indent=1).encode())
    except (ConfigError, DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(summary(entry))
    return 0


def _of_checkpoint(options: argparse.Namespace) -> dict[str, Any]:
    pairs = ["MODEL.WEIGHTS", options.weights]
    cfg = load_config(options.config_file, [*options.opts, *pairs])
    check_device(cfg)
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty; valid: a data set to look at")
    register_datasets(cfg)
    model = Trainer.build_model(cfg)
    if not isinstance(model, FocalStarRetinaNet):
        raise ConfigError(
            f"MODEL.META_ARCHITECTURE is {cfg.MODEL.META_ARCHITECTURE}, which has no loss of this "
            f"project; valid: {FocalStarRetinaNet.__name__}, CachedRetinaNet"
        )
    CompleteCheckpointer(model, trusted=cfg.MODEL.TRUSTED_WEIGHTS).load(options.weights)
    return loss_distribution(cfg, model, options.images)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.evaluation.loss_distribution",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config-file", required=True)
    parser.add_argument("--weights", required=True, help="the checkpoint, such as model_final.pth")
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--images", type=_count, default=0, help="the first so many images; all without it"
    )
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; valid: a whole number above 0")
    return int(text)


def _counted(values: Tensor) -> Tensor:
    counts = torch.zeros(NUM_BINS, dtype=torch.int64)
    for block in values.detach().reshape(-1).split(BLOCK):
        places = (block.float() - LOW) * (NUM_BINS / (HIGH - LOW))
        places = places.clamp(0, NUM_BINS - 1).nan_to_num(nan=0.0).long()
        counts += torch.bincount(places, minlength=NUM_BINS).cpu()
    return counts


if __name__ == "__main__":
    sys.exit(main())
