#!/usr/bin/env python
"""Train or evaluate a config of this project, with the flags of Detectron2's own train_net.py.

python projects/focal_star/train_net.py --config-file CONFIG [--resume] [--eval-only]
    [--num-gpus N] [KEY VALUE ...]
"""

import argparse
import sys
from pathlib import Path

import torch
from detectron2.engine import default_argument_parser, default_setup, launch
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from focal_star import engine
from focal_star.config import ConfigError, load_config
from focal_star.data.checks import DatasetError

DIVERGED = 3
"""Exit code where the loss became NaN or infinite."""


def main(args: argparse.Namespace) -> None:
    """Run one process. It exits with 2 for a config or data that cannot be used."""
    try:
        cfg = load_config(args.config_file, args.opts)
        if str(cfg.MODEL.DEVICE).startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError("MODEL.DEVICE is cuda, and there is no GPU; add: MODEL.DEVICE cpu")
        if args.eval_only and not cfg.MODEL.WEIGHTS:
            raise ConfigError("--eval-only needs a checkpoint; add: MODEL.WEIGHTS model_final.pth")
        setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="focal_star")
        engine.prepare(cfg)
    except (ConfigError, DatasetError) as error:
        print(f"train_net.py: error: {error}", file=sys.stderr)
        sys.exit(2)
    cfg.freeze()
    default_setup(cfg, args)
    if args.eval_only:
        engine.evaluate(cfg)
    elif engine.train(cfg, resume=args.resume)["status"] == "diverged":
        sys.exit(DIVERGED)


if __name__ == "__main__":
    arguments = default_argument_parser(
        f"Configs: {Path(__file__).parent / 'configs'}"
    ).parse_args()
    launch(
        main,
        arguments.num_gpus,
        num_machines=arguments.num_machines,
        machine_rank=arguments.machine_rank,
        dist_url=arguments.dist_url,
        args=(arguments,),
    )
