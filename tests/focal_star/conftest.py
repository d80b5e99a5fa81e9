"""A tiny model and data set that the tests of the package share."""

from pathlib import Path

import pytest
from detectron2.config import CfgNode

from focal_star.config import CONFIGS, load_config
from focal_star.data import digits_in_scenes

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 24 training and 8 validation images in COCO's format."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    digits_in_scenes.write(folder, digits_in_scenes.Recipe(num_train=24, num_val=8))
    return folder


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
