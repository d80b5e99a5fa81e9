"""Trains and evaluates one config: the one way that train_net.py and the runner share."""

import hashlib
import json
import logging
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import detectron2
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import build_detection_train_loader
from detectron2.engine import DefaultTrainer, HookBase
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng

from focal_star import __version__
from focal_star.config import ConfigError
from focal_star.data.checks import dataset_sha256
from focal_star.data.mapper import build_train_mapper
from focal_star.data.registration import register_datasets
from focal_star.evaluation.ap import APEvaluator
from focal_star.first_loss import log_first_loss
from focal_star.optimizer import build_optimizer
from focal_star.pretraining import pretrained_weights

logger = logging.getLogger(__name__)

RESULT_FILE = "result.json"
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
CURVES = ("loss_cls", "loss_box_reg", "total_loss")


class Trainer(DefaultTrainer):
    """Detectron2's trainer with this project's optimizers, mapper and evaluation."""

    @classmethod
    def build_model(cls, cfg: CfgNode) -> torch.nn.Module:
        model = super().build_model(cfg)
        return model.to(memory_format=torch.channels_last) if cfg.MODEL.CHANNELS_LAST else model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
        return build_optimizer(cfg, model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode):
        return build_detection_train_loader(cfg, mapper=build_train_mapper(cfg))

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> APEvaluator:
        return APEvaluator(
            dataset_name, os.path.join(cfg.OUTPUT_DIR, "inference"), cfg.TEST.COCO_EVAL
        )


def prepare(cfg: CfgNode) -> dict[str, Any]:
    """Make what stands before a training: the data set, and the pretrained backbone if asked for.

    Sets the keys of ``cfg`` that follow from them. What is there already is not made again.

    Returns:
        ``folder``: the data set's, None for a data set that Detectron2 knows.
        ``weights``: the path of the initial weights; for a file made here also the sha256
        of the weights and the accuracy of the pretraining, percent.

    Raises:
        ConfigError: a pretraining is asked for on a data set that it cannot read.
        DatasetError: the data set has problems; the message lists all.
    """
    folder = register_datasets(cfg)
    weights = {"path": cfg.MODEL.WEIGHTS, "sha256": ""}
    if cfg.PRETRAINING.ENABLED and not cfg.MODEL.WEIGHTS:
        if folder is None:
            raise ConfigError("PRETRAINING.ENABLED needs digits_in_scenes or a DATASETS.FOLDER")
        path = pretrained_weights(cfg, dataset_sha256(folder))
        cfg.MODEL.WEIGHTS = str(path)
        saved = torch.load(path, weights_only=True)
        weights = {
            "path": str(path),
            "sha256": _weights_sha256(saved["model"]),
            "accuracy": saved["accuracy"],
        }
    return {"folder": folder, "weights": weights}


def train(cfg: CfgNode, resume: bool = False) -> dict[str, Any]:
    """Train a prepared config, evaluate it, and write ``result.json`` into its OUTPUT_DIR.

    Args:
        cfg: as :func:`prepare` left it.
        resume: continue from the last checkpoint in OUTPUT_DIR, if there is one.

    Returns:
        ``status`` ("done", or "diverged" where the loss became NaN or infinite), ``error``,
        ``result`` (what config, data and seed determine) and ``run`` (times, versions, hardware).
    """
    seed_all_rng(None if cfg.SEED < 0 else cfg.SEED + comm.get_rank())
    started = time.perf_counter()
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=resume)
    watch = _Watch()
    trainer.register_hooks([watch])
    model = trainer.model.module if comm.get_world_size() > 1 else trainer.model
    predicted = log_first_loss(cfg, model)
    status, error = "done", ""
    try:
        trainer.train()
    except FloatingPointError as diverged:
        status, error = "diverged", str(diverged).splitlines()[0]
        logger.error("Training ends: %s", error)
    ended = time.perf_counter()
    box = getattr(trainer, "_last_eval_results", {}).get("bbox", {})
    done = status == "done"
    result = {
        "metrics": {name: _finite(box.get(name)) if done else 0.0 for name in METRICS},
        "per_class_AP": {k[3:]: _finite(v) for k, v in box.items() if k.startswith("AP-")},
        "curves": _curves(Path(cfg.OUTPUT_DIR) / "metrics.json"),
        "first_loss": {"predicted": _finite(predicted), "measured": _finite(watch.first_loss)},
        "iterations": cfg.SOLVER.MAX_ITER if done else trainer.iter,
        "error_iteration": None if done else trainer.iter,
        "weights_sha256": _weights_sha256(model.state_dict()),
    }
    trained = watch.trained or ended  # the evaluation runs after the last step
    run = {
        "train_seconds": trained - watch.started,
        "eval_seconds": ended - trained,
        "wall_seconds": ended - started,
        "environment": environment(cfg),
    }
    outcome = {"status": status, "error": error, "result": result, "run": run}
    if comm.is_main_process():
        path = Path(cfg.OUTPUT_DIR) / RESULT_FILE
        path.with_suffix(".tmp").write_text(json.dumps(outcome, indent=1), encoding="utf-8")
        path.with_suffix(".tmp").replace(path)
    return outcome


def evaluate(cfg: CfgNode) -> dict[str, dict[str, float]]:
    """Evaluate ``MODEL.WEIGHTS`` on ``DATASETS.TEST``; return Detectron2's results, percent."""
    model = Trainer.build_model(cfg)
    DetectionCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    return Trainer.test(cfg, model)


def environment(cfg: CfgNode) -> dict[str, str]:
    """Versions and hardware that a training ran with."""
    cuda = str(cfg.MODEL.DEVICE).startswith("cuda")
    packages = ("torch", "torchvision", "numpy", "fvcore", "pycocotools", "hotcoco")
    return {
        "cpu": _cpu_name(),
        "gpu": torch.cuda.get_device_name() if cuda else "",
        "num_threads": str(torch.get_num_threads()),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": sys.version.split()[0],
        # A build says more of itself in its metadata than in its module.
        "detectron2": _version("detectron2") or detectron2.__version__,
        "focal_star": __version__,
    } | {package: _version(package) for package in packages}


class _Watch(HookBase):
    """Notes the first loss_cls and when training began and ended."""

    def __init__(self) -> None:
        self.first_loss: float | None = None
        self.started = time.perf_counter()
        self.trained: float | None = None

    def before_train(self) -> None:
        self.started = time.perf_counter()

    def after_step(self) -> None:
        if self.trainer.iter == 0:
            self.first_loss = self.trainer.storage.latest().get("loss_cls", (None,))[0]

        if self.trainer.iter + 1 == self.trainer.max_iter:
            self.trained = time.perf_counter()


def _curves(path: Path) -> dict[str, list[float | None]]:
    """The losses that Detectron2 wrote to metrics.json, by iteration.

    A resumed training repeats iterations: the later line counts.
    """
    lines: list[dict[str, Any]] = []
    for line in _json_lines(path):
        while lines and lines[-1]["iteration"] >= line["iteration"]:
            lines.pop()
        lines.append(line)
    curves = {name: [_finite(line.get(name)) for line in lines] for name in CURVES}
    return {"iteration": [line["iteration"] for line in lines]} | curves


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that carry a loss; a line cut short by a kill is passed over."""
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "total_loss" in line:
            yield line


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _weights_sha256(state: dict[str, torch.Tensor]) -> str:
    """Of the numbers alone: a checkpoint's bytes also hold the name of its file."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
