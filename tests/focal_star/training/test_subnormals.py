"""On a CPU, training runs and evaluations compute with 0 in place of subnormal floats."""

import pytest
import torch

from focal_star.training import engine
from focal_star.training.subnormals import flush_subnormals


def has_subnormals() -> bool:
    return bool((torch.full((64,), 1e-38) * 0.01).any())


@pytest.mark.parametrize(("device", "kept"), [("cpu", False), ("cuda", True)])
def test_they_are_flushed_on_a_cpu_only(tiny_cfg, device, kept):
    assert has_subnormals()
    tiny_cfg.MODEL.DEVICE = device
    flush_subnormals(tiny_cfg)
    assert has_subnormals() == kept


def test_preparing_flushes_them(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    assert not has_subnormals()


def test_training_and_evaluation_flush_them(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    torch.set_flush_denormal(False)
    engine.train(tiny_cfg)
    assert not has_subnormals()
    torch.set_flush_denormal(False)
    tiny_cfg.MODEL.WEIGHTS = f"{tiny_cfg.OUTPUT_DIR}/model_final.pth"
    engine.evaluate(tiny_cfg)
    assert not has_subnormals()
