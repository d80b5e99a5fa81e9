"""Prepares, trains and evaluates one config."""

import gc
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.evaluation import verify_results
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng

from focal_star import extensions
from focal_star.config import check_config, check_derived
from focal_star.data.registration import register_datasets
from focal_star.data.validation.description import dataset_sha256
from focal_star.errors import ConfigError
from focal_star.evaluation.candidates import CandidateCounter
from focal_star.evaluation.loss_distribution import loss_distribution
from focal_star.evaluation.timing import InferenceTimer
from focal_star.identity import sources
from focal_star.io.writing import write_whole
from focal_star.modeling.retinanet import FocalStarRetinaNet
from focal_star.training import checkpoints, config_changes, interruption, plain_checkpoint
from focal_star.training.checkpoints import Checkpointer, CompleteCheckpointer
from focal_star.training.config_record import config_record
from focal_star.training.divergence import Divergence, DivergenceGuard
from focal_star.training.first_loss import log_first_loss
from focal_star.training.loss_proof import log_loss_proof
from focal_star.training.outcome import (
    DIVERGED,
    DONE,
    RESULT_FILE,
    Watch,
    environment,
    result_of,
)
from focal_star.training.ranks import on_main_process
from focal_star.training.resume import CONFIG, CheckpointHook, Start, find_start
from focal_star.training.schedule import schedule_warnings
from focal_star.training.subnormals import flush_subnormals
from focal_star.training.trainer import Trainer

logger = logging.getLogger(__name__)


def prepare_data_and_weights(cfg: CfgNode) -> dict[str, Any]:
    """Register the data set of a config, and make its initial weights if an extension does.

    This sets the keys of ``cfg`` that follow from them. Existing files are used again.

    Returns:
        ``folder``: the data set's, None for a data set that Detectron2 knows.
        ``weights``: the path of the initial weights; for a file made here also the sha256
        of the weights and the accuracy of the pretraining, percent.

    Raises:
        ConfigError: the data set does not allow a pretraining, or the config was not read by
            :func:`focal_star.config.load_config`.
        DatasetError: the data set has problems; the message lists all.
    """
    flush_subnormals(cfg)
    made = on_main_process(lambda: _prepare(cfg))
    if not comm.is_main_process():
        cfg.DATASETS.CHECK = False  # the main process has checked it
        _prepare(cfg)
    return made


def _prepare(cfg: CfgNode) -> dict[str, Any]:
    check_derived(cfg)
    folder = register_datasets(cfg)
    weights = {"path": cfg.MODEL.WEIGHTS, "sha256": ""}
    if maker := extensions.weights_maker(cfg):
        if folder is None and maker.weights_need_folder:
            raise ConfigError(
                "these initial weights need a data set in a folder: digits_in_scenes or a "
                "DATASETS.FOLDER"
            )
        sha256 = dataset_sha256(folder) if folder and maker.weights_need_folder else ""
        path = maker.initial_weights(cfg, sha256)
        cfg.MODEL.WEIGHTS = str(path)
        saved = checkpoints.read(path)
        weights = {
            "path": str(path),
            "sha256": _weights_sha256(saved["model"]),
            "accuracy": saved["accuracy"],
        }
    return {"folder": folder, "weights": weights}


def train(cfg: CfgNode, start: Start | None = None, *, trusted: bool = False) -> dict[str, Any]:
    """Train a prepared config, evaluate it, and write ``result.json`` into its OUTPUT_DIR.

    Args:
        cfg: as :func:`prepare_data_and_weights` left it.
        start: what :func:`focal_star.training.resume.find_start` returned. The outcome of a
            resumed training is that of an uninterrupted one, bit for bit on a CPU (times aside); a
            finished training's outcome is returned. None to begin anew: an earlier training in
            OUTPUT_DIR is moved to ``earlier/<number>/`` there.
        trusted: whether code in the file of ``MODEL.WEIGHTS`` is run. It is no config key, because
            the config may be a stranger's.

    Returns:
        ``status`` ("done", or "diverged" where loss or gradient became NaN or infinite), ``error``,
        ``result`` (what config, data and seed determine), ``run`` (times, versions, hardware) and
        ``config`` (:func:`focal_star.training.config_changes.record`).

    Raises:
        ConfigError: the config cannot be used, or is not the one of the training to resume.
        SystemExit: the results are not ``TEST.EXPECTED_RESULTS``; all files are written.
    """
    check_config(cfg)
    check_derived(cfg)
    flush_subnormals(cfg)
    start = start or find_start(cfg, resume=False)
    folder = Path(cfg.OUTPUT_DIR)
    if start.outcome:
        logger.info("%s exists: this training run is already finished", folder / RESULT_FILE)
        on_main_process(lambda: checkpoints.clear(folder))
        return start.outcome
    if len(cfg.DATASETS.TEST) > 1:
        logger.warning(
            "%s has no AP, because DATASETS.TEST names several data sets; see metrics.json",
            RESULT_FILE,
        )
    folder.mkdir(parents=True, exist_ok=True)
    outcome = _train(cfg, start, trusted)
    if comm.get_world_size() > 1:
        gc.collect()  # a distributed model that outlives its process group aborts the process
    return outcome


