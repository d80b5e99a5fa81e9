"""What a training logs and records of its loss."""

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

from focal_star.identity.loss_code import hashes
from focal_star.identity.running_loss import LossCodeError
from focal_star.losses import LOSSES
from focal_star.losses.fused import FUSED
from focal_star.training import engine
from focal_star.training.loss_proof import P_T, log_loss_proof, loss_curve


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
    assert (proof["name"], proof["code"], proof["fused"]) == (loss, "ab" * 32, fused)
    special = {"focal_star": {"weight_cap": None}, "focal_appendix": {"beta": 0.0}}
    assert proof["options"] == {"alpha": 0.25, "gamma": 2.0, **special.get(loss, {})}
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
    assert message.startswith(f"Loss {loss} (alpha 0.25, gamma 2.0")
    assert (
        f"), code abababababab, {'kernel eager, fused' if fused else 'as it is written'}. At p_t"
        in message
    )
    assert f"{proof['positive'][0]:.5g}" in message


def test_options_of_one_loss_show_in_its_values(tiny_cfg):
    """By hand at p_t = 0.1: 9^2 is capped at 5; the appendix has softplus(2 log 9 - 1) / 2."""
    tiny_cfg.MODEL.RETINANET.FOCAL_LOSS_ALPHA = None
    tiny_cfg.MODEL.RETINANET.FOCAL_LOSS_GAMMA = 2.0
    tiny_cfg.MODEL.FOCAL_STAR.WEIGHT_CAP, tiny_cfg.MODEL.FOCAL_STAR.BETA = 5.0, 1.0
    expected = {
        "focal_star": 5 * math.log(10),
        "focal_appendix": math.log1p(math.exp(2 * math.log(9) - 1)) / 2,
    }
    for loss, value in expected.items():
        tiny_cfg.MODEL.FOCAL_STAR.LOSS = loss
        proof = log_loss_proof(build_model(tiny_cfg), "")
        for label in ("positive", "negative"):
            assert proof[label][0] == pytest.approx(value, rel=1e-5)


def test_the_values_are_those_of_the_method_that_trains(tiny_cfg, monkeypatch):
    """A subclass whose ``loss_cls`` is twice the configured loss is found out."""
    model = build_model(tiny_cfg)
    honest = log_loss_proof(model, "")
    loss_cls = model.loss_cls
    monkeypatch.setattr(model, "loss_cls", lambda *arguments: 2 * loss_cls(*arguments))
    doubled = log_loss_proof(model, "")
    assert doubled["positive"] == pytest.approx([2 * value for value in honest["positive"]])
    assert doubled["negative"] == pytest.approx([2 * value for value in honest["negative"]])


def test_values_that_are_not_finite_can_be_recorded(tiny_cfg, caplog):
    model = build_model(tiny_cfg)
    model.fused_loss = lambda logits, labels, scale: logits.sum() * math.nan
    with caplog.at_level(logging.INFO):
        proof = log_loss_proof(model, "")
    json.dumps(proof, allow_nan=False)
    assert proof["positive"] == [None] * len(P_T)
    assert "it is nan, nan, nan for a positive" in caplog.text


@pytest.mark.parametrize("alpha", [None, 0.1])
def test_the_curve_is_that_of_the_loss_without_alpha(alpha):
    """By hand at s = log 3, where p_t = 3/4: FL is -(1/4)^2 log(3/4) at gamma = 2."""
    curve = loss_curve("focal", {"alpha": alpha, "gamma": 2.0})
    s = np.linspace(curve["low"], curve["high"], len(curve["positive"]))
    assert curve["positive"] == curve["negative"]
    value = np.interp(math.log(3), s, curve["positive"])
    assert value == pytest.approx(-(0.25**2) * math.log(0.75), rel=1e-2)
    assert curve["positive"][0] == pytest.approx(20.0, rel=1e-3)


def test_the_curve_of_a_loss_that_differs_between_the_labels_or_is_not_finite(monkeypatch):
    def loss(logits, targets, *, alpha, gamma, reduction="none"):
        weights = torch.where(targets, alpha, 3 * (1 - alpha))
        return (weights * torch.where(logits.abs() > 19.95, math.nan, 1.0)).sum()

    monkeypatch.setitem(LOSSES, "mine", loss)
    curve = loss_curve("mine", {"alpha": 0.25, "gamma": 1.0})
    json.dumps(curve, allow_nan=False)
    for label, weight in (("positive", 1.0), ("negative", 3.0)):
        assert curve[label] == [None, *[weight] * 399, None]


def test_a_curve_neither_ends_nor_changes_a_training(tiny_cfg, monkeypatch, caplog):
    model = build_model(tiny_cfg)
    state = torch.get_rng_state()
    for loss, is_there in ((lambda x, y, **_: torch.rand(()), True), (lambda x, y: x, False)):
        monkeypatch.setitem(LOSSES, model.loss_name, loss)
        assert (log_loss_proof(model, "")["curve"] is not None) == is_there
    assert torch.equal(torch.get_rng_state(), state)
    assert "The report has no curve of loss" in caplog.text


def test_the_summary_is_the_first_paragraph_of_the_docstring(tiny_cfg, monkeypatch):
    model = build_model(tiny_cfg)
    for docstring, summary in (
        ("One\n    sentence.\n\n    Another.", "One sentence."),
        ("", ""),
        (None, ""),
        ("word " * 100, "word " * 79 + "..."),
    ):
        monkeypatch.setattr(LOSSES[model.loss_name], "__doc__", docstring)
        assert log_loss_proof(model, "")["summary"] == summary


def test_a_training_records_it(tiny_cfg, caplog):
    engine.prepare_data_and_weights(tiny_cfg)
    with caplog.at_level(logging.INFO):
        made = engine.train(tiny_cfg)
    name = tiny_cfg.MODEL.FOCAL_STAR.LOSS
    assert made["result"]["loss"]["name"] == name
    assert made["result"]["loss"]["code"] == hashes()[name]
    assert sum(text.startswith(f"Loss {name} (alpha ") for text in caplog.messages) == 1


def test_a_training_whose_loss_is_not_that_of_its_file_does_not_start(tiny_cfg, monkeypatch):
    engine.prepare_data_and_weights(tiny_cfg)
    name = tiny_cfg.MODEL.FOCAL_STAR.LOSS
    monkeypatch.setattr(LOSSES[name], "__code__", LOSSES["ce"].__code__.replace(co_name="other"))
    with pytest.raises(LossCodeError, match="start it again"):
        engine.train(tiny_cfg)
    assert not list(Path(tiny_cfg.OUTPUT_DIR).glob("*.pth"))
