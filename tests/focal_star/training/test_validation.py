"""Losses on validation images, noted while a model trains."""

import json
import math
from pathlib import Path

import pytest
import torch
from detectron2.utils.events import EventStorage

from focal_star.evaluation.validation_images import ValidationImages, mean_losses
from focal_star.training import engine
from focal_star.training.resume import find_start
from focal_star.training.trainer import Trainer


@pytest.fixture
def cfg(tiny_cfg):
    """Losses on 5 of 8 images after iterations 2 and 4, and after the last, the sixth."""
    tiny_cfg.TEST.LOSS_PERIOD, tiny_cfg.TEST.LOSS_IMAGES = 2, 5
    Path(tiny_cfg.OUTPUT_DIR).mkdir()
    engine.prepare_data_and_weights(tiny_cfg)
    return tiny_cfg


def trained(cfg, folder: str, resume: bool = False, **test) -> dict:
    cfg = cfg.clone()
    for key, value in test.items():
        cfg.TEST[key] = value
    cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR).parent / folder)
    return engine.train(cfg, find_start(cfg, resume))["result"]


def test_it_moves_no_number_of_the_training(cfg):
    with_them = trained(cfg, "with")
    noted = with_them.pop("validation")
    without = trained(cfg, "without", LOSS_PERIOD=0)
    assert without.pop("validation") is None
    assert with_them == without
    assert noted["iteration"] == [1, 3, 5]
    for name in ("loss_cls", "loss_box_reg"):
        assert len(noted[name]) == 3 and all(0 < value < 100 for value in noted[name])


def test_the_last_iteration_is_noted_whatever_the_period(cfg):
    assert trained(cfg, "four", LOSS_PERIOD=4)["validation"]["iteration"] == [3, 5]


def test_a_training_for_more_processes_is_measured_as_often(cfg, caplog):
    """Its 3 iterations of 4 images for two processes are 6 of 2 images for one."""
    cfg.merge_from_list(["SOLVER.REFERENCE_WORLD_SIZE", 2, "SOLVER.MAX_ITER", 3])
    cfg.SOLVER.WARMUP_ITERS = 3
    assert trained(cfg, "scaled", LOSS_PERIOD=1)["validation"]["iteration"] == [1, 3, 5]
    assert "SOLVER.MAX_ITER is 6, and SOLVER.WARMUP_ITERS is 6" in caplog.text


def test_it_is_in_the_event_files(cfg):
    noted = trained(cfg, "train")["validation"]
    lines = (Path(cfg.OUTPUT_DIR) / "metrics.json").read_text().splitlines()
    written = [
        line["validation/cls"] for line in map(json.loads, lines) if "validation/cls" in line
    ]
    assert written and written[-1] == pytest.approx(noted["loss_cls"][-1])


def test_it_is_the_loss_of_the_model(cfg):
    """As ``losses()`` gives it, its divisor taken out: the running normalizer against theirs."""
    trainer = Trainer(cfg)
    trainer.load()
    model, images = trainer.model, ValidationImages(cfg, 4)
    found = mean_losses(model, images)
    assert images.num_images == 4
    (batch,) = images.batches()
    before = model.loss_normalizer = 100.0
    model.train()
    with EventStorage(0) as storage, torch.no_grad():
        losses = model(batch)
        positives = 4 * storage.latest()["num_pos_anchors"][0]
    normalizer = 0.9 * before + 0.1 * positives
    for name, value in losses.items():
        assert found[name] == pytest.approx(value.item() * normalizer / positives, rel=1e-5)


def test_what_is_not_finite_is_none(cfg, monkeypatch):
    monkeypatch.setattr(
        "focal_star.training.validation.mean_losses",
        lambda *_: {"loss_cls": math.nan, "loss_box_reg": math.inf},
    )
    noted = trained(cfg, "train")["validation"]
    assert noted["loss_cls"] == noted["loss_box_reg"] == [None, None, None]


def test_one_gone_on_with_has_what_one_never_broken_off_has(cfg, monkeypatch):
    cfg.SOLVER.CHECKPOINT_PERIOD = 1
    whole = trained(cfg, "whole")
    step = Trainer.run_step

    def break_off(self):
        if self.iter == 3:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(Trainer, "run_step", break_off)
    with pytest.raises(KeyboardInterrupt):
        trained(cfg, "broken")
    monkeypatch.undo()
    assert trained(cfg, "broken", resume=True) == whole
