"""The stream of training batches."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, build_detection_train_loader
from detectron2.data.common import AspectRatioGroupedDataset
from detectron2.utils.env import seed_all_rng

from focal_star.config import CONFIGS, load_config
from focal_star.data.batches import TrainBatches, batches_of
from focal_star.errors import ConfigError
from focal_star.training import engine

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


@pytest.fixture
def cfg(tiny_data: Path, tmp_path: Path) -> CfgNode:
    """The mini config with random flips on the tiny data set."""
    pairs = ["DATASETS.FOLDER", tiny_data, "OUTPUT_DIR", tmp_path, "PRETRAINING.ENABLED", False]
    pairs += ["INPUT.RANDOM_FLIP", "horizontal", "SOLVER.IMS_PER_BATCH", 4, "SEED", 5]
    cfg = load_config(MINI, [str(part) for part in pairs])
    engine.prepare_data_and_weights(cfg)
    return cfg


def loader(cfg: CfgNode) -> TrainBatches:
    seed_all_rng(cfg.SEED)
    return TrainBatches(cfg, DatasetMapper(cfg, is_train=True))


def first(batches, number: int = 14) -> list[list[tuple]]:
    """Of each batch, the images and their pixels: 14 batches are more than two epochs."""
    return [
        [(image["image_id"], image["image"].numpy().tobytes()) for image in batch]
        for batch in itertools.islice(batches, number)
    ]


def test_the_batches_are_detectron2s(cfg):
    found = first(loader(cfg))
    seed_all_rng(cfg.SEED)
    theirs = build_detection_train_loader(cfg, mapper=DatasetMapper(cfg, is_train=True))
    assert found == first(theirs)
    assert len({image for batch in found for image, _ in batch}) == 24
    assert len({pixels for batch in found for _, pixels in batch}) > 24, "some are flipped"


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stream_is_gone_on_with_at_any_batch(cfg, workers):
    cfg.DATALOADER.NUM_WORKERS = workers
    whole, batches = first(loader(cfg)), loader(cfg)
    batches.position = 9
    if workers:
        assert first(batches, 5) == whole[9:]
    else:  # the random numbers are the process's own, which checkpoints hold
        ids = [[image for image, _ in batch] for batch in first(batches, 5)]
        assert ids == [[image for image, _ in batch] for batch in whole[9:]]


def test_the_number_of_workers_has_no_part_in_the_batches(cfg):
    cfg.DATALOADER.NUM_WORKERS = 1
    one = first(loader(cfg))
    cfg.DATALOADER.NUM_WORKERS = 2
    assert first(loader(cfg)) == one
    cfg.SEED = 6
    assert first(loader(cfg)) != one


def test_the_stream_draws_no_random_numbers_of_its_own(cfg):
    batches = loader(cfg)
    cfg.INPUT.RANDOM_FLIP = "none"
    batches = TrainBatches(cfg, DatasetMapper(cfg, is_train=True))
    seed_all_rng(1)
    expected = np.random.rand()
    seed_all_rng(1)
    first(batches, 3)
    assert np.random.rand() == expected


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_grouping_is_detectron2s(batch_size):
    random = np.random.default_rng(0)
    sizes = random.integers(1, 4, size=(50, 2))
    records = [{"width": w, "height": h, "index": i} for i, (w, h) in enumerate(sizes)]
    theirs = AspectRatioGroupedDataset([records[i] for i in range(50)], batch_size)
    is_wide = [record["width"] > record["height"] for record in records]
    assert list(batches_of(range(50), batch_size, is_wide)) == [
        [record["index"] for record in batch] for batch in theirs
    ]
    assert list(batches_of(range(7), 3)) == [[0, 1, 2], [3, 4, 5]]


def test_a_batch_that_cannot_be_shared_out_is_refused(cfg, monkeypatch):
    monkeypatch.setattr("focal_star.data.batches.comm.get_world_size", lambda: 3)
    with pytest.raises(ConfigError, match="IMS_PER_BATCH is 4; valid: a multiple of .* 3"):
        loader(cfg)
