"""The command line of train_net.py: Detectron2's flags, this project's exit codes."""

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import default_argument_parser, default_setup, launch
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from torch.multiprocessing import ProcessExitedException

from focal_star.config import CONFIGS, check_device, load_config
from focal_star.data.layouts.problems import DatasetError
from focal_star.errors import ConfigError
from focal_star.identity.running_loss import LossCodeError
from focal_star.training import engine, interruption
from focal_star.training.events import naming
from focal_star.training.outcome import DIVERGED as HAS_DIVERGED
from focal_star.training.ranks import on_main_process
from focal_star.training.resume import trained_weights
from focal_star.training.set_aside import evaluation_folder
from focal_star.training.sole_training import sole_training

UNUSABLE = 2
"""Exit code where the config or the data set cannot be used."""
DIVERGED = 3
"""Exit code where the loss or the gradient became NaN or infinite."""
NOT_WRITTEN = 5
"""Exit code where a file cannot be written or read; the last checkpoint is whole."""

NEW_OBJECTS = 50_000
"""After so many, Python looks for garbage; by itself it does after 700 or 2,000."""


def main(argv: list[str] | None = None) -> None:
    """Run ``--num-gpus`` processes; exit with the code of the first that does not end well."""
    args = default_argument_parser(f"Configs: {CONFIGS}").parse_args(argv)
    num_gpus = torch.cuda.device_count()
    if args.num_gpus > max(num_gpus, 1):
        _fail(f"--num-gpus is {args.num_gpus}, and this machine has {num_gpus}", UNUSABLE)
    if args.num_gpus * args.num_machines > 1:
        interruption.pass_sigterm_on()
    try:
        launch(
            run,
            args.num_gpus,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )
    except ProcessExitedException as error:
        sys.exit(exit_code(error.exit_code))


def exit_code(code: int) -> int:
    """The exit code for that of a process, which is negative where a signal ended it."""
    if code == -signal.SIGTERM:
        return interruption.INTERRUPTED
    return code if code >= 0 else 128 - code


def run(args: argparse.Namespace) -> None:
    """Run one process, which exits with the codes of this module where it does not end well."""
    interruption.exit_on_sigterm()
    if comm.get_world_size() > 1:
        interruption.exit_with_parent()
    _spare_the_garbage_collector()
    logging.raiseExceptions = False  # a log that cannot be written is no reason for tracebacks
    code: Any = 0  # or a text, which sys.exit prints
    try:
        _run(args)
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        if comm.get_world_size() == 1:
            raise
        code = interruption.CTRL_C  # the process that launched this one says so
    if comm.get_world_size() > 1:
        # What Python cleans up at its end would now and then abort the process in gloo.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


def _spare_the_garbage_collector() -> None:
    """Exclude the imported modules from garbage collection, and collect less often.

    They live to the end, and checking them repeatedly takes a second of a short training.
    """
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


def _run(args: argparse.Namespace) -> None:
    try:
        status = _train_or_evaluate(args)
    except (ConfigError, DatasetError, LossCodeError) as error:
        _fail(str(error), UNUSABLE)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}", NOT_WRITTEN)
    if status == HAS_DIVERGED:
        sys.exit(DIVERGED)


def _train_or_evaluate(args: argparse.Namespace) -> str | None:
    cfg = load_config(args.config_file, args.opts)
    trusted = _take_trust(cfg)
    check_device(cfg)
    if args.eval_only:
        folder = Path(cfg.OUTPUT_DIR)
        if args.resume and (path := on_main_process(lambda: trained_weights(folder))):
            cfg.MODEL.WEIGHTS = str(path)
        if not cfg.MODEL.WEIGHTS:
            raise ConfigError("--eval-only needs a checkpoint; add: MODEL.WEIGHTS model_final.pth")
        cfg.OUTPUT_DIR = str(on_main_process(lambda: evaluation_folder(folder)))
        _log_to(cfg)
        _set_up(cfg, args)
        engine.evaluate(cfg, trusted)
        return None
    with sole_training(Path(cfg.OUTPUT_DIR)):
        with _log_held_back(cfg):
            start = engine.find_start(cfg, args.resume, args.config_file)
        if not start.outcome:
            _set_up(cfg, args)
        return engine.train(cfg, start, trusted=trusted)["status"]


def _take_trust(cfg: CfgNode) -> bool:
    """Return whether the command line trusts the weights, and take it out of the config.

    The config is written to ``config.yaml``, where somebody else would read it.
    """
    trusted, cfg.MODEL.TRUSTED_WEIGHTS = cfg.MODEL.TRUSTED_WEIGHTS, False
    return trusted


def _log_to(cfg: CfgNode) -> None:
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="focal_star")


@contextmanager
def _log_held_back(cfg: CfgNode) -> Iterator[None]:
    """Hold back log messages until the end of the block: ``log.txt`` may be moved until then."""
    logger, held_back = logging.getLogger("focal_star"), MemoryHandler(sys.maxsize, sys.maxsize)
    logger.setLevel(logging.DEBUG)
    logger.addHandler(held_back)
    try:
        yield
    finally:
        logger.removeHandler(held_back)
        _log_to(cfg)
        for record in held_back.buffer:
            logger.handle(record)


def _set_up(cfg: CfgNode, args: argparse.Namespace) -> None:
    engine.prepare_data_and_weights(cfg)
    cfg.freeze()
    with naming(Path(cfg.OUTPUT_DIR)):
        default_setup(cfg, args)


def _fail(message: str, code: int) -> None:
    if comm.is_main_process():
        print(f"train_net.py: error: {message}", file=sys.stderr)
    sys.exit(code)
