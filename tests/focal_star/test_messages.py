"""What the libraries print that a user can do nothing about."""

import subprocess
import sys

CODE = """
import logging, warnings
import focal_star.training.command
import numpy as np
import torch
from detectron2.structures import Boxes

torch.meshgrid(torch.zeros(1), torch.zeros(1))
Boxes([np.zeros(4)])
for text in ("another warning", "torch.jit.script is slow"):
    warnings.warn(text, FutureWarning)
    logging.getLogger("torch.utils.cpp_extension").warning(text + " in the log")
"""


def test_only_those_of_detectron2_with_a_newer_torch_are_hidden():
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for hidden in ("is deprecated", "meshgrid", "list of numpy", "No CUDA runtime"):
        assert hidden not in ended.stderr
    for text in ("another warning", "torch.jit.script is slow"):
        assert f"FutureWarning: {text}" in ended.stderr
        assert f"{text} in the log" in ended.stderr
