"""train_net.py as a person calls it."""

import subprocess
import sys
from pathlib import Path

import pytest

from focal_star.config import CONFIGS

TRAIN_NET = CONFIGS.parent / "train_net.py"
MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


def call(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(TRAIN_NET), *map(str, arguments)], capture_output=True, text=True
    )


@pytest.mark.slow
def test_train_evaluate_and_resume(tiny_overrides, tmp_path):
    trained = call("--config-file", MINI, *tiny_overrides)
    assert trained.returncode == 0, trained.stderr
    assert "Predicted first loss_cls" in trained.stdout + trained.stderr
    checkpoint = Path(tmp_path / "train" / "model_final.pth")
    evaluated = call(
        "--config-file", MINI, "--eval-only", *tiny_overrides, "MODEL.WEIGHTS", checkpoint
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert printed_ap(evaluated.stdout) == printed_ap(trained.stdout)
    resumed = call("--config-file", MINI, "--resume", *tiny_overrides, "SOLVER.MAX_ITER", "8")
    assert resumed.returncode == 0, resumed.stderr
    assert "Starting training from iteration 6" in resumed.stdout


def printed_ap(text: str) -> str:
    """The last line of Detectron2's copypaste block."""
    return [line.split("copypaste: ")[1] for line in text.splitlines() if "copypaste: " in line][-1]


@pytest.mark.slow
def test_mistakes_are_said_in_one_line(tiny_overrides):
    for arguments, words in (
        (["MODEL.FOCAL_STAR.LOSS", "fl"], "valid: one of ce, focal, focal_star, focal_appendix"),
        (["--eval-only"], "MODEL.WEIGHTS model_final.pth"),
        (["DATASETS.FOLDER", "nowhere"], "nowhere"),
    ):
        flags = [a for a in arguments if a.startswith("--")]
        keys = [a for a in arguments if not a.startswith("--")]
        ended = call("--config-file", MINI, *flags, *tiny_overrides, *keys)
        assert ended.returncode == 2, ended.stderr
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr
