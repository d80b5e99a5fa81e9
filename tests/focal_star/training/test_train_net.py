"""train_net.py as a person calls it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model

from focal_star.config import CONFIGS, load_config

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
    expected = ["TEST.EXPECTED_RESULTS", "[['bbox','AP',200.0,1.0]]"]
    verified = call("--config-file", MINI, "--eval-only", "--resume", *tiny_overrides, *expected)
    assert verified.returncode == 1, verified.stderr
    assert printed_ap(verified.stdout) == printed_ap(trained.stdout)
    assert "Result verification failed" in verified.stdout + verified.stderr
    resumed = call("--config-file", MINI, "--resume", *tiny_overrides)
    assert resumed.returncode == 0, resumed.stderr
    assert "this training run is already finished" in resumed.stdout
    assert "Starting training" in trained.stdout
    assert "Starting training" not in resumed.stdout


@pytest.mark.slow
def test_an_evaluation_needs_weights_of_as_many_classes(tiny_overrides, tmp_path):
    other = load_config(MINI, ["MODEL.RETINANET.NUM_CLASSES", "3"])
    torch.save({"model": build_model(other).state_dict()}, tmp_path / "three.pth")
    keys = [*tiny_overrides, "MODEL.WEIGHTS", tmp_path / "three.pth"]
    ended = call("--config-file", MINI, "--eval-only", *keys)
    assert ended.returncode == 2, ended.stderr
    words = "head.cls_score.weight is (27, 32, 3, 3) in the file, and (90, 32, 3, 3) by the config"
    assert "three.pth does not match the model" in ended.stderr and words in ended.stderr
    assert "Traceback" not in ended.stderr and "copypaste" not in ended.stdout


def printed_ap(text: str) -> str:
    """The last line of Detectron2's copypaste block."""
    return [line.split("copypaste: ")[1] for line in text.splitlines() if "copypaste: " in line][-1]


@pytest.mark.slow
def test_mistakes_are_said_in_one_line(tiny_overrides):
    for arguments, words in (
        (["MODEL.FOCAL_STAR.LOSS", "fl"], "valid: one of ce, focal, focal_star, focal_appendix"),
        (["--eval-only"], "MODEL.WEIGHTS model_final.pth"),
        (["DATASETS.FOLDER", "nowhere"], "nowhere"),
        (["--num-gpus=99"], "--num-gpus is 99, and this machine has"),
    ):
        flags = [a for a in arguments if a.startswith("--")]
        keys = [a for a in arguments if not a.startswith("--")]
        ended = call("--config-file", MINI, *flags, *tiny_overrides, *keys)
        assert ended.returncode == 2, ended.stderr
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_named(tiny_overrides, tmp_path):
    (tmp_path / "file").touch()
    output = str(tmp_path / "file" / "train")
    ended = call("--config-file", MINI, *tiny_overrides, "OUTPUT_DIR", output)
    assert ended.returncode == 5, ended.stderr
    assert f"train_net.py: error: {output}" in ended.stderr
    assert "Not a directory" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.slow
def test_sigterm_while_it_starts(tiny_overrides):
    command = [sys.executable, TRAIN_NET, "--config-file", MINI, *tiny_overrides]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while b"torch" not in Path(f"/proc/{process.pid}/maps").read_bytes():
        time.sleep(0.01)  # until it imports torch
    process.terminate()
    assert process.wait() == 4
