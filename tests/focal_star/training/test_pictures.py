"""VIS_PERIOD: pictures of the training images, with their boxes and what the model proposes."""

import logging
from pathlib import Path

import numpy as np
import pytest
from detectron2.config import CfgNode
from detectron2.modeling import RetinaNet
from detectron2.utils.events import EventStorage
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from focal_star.config import CONFIGS, load_config
from focal_star.mini.feature_cache import CachedFeatureMapper
from focal_star.mini.trainer import MiniTrainer
from focal_star.training import engine

NAMES = {
    "retinanet": "Top: GT bounding boxes; Bottom: 20 Highest Scoring Results",
    "faster_rcnn": "Left: GT bounding boxes;  Right: Predicted proposals",
}


draws = pytest.mark.skipif(
    "visualize_training" not in RetinaNet.forward.__code__.co_names,
    reason="this Detectron2 has RetinaNet.visualize_training and never calls it",
)
DETECTORS = [pytest.param("retinanet", marks=draws), "faster_rcnn"]


def trained(cfg: CfgNode, folder: str, period: int) -> dict:
    cfg = cfg.clone()
    cfg.VIS_PERIOD = period
    cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR).parent / folder)
    engine.prepare_data_and_weights(cfg)
    return engine.train(cfg)


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[int, str, np.ndarray]]:
    """(iteration, name, (3, H, W) picture in 0..255) of all that is put into the event storage."""
    found, put = [], EventStorage.put_image

    def put_image(storage, name, picture):
        found.append((storage.iter, name, np.asarray(picture)))
        put(storage, name, picture)

    monkeypatch.setattr(EventStorage, "put_image", put_image)
    return found


def assert_shows(picture: np.ndarray, detector: str, height: int, width: int) -> None:
    """The image twice, one below or beside the other, each with boxes of another kind on it."""
    axis = 1 if detector == "retinanet" else 2
    first, second = np.split(picture, 2, axis)
    assert first.shape == second.shape == (3, height, width)
    assert first.std() > 10 and second.std() > 10
    assert not np.array_equal(first, second)
    # Most of it is the same image, which the boxes leave free.
    assert (first == second).mean() > 0.2


@pytest.mark.parametrize("detector", DETECTORS)
def test_it_shows_images_and_moves_no_number(tiny_cfg, drawn, detector, caplog):
    tiny_cfg.merge_from_list(["INPUT.RANDOM_FLIP", "horizontal", "TEST.LOSS_PERIOD", 2])
    tiny_cfg = with_detector(tiny_cfg, detector)
    without = trained(tiny_cfg, "without", period=0)["result"]
    assert drawn == []
    with_pictures = trained(tiny_cfg, "with", period=2)["result"]
    assert with_pictures == without
    assert [(iteration, name) for iteration, name, _ in drawn] == [
        (iteration, NAMES[detector]) for iteration in (0, 2, 4)
    ]
    for _, _, picture in drawn:
        assert_shows(picture, detector, 128, 128)
    shown = EventAccumulator(str(Path(tiny_cfg.OUTPUT_DIR).parent / "with")).Reload()
    assert shown.Tags()["images"], "TensorBoard has them"


@pytest.mark.parametrize("detector", DETECTORS)
def test_stored_features_are_not_drawn(tiny_cfg, drawn, detector, caplog):
    tiny_cfg = with_detector(tiny_cfg, detector)
    stored = trained(tiny_cfg, "stored", period=0)["result"]
    caplog.set_level(logging.INFO)
    with_pictures = trained(tiny_cfg, "with", period=1)["result"]
    assert with_pictures == stored
    assert caplog.text.count("VIS_PERIOD is 1") == 1
    assert len(drawn) == tiny_cfg.SOLVER.MAX_ITER
    for _, _, picture in drawn:
        assert_shows(picture, detector, 128, 128)


def test_without_pictures_features_are_stored(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    Path(tiny_cfg.OUTPUT_DIR).mkdir()
    trainer = MiniTrainer(tiny_cfg)
    trainer.load()
    assert isinstance(trainer.data_loader.mapper, CachedFeatureMapper)


@draws
@pytest.mark.slow
def test_a_config_of_coco(tiny_data, tmp_path, drawn):
    overrides = {
        "DATASETS.FOLDER": tiny_data, "MODEL.DEVICE": "cpu", "MODEL.WEIGHTS": "",
        "INPUT.SHORT_EDGE": 96, "SOLVER.IMS_PER_BATCH": 1, "SOLVER.MAX_ITER": 2,
        "DATALOADER.NUM_WORKERS": 0, "TEST.LOSS_PERIOD": 0, "TEST.LOSS_DISTRIBUTION": False,
        "DATASETS.TEST": "()", "CACHE_DIR": tmp_path, "OUTPUT_DIR": tmp_path / "train",
    }  # fmt: skip
    config = CONFIGS / "coco" / "retinanet_R_50_FPN_1x_600_FL.yaml"
    cfg = load_config(config, [str(part) for pair in overrides.items() for part in pair])
    trained(cfg, "train", period=1)
    assert [iteration for iteration, _, _ in drawn] == [0, 1]
    for _, _, picture in drawn:
        assert_shows(picture, "retinanet", 96, 96)


def with_detector(cfg: CfgNode, detector: str) -> CfgNode:
    """The config of the other detector, with the same keys."""
    keys = ("DATASETS", "SOLVER", "TEST", "INPUT", "CACHE_DIR", "OUTPUT_DIR", "PRETRAINING")
    changed = load_config(CONFIGS / "mini" / f"{detector}_R_18_FPN.yaml")
    for key in keys:
        changed[key] = cfg[key]
    return changed
