"""The losses on validation images while a detector trains."""

import logging
import math
from typing import Any

from detectron2.config import CfgNode
from detectron2.engine import HookBase

from focal_star.evaluation.validation_images import ValidationImages, mean_losses

logger = logging.getLogger(__name__)


class ValidationLosses(HookBase):
    """Measures the losses on validation images every few iterations, and after the last.

    The values are in the checkpoints, so that they cover all attempts. Register this hook before
    the writers: they then write the values with the iteration's own losses, as ``validation/cls``,
    ``validation/box_reg`` and so on. (For names with "loss", Detectron2's log line would show the
    median of the last 20.)
    """

    def __init__(self, cfg: CfgNode):
        """
        Args:
            cfg: its ``TEST.LOSS_PERIOD``, 0 for never, and ``TEST.LOSS_IMAGES``.
        """
        self._cfg = cfg
        self._period = cfg.TEST.LOSS_PERIOD if cfg.DATASETS.TEST else 0
        self._images: ValidationImages | None = None
        self.measured: dict[str, list[int | float | None]] = {"iteration": []}

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if not self._period or (done % self._period and done != self.trainer.max_iter):
            return
        if self._images is None:
            self._images = ValidationImages(
                self._cfg, self._cfg.TEST.LOSS_IMAGES, self.trainer.validation_mapper
            )
        losses = mean_losses(self.trainer.checkpointer.model, self._images)
        self.measured["iteration"].append(self.trainer.iter)
        for name, value in losses.items():
            is_finite = math.isfinite(value)
            self.measured.setdefault(name, []).append(value if is_finite else None)
            if is_finite:
                tag = f"validation/{name.removeprefix('loss_')}"
                self.trainer.storage.put_scalar(tag, value, smoothing_hint=False)
        logger.info(
            "Losses on %d validation images after iteration %d: %s",
            self._images.num_images,
            self.trainer.iter,
            "  ".join(f"{name}: {value:.4g}" for name, value in losses.items()),
        )

    def record(self) -> dict[str, list[int | float | None]] | None:
        """The losses by iteration (from 0), None if not finite. None if nothing was measured."""
        return self.measured if self.measured["iteration"] else None

    def state_dict(self) -> dict[str, Any]:
        return self.measured

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.measured = state
