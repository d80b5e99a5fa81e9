"""Every setting of the coco study is built, and trains two iterations on real images, on the CPU.

What makes a cell take hours is taken away, and nothing else: one image a batch, a tenth of the
input scale, and random weights, that settings of one network share.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.utils.env import seed_all_rng
from torch import nn

from ablations.study.cell import Setting
from ablations.study.study import Study, load_study
from focal_star.config import CONFIGS, load_config
from focal_star.data.registration import register_datasets
from focal_star.training.trainer import Trainer

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_ccby"
SMALLER = 10
ITERATIONS = 2

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study("coco")


def settings_of(study: Study) -> list[Setting]:
    return list(dict.fromkeys(cell.setting for cell in study.cells()))


def config_of(study: Study, setting: Setting, folder: Path) -> CfgNode:
    """A cell's config, made small."""
    scale = setting.as_dict().get("scale", study.base["scale"])
    pairs = {
        **setting.config(),
        "INPUT.SHORT_EDGE": scale // SMALLER,
        "DATASETS.FOLDER": DATA,
        "DATASETS.CHECK": False,
        "DATALOADER.NUM_WORKERS": 0,
        "MODEL.DEVICE": "cpu",
        # No ImageNet here: without its weights, batches must be normalised by their own statistics.
        "MODEL.WEIGHTS": "",
        "MODEL.RESNETS.NORM": "BN",
        "SOLVER.IMS_PER_BATCH": 1,
        "SOLVER.MAX_ITER": ITERATIONS,
        "TEST.LOSS_PERIOD": 0,
        "OUTPUT_DIR": folder,
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


@pytest.mark.slow
def test_every_setting_trains(study, tmp_path):
    if not DATA.is_dir():
        pytest.skip("the data set coco_ccby is not beside this checkout")
    starts: dict[tuple, State] = {}
    first_losses = {}
    for setting in settings_of(study):
        if setting.pending:  # it is one of its tuning grid, which is trained here
            continue
        values = study.base | setting.as_dict()
        axes = ("detector", "depth", "num_scales", "num_aspect_ratios", "prior")
        network = tuple(values.get(axis) for axis in axes)
        losses, start = two_iterations(
            config_of(study, setting, tmp_path / setting.id), starts.get(network)
        )
        starts.setdefault(network, start)
        assert len(losses["loss_cls"]) == ITERATIONS, setting.id
        for name, of_loss in losses.items():
            assert all(map(math.isfinite, of_loss)), (setting.id, name)
        if "detector" not in values and "ohem" not in values:
            first_losses[setting] = losses["loss_cls"][0]
    # On one image and from the same weights, no two settings are the same training.
    assert len(set(first_losses.values())) == len(first_losses)
