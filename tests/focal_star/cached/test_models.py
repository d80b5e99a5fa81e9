"""The detectors that train in less time compute what those of the core compute."""

from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage
from torch import nn
from torch.nn import functional as F

from focal_star import extensions
from focal_star.cached import models
from focal_star.cached.inputs import FEATURES, CachedFeatures, LabelledInstances
from focal_star.cached.models import CachedGeneralizedRCNN, CachedRetinaNet
from focal_star.config import load_config
from focal_star.losses import LOSSES, fused
from focal_star.mini.backbone import SplitResNet
from focal_star.mini.feature_cache import CachedFeatureMapper
from focal_star.mini.trainer import MiniTrainer
from focal_star.training import engine
from focal_star.training.trainer import Trainer
from tests.focal_star.conftest import MINI
from tests.focal_star.modeling.test_retinanet import build, steps


@pytest.fixture
def levels_of_losses(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The logits of each fused loss that is computed."""
    calls, fused_loss = [], fused.fused_loss

    def spy(name, logits, *args, **kwargs):
        if logits.dim() == 3:  # not the trial of it
            calls.append(logits)
        return fused_loss(name, logits, *args, **kwargs)

    monkeypatch.setattr(fused, "fused_loss", spy)
    return calls


@pytest.mark.parametrize("loss", LOSSES)
def test_its_losses_are_those_of_the_core(tiny_cfg, levels_of_losses, loss):
    core, gradients_of_core = steps(build(tiny_cfg, loss))
    assert len(levels_of_losses) == 2 * 5
    levels_of_losses.clear()
    cached, gradients = steps(build(tiny_cfg, loss, "CachedRetinaNet"))
    assert len(levels_of_losses) == 2, "one loss of all levels a step"
    for mine, expected in zip(cached, core, strict=True):
        assert mine == pytest.approx(expected, rel=1e-5)
    for name, gradient in gradients_of_core.items():
        close = 1e-5 * gradient.abs().max().item() + 1e-9
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=close)


def test_of_many_entries_each_level_has_a_loss_of_its_own(tiny_cfg, monkeypatch, levels_of_losses):
    monkeypatch.setattr(models, "MAX_JOINED_LOGITS", 0)
    steps(build(tiny_cfg, "focal_star", "CachedRetinaNet"))
    assert len(levels_of_losses) == 2 * 5


def test_a_training_step_takes_every_short_cut(tiny_cfg, monkeypatch):
    """Stored features, labels that are known, and the first convolutions of both subnets as one."""
    engine.prepare_data_and_weights(tiny_cfg)
    trainer = made(tiny_cfg)
    model, batch = trainer.model, next(iter(trainer.data_loader))
    assert type(model) is CachedRetinaNet and isinstance(
        trainer.data_loader.mapper, CachedFeatureMapper
    )
    assert all(FEATURES in image for image in batch)
    assert all(isinstance(image["instances"], LabelledInstances) for image in batch)
    seen, convolve = [], F.conv2d
    monkeypatch.setattr(
        F, "conv2d", lambda x, weight, *args, **kwargs: (
            seen.append(weight.shape[0]) or convolve(x, weight, *args, **kwargs)
        )
    )  # fmt: skip
    for part in (model.backbone.bottom_up.stem, model.head.cls_subnet[0]):
        part.register_forward_hook(lambda *_: pytest.fail("ran"))
    monkeypatch.setattr(
        type(model.anchor_matcher), "__call__", lambda *_: pytest.fail("anchors were matched")
    )
    with EventStorage():
        losses = model(batch)
    assert all(loss.isfinite() for loss in losses.values())
    channels = model.head.cls_subnet[0].out_channels
    assert 2 * channels in seen


def made(cfg: CfgNode) -> MiniTrainer:
    cfg.SEED = 1
    torch.manual_seed(cfg.SEED)
    Path(cfg.OUTPUT_DIR).mkdir(parents=True, exist_ok=True)
    trainer = extensions.trainer_class(cfg, Trainer)(cfg)
    assert type(trainer) is MiniTrainer
    trainer.load()
    return trainer


def test_stored_features_leave_nothing_in_the_model(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    trainer = made(tiny_cfg)
    model, batch = trainer.model, next(iter(trainer.data_loader))
    before = state(model)
    model.preprocess_image(batch)
    with EventStorage():
        model(batch)
    changed = {key for key, value in state(model).items() if before.get(key) is not value}
    assert changed <= {"loss_normalizer", "fused_loss", "anchor_generator._made"} | {
        key for key in changed if key.endswith("_affine")
    }


def state(model: nn.Module) -> dict[str, object]:
    """The attributes of all modules by name."""
    return {
        f"{name}.{key}".lstrip("."): value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
    }


def test_a_batch_of_stored_features_has_the_sizes_of_its_images(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    trainer = made(tiny_cfg)
    images = trainer.model.preprocess_image(next(iter(trainer.data_loader)))
    assert isinstance(images.tensor, CachedFeatures)
    assert images.image_sizes == [(128, 128)] * 4


@pytest.mark.parametrize(
    ("detector", "model", "backbone"),
    [
        ("retinanet", CachedRetinaNet, "p7"),
        ("faster_rcnn", CachedGeneralizedRCNN, "p6"),
    ],
)
def test_detectron2_builds_what_the_study_s_config_names(detector, model, backbone):
    built = build_model(load_config(MINI, ["MODEL.DETECTOR", detector]))
    assert type(built) is model
    assert type(built.backbone.bottom_up) is SplitResNet
    assert list(built.backbone.output_shape())[-1] == backbone
