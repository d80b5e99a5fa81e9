"""The trainer that takes stored views for the training images."""

import torch
from detectron2.config import CfgNode

from focal_star.frozen.store import stored_views
from focal_star.modeling.efficientnet_lite import EfficientNetLite0
from focal_star.training.trainer import Trainer


class StoredViewsTrainer(Trainer):
    """The core's trainer, on channels-last tensors and, with ``VIEWS.ENABLED``, stored views."""

    @classmethod
    def build_model(cls, cfg: CfgNode) -> torch.nn.Module:
        return super().build_model(cfg).to(memory_format=torch.channels_last)

    def load(self) -> None:
        """As :meth:`Trainer.load`, then take the views, which depend on the loaded weights.

        Raises:
            ConfigError: the state is of another model or optimizer.
        """
        super().load()
        net = self.checkpointer.model.backbone.bottom_up
        if self.cfg.VIEWS.PER_IMAGE and isinstance(net, EfficientNetLite0) and net.is_frozen:
            loader = self.data_loader
            loader.map_by(stored_views(self.cfg, net, loader.records))
