"""The embedded study's trainer: channels-last tensors, and cached features instead of images."""

import logging

import torch
from detectron2.config import CfgNode

from focal_star.evaluation.validation_images import validation_records
from focal_star.mini.feature_cache import cached_feature_mapper
from focal_star.training.trainer import Trainer

logger = logging.getLogger(__name__)


class MiniTrainer(Trainer):
    """The core's trainer with ``MODEL.CHANNELS_LAST`` and ``MODEL.BACKBONE.STORE_FROZEN``."""

    @classmethod
    def build_model(cls, cfg: CfgNode) -> torch.nn.Module:
        model = super().build_model(cfg)
        return model.to(memory_format=torch.channels_last) if cfg.MODEL.CHANNELS_LAST else model

    def load(self) -> None:
        """As :meth:`Trainer.load`, then cache features, which depend on the loaded weights.

        Raises:
            ConfigError: the state is of another model or optimizer.
        """
        super().load()
        if not self.cfg.MODEL.BACKBONE.STORE_FROZEN:
            return
        if self.cfg.VIS_PERIOD > 0:
            logger.info(
                "VIS_PERIOD is %d: the images are read so that they can be drawn, and no cached "
                "features are used in training",
                self.cfg.VIS_PERIOD,
            )
        else:
            self._cache_training_images()
        self._cache_validation_images()

    def _cache_training_images(self) -> None:
        loader, autocast = self.data_loader, self.cfg.SOLVER.AMP.ENABLED
        model = self.checkpointer.model
        loader.map_by(
            cached_feature_mapper(self.cfg, model, loader.mapper, loader.records, autocast)
        )

    def _cache_validation_images(self) -> None:
        """Cache as many as the training measures its losses on."""
        options = self.cfg.TEST
        looks = [options.LOSS_IMAGES] if options.LOSS_PERIOD else []
        looks += [options.LOSS_DISTRIBUTION_IMAGES] if options.LOSS_DISTRIBUTION else []
        if looks and self.cfg.DATASETS.TEST:
            records = validation_records(self.cfg, max(looks) if all(looks) else 0)
            model = self.checkpointer.model
            self.validation_mapper = cached_feature_mapper(
                self.cfg, model, self.validation_mapper, records
            )
