"""Detectron2's trainer as this project uses it."""

import os
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, HookBase
from detectron2.engine.hooks import IterationTimer, PeriodicCheckpointer, PeriodicWriter
from detectron2.engine.train_loop import SimpleTrainer, TrainerBase
from detectron2.utils import comm
from detectron2.utils.events import CommonMetricPrinter, EventWriter

from focal_star.data.batches import TrainBatches
from focal_star.data.evaluation_batches import test_batches
from focal_star.data.loader import EndingLoader
from focal_star.data.mapper import (
    Mapper,
    build_test_mapper,
    build_train_mapper,
    build_validation_mapper,
)
from focal_star.errors import ConfigError
from focal_star.evaluation.analysis import analyse_dataset
from focal_star.evaluation.ap import RESULTS_FILE, APEvaluator
from focal_star.evaluation.timing import TO_TIME
from focal_star.random_state import kept_random_state
from focal_star.training import interruption
from focal_star.training.checkpoints import Checkpointer
from focal_star.training.events import EventsWriter, MetricsWriter, naming
from focal_star.training.mixed_precision import MixedPrecisionLoop
from focal_star.training.optimizer import build_optimizer
from focal_star.training.resume import rank_state, set_rank_state
from focal_star.training.schedule import scaled_to
from focal_star.training.services import Services
from focal_star.training.validation import ValidationLosses


class Trainer(DefaultTrainer):
    """Detectron2's trainer with this project's optimizers, mapper, evaluation and checkpoints.

    It writes checkpoints where :class:`focal_star.training.resume.CheckpointHook` is registered.
    """

    iter: int
    _trainer: SimpleTrainer

    def __init__(self, cfg: CfgNode, start: dict[str, Any] | None = None, trusted: bool = False):
        """
        Args:
            cfg: the config.
            start: what :meth:`full_state` returned, to resume from; None for the beginning.
            trusted: whether code that the file of the initial weights holds is run.
        """
        cfg = scaled_to(cfg, comm.get_world_size())
        self.start = start
        self.interrupted = False
        self.validation_mapper: Mapper = build_validation_mapper(cfg, cached=True)
        super().__init__(cfg)
        if cfg.SOLVER.AMP.ENABLED:
            self._trainer = MixedPrecisionLoop(self._trainer, cfg.MODEL.DEVICE)
        self.checkpointer = Checkpointer(self.model, cfg.OUTPUT_DIR, trusted=trusted)

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
        return build_optimizer(cfg, model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> TrainBatches:
        return TrainBatches(cfg, build_train_mapper(cfg))

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> EndingLoader:
        batch_size = cfg.TEST.IMS_PER_BATCH
        return test_batches(
            dataset_name,
            build_test_mapper(cfg),
            batch_size,
            num_single=TO_TIME if batch_size > 1 else 0,
            num_workers=cfg.DATALOADER.NUM_WORKERS,
        )

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> APEvaluator:
        return APEvaluator(
            dataset_name,
            os.path.join(cfg.OUTPUT_DIR, "inference"),
            cfg.TEST.COCO_EVAL,
            cfg.TEST.DETECTIONS_PER_IMAGE,
        )

    @classmethod
    def test(cls, cfg: CfgNode, model: torch.nn.Module, evaluators=None) -> dict[str, Any]:
        with interruption.not_deferred(), naming(Path(cfg.OUTPUT_DIR) / "inference"):
            return super().test(cfg, model, evaluators)

    @classmethod
    def analyse(cls, cfg: CfgNode) -> dict[str, Any] | None:
        """The analysis of the detections that :meth:`test` wrote last.

        None unless there is exactly one data set to test on.
        """
        if len(cfg.DATASETS.TEST) != 1:
            return None
        results_file = Path(cfg.OUTPUT_DIR) / "inference" / RESULTS_FILE
        return analyse_dataset(
            cfg.DATASETS.TEST[0],
            results_file,
            cfg.TEST.BOOTSTRAP_RESAMPLES,
            cfg.TEST.DETECTIONS_PER_IMAGE,
        )

    def build_hooks(self) -> list[HookBase]:
        hooks = [h for h in super().build_hooks() if not isinstance(h, PeriodicCheckpointer)]
        self.validation = ValidationLosses(self.cfg)
        hooks = [h for h in hooks if not isinstance(h, PeriodicWriter)] + [
            self.validation,
            *(h for h in hooks if isinstance(h, PeriodicWriter)),
        ]
        if self.start is None:
            return hooks
        # By default it omits the times of its first iterations, and metrics.json would differ.
        return [IterationTimer(0) if isinstance(h, IterationTimer) else h for h in hooks]

    def build_writers(self) -> list[EventWriter]:
        folder = Path(self.cfg.OUTPUT_DIR)
        state = self.start and self.start["metrics"]
        self._metrics = MetricsWriter(folder, state)
        services = Services(self.cfg)  # before the TensorBoard files, which they watch
        return [
            CommonMetricPrinter(self.max_iter),
            self._metrics,
            EventsWriter(folder, state["last_write"] if state else -1),
            services,
        ]

    def load(self) -> None:
        """Load what the training starts from, after all hooks have been registered.

        Raises:
            ConfigError: the state is of another model or optimizer.
        """
        if self.start is None:
            self.resume_or_load(resume=False)
        else:
            self._load_start(self.start)
        if self.cfg.VIS_PERIOD > 0:
            # A picture takes no random number from the training: Detectron2 draws colours of boxes.
            model = self.checkpointer.model
            model.visualize_training = kept_random_state()(model.visualize_training)

    def _load_start(self, start: dict[str, Any]) -> None:
        try:
            self.checkpointer.model.load_state_dict(start["model"])
            self.load_state_dict(start["trainer"])
        except (KeyError, RuntimeError, ValueError) as error:
            first_lines = " ".join(str(error).split("\n\t")[:2])
            raise ConfigError(f"the checkpoint is of another config: {first_lines}") from error
        self.start_iter = self.data_loader.position = self.iter + 1

    def full_state(self) -> dict[str, Any]:
        """Everything that the rest of a training depends on. Every process must call this."""
        ranks = comm.gather(rank_state(self))
        if not comm.is_main_process():
            return {}
        return {
            "model": self.checkpointer.model.state_dict(),
            "trainer": self.state_dict(),
            "seed": self.cfg.SEED,
            "ranks": ranks,
            "metrics": self._metrics.state_dict(),
        }

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        state["_trainer"] = self._trainer.state_dict()  # the optimizer, which 0.5 leaves out
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        TrainerBase.load_state_dict(self, state)
        self._trainer.load_state_dict(state["_trainer"])

    def train(self) -> None:
        try:
            # DefaultTrainer's would exit here where ``TEST.EXPECTED_RESULTS`` are not reached.
            TrainerBase.train(self, self.start_iter, self.max_iter)
        finally:
            self.data_loader.close()

    def before_train(self) -> None:
        super().before_train()
        if self.start is not None:
            set_rank_state(self, self.start["ranks"][comm.get_rank()])
            self.start = None  # its tensors are no longer needed

    def after_train(self) -> None:
        if self.interrupted:
            return  # the hooks would evaluate after the last iteration, and write another line
        self.iter = min(self.iter, self.max_iter)  # if it resumed after its last iteration
        super().after_train()
