"""The state of a training, so that one gone on with ends as one never broken off, bit for bit.

Detectron2 keeps the weights, the schedule and (main, not 0.5) the optimizer. Beside these a
training depends on RetinaNet's running loss normalizer, the random generators, the place in the
stream of batches, the best score so far, and, for what it writes, the smoothing windows of its
event storage. Each process has its own of some of these.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import DefaultTrainer, HookBase
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from fvcore.common.history_buffer import HistoryBuffer
from torch import nn

from focal_star.config import ConfigError
from focal_star.files.temporary import remove_abandoned
from focal_star.training import checkpoints, interruption
from focal_star.training.random_state import random_state, set_random_state
from focal_star.training.ranks import on_any_process, on_main_process

logger = logging.getLogger(__name__)

HISTORY = 1000
"""Values kept of each scalar: the longest window that Detectron2's writers look back."""


class CheckpointHook(HookBase):
    """Writes checkpoints: every ``period`` iterations, after the last, and when SIGTERM asks.

    To be registered last: what the other hooks do in an iteration is then in its checkpoint.
    """

    def __init__(self, period: int):
        self._period = period

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        interrupted = on_any_process(interruption.is_requested())
        if interrupted or done % self._period == 0 or done == self.trainer.max_iter:
            state = self.trainer.full_state()
            folder = Path(self.trainer.cfg.OUTPUT_DIR)
            on_main_process(lambda: checkpoints.save_numbered(folder, self.trainer.iter, state))
        if interrupted:
            logger.info("Interrupted after iteration %d; --resume goes on", self.trainer.iter)
            self.trainer.interrupted = True
            raise interruption.Interrupted


def start_state(folder: Path, resume: bool) -> dict[str, Any] | None:
    """The state to start from, None for the beginning.

    What a training left in the folder that is not gone on with is moved to ``earlier/`` there.

    Args:
        folder: of the training.
        resume: go on from its newest usable checkpoint, if there is one.

    Raises:
        ConfigError: the checkpoint is of another number of processes.
    """
    path = on_main_process(lambda: _start(folder, resume))
    if path is None:
        return None
    state = checkpoints.read(path)
    if len(state["ranks"]) != comm.get_world_size():
        raise ConfigError(
            f"{path} is of a training with {len(state['ranks'])} processes, and this one has "
            f"{comm.get_world_size()}; go on with as many"
        )
    logger.info("Going on from %s", path)
    return state


def _start(folder: Path, resume: bool) -> Path | None:
    remove_abandoned(folder)
    path = checkpoints.newest_usable(folder) if resume else None
    if path is None:
        _set_aside(folder)
    return path


def _set_aside(folder: Path) -> None:
    """Move what an earlier training left out of the way of a new one."""
    names = ("model_*.pth", checkpoints.LAST_CHECKPOINT, "metrics.json", "events.out.tfevents.*")
    names += ("result.json", "divergence.json")
    found = [path for name in names for path in folder.glob(name)]
    if found:
        earlier = folder / "earlier"
        earlier.mkdir(exist_ok=True)
        for path in found:
            path.replace(earlier / path.name)
        logger.info("What a training before this one left in %s is moved to %s", folder, earlier)


def rank_state(trainer: DefaultTrainer) -> dict[str, Any]:
    """What this process alone has of a training's state, in tensors and plain values."""
    model = _unwrapped(trainer.model)
    normalizer = getattr(model, "loss_normalizer", None)
    return {
        "random": random_state(),
        "storage": storage_state(trainer.storage),
        "loss_normalizer": None if normalizer is None else float(normalizer),
        # BatchNorm's statistics among them, which Detectron2 does not share out.
        "buffers": {name: buffer.cpu() for name, buffer in model.named_buffers()},
    }


def set_rank_state(trainer: DefaultTrainer, state: dict[str, Any]) -> None:
    """Put :func:`rank_state` back, into a trainer that is about to take its first step."""
    model = _unwrapped(trainer.model)
    for name, buffer in model.named_buffers():
        buffer.copy_(state["buffers"][name])
    if state["loss_normalizer"] is not None:
        model.loss_normalizer = state["loss_normalizer"]
    set_storage_state(trainer.storage, state["storage"])
    set_random_state(state["random"])  # last: nothing may draw before the first step


def storage_state(storage: EventStorage) -> dict[str, dict[str, Any]]:
    """Name of a scalar -> its latest values and what Detectron2's writers need beside them."""
    return {
        name: {
            "values": torch.tensor([v for v, _ in buffer.values()[-HISTORY:]], dtype=torch.float64),
            "iterations": torch.tensor([i for _, i in buffer.values()[-HISTORY:]]),
            "count": buffer._count,
            "mean": buffer.global_avg(),
            "is_smoothed": storage.smoothing_hints()[name],
        }
        for name, buffer in storage.histories().items()
    }


def set_storage_state(storage: EventStorage, state: dict[str, dict[str, Any]]) -> None:
    """Put :func:`storage_state` back."""
    for name, scalar in state.items():
        buffer = HistoryBuffer()
        values, iterations = scalar["values"].tolist(), scalar["iterations"].tolist()
        for value, iteration in zip(values, iterations, strict=True):
            buffer.update(value, iteration)
        storage.latest()[name] = (value, iteration)
        buffer._count, buffer._global_avg = scalar["count"], scalar["mean"]
        storage.histories()[name] = buffer
        storage.smoothing_hints()[name] = scalar["is_smoothed"]


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
