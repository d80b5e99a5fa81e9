"""The outcome of a training: metrics, curves, times, and its environment."""

import json
import logging
import math
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detectron2
import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, HookBase

from focal_star import __version__
from focal_star.evaluation.metric_names import AP_METRICS
from focal_star.io.machine import cpu_name, package_version
from focal_star.training.divergence import Divergence
from focal_star.training.events import METRICS_FILE

logger = logging.getLogger(__name__)

RESULT_FILE = "result.json"
CURVES = ("loss_cls", "loss_box_reg", "total_loss")
FIRST_STAGE_CURVES = ("loss_rpn_cls", "loss_rpn_loc")
"""Additional curves of a two-stage detector, whose ``CURVES`` are those of the second stage."""
DONE, DIVERGED = "done", "diverged"


class Watch(HookBase):
    """Notes the first loss_cls, the time of the training, and where it was resumed.

    The notes are in the checkpoints, so that they cover all attempts. Iterations that were lost,
    and attempts that ended before a checkpoint of their own, do not count.
    """

    def __init__(self, changes: Sequence[dict[str, Any]] = ()) -> None:
        """
        Args:
            changes: the changes of the config, which are used from where the training is resumed:
                :func:`focal_star.training.config_changes.changes`.
        """
        self._new_changes = changes
        self.first_loss: float | None = None
        self.train_seconds = 0.0
        self.resumed_at: list[int] = []
        self.config_changes: list[dict[str, Any]] = []
        self.last_step = self._started = self._born = time.perf_counter()

    def before_train(self) -> None:
        if self.trainer.start_iter > 0:
            self.resumed_at.append(self.trainer.start_iter)
            self.config_changes += [
                {"iteration": self.trainer.start_iter} | change for change in self._new_changes
            ]
        self.last_step = time.perf_counter()
        self._started = self.last_step - self.train_seconds

    def after_step(self) -> None:
        if self.trainer.iter == 0:
            self.first_loss = self.trainer.storage.latest().get("loss_cls", (None,))[0]
        self.last_step = time.perf_counter()
        self.train_seconds = self.last_step - self._started

    def state_dict(self) -> dict[str, Any]:
        names = ("first_loss", "train_seconds", "resumed_at", "config_changes")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def seconds(self) -> dict[str, float]:
        """Return the times: ``train_seconds`` of all attempts, the others of this one."""
        now = time.perf_counter()
        return {
            "train_seconds": self.train_seconds,
            "eval_seconds": now - self.last_step,
            "wall_seconds": now - self._born,
        }


def result_of(
    trainer: DefaultTrainer,
    watch: Watch,
    predicted_loss: float | None,
    diverged: Divergence | None,
    weights_sha256: str,
    analysis: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return what config, data and seed determine about a training that has ended."""
    done = diverged is None
    box = getattr(trainer, "_last_eval_results", {}).get("bbox", {})
    return {
        "metrics": {name: _finite(box.get(name)) if done else 0.0 for name in AP_METRICS},
        "per_class_AP": {k[3:]: _finite(v) for k, v in box.items() if k.startswith("AP-")},
        "curves": curves(Path(trainer.cfg.OUTPUT_DIR) / METRICS_FILE),
        "analysis": analysis,
        "first_loss": {
            "predicted": _finite(predicted_loss),
            "measured": _finite(watch.first_loss),
        },
        "iterations": trainer.max_iter if done else trainer.iter,
        "error_iteration": None if done else trainer.iter,
        "divergence": None if diverged is None else diverged.evidence,
        "weights_sha256": weights_sha256,
    }


def environment(cfg: CfgNode) -> dict[str, str]:
    """Return the versions and the hardware that a training ran with, name -> text."""
    cuda = str(cfg.MODEL.DEVICE).startswith("cuda")
    packages = ("torch", "torchvision", "numpy", "fvcore", "pycocotools", "hotcoco")
    return {
        "cpu": cpu_name(),
        "gpu": torch.cuda.get_device_name() if cuda else "",
        "num_threads": str(torch.get_num_threads()),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": sys.version.split()[0],
        # The metadata of a build is more specific than its module.
        "detectron2": package_version("detectron2") or detectron2.__version__,
        "focal_star": __version__,
        "lock": _lock(),
    } | {package: package_version(package) for package in packages}


def _lock() -> str:
    """The differences between the environment and its lock file; "" if unknown.

    Set-up writes the file where it makes an environment or brings one up to date.
    """
    path = Path(sys.prefix) / "focal_star_setup.json"
    try:
        displaced = json.loads(path.read_text(encoding="utf-8"))["displaced"]
        changes = [f"{name} {now} instead of {locked}" for name, (locked, now) in displaced.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return ", ".join(changes) or "as locked"


def finished(folder: Path) -> dict[str, Any] | None:
    """Return the outcome of the training that is finished in this folder; None without one.

    A training that diverged does not count: resumed, it replays its end.
    """
    path = folder / RESULT_FILE
    try:
        outcome = json.loads(path.read_text(encoding="utf-8"))
        return outcome if outcome["status"] == DONE else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        logger.warning("%s is broken and is ignored", path)
        return None


def curves(path: Path) -> dict[str, list[float | None]]:
    """Read the losses that Detectron2 wrote to metrics.json, by iteration."""
    texts = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    lines = [line for line in map(json.loads, texts) if "total_loss" in line]
    names = [*CURVES, *(n for n in FIRST_STAGE_CURVES if any(n in line for line in lines))]
    losses = {name: [_finite(line.get(name)) for line in lines] for name in names}
    return {"iteration": [line["iteration"] for line in lines]} | losses


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
