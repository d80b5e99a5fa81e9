"""Training in mixed precision, on the CPU: in bfloat16, and in float16 with a scaled loss."""

import math
from pathlib import Path

import pytest
import torch
from detectron2.utils.events import EventStorage

from focal_star.modeling.retinanet import FocalStarRetinaNet
from focal_star.training import engine, mixed_precision, trainer
from focal_star.training.mixed_precision import MixedPrecisionLoop
from focal_star.training.resume import find_start


@pytest.fixture
def cfg(tiny_cfg):
    """Two iterations, prepared, in mixed precision."""
    tiny_cfg.merge_from_list(
        ["SOLVER.AMP.ENABLED", True, "SOLVER.MAX_ITER", 2, "TEST.LOSS_PERIOD", 0, "SEED", 1]
    )
    engine.prepare_data_and_weights(tiny_cfg)
    Path(tiny_cfg.OUTPUT_DIR).mkdir()
    tiny_cfg.DATASETS.TEST = ()
    return tiny_cfg


def in_float16(monkeypatch, init_scale: float) -> None:
    """As on a GPU."""

    monkeypatch.setitem(mixed_precision.NARROW_TYPES, "cpu", torch.float16)

    def loop(of, device):
        return MixedPrecisionLoop(of, device, torch.float16, init_scale=init_scale)

    monkeypatch.setattr(trainer, "MixedPrecisionLoop", loop)


def weights(of: trainer.Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in of.model.parameters() if p.requires_grad])


def stepped(cfg, steps: int = 1) -> tuple[torch.Tensor, trainer.Trainer]:
    """By how much the weights move in a few iterations."""
    torch.manual_seed(0)
    of = trainer.Trainer(cfg)
    of.load()
    before = weights(of)
    with EventStorage() as of.storage:
        for of.iter in range(steps):
            of.run_step()
    return weights(of) - before, of


def test_it_trains_and_the_losses_are_wide(cfg, monkeypatch):
    seen = []
    real = FocalStarRetinaNet.losses

    def spy(self, anchors, pred_logits, gt_labels, pred_anchor_deltas, gt_boxes):
        found = real(self, anchors, pred_logits, gt_labels, pred_anchor_deltas, gt_boxes)
        seen.append([x.dtype for x in (pred_logits[0], pred_anchor_deltas[0], *found.values())])
        return found

    monkeypatch.setattr(FocalStarRetinaNet, "losses", spy)
    made = engine.train(cfg)
    assert made["status"] == "done" and math.isfinite(made["result"]["first_loss"]["measured"])
    narrow, wide = torch.bfloat16, torch.float32
    assert seen == [[narrow, narrow, wide, wide]] * 2


def test_gone_on_with_it_ends_as_if_never_broken_off(cfg, monkeypatch):
    cfg.SOLVER.CHECKPOINT_PERIOD = 1
    in_float16(monkeypatch, 2.0**10)
    whole = engine.train(cfg)
    cfg.OUTPUT_DIR += "_broken_off"

    class Stop(Exception):
        pass

    def stop(self):
        if self.trainer.iter == 1:
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(engine.DivergenceGuard, "before_step", stop)
        engine.train(cfg)
    gone_on = engine.train(cfg, find_start(cfg, resume=True))
    assert gone_on["run"]["resumed_at"] == [1]
    assert gone_on["result"]["weights_sha256"] == whole["result"]["weights_sha256"]


@pytest.mark.parametrize(
    ("optimizer", "state", "share"), [("AdamW", "exp_avg", 0.1), ("SGD", "momentum_buffer", 1.0)]
)
def test_the_gradient_is_clipped_as_it_is_without_a_scale(
    cfg, monkeypatch, optimizer, state, share
):
    """What the optimizer keeps of its first gradient tells how large it was."""
    cfg.merge_from_list(["SOLVER.OPTIMIZER", optimizer, "SOLVER.WEIGHT_DECAY", 0.0])
    cfg.merge_from_list(["SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 0.5])
    in_float16(monkeypatch, 2.0**12)
    moved, of = stepped(cfg)
    assert moved.norm() > 0
    kept = [of.optimizer.state[p][state] for p in of.model.parameters() if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([x.norm() for x in kept]))
    assert norm == pytest.approx(share * 0.5, rel=1e-3)


def test_a_step_that_left_the_range_is_left_out_and_is_no_divergence(cfg, monkeypatch):
    in_float16(monkeypatch, 2.0**40)
    made = engine.train(cfg)
    assert made["status"] == "done"
    moved, of = stepped(cfg, steps=2)
    assert (moved == 0).all()
    assert of._trainer.grad_scaler.get_scale() == 2.0**38, "halved each time"


def test_a_loss_that_is_not_finite_is_one(cfg, monkeypatch):
    in_float16(monkeypatch, 2.0**10)
    real = FocalStarRetinaNet.losses
    monkeypatch.setattr(
        FocalStarRetinaNet,
        "losses",
        lambda self, *given: {name: x * math.inf for name, x in real(self, *given).items()},
    )
    made = engine.train(cfg)
    assert made["status"] == "diverged" and "loss_cls is" in made["error"]


def test_without_the_key_it_is_full_precision(cfg):
    cfg.SOLVER.AMP.ENABLED = False
    of = trainer.Trainer(cfg)
    assert not isinstance(of._trainer, MixedPrecisionLoop)
