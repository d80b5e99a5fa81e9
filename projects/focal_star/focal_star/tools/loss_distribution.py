"""``python -m focal_star.tools.loss_distribution``: the loss of a checkpoint over the anchors.

It writes :mod:`focal_star.evaluation.loss_distribution` of a checkpoint to a JSON file, and prints
the share of the loss that the hardest entries carry::

    python -m focal_star.tools.loss_distribution --config-file CONFIG \\
        --weights model_final.pth --json loss_distribution.json [--images N] KEY VALUE ...
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from focal_star.config import check_device, load_config
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.registration import register_datasets
from focal_star.errors import ConfigError
from focal_star.evaluation.loss_distribution import KINDS, hardest_share, loss_distribution
from focal_star.io.writing import write_whole
from focal_star.modeling.retinanet import FocalStarRetinaNet
from focal_star.training.engine import load_model

GAMMAS = {"ce": (0.0,), "focal": (0.5, 1.0, 2.0, 5.0), "focal_star": (0.125, 0.25, 0.5, 1.0, 2.0)}
"""Rows of the printed table."""
SHARES = (0.2, 0.01)
"""Columns of the printed table: shares of the entries, the hardest first."""


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
    overrides = [*options.opts, "MODEL.WEIGHTS", options.weights]
    cfg = load_config(options.config_file, overrides)
    check_device(cfg)
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty; valid: a data set to measure on")
    register_datasets(cfg)
    model = load_model(cfg, trusted=cfg.MODEL.TRUSTED_WEIGHTS)
    if not isinstance(model, FocalStarRetinaNet):
        raise ConfigError(
            f"MODEL.META_ARCHITECTURE is {cfg.MODEL.META_ARCHITECTURE}, which has no loss of this "
            f"project; valid: {FocalStarRetinaNet.__name__}, CachedRetinaNet"
        )
    return loss_distribution(cfg, model, options.images)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.tools.loss_distribution",
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


if __name__ == "__main__":
    sys.exit(main())
