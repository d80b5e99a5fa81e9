"""Stored views: computed once, shared, bounded."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import get_detection_dataset_dicts

from focal_star.config import CONFIGS, load_config
from focal_star.data.registration import register_datasets
from focal_star.errors import ConfigError
from focal_star.frozen import store
from focal_star.frozen.models import StoredViewsRetinaNet
from focal_star.frozen.store import FEATURES, maps_of, row_length, stored_views
from focal_star.frozen.trainer import StoredViewsTrainer
from focal_star.modeling.efficientnet_lite import EfficientNetLite0, StoredMaps
from focal_star.training import engine
from focal_star.training.checkpoints import read

CONFIG = CONFIGS / "own" / "retinanet_lite0_FPN.yaml"
PER_IMAGE, SIZE = 2, 64


@pytest.fixture(scope="module")
def net() -> EfficientNetLite0:
    torch.manual_seed(0)
    return EfficientNetLite0(freeze_at=8).eval()


@pytest.fixture
def cfg(tiny_data: Path, tmp_path: Path, net: EfficientNetLite0) -> CfgNode:
    """The config on the tiny data set, with random weights in place of those from ImageNet."""
    weights = tmp_path / "weights.pth"
    state = {f"backbone.bottom_up.{name}": t for name, t in net.named_parameters()}
    torch.save({"model": state}, weights)
    pairs = {
        "DATASETS.FOLDER": tiny_data, "DATASETS.CHECK": False, "CACHE_DIR": tmp_path / "cache",
        "OUTPUT_DIR": tmp_path / "train", "MODEL.WEIGHTS": weights, "INPUT.SHORT_EDGE": SIZE,
        "VIEWS.PER_IMAGE": PER_IMAGE, "SOLVER.MAX_ITER": 2, "SOLVER.WARMUP_ITERS": 1,
        "TEST.BOOTSTRAP_RESAMPLES": 0,
    }  # fmt: skip
    cfg = load_config(CONFIG, [str(part) for pair in pairs.items() for part in pair])
    register_datasets(cfg)
    return cfg


def records(cfg: CfgNode) -> list[dict]:
    return get_detection_dataset_dicts(cfg.DATASETS.TRAIN)


def stores(cfg: CfgNode) -> list[Path]:
    return sorted(path.parent for path in (Path(cfg.CACHE_DIR) / "views").glob("*/images.json"))


def test_a_row_is_what_the_network_gives(cfg, net):
    views = stored_views(cfg, net, records(cfg))
    assert len(views) == 24 * PER_IMAGE
    row = views.view(records(cfg)[0], 0)[FEATURES]
    assert row.shape == (row_length(SIZE),)
    maps = maps_of(row[None], (SIZE, SIZE))
    assert [tuple(m.shape) for m in maps.values()] == [
        (1, 40, 8, 8), (1, 112, 4, 4), (1, 320, 2, 2),
    ]  # fmt: skip
    again = torch.cat([torch.from_numpy(store._flat(found)) for found in maps.values()])
    assert torch.equal(again, row)
    normalised = net(StoredMaps(maps))
    for name, norm in net.norms.items():
        torch.testing.assert_close(normalised[name], norm(maps[name]))


def test_boxes_lie_in_their_view(cfg, net):
    views = stored_views(cfg, net, records(cfg))
    number = 0
    for index, record in enumerate(records(cfg)):
        for row in range(index * PER_IMAGE, (index + 1) * PER_IMAGE):
            instances = views.view(record, row)["instances"]
            boxes, number = instances.gt_boxes.tensor, number + len(instances)
            assert ((boxes >= 0) & (boxes <= SIZE)).all()
            assert set(instances.gt_classes.tolist()) <= {
                a["category_id"] for a in record["annotations"]
            }
    assert number > len(views)


def test_views_are_drawn_at_random(cfg, net):
    views, record = stored_views(cfg, net, records(cfg)), records(cfg)[3]
    np.random.seed(0)
    drawn = {views(record)[FEATURES].numpy().tobytes() for _ in range(20)}
    assert len(drawn) == PER_IMAGE


def test_store_is_shared_and_follows_what_determines_it(cfg, net, monkeypatch):
    stored_views(cfg, net, records(cfg))
    made = stores(cfg)
    cfg.merge_from_list(["SEED", 2, "MODEL.RETINANET.FOCAL_LOSS_GAMMA", 0.5])
    with monkeypatch.context() as patch:
        patch.setattr(store, "_write", lambda *_: pytest.fail("the views are computed again"))
        stored_views(cfg, net, records(cfg))
    assert stores(cfg) == made
    cfg.VIEWS.PER_IMAGE = 1
    stored_views(cfg, net, records(cfg))
    stored_views(cfg, net, records(cfg)[1:])
    other = EfficientNetLite0(freeze_at=8)
    stored_views(cfg, other, records(cfg))
    assert len(stores(cfg)) == 4


def test_store_is_bounded(cfg, net, monkeypatch):
    monkeypatch.setattr(store, "MAX_BYTES", 1)
    stored_views(cfg, net, records(cfg)[:3])
    first = stores(cfg)
    stored_views(cfg, net, records(cfg)[3:6])
    assert len(stores(cfg)) == 1
    assert stores(cfg) != first


def test_of_too_many_images_some_are_used(cfg, net, monkeypatch):
    monkeypatch.setattr(store, "MAX_IMAGES", 5)
    views = stored_views(cfg, net, records(cfg))
    assert len(views) == 5 * PER_IMAGE
    known = {views.view({}, row)[FEATURES].numpy().tobytes() for row in range(len(views))}
    assert {views(record)[FEATURES].numpy().tobytes() for record in records(cfg)} <= known


def test_size_that_does_not_fit_the_network(cfg, net):
    cfg.INPUT.SHORT_EDGE = 100
    with pytest.raises(ConfigError, match="INPUT.SHORT_EDGE is 100; valid .* a multiple of 32"):
        stored_views(cfg, net, records(cfg))


def test_keys_that_views_do_not_follow_are_refused(cfg, net):
    """The evaluation would follow them, on other pixels than those of the training."""
    cfg.merge_from_list(
        ["INPUT.FORMAT", "BGR", "MODEL.PIXEL_MEAN", [103.5, 116.3, 123.7],
         "MODEL.PIXEL_STD", [1.0, 1.0, 1.0], "INPUT.RANDOM_FLIP", "horizontal",
         "INPUT.CROP.ENABLED", True],
    )  # fmt: skip
    with pytest.raises(ConfigError, match="INPUT.FORMAT is BGR; valid .*: RGB; ") as error:
        stored_views(cfg, net, records(cfg))
    assert str(error.value).count("; valid with VIEWS.PER_IMAGE: ") == 5
    assert not stores(cfg)


def test_labels_of_the_anchors_are_those_of_the_model(cfg, net):
    model = StoredViewsTrainer.build_model(cfg)
    plain = stored_views(cfg, net, records(cfg))
    labelled = stored_views(cfg, net, records(cfg))
    labelled.label_anchors(model)
    sides = [max(1, SIZE // 2**level) for level in range(3, 8)]
    anchors = model.anchor_generator([torch.zeros(1, 1, side, side) for side in sides])
    for row in (0, 7, 30):
        expected, found = (
            model.label_anchors(anchors, [views.view({}, row)["instances"]])
            for views in (plain, labelled)
        )
        assert torch.equal(expected[0][0], found[0][0])
        is_object = (expected[0][0] >= 0) & (expected[0][0] < model.num_classes)
        assert is_object.any()
        assert torch.equal(expected[1][0][is_object], found[1][0][is_object])


def test_a_training_of_two_iterations(cfg, net):
    engine.prepare_data_and_weights(cfg)
    outcome = engine.train(cfg)
    assert outcome["status"] == "done"
    assert len(stores(cfg)) == 1
    state = read(Path(cfg.OUTPUT_DIR) / "model_final.pth")["model"]
    for name, parameter in net.named_parameters():
        assert torch.equal(state[f"backbone.bottom_up.{name}"], parameter), name
    assert state["backbone.bottom_up.norms.block4.num_batches_tracked"] == 2


@pytest.mark.parametrize("name", ["StoredViewsRetinaNet", "FocalStarRetinaNet"])
def test_only_the_model_that_takes_views_gets_them(cfg, name):
    """Another one would train on the black pixels that views have in place of their own."""
    cfg.MODEL.META_ARCHITECTURE = name
    engine.prepare_data_and_weights(cfg)
    Path(cfg.OUTPUT_DIR).mkdir()
    trainer = StoredViewsTrainer(cfg)
    trainer.load()
    (image, *_) = next(iter(trainer.data_loader))
    assert (FEATURES in image) == (name == "StoredViewsRetinaNet") == (not image["image"].any())


def test_no_black_pictures_are_drawn(cfg, caplog, monkeypatch):
    monkeypatch.setattr(StoredViewsRetinaNet, "visualize_training", None)  # not called
    cfg.VIS_PERIOD = 1
    engine.prepare_data_and_weights(cfg)
    assert engine.train(cfg)["status"] == "done"
    assert "VIS_PERIOD is ignored" in caplog.text
