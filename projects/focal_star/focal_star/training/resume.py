"""Starts a training, or resumes one so that it ends bit-identical to an uninterrupted one.

Detectron2 keeps the weights, the schedule and (main, not 0.5) the optimizer. Beside these a
training depends on RetinaNet's running loss normalizer, the random generators, the place in the
stream of batches, and, for what it writes, the smoothing windows of its event storage. Each process
has its own of some of these.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, HookBase
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from fvcore.common.history_buffer import HistoryBuffer
from torch import nn

from focal_star.compat import count_of, set_average
from focal_star.errors import ConfigError
from focal_star.io.temporary import remove_abandoned
from focal_star.random_state import random_state, set_random_state
from focal_star.training import checkpoints, config_changes, interruption
from focal_star.training.outcome import RESULT_FILE, finished
from focal_star.training.ranks import on_any_process, on_main_process
from focal_star.training.set_aside import files_of, holds_training, keep_earlier

logger = logging.getLogger(__name__)

CONFIG = "config"
"""Key of a checkpoint, and of ``result.json``, that holds the training's config."""

HISTORY = 1000
"""Number of values that are kept per scalar: the longest window of Detectron2's writers."""


class CheckpointHook(HookBase):
    """Writes checkpoints: every ``period`` iterations, after the last, and when SIGTERM asks.

    Register it last: its checkpoint then includes the effect of the other hooks.
    """

    def __init__(self, period: int, config: dict[str, Any]):
        """
        Args:
            period: iterations from one checkpoint to the next.
            config: what :func:`focal_star.training.config_changes.record` returned.
        """
        self._period, self._config = period, config

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        interrupted = on_any_process(interruption.is_requested())
        if interrupted or done % self._period == 0 or done == self.trainer.max_iter:
            state = self.trainer.full_state() | {CONFIG: self._config}
            folder = Path(self.trainer.cfg.OUTPUT_DIR)
            on_main_process(lambda: checkpoints.save_numbered(folder, self.trainer.iter, state))
        if interrupted:
            logger.info("Interrupted after iteration %d; --resume resumes it", self.trainer.iter)
            self.trainer.interrupted = True
            raise interruption.Interrupted


@dataclass(frozen=True)
class Start:
    """Where a training starts.

    Attributes:
        given: the config as it was read, before its preparation.
        state: the content of the checkpoint to resume from; None for the beginning.
        changes: the changes of the config, which are used from here on.
        outcome: the outcome of the training that is finished already; None if there is one to do.
    """

    given: CfgNode
    state: dict[str, Any] | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    outcome: dict[str, Any] | None = None


def find_start(cfg: CfgNode, resume: bool, config_file: str = "") -> Start:
    """Read in ``OUTPUT_DIR`` where a training starts, before anything is written there.

    An earlier training that is not resumed is moved to ``earlier/<number>/`` there.

    Args:
        cfg: the config; prepared or not.
        resume: whether to resume from the newest usable checkpoint, or to return the outcome of a
            training that is finished.
        config_file: the file that ``cfg`` is from; if it belongs to the earlier training, it is
            copied instead of moved, because it is read again.

    Raises:
        ConfigError: the training that is there cannot be resumed with this config, or with this
            number of processes; or ``MODEL.WEIGHTS`` is one of the files that would be moved. The
            training stays as it is.
    """
    given, folder = cfg.clone(), Path(cfg.OUTPUT_DIR)
    if resume and (outcome := on_main_process(lambda: finished(folder))):
        with _refusing_foreign_content(folder / RESULT_FILE):
            _changes(outcome, given, folder / RESULT_FILE, done=True)
        return Start(given, outcome=outcome)
    path = on_main_process(lambda: _checkpoint(given, resume, config_file))
    if path is None:
        return Start(given)
    state = checkpoints.read(path)
    with _refusing_foreign_content(path):
        _check_processes(len(state["ranks"]), path)
        changes = _changes(state, given, path)
    logger.info("Resuming from %s", path)
    return Start(given, state, changes)


def trained_weights(folder: Path) -> Path | None:
    """The weights of the training in a folder: the final ones, or those of its last checkpoint."""
    final = folder / "model_final.pth"
    return final if final.is_file() else checkpoints.newest_usable(folder)


@contextmanager
def _refusing_foreign_content(path: Path) -> Iterator[None]:
    """Turn the exceptions that a foreign file causes into a ConfigError."""
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is not as a training leaves it ({type(error).__name__}: {error}); move it "
            "away, or train in a new OUTPUT_DIR"
        ) from error


def _checkpoint(cfg: CfgNode, resume: bool, config_file: str) -> Path | None:
    """Find the checkpoint to resume from; without one, move an earlier training away."""
    folder = Path(cfg.OUTPUT_DIR)
    remove_abandoned(folder)
    path = checkpoints.newest_usable(folder) if resume else None
    if path is not None:
        return path
    if resume:
        logger.info("%s has no checkpoint to resume from; starting from the beginning", folder)
    if holds_training(folder):
        _check_weights_stay(cfg.MODEL.WEIGHTS, folder)
        place = keep_earlier(folder, Path(config_file) if config_file else None)
        logger.info("The earlier training in %s is moved to %s", folder, place)
    return None


def _check_weights_stay(weights: str, folder: Path) -> None:
    if weights and Path(weights).resolve() in [path.resolve() for path in files_of(folder)]:
        raise ConfigError(
            f"MODEL.WEIGHTS is {weights}, a file of the earlier training in OUTPUT_DIR {folder}, "
            "which would be moved away; valid: another OUTPUT_DIR, or weights that lie elsewhere"
        )


def _changes(
    content: dict[str, Any], cfg: CfgNode, path: Path, done: bool = False
) -> list[dict[str, Any]]:
    if CONFIG not in content:
        logger.warning(
            "%s does not hold the config of its training, as an earlier version wrote it: whether "
            "the config has changed is unknown",
            path,
        )
        return []
    changes = config_changes.changes(content[CONFIG], cfg, path, done)
    for change in changes:
        logger.warning("%(key)s was %(old)r, and is %(new)r from here on", change)
    return changes


def _check_processes(number: int, path: Path) -> None:
    now = comm.get_world_size()
    if number != now:
        raise ConfigError(
            f"{path} was written by a training run with {number} processes, but this one has "
            f"{now}. Resume with {number} (--num-gpus, --num-machines), or train in a new "
            "OUTPUT_DIR"
        )


def rank_state(trainer: DefaultTrainer) -> dict[str, Any]:
    """Return the part of a training's state that is of this process, in tensors and values."""
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
            "count": count_of(buffer),
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
        set_average(buffer, scalar["count"], scalar["mean"])
        storage.histories()[name] = buffer
        storage.smoothing_hints()[name] = scalar["is_smoothed"]


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
