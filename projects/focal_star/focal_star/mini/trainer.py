"""The trainer that lets stored features take the place of images."""

import logging

from focal_star.mini.frozen import stored_mapper
from focal_star.training.trainer import Trainer
from focal_star.training.validation import validation_records

logger = logging.getLogger(__name__)


class CachedTrainer(Trainer):
    """This project's trainer, which stores what the frozen part of the backbone makes of images."""

    def load(self) -> None:
        """As :meth:`Trainer.load`; what is stored depends on the weights that it loads.

        Raises:
            ConfigError: the state is of another model or optimizer.
        """
        super().load()
        if self.cfg.VIS_PERIOD > 0:
            logger.info(
                "VIS_PERIOD is %d: the images are read so that they can be drawn, and stored "
                "features take the place of none",
                self.cfg.VIS_PERIOD,
            )
        else:
            self._store_training_images()
        self._store_validation_images()

    def _store_training_images(self) -> None:
        loader, autocast = self.data_loader, self.cfg.SOLVER.AMP.ENABLED
        model = self.checkpointer.model
        loader.map_by(stored_mapper(self.cfg, model, loader.mapper, loader.records, autocast))

    def _store_validation_images(self) -> None:
        """As many of them as are looked at while it trains, and after it."""
        options = self.cfg.TEST
        looks = [options.LOSS_IMAGES] if options.LOSS_PERIOD else []
        looks += [options.LOSS_DISTRIBUTION_IMAGES] if options.LOSS_DISTRIBUTION else []
        if looks and self.cfg.DATASETS.TEST:
            records = validation_records(self.cfg, max(looks) if all(looks) else 0)
            model = self.checkpointer.model
            self.validation_mapper = stored_mapper(self.cfg, model, self.validation_mapper, records)
