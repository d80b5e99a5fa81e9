"""One training as Detectron2's own ``tools/train_net.py`` does it: a cell of the plain loop.

``DefaultTrainer``, ``RetinaNet`` with fvcore's focal loss, Detectron2's data loader and optimizer,
``COCOEvaluator`` with pycocotools. It uses only the narrow ResNet's builder of this project, as
Detectron2's own has no ResNet-18 but one of 64 channels: the two sides are to train one model.
"""

import argparse
import os
from pathlib import Path

from detectron2.config import CfgNode, get_cfg
from detectron2.data.datasets import register_coco_instances
from detectron2.engine import DefaultTrainer, default_argument_parser, default_setup
from detectron2.evaluation import COCOEvaluator

import focal_star.mini.backbone  # noqa: F401  registers the narrow ResNet

DATASET = "cells"


class Trainer(DefaultTrainer):
    """As in ``tools/train_net.py``."""

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> COCOEvaluator:
        folder = os.path.join(cfg.OUTPUT_DIR, "inference")
        return COCOEvaluator(dataset_name, output_dir=folder, use_fast_impl=False)


def main(args: argparse.Namespace) -> None:
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    for split in ("train", "val"):
        annotations = args.data / f"instances_{split}.json"
        register_coco_instances(
            f"{DATASET}_{split}", {}, str(annotations), str(args.data / "images")
        )
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (f"{DATASET}_train",), (f"{DATASET}_val",)
    cfg.freeze()
    default_setup(cfg, args)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()


if __name__ == "__main__":
    parser = default_argument_parser()
    parser.add_argument("--data", type=Path, required=True, help="a folder in COCO's format")
    main(parser.parse_args())
