"""The trainer that takes stored views for the training images."""

import logging

import torch
from detectron2.config import CfgNode
from detectron2.data import get_detection_dataset_dicts

from focal_star.frozen.models import StoredViewsRetinaNet
from focal_star.frozen.store import Record, StoredViews, stored_views
from focal_star.modeling.efficientnet_lite import EfficientNetLite0
from focal_star.training.checkpoints import Checkpointer
from focal_star.training.trainer import Trainer

logger = logging.getLogger(__name__)


class StoredViewsTrainer(Trainer):
    """The core's trainer, on channels-last tensors and, with ``VIEWS.PER_IMAGE``, stored views."""

    @classmethod
    def build_model(cls, cfg: CfgNode) -> torch.nn.Module:
        return super().build_model(cfg).to(memory_format=torch.channels_last)

    def load(self) -> None:
        """As :meth:`Trainer.load`, then take the views, which depend on the loaded weights.

        Raises:
            ConfigError: the state is of another model or optimizer.
        """
        super().load()
        loader, model = self.data_loader, self.checkpointer.model
        if views := _views(self.cfg, model, loader.records):
            loader.map_by(views)
            if model.vis_period > 0:
                logger.warning("VIS_PERIOD is ignored: the pixels of views are not stored")
                model.vis_period = 0


def store_views(cfg: CfgNode) -> None:
    """Store the views of a prepared config, which a training then finds."""
    model = StoredViewsTrainer.build_model(cfg)
    trusted = cfg.MODEL.TRUSTED_WEIGHTS
    Checkpointer(model, cfg.OUTPUT_DIR, trusted=trusted).load(cfg.MODEL.WEIGHTS)
    filter_empty = cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS
    _views(cfg, model, get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty))


def _views(cfg: CfgNode, model: torch.nn.Module, records: list[Record]) -> StoredViews | None:
    """The stored views of a training's images; None if it reads the images instead."""
    net = getattr(model.backbone, "bottom_up", None)
    if not (
        cfg.VIEWS.PER_IMAGE
        and isinstance(model, StoredViewsRetinaNet)
        and isinstance(net, EfficientNetLite0)
        and net.is_frozen
    ):
        return None
    views = stored_views(cfg, net, records)
    views.label_anchors(model)
    return views
