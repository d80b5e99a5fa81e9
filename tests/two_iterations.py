"""Trains two iterations of every setting of a study, on the CPU, with all its data and its losses.

What makes a cell take hours is taken away, and nothing else: one image a batch, a tenth of the
input scale, and random weights, that settings of one network share.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from detectron2.config import CfgNode
from detectron2.utils.env import seed_all_rng
from torch import nn

from ablations.study.cell import Setting
from ablations.study.study import Study
from focal_star.config import CONFIGS, load_config
from focal_star.data.registration import register_datasets
from focal_star.training.trainer import Trainer

SMALLER = 10
ITERATIONS = 2
USUAL_EDGE = 600
"""The input scale of a study that takes it from its data, px."""

State = dict[str, torch.Tensor]


def train_every_setting(study: Study, folder: Path, data: Mapping[str, Any]) -> None:
    """Train every setting of a study that is known before another one is done.

    Args:
        study: the study.
        folder: for the output.
        data: config key -> value, for where the data are.
    """
    starts: dict[tuple, State] = {}
    first_losses = {}
    for setting in dict.fromkeys(cell.setting for cell in study.cells()):
        if setting.pending:  # it is one of its tuning grid, which is trained here
            continue
        values = study.base | setting.as_dict()
        axes = ("detector", "depth", "num_scales", "num_aspect_ratios", "prior")
        network = tuple(values.get(axis) for axis in axes)
        losses, start = two_iterations(
            config_of(study, setting, folder / setting.id, data), starts.get(network)
        )
        starts.setdefault(network, start)
        assert len(losses["loss_cls"]) == ITERATIONS, setting.id
        for name, of_loss in losses.items():
            assert all(map(math.isfinite, of_loss)), (setting.id, name)
        if "detector" not in values and "ohem" not in values:
            first_losses[setting] = losses["loss_cls"][0]
    # On one image and from the same weights, no two settings are the same training.
    assert len(set(first_losses.values())) == len(first_losses)


def config_of(study: Study, setting: Setting, folder: Path, data: Mapping[str, Any]) -> CfgNode:
    """A cell's config, made small."""
    scale = setting.as_dict().get("scale", study.base.get("scale", USUAL_EDGE))
    pairs = {
        **setting.config(),
        "INPUT.SHORT_EDGE": scale // SMALLER,
        "DATASETS.CHECK": False,
        "DATALOADER.NUM_WORKERS": 0,
        "MODEL.DEVICE": "cpu",
        # No ImageNet here: without its weights, batches must be normalised by their own statistics.
        "MODEL.WEIGHTS": "",
        "MODEL.RESNETS.NORM": "BN",
        "SOLVER.REFERENCE_WORLD_SIZE": 0,
        "SOLVER.SCHEDULE": 1.0,
        "SOLVER.IMS_PER_BATCH": 1,
        "SOLVER.MAX_ITER": ITERATIONS,
        "TEST.LOSS_PERIOD": 0,
        "OUTPUT_DIR": folder,
        **data,
    }
    overrides = [str(part) for pair in pairs.items() for part in pair]
    cfg = load_config(CONFIGS / study.config, overrides)
    register_datasets(cfg)
    cfg.DATASETS.TEST = ()
    return cfg


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Build networks whose weights are set afterwards."""
    kept = [
        patch.object(kind, "reset_parameters", lambda _: None) for kind in (nn.Conv2d, nn.Linear)
    ]
    fills = [
        patch(f"fvcore.nn.weight_init.{name}", lambda _: None)
        for name in ("c2_msra_fill", "c2_xavier_fill")
    ]
    for patched in (*kept, *fills):
        patched.start()
    try:
        yield
    finally:
        for patched in (*kept, *fills):
            patched.stop()


def two_iterations(cfg: CfgNode, start: State | None) -> tuple[dict[str, list[float]], State]:
    """Train from these weights, or from random ones; every loss, and the weights at the start."""

    class SmallTrainer(Trainer):
        @classmethod
        def build_model(cls, cfg: CfgNode) -> nn.Module:
            if start is None:
                return super().build_model(cfg)
            with without_initialisation():
                model = super().build_model(cfg)
            model.load_state_dict(start)
            return model

        def build_writers(self) -> list:
            return []

    seed_all_rng(0)
    trainer = SmallTrainer(cfg)
    before = start or {name: value.clone() for name, value in trainer.model.state_dict().items()}
    seed_all_rng(1)
    trainer.train()
    losses = {
        name: [value for value, _ in history.values()]
        for name, history in trainer.storage.histories().items()
        if "loss" in name
    }
    classifier = next(name for name in before if name.endswith("cls_score.weight"))
    assert not torch.equal(trainer.model.state_dict()[classifier], before[classifier])
    return losses, before
