"""The histogram of logit(p_t), and what is read from it."""

import json
import math

import numpy as np
import pytest
import torch

from focal_star.evaluation.loss_distribution import (
    HIGH,
    LOW,
    NUM_BINS,
    LossDistribution,
    cumulative_loss,
    hardest_share,
)
from focal_star.losses import LOSSES
from focal_star.tools import loss_distribution
from focal_star.training import engine

WIDTH = (HIGH - LOW) / NUM_BINS


def bin_of(s: float) -> int:
    return int((s - LOW) / WIDTH)


def test_a_case_counted_by_hand():
    logits = torch.tensor([[[2.01, -3.01], [0.51, -100.0], [7.0, 7.0]]])  # (1, 3, 2)
    labels = torch.tensor([[0, 2, -1]])  # the first class, background, to ignore
    found = LossDistribution()
    found.add(logits, labels)
    entry = found.entry(images=1)
    # The positive has s = 2.01; negatives have s = 3.01, -0.51 and 100, beyond the last bin.
    assert entry["foreground"] == {"bins": [bin_of(2.01)], "counts": [1]}
    assert entry["background"] == {
        "bins": [bin_of(-0.51), bin_of(3.01), NUM_BINS - 1],
        "counts": [1, 1, 1],
    }
    assert entry["images"] == 1


def test_what_is_no_number_counts_as_hardest():
    found = LossDistribution()
    found.add(torch.tensor([[[math.nan, math.inf, -math.inf]]]), torch.tensor([[3]]))
    assert found.entry(1)["background"] == {"bins": [0, NUM_BINS - 1], "counts": [2, 1]}


@pytest.mark.parametrize(
    ("loss", "gamma", "tolerance"),
    [
        ("ce", 0.0, 1e-3),
        ("focal", 0.5, 1e-3),
        ("focal", 2.0, 1e-3),
        ("focal_star", 0.125, 1e-3),
        ("focal_star", 2.0, 1e-2),  # the hardest of the 100,000 carries half of the loss
    ],
)
def test_the_curve_is_that_of_the_sorted_losses(loss, gamma, tolerance):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(40, 2500, 1, generator=generator) * 2 - 4
    found = LossDistribution()
    found.add(x, torch.ones(40, 2500, dtype=torch.int64))
    entries, shares = cumulative_loss(found.entry(1), "background", loss, gamma)
    exact = LOSSES[loss](x.double(), torch.zeros_like(x).bool(), gamma=gamma).flatten().sort()[0]
    exact = (exact.cumsum(0) / exact.sum()).numpy()
    at = np.arange(1, len(exact) + 1) / len(exact)
    assert np.abs(np.interp(at, entries, shares) - exact).max() < tolerance
    assert entries[0] == shares[0] == 0 and entries[-1] == shares[-1] == 1
    hardest = 1 - exact[int(0.8 * len(exact)) - 1]
    share = hardest_share(found.entry(1), "background", loss, gamma, 0.2)
    assert share == pytest.approx(hardest, abs=tolerance)


def test_any_number_of_entries_takes_no_more_room():
    found, block = LossDistribution(), torch.zeros(1, 1000, 100)
    labels = torch.full((1, 1000), 100)
    for _ in range(100):
        found.add(block, labels)
    entry = found.entry(1)
    assert entry["background"] == {"bins": [NUM_BINS // 2], "counts": [10_000_000]}
    assert found.counts["background"].shape == (NUM_BINS,)


def test_a_training_records_it(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    entry = engine.train(tiny_cfg)["result"]["loss_distribution"]
    assert entry["images"] == 8
    background = sum(entry["background"]["counts"])
    assert sum(entry["foreground"]["counts"]) > 8
    assert background > 8 * 2000 * 10 and background % 10 != 0, "without the positives' own class"
    tiny_cfg.TEST.LOSS_DISTRIBUTION = False
    tiny_cfg.OUTPUT_DIR += "_without"
    assert engine.train(tiny_cfg)["result"]["loss_distribution"] is None


def test_the_command(tiny_cfg, tiny_overrides, tmp_path, capsys):
    engine.prepare_data_and_weights(tiny_cfg)
    made = engine.train(tiny_cfg)["result"]["loss_distribution"]
    config, weights = f"{tiny_cfg.OUTPUT_DIR}/config.yaml", f"{tiny_cfg.OUTPUT_DIR}/model_final.pth"
    (tmp_path / "train" / "config.yaml").write_text(tiny_cfg.dump())
    capsys.readouterr()
    arguments = ["--config-file", config, "--json", str(tmp_path / "made.json")]
    assert loss_distribution.main([*arguments, "--weights", weights]) == 0
    assert json.loads((tmp_path / "made.json").read_text()) == made
    printed = capsys.readouterr().out
    assert printed.startswith("8 images") and printed.count("focal_star") == 5
    assert loss_distribution.main([*arguments, "--weights", weights, "--images", "3"]) == 0
    assert json.loads((tmp_path / "made.json").read_text())["images"] == 3
    assert loss_distribution.main([*arguments, "--weights", str(tmp_path / "no.pth")]) == 2
    assert "no.pth" in capsys.readouterr().err
    other = ["--weights", weights, "MODEL.FPN.OUT_CHANNELS", "16"]
    assert loss_distribution.main([*arguments, *other]) == 2
    assert "does not match the model of the config" in capsys.readouterr().err
