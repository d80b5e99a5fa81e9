"""The cache of pretrained backbones, and those that are part of the package."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from focal_star.config import CONFIGS, load_config
from focal_star.mini import pretraining
from focal_star.mini.pretraining import pretrained_weights
from focal_star.training import engine
from tests.focal_star.io.unusual_images import write_png

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
PUBLISHED = Path(__file__).resolve().parents[3] / "reports/published/mini/prepared.json"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The depths of the backbones that were trained: a layer in a moment."""
    depths = []

    def train(cfg):
        depths.append(cfg.MODEL.RESNETS.DEPTH)
        return nn.Linear(3, 3), 50.0

    monkeypatch.setattr(pretraining, "_train", train)
    return depths


def test_all_input_scales_share_the_pretraining_of_a_depth(tiny_overrides, trained):
    for depth in ("18", "34"):
        paths = set()
        for short_edge in ("88", "128", "168"):
            pairs = ["MODEL.RESNETS.DEPTH", depth, "INPUT.SHORT_EDGE", short_edge]
            cfg = load_config(MINI, [*tiny_overrides, *pairs])
            paths.add(pretrained_weights(cfg, "data"))
        assert len(paths) == 1
    assert trained == [18, 34]


def test_the_scale_of_the_crops_is_that_of_the_pretraining(tiny_cfg, trained):
    engine.prepare_data_and_weights(tiny_cfg)  # registers the data
    tiny_cfg.PRETRAINING.SHORT_EDGE = 64
    image, scale = pretraining._Crops(tiny_cfg, "train")._image_at_scale(0)
    assert image.size == (64, 64) and scale == 0.5
    small = pretrained_weights(tiny_cfg, "data")
    tiny_cfg.PRETRAINING.SHORT_EDGE = 128
    assert pretrained_weights(tiny_cfg, "data") != small and len(trained) == 2


def test_crops_are_read_with_the_bit_depth_of_the_images(tiny_cfg, trained):
    default = pretrained_weights(tiny_cfg, "data")
    tiny_cfg.INPUT.BIT_DEPTH = 12
    assert pretrained_weights(tiny_cfg, "data") != default
    engine.prepare_data_and_weights(tiny_cfg)  # registers the data
    crops = pretraining._Crops(tiny_cfg, "train")
    values = np.full((32, 32, 1), 4095)
    write_png(Path(tiny_cfg.OUTPUT_DIR).parent / "a.png", values)
    crops.records = [{"file_name": str(Path(tiny_cfg.OUTPUT_DIR).parent / "a.png")}]
    assert np.asarray(crops._image_at_scale(0)[0]).min() == 255


def test_the_published_records_started_from_the_backbones_of_the_package(trained, tmp_path):
    """On every machine, so that a study can be resumed on another one."""
    published = json.loads(PUBLISHED.read_text("utf-8"))
    digits = published["dataset"]["sha256"]
    for variant, weights in published["weights"].items():
        cfg = load_config(MINI, ["CACHE_DIR", str(tmp_path), *variant.split()])
        assert pretraining.missing_weights(cfg, digits) is None
        copied = torch.load(pretrained_weights(cfg, digits), weights_only=True)
        assert engine._weights_sha256(copied["model"]) == weights["sha256"]
        assert copied["accuracy"] == weights["accuracy"]
    assert not trained
    shipped = {path.name for path in pretraining.SHIPPED.iterdir()}
    assert shipped == {path.name for path in (tmp_path / "pretrained").iterdir()}


@pytest.mark.parametrize("change", [["PRETRAINING.SEED", "1"], ["MODEL.RESNETS.DEPTH", "50"]])
def test_other_settings_are_pretrained(trained, tmp_path, change):
    digits = json.loads(PUBLISHED.read_text("utf-8"))["dataset"]["sha256"]
    cfg = load_config(MINI, ["CACHE_DIR", str(tmp_path), *change])
    assert pretraining.missing_weights(cfg, digits)
    pretrained_weights(cfg, digits)
    assert len(trained) == 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not found")


def of_another(path: Path) -> None:
    saved = torch.load(path, weights_only=True)
    torch.save(saved | {"key": "another"}, path)


def bare_weights(path: Path) -> None:
    torch.save(nn.Linear(3, 3).state_dict(), path)


@pytest.mark.parametrize("spoil", [cut, empty, text, of_another, bare_weights])
def test_a_file_that_is_not_the_backbone_is_reported_once_and_made_again(
    tiny_cfg, trained, caplog, spoil
):
    path = pretrained_weights(tiny_cfg, "data")
    good = torch.load(path, weights_only=True)
    spoil(path)
    with caplog.at_level(logging.WARNING, "focal_star"):
        assert pretrained_weights(tiny_cfg, "data") == path
        assert pretrained_weights(tiny_cfg, "data") == path
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert str(path) in warning.getMessage() and "made again" in warning.getMessage()
    assert len(warning.getMessage().splitlines()) == 1
    assert len(trained) == 2
    found = torch.load(path, weights_only=True)
    assert found.keys() == good.keys() and found["key"] == good["key"]
    assert list(path.parent.iterdir()) == [path]
