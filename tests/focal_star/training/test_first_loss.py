"""The prediction of the first classification loss."""

import logging

import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from focal_star.data.mapper import build_train_mapper
from focal_star.data.registration import register_datasets
from focal_star.losses import LOSSES, focal_star_loss
from focal_star.training.first_loss import log_first_loss, predict_first_loss


def test_prediction_by_hand():
    # 2 images, 10 anchors each, 1 of them positive, 3 classes; pi = 0.5 makes every element cost
    # log 2: 2 * 10 * 3 * 0.693147 = 41.589, over 0.9 * 100 + 0.1 * 2 = 90.2.
    loss = lambda x, y: focal_star_loss(x, y, gamma=1.0, reduction="sum")  # noqa: E731
    assert predict_first_loss(loss, 0.5, 3, 10, 1, 2) == pytest.approx(41.589 / 90.2, rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_prediction_is_the_first_loss_of_a_training(tiny_cfg, loss):
    """Not exactly: the head's weights add some noise to the prior."""
    tiny_cfg.MODEL.FOCAL_STAR.LOSS = loss
    tiny_cfg.MODEL.RETINANET.FOCAL_LOSS_GAMMA = 0.5
    tiny_cfg.SOLVER.IMS_PER_BATCH = 24
    register_datasets(tiny_cfg)
    torch.manual_seed(0)
    model = build_model(tiny_cfg).train()
    predicted = log_first_loss(tiny_cfg, model)
    mapper = build_train_mapper(tiny_cfg)
    with EventStorage(), torch.no_grad():
        batch = [mapper(record) for record in DatasetCatalog.get(tiny_cfg.DATASETS.TRAIN[0])]
        measured = model(batch)["loss_cls"].item()
    assert predicted == pytest.approx(measured, rel=0.1)


def test_ohem_counts_what_it_selects(tiny_cfg):
    tiny_cfg.MODEL.FOCAL_STAR.LOSS = "ce"
    register_datasets(tiny_cfg)
    everything = log_first_loss(tiny_cfg, build_model(tiny_cfg))
    tiny_cfg.MODEL.OHEM.METHOD, tiny_cfg.MODEL.OHEM.BATCH_SIZE = "ohem", 64
    tiny_cfg.SOLVER.IMS_PER_BATCH = 24
    torch.manual_seed(0)
    model = build_model(tiny_cfg).train()
    predicted = log_first_loss(tiny_cfg, model)
    assert predicted < everything
    mapper = build_train_mapper(tiny_cfg)
    with EventStorage(), torch.no_grad():
        batch = [mapper(record) for record in DatasetCatalog.get(tiny_cfg.DATASETS.TRAIN[0])]
        measured = model(batch)["loss_cls"].item()
    assert predicted == pytest.approx(measured, rel=0.15)


def test_out_of_hand_is_warned_of(tiny_cfg, caplog):
    register_datasets(tiny_cfg)
    for gamma, warned in ((0.5, False), (2.0, True)):
        tiny_cfg.MODEL.FOCAL_STAR.LOSS = "focal_star"
        tiny_cfg.MODEL.RETINANET.FOCAL_LOSS_GAMMA = gamma
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="focal_star"):
            predicted = log_first_loss(tiny_cfg, build_model(tiny_cfg))
        assert (predicted > tiny_cfg.MODEL.FOCAL_STAR.FIRST_LOSS_WARNING) == warned
        assert "Predicted first loss_cls" in caplog.text
        assert ("Training may diverge" in caplog.text) == warned


def test_images_that_the_training_leaves_out_do_not_count(tiny_cfg, monkeypatch):
    register_datasets(tiny_cfg)
    name = tiny_cfg.DATASETS.TRAIN[0]
    records = DatasetCatalog.get(name)
    empty = [record | {"annotations": []} for record in records]
    crowd = [
        record | {"annotations": [one | {"iscrowd": 1} for one in record["annotations"]]}
        for record in records
    ]
    model = build_model(tiny_cfg)
    of_all = log_first_loss(tiny_cfg, model)
    monkeypatch.setattr(DatasetCatalog, "get", lambda _: [*empty, *crowd, *records])
    assert tiny_cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS
    assert log_first_loss(tiny_cfg, model) == of_all
    tiny_cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    assert log_first_loss(tiny_cfg, model) < 0.7 * of_all
