"""Training, evaluating and what they leave behind."""

import json
import math
from pathlib import Path

import pytest
import torch

from focal_star import engine
from focal_star.pretraining import pretrained_weights


def outcome(cfg, seed: int = 1, folder: str = "train", **solver) -> dict:
    cfg = cfg.clone()
    cfg.SEED = seed
    cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR).parent / folder)
    Path(cfg.OUTPUT_DIR).mkdir(parents=True)
    for key, value in solver.items():
        setattr(cfg.SOLVER, key, value)
    engine.prepare(cfg)
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
    assert json.loads((folder / engine.RESULT_FILE).read_text()) == made
    assert (folder / "model_final.pth").is_file()
    assert made["status"] == "done" and made["error"] == ""
    result = made["result"]
    assert set(result["metrics"]) == set(engine.METRICS)
    assert set(result["per_class_AP"]) == {str(digit) for digit in range(10)}
    assert result["iterations"] == 6
    assert result["curves"]["iteration"][-1] == 5
    assert len(result["curves"]["loss_cls"]) == len(result["curves"]["iteration"])
    first = result["first_loss"]
    assert first["predicted"] == pytest.approx(first["measured"], rel=0.5)
    assert made["run"]["environment"]["torch"] == torch.__version__.split("+")[0]
    assert 0 < made["run"]["train_seconds"] < made["run"]["wall_seconds"]


def test_a_checkpoint_evaluates_to_the_ap_of_its_training(tiny_cfg):
    made = outcome(tiny_cfg)
    cfg = tiny_cfg.clone()
    cfg.MODEL.WEIGHTS = str(Path(cfg.OUTPUT_DIR) / "model_final.pth")
    engine.prepare(cfg)
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
            return loss(logits, targets) * (bad if len(calls) == 4 else 1)

        # The prediction of the first loss asks twice, so that the fourth call is iteration 1.
        model.classification_loss = classification_loss
        return model

    monkeypatch.setattr(engine.Trainer, "build_model", classmethod(build_model))
    made = outcome(tiny_cfg)
    assert made["status"] == "diverged"
    assert "infinite or NaN" in made["error"]
    assert made["result"]["error_iteration"] == 1
    assert made["result"]["metrics"]["AP"] == 0.0
    json.dumps(made, allow_nan=False)


def test_resuming_goes_on_from_the_checkpoint(tiny_cfg):
    outcome(tiny_cfg, MAX_ITER=4)
    cfg = tiny_cfg.clone()
    engine.prepare(cfg)
    made = engine.train(cfg, resume=True)
    iterations = made["result"]["curves"]["iteration"]
    assert iterations == sorted(set(iterations)) and iterations[-1] == 5
    assert made["result"]["first_loss"]["measured"] is None  # it was seen by the first process


def test_curves_survive_a_cut_line_and_repeated_iterations(tmp_path):
    path = tmp_path / "metrics.json"
    lines = [{"iteration": i, "total_loss": v} for i, v in ((19, 3.0), (39, 2.0), (59, 9.0))]
    lines += [{"iteration": 39, "total_loss": 2.5}, {"bbox/AP": 1.0, "iteration": 39}]
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"iteration": 59, "tot')
    curves = engine._curves(path)
    assert curves["iteration"] == [19, 39]
    assert curves["total_loss"] == [3.0, 2.5]
    assert engine._curves(tmp_path / "none.json")["iteration"] == []


def test_pretraining_is_made_once_and_starts_the_backbone(tiny_cfg):
    tiny_cfg.PRETRAINING.ENABLED = True
    tiny_cfg.PRETRAINING.MAX_ITER = 3
    tiny_cfg.PRETRAINING.IMS_PER_BATCH = 8
    cfg = tiny_cfg.clone()
    prepared = engine.prepare(cfg)
    path = Path(prepared["weights"]["path"])
    assert str(path) == cfg.MODEL.WEIGHTS and 0 <= prepared["weights"]["accuracy"] <= 100
    made = path.stat().st_mtime_ns
    assert engine.prepare(tiny_cfg.clone())["weights"] == prepared["weights"]
    assert path.stat().st_mtime_ns == made
    Path(cfg.OUTPUT_DIR).mkdir()
    trainer = engine.Trainer(cfg)
    trainer.resume_or_load(resume=False)
    saved = torch.load(path, weights_only=True)["model"]
    found = trainer.model.state_dict()
    for name in ("backbone.bottom_up.stem.conv1.weight", "backbone.bottom_up.res5.1.conv2.weight"):
        assert torch.equal(found[name], saved[name])


def test_other_data_or_options_are_pretrained_anew(tiny_cfg, monkeypatch):
    monkeypatch.setattr("focal_star.pretraining._train", lambda cfg: (torch.nn.Identity(), 50.0))
    paths = {pretrained_weights(tiny_cfg, "a"), pretrained_weights(tiny_cfg, "b")}
    tiny_cfg.PRETRAINING.SEED = 7
    paths.add(pretrained_weights(tiny_cfg, "a"))
    assert len(paths) == 3
