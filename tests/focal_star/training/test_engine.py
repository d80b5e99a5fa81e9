"""Training, evaluating and what they leave behind."""

import json
import math
from pathlib import Path

import pytest
import torch

from focal_star.evaluation.metric_names import AP_METRICS
from focal_star.mini.pretraining import pretrained_weights
from focal_star.training import engine
from focal_star.training.outcome import RESULT_FILE, curves
from focal_star.training.resume import find_start


def outcome(cfg, seed: int = 1, folder: str = "train", **solver) -> dict:
    cfg = cfg.clone()
    cfg.SEED = seed
    cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR).parent / folder)
    Path(cfg.OUTPUT_DIR).mkdir(parents=True)
    for key, value in solver.items():
        setattr(cfg.SOLVER, key, value)
    engine.prepare_data_and_weights(cfg)
    return engine.train(cfg)


def test_a_seed_repeats_itself_to_the_bit_and_another_does_not(tiny_cfg):
    first, again = outcome(tiny_cfg), outcome(tiny_cfg, folder="again")
    other = outcome(tiny_cfg, seed=2, folder="other")
    assert json.dumps(first["result"]) == json.dumps(again["result"])
    assert first["result"]["weights_sha256"] != other["result"]["weights_sha256"]
    assert first["result"]["curves"] != other["result"]["curves"]


def test_what_a_training_leaves(tiny_cfg):
    made = outcome(tiny_cfg)
    folder = Path(tiny_cfg.OUTPUT_DIR)
    assert json.loads((folder / RESULT_FILE).read_text()) == made
    assert (folder / "model_final.pth").is_file()
    assert made["status"] == "done" and made["error"] == ""
    result = made["result"]
    assert set(result["metrics"]) == set(AP_METRICS)
    assert set(result["per_class_AP"]) == {str(digit) for digit in range(10)}
    assert result["iterations"] == 6
    assert result["curves"]["iteration"][-1] == 5
    assert len(result["curves"]["loss_cls"]) == len(result["curves"]["iteration"])
    first = result["first_loss"]
    assert first["predicted"] == pytest.approx(first["measured"], rel=0.5)
    assert made["run"]["environment"]["torch"] == torch.__version__.split("+")[0]
    assert 0 < made["run"]["train_seconds"] < made["run"]["wall_seconds"]


def test_results_other_than_expected_are_an_error_after_all_is_written(tiny_cfg):
    tiny_cfg.TEST.EXPECTED_RESULTS = [["bbox", "AP", 200.0, 1.0]]
    with pytest.raises(SystemExit) as ended:
        outcome(tiny_cfg)
    assert ended.value.code == 1
    folder = Path(tiny_cfg.OUTPUT_DIR)
    assert json.loads((folder / RESULT_FILE).read_text())["status"] == "done"
    tiny_cfg.MODEL.WEIGHTS = str(folder / "model_final.pth")
    engine.prepare_data_and_weights(tiny_cfg)
    with pytest.raises(SystemExit):
        engine.evaluate(tiny_cfg)


