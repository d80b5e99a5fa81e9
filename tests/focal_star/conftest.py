"""A tiny training that the tests of the package share."""

from pathlib import Path

import pytest
from detectron2.config import CfgNode

from focal_star.config import CONFIGS, load_config

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


@pytest.fixture
def tiny_overrides(tiny_data: Path, tmp_path: Path) -> list[str]:
    """``KEY VALUE`` pairs that make the mini config train in seconds on the tiny data set."""
    pairs = {
        "DATASETS.FOLDER": tiny_data,
        "CACHE_DIR": tmp_path / "cache",
        "OUTPUT_DIR": tmp_path / "train",
        "PRETRAINING.ENABLED": False,
        "SOLVER.MAX_ITER": 6,
        "SOLVER.WARMUP_ITERS": 2,
        "SOLVER.IMS_PER_BATCH": 4,
    }
    return [str(part) for pair in pairs.items() for part in pair]


@pytest.fixture
def tiny_cfg(tiny_overrides: list[str]) -> CfgNode:
    """The mini config with :func:`tiny_overrides`."""
    return load_config(MINI, tiny_overrides)
