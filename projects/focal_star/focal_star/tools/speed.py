"""``python -m focal_star.tools.speed CHECKPOINT ...``: times detectors in rounds.

The caller chooses which checkpoint is timed next, through lines on the standard input, and reads
one JSON object per line from the standard output::

    < {"entry": 0}           or {"entry": 0, "error": "..."}, once per checkpoint, in their order
    > 0 50                   times 50 images with the first checkpoint
    < {"entry": 0, "ms": [5.1, ...], ...}     see :class:`focal_star.evaluation.rounds.Sample`

Each round has a new process, which builds the model from the ``config.yaml`` beside the checkpoint,
loads the first validation images, warms up, times and ends. How fast a process is depends on where
its memory lies, so a process that served all rounds would bias all of them. Only one process works
at a time; each is forked from one that has imported torch and Detectron2 and has computed nothing.
This tool ends when the standard input is closed.
"""

import argparse
import gc
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from torch import nn

from focal_star.config import check_device, load_config
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.mapper import build_test_mapper
from focal_star.data.registration import register_datasets
from focal_star.errors import ConfigError
from focal_star.evaluation.rounds import time_round, use_one_thread
from focal_star.training import interruption
from focal_star.training.engine import load_model

MAX_IMAGES = 50
"""The maximum number of images that a process keeps in memory; a longer round repeats them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.tools.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    options = parser.parse_args(argv)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # keeps the output of libraries out of the answers
    gc.freeze()  # a garbage collection would copy the memory that the processes share
    for number, path in enumerate(options.checkpoints):
        answer = _in_new_process(path, 1)
        _say(answers, number, {k: v for k, v in answer.items() if k == "error"})
    for line in sys.stdin:
        number, images = map(int, line.split())
        _say(answers, number, _in_new_process(options.checkpoints[number], images))
    return 0


def _say(answers: TextIO, number: int, answer: dict[str, Any]) -> None:
    print(json.dumps({"entry": number, **answer}), file=answers, flush=True)


def _in_new_process(checkpoint: Path, images: int) -> dict[str, Any]:
    """The answer of a new process that times a checkpoint."""
    forking = multiprocessing.get_context("fork")
    here, there = forking.Pipe()
    process = forking.Process(target=_serve, args=(there, checkpoint, images), daemon=True)
    process.start()
    there.close()
    try:
        return here.recv()
    except (EOFError, ConnectionError):
        return {"error": "its process ended unexpectedly"}
    finally:
        process.join()


def _serve(connection: Connection, checkpoint: Path, images: int) -> None:
    """The process of a round."""
    interruption.exit_with_parent()
    try:
        model, inputs = load(checkpoint)
        use_one_thread()
        connection.send(asdict(time_round(model, inputs, images)))
    except (ConfigError, DatasetError, OSError) as error:
        connection.send({"error": str(error)})


def load(checkpoint: Path) -> tuple[nn.Module, list[dict[str, Any]]]:
    """The model of a checkpoint, and its inputs for the first validation images.

    Raises:
        ConfigError: the checkpoint or its config cannot be used.
        DatasetError: the data set has problems.
    """
    config_file = checkpoint.with_name("config.yaml")
    pairs = ["MODEL.WEIGHTS", str(checkpoint), "DATASETS.CHECK", "False"]
    cfg = load_config(config_file, pairs)
    check_device(cfg)
    register_datasets(cfg)
    return load_model(cfg).eval(), _inputs(cfg)


def _inputs(cfg: CfgNode) -> list[dict[str, Any]]:
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty; valid: a data set to time on")
    mapper = build_test_mapper(cfg)
    return [mapper(record) for record in DatasetCatalog.get(cfg.DATASETS.TEST[0])[:MAX_IMAGES]]


if __name__ == "__main__":
    sys.exit(main())