def test_a_checkpoint_evaluates_to_the_ap_of_its_training(tiny_cfg):
    made = outcome(tiny_cfg)
    cfg = tiny_cfg.clone()
    cfg.MODEL.WEIGHTS = str(Path(cfg.OUTPUT_DIR) / "model_final.pth")
    engine.prepare_data_and_weights(cfg)
    found = engine.evaluate(cfg)["bbox"]
    for name, value in made["result"]["metrics"].items():
        assert found[name] == value or (value is None and math.isnan(found[name]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_training_as_diverged(tiny_cfg, monkeypatch, bad):
    losses = engine.Trainer.build_model.__func__

    def build_model(cls, cfg):
        model = losses(cls, cfg)
        calls, loss = [], model.classification_loss

        def classification_loss(logits, targets):
            calls.append(1)
            return loss(logits, targets) * (bad if len(calls) == 13 else 1)

        # The proof of the loss asks 9 times and the prediction of the first loss twice, so that
        # the thirteenth call is iteration 1.
        model.classification_loss, model.fused_loss = classification_loss, None
        return model

    monkeypatch.setattr(engine.Trainer, "build_model", classmethod(build_model))
    made = outcome(tiny_cfg)
    assert made["status"] == "diverged"
    assert "infinite or NaN" in made["error"]
    assert made["result"]["error_iteration"] == 1
    assert made["result"]["metrics"]["AP"] == 0.0
    json.dumps(made, allow_nan=False)


def test_a_training_that_diverged_is_replayed_from_its_last_checkpoint(tiny_cfg, caplog):
    tiny_cfg.SOLVER.BASE_LR = 1e30
    tiny_cfg.SOLVER.WARMUP_ITERS = 0
    made = outcome(tiny_cfg, CHECKPOINT_PERIOD=1)
    assert made["result"]["error_iteration"] == 1
    engine.prepare_data_and_weights(tiny_cfg)
    with caplog.at_level("INFO"):
        again = engine.train(tiny_cfg, find_start(tiny_cfg, resume=True))
    assert again["result"] == made["result"]
    assert again["run"]["resumed_at"] == [1] and "model_0000000.pth" in caplog.text


def test_a_training_that_is_done_is_not_gone_on_with(tiny_cfg, monkeypatch):
    made = outcome(tiny_cfg)
    engine.prepare_data_and_weights(tiny_cfg)
    monkeypatch.setattr(engine, "Trainer", None)  # not made
    assert engine.train(tiny_cfg, find_start(tiny_cfg, resume=True)) == made
    assert made["run"]["resumed_at"] == []


def test_curves_are_those_of_the_losses(tmp_path):
    path = tmp_path / "metrics.json"
    lines = [{"iteration": i, "total_loss": v, "loss_cls": v - 1} for i, v in ((19, 3.0), (39, 2))]
    path.write_text("\n".join(map(json.dumps, [*lines, {"bbox/AP": 1.0, "iteration": 40}])))
    found = curves(path)
    assert found["iteration"] == [19, 39]
    assert found["total_loss"] == [3.0, 2.0] and found["loss_cls"] == [2.0, 1.0]
    assert found["loss_box_reg"] == [None, None]
    assert curves(tmp_path / "none.json")["iteration"] == []


def test_pretraining_is_made_once_and_starts_the_backbone(tiny_cfg):
    tiny_cfg.PRETRAINING.ENABLED = True
    tiny_cfg.PRETRAINING.MAX_ITER = 3
    tiny_cfg.PRETRAINING.IMS_PER_BATCH = 8
    cfg = tiny_cfg.clone()
    prepared = engine.prepare_data_and_weights(cfg)
    path = Path(prepared["weights"]["path"])
    assert str(path) == cfg.MODEL.WEIGHTS and 0 <= prepared["weights"]["accuracy"] <= 100
    made = path.stat().st_mtime_ns
    assert engine.prepare_data_and_weights(tiny_cfg.clone())["weights"] == prepared["weights"]
    assert path.stat().st_mtime_ns == made
    Path(cfg.OUTPUT_DIR).mkdir()
    trainer = engine.Trainer(cfg)
    trainer.resume_or_load(resume=False)
    saved = torch.load(path, weights_only=True)["model"]
    found = trainer.model.state_dict()
    for name in ("backbone.bottom_up.stem.conv1.weight", "backbone.bottom_up.res5.1.conv2.weight"):
        assert torch.equal(found[name], saved[name])


def test_other_data_or_options_are_pretrained_anew(tiny_cfg, monkeypatch):
    monkeypatch.setattr(
        "focal_star.mini.pretraining._train", lambda cfg: (torch.nn.Identity(), 50.0)
    )
    paths = {pretrained_weights(tiny_cfg, "a"), pretrained_weights(tiny_cfg, "b")}
    tiny_cfg.PRETRAINING.SEED = 7
    paths.add(pretrained_weights(tiny_cfg, "a"))
    assert len(paths) == 3
