"""Schedules that end before they reach what they name."""

import pytest

from focal_star.config import CONFIGS, load_config
from focal_star.training.schedule import scaled_to, schedule_warnings

FILES = sorted(CONFIGS.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_config_that_comes_with_the_project_is_warned_of(path):
    assert schedule_warnings(load_config(path)) == []


@pytest.mark.parametrize(("processes", "period"), [(1, 6000), (4, 1500), (8, 750)])
def test_losses_are_measured_as_often_for_any_number_of_processes(processes, period):
    """1,500 iterations of 16 images are 6,000 of 4."""
    cfg = load_config(CONFIGS / "voc" / "retinanet_R_50_FPN.yaml", ["TEST.LOSS_PERIOD", "1500"])
    cfg.freeze()
    scaled = scaled_to(cfg, processes)
    assert period == scaled.TEST.LOSS_PERIOD and scaled.is_frozen()
    assert scaled.SOLVER.MAX_ITER * processes == cfg.SOLVER.MAX_ITER * 4
    never = load_config(CONFIGS / "voc" / "retinanet_R_50_FPN.yaml", ["TEST.LOSS_PERIOD", "0"])
    assert scaled_to(never, processes).TEST.LOSS_PERIOD == 0


def test_a_training_that_ends_in_its_warm_up_is_told_its_highest_rate():
    # The warm-up is cut to the 10 iterations, from a thousandth of 0.01 up; in the last one it is
    # at 9 of 10: 0.01 * (0.1 * 0.001 + 0.9) = 0.009001.
    cfg = load_config("", ["SOLVER.MAX_ITER", "10", "SOLVER.BASE_LR", "0.01", "SOLVER.STEPS", "()"])
    (warning,) = schedule_warnings(cfg)
    assert "SOLVER.MAX_ITER is 10" in warning and "SOLVER.WARMUP_ITERS is 1000" in warning
    assert "at most 0.009, where SOLVER.BASE_LR is 0.01" in warning
    # A cosine has come to 0 when the warm-up ends: the first iteration has most, 0.01 * 0.001.
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupCosineLR"
    (warning,) = schedule_warnings(cfg)
    assert "at most 1e-05" in warning
    # Its warm-up of 8 of 10 iterations leads to (1 + cos(0.8 pi)) / 2 of 0.01, which is 0.000955.
    cfg.SOLVER.WARMUP_ITERS = 8
    (warning,) = schedule_warnings(cfg)
    assert "at most 0.000955" in warning
    cfg.SOLVER.WARMUP_ITERS = 2
    assert schedule_warnings(cfg) == []


def test_steps_beyond_the_end_are_named():
    cfg = load_config("", ["SOLVER.MAX_ITER", "2000", "SOLVER.STEPS", "(1500, 2500, 3000)"])
    (warning,) = schedule_warnings(cfg)
    assert "SOLVER.STEPS has 2500, 3000, and SOLVER.MAX_ITER is 2000" in warning
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupCosineLR"  # which has no steps
    assert schedule_warnings(cfg) == []