def _train(cfg: CfgNode, start: Start, trusted: bool) -> dict[str, Any]:
    watch = Watch(start.changes)
    config = config_changes.record(start.given, cfg)
    cfg = _with_seed(cfg, start.state)
    seed_all_rng(cfg.SEED + comm.get_rank())
    trainer = extensions.trainer_class(cfg, Trainer)(cfg, start.state, trusted)
    for warning in schedule_warnings(trainer.cfg):
        logger.warning(warning)
    period = trainer.cfg.SOLVER.CHECKPOINT_PERIOD
    guard = DivergenceGuard({CONFIG: config})
    trainer.register_hooks([watch, guard, CheckpointHook(period, config)])
    trainer.load()
    model = trainer.checkpointer.model
    timer, candidates = InferenceTimer(model), CandidateCounter(model)
    is_dense = isinstance(model, FocalStarRetinaNet)
    loss_proof = log_loss_proof(model, config["loss_code"]) if is_dense else None
    predicted = log_first_loss(trainer.cfg, model) if is_dense else None
    diverged = _run(trainer)
    analysis = None if diverged else on_main_process(lambda: Trainer.analyse(cfg))
    distribution = None
    if cfg.TEST.LOSS_DISTRIBUTION and cfg.DATASETS.TEST and is_dense and not diverged:
        distribution = loss_distribution(
            trainer.cfg, model, cfg.TEST.LOSS_DISTRIBUTION_IMAGES, trainer.validation_mapper
        )
    candidates_per_image = candidates.per_image()
    outcome = {
        "status": DIVERGED if diverged else DONE,
        "error": str(diverged or ""),
        "result": result_of(
            trainer, watch, predicted, diverged, _weights_sha256(model.state_dict()), analysis
        )
        | {
            "loss": loss_proof,
            "validation": trainer.validation.record(),
            "loss_distribution": distribution,
            "candidates_per_image": None if diverged else candidates_per_image,
        },
        "run": {
            **watch.seconds(),
            **timer.report(),
            "resumed_at": watch.resumed_at,
            "code_sha256": sources.SHA256,
            "config": config_record(trainer.cfg),
            "config_changes": watch.config_changes,
            "environment": environment(cfg),
        },
        CONFIG: config,
    }
    on_main_process(lambda: _finish(cfg, trainer.checkpointer, outcome))
    if not diverged and comm.is_main_process():
        verify_results(cfg, trainer._last_eval_results)
    return outcome


def _run(trainer: Trainer) -> Divergence | None:
    """Train to the end; return the divergence that ended it, if any."""
    try:
        with interruption.deferred():
            trainer.train()
    except Divergence as error:
        logger.error("Training ends: %s", error)
        return error
    return None


def evaluate(cfg: CfgNode, trusted: bool = False) -> dict[str, dict[str, float]]:
    """Evaluate ``MODEL.WEIGHTS`` on ``DATASETS.TEST``; return Detectron2's results, percent.

    Args:
        cfg: as :func:`prepare_data_and_weights` left it.
        trusted: whether code in the file of ``MODEL.WEIGHTS`` is run.

    Raises:
        ConfigError: the config cannot be used, or the weights do not fill the model.
        SystemExit: the results are not ``TEST.EXPECTED_RESULTS``.
    """
    check_config(cfg)
    check_derived(cfg)
    flush_subnormals(cfg)
    results = Trainer.test(cfg, load_model(cfg, trusted))
    if comm.is_main_process():
        verify_results(cfg, results)
    return results


def load_model(cfg: CfgNode, trusted: bool = False) -> torch.nn.Module:
    """The model of a config with the weights of ``MODEL.WEIGHTS``.

    Args:
        cfg: the config; the data sets that it names are registered.
        trusted: whether code in the file of the weights is run.

    Raises:
        ConfigError: the weights do not fill the model.
    """
    model = extensions.trainer_class(cfg, Trainer).build_model(cfg)
    CompleteCheckpointer(model, trusted=trusted).load(cfg.MODEL.WEIGHTS)
    return model


def _with_seed(cfg: CfgNode, start: dict[str, Any] | None) -> CfgNode:
    """Return the config with its seed; a drawn one (SEED < 0) is the same in all attempts."""
    cfg = cfg.clone()
    cfg.defrost()
    if start is not None:
        cfg.SEED = start["seed"]
    elif cfg.SEED < 0:
        cfg.SEED = int(comm.shared_random_seed())
    cfg.freeze()
    return cfg


def _finish(cfg: CfgNode, checkpointer: Checkpointer, outcome: dict[str, Any]) -> None:
    """Write the results of a training, in an order in which a kill loses nothing.

    A diverged training keeps its checkpoints, so that its end can be replayed.
    """
    folder, done = Path(cfg.OUTPUT_DIR), outcome["status"] == DONE
    if done:
        checkpointer.save("model_final")
        plain_checkpoint.write_config(folder, cfg)
    write_whole(folder / RESULT_FILE, json.dumps(outcome, indent=1).encode())
    if done:
        checkpoints.clear(folder)


def _weights_sha256(state: dict[str, torch.Tensor]) -> str:
    """Hash names and numbers; a checkpoint's bytes also contain the name of its file."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
