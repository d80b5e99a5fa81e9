"""A tiny training that the tests of the package share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model

from focal_star.config import CONFIGS, load_config
from focal_star.training import checkpoints

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


@pytest.fixture
def tiny_overrides(tiny_data: Path, tmp_path: Path) -> list[str]:
    """``KEY VALUE`` pairs that make the mini config train in seconds on the tiny data set."""
    pairs = {
        "DATASETS.FOLDER": tiny_data,
        "CACHE_DIR": tmp_path / "cache",
        "OUTPUT_DIR": tmp_path / "train",
        "PRETRAINING.ENABLED": False,
        "MODEL.RETINANET.SUBNET_INIT": "normal",  # Detectron2's
        "SOLVER.MAX_ITER": 6,
        "SOLVER.WARMUP_ITERS": 2,
        "SOLVER.IMS_PER_BATCH": 4,
    }
    return [str(part) for pair in pairs.items() for part in pair]


@pytest.fixture
def tiny_cfg(tiny_overrides: list[str]) -> CfgNode:
    """The mini config with :func:`tiny_overrides`."""
    return load_config(MINI, tiny_overrides)


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    """(120, 170, 3) RGB pixels with structure at several sizes."""
    rows, columns = np.mgrid[:120, :170]
    planes = [np.sin(rows / a) * np.cos(columns / b) for a, b in ((5, 9), (14, 6), (23, 31))]
    return (127 + 120 * np.stack(planes, axis=2)).astype(np.uint8)


@pytest.fixture(scope="session")
def save_busy_detector() -> Callable[[Path, CfgNode], Path]:
    """(folder, config) -> ``model_final.pth`` there, with config and classes beside it.

    The RetinaNet is random and finds things everywhere; its normalisations are not neutral.
    """

    def save(folder: Path, cfg: CfgNode) -> Path:
        torch.manual_seed(0)
        model = build_model(cfg).eval()
        with torch.no_grad():
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                if name.endswith("running_var"):
                    tensor.uniform_(0.5, 2)
                elif ".norm." in name and tensor.is_floating_point():
                    tensor.add_(torch.randn_like(tensor) * 0.2)
            model.head.cls_score.weight.mul_(20)
            model.head.cls_score.bias.fill_(-1.0)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "model_final.pth"
        checkpoints.write(path, {"model": model.state_dict()})
        (folder / "config.yaml").write_text(cfg.dump())
        names = "".join(f"{number}\n" for number in range(cfg.MODEL.RETINANET.NUM_CLASSES))
        (folder / "classes.txt").write_text(names)
        return path

    return save
