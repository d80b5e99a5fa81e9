"""What a training logs and records of its loss."""

import json
import logging
import math
from pathlib import Path

import pytest
from detectron2.modeling import build_model

from focal_star.identity.loss_code import hashes
from focal_star.identity.running_loss import LossCodeError
from focal_star.losses import LOSSES
from focal_star.losses.fused import FUSED
from focal_star.training import engine
from focal_star.training.loss_proof import P_T, log_loss_proof


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_values_are_those_of_the_formula(tiny_cfg, caplog, loss, fused, monkeypatch):
    """By hand: at p_t = 0.5 and gamma = 2, FL is alpha_t / 4 log 2 and FL* alpha_t log 2."""
    if not fused:
        monkeypatch.delitem(FUSED, loss)
    tiny_cfg.MODEL.FOCAL_STAR.LOSS = loss
    tiny_cfg.MODEL.RETINANET.FOCAL_LOSS_ALPHA, tiny_cfg.MODEL.RETINANET.FOCAL_LOSS_GAMMA = 0.25, 2.0
    with caplog.at_level(logging.INFO):
        proof = log_loss_proof(build_model(tiny_cfg), "ab" * 32)
    assert (proof["code"], proof["fused"]) == ("ab" * 32, fused)
    weights = {
        "ce": lambda p: -math.log(p),
        "focal": lambda p: -((1 - p) ** 2) * math.log(p),
        "focal_star": lambda p: -(((1 - p) / p) ** 2) * math.log(p),
        "focal_appendix": lambda p: math.log1p(((1 - p) / p) ** 2) / 2,
    }
    expected = [weights[loss](p) for p in P_T]
    assert proof["positive"] == pytest.approx([0.25 * value for value in expected], rel=1e-5)
    assert proof["negative"] == pytest.approx([0.75 * value for value in expected], rel=1e-5)
    (message,) = (text for text in caplog.messages if text.startswith("Loss "))
    assert message.startswith(f"Loss {loss}, code abababababab, ")
    assert f"{proof['positive'][0]:.5g}" in message


def test_values_that_are_not_finite_can_be_recorded(tiny_cfg, caplog):
    model = build_model(tiny_cfg)
    model.fused_loss = lambda logits, labels: logits.sum() + math.inf
    with caplog.at_level(logging.INFO):
        proof = log_loss_proof(model, "")
    json.dumps(proof, allow_nan=False)
    assert proof["positive"] == [None] * len(P_T)
    assert "it is inf, inf, inf for a positive" in caplog.text


def test_a_training_records_it(tiny_cfg, caplog):
    engine.prepare_data_and_weights(tiny_cfg)
    with caplog.at_level(logging.INFO):
        made = engine.train(tiny_cfg)
    name = tiny_cfg.MODEL.FOCAL_STAR.LOSS
    assert made["result"]["loss"]["code"] == hashes()[name]
    assert sum(text.startswith(f"Loss {name}, code ") for text in caplog.messages) == 1


def test_a_training_whose_loss_is_not_that_of_its_file_does_not_start(tiny_cfg, monkeypatch):
    engine.prepare_data_and_weights(tiny_cfg)
    name = tiny_cfg.MODEL.FOCAL_STAR.LOSS
    monkeypatch.setattr(LOSSES[name], "__code__", LOSSES["ce"].__code__.replace(co_name="other"))
    with pytest.raises(LossCodeError, match="start it again"):
        engine.train(tiny_cfg)
    assert not list(Path(tiny_cfg.OUTPUT_DIR).glob("*.pth"))
