"""Weights & Biases and MLflow, which copy what a training writes for TensorBoard.

``OUTPUT_WRITERS: [wandb]``, ``[mlflow]`` or both; the packages are extras (``pip install
'.[wandb]'``, ``'.[mlflow]'``). Both get the config and all scalars, with the APs at the end. No
training needs them: if one of them fails, a warning says so and the training continues.

The services' own variables set the destination, such as ``WANDB_PROJECT``, ``WANDB_MODE`` and
``MLFLOW_TRACKING_URI``. MLflow without an address writes into ``OUTPUT_DIR``.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import yaml
from detectron2.config import CfgNode
from detectron2.utils.events import EventWriter

logger = logging.getLogger(__name__)

PROJECT = "focal_star"
"""Name of the W&B project and of the MLflow experiment if the environment names none."""

Finish = Callable[[], None]


def _start_wandb(folder: Path, config: dict) -> Finish:
    import wandb

    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        name=folder.name,
        dir=str(folder),
        config=config,
        resume="auto",
        sync_tensorboard=True,
    )
    return run.finish


def _start_mlflow(folder: Path, config: dict) -> Finish:
    os.environ.setdefault("MLFLOW_TRACKING_URI", (folder / "mlruns").as_uri())
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # newer versions ask for it
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # the default takes minutes
    import mlflow.pytorch

    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT))
    mlflow.pytorch.autolog(log_every_n_step=1, log_models=False)
    mlflow.start_run(run_name=folder.name)
    mlflow.log_dict(config, "config.yaml")

    def finish() -> None:
        with suppress(ImportError):  # otherwise at exit, which several processes leave out
            from mlflow.utils.autologging_utils.metrics_queue import flush_metrics_queue

            flush_metrics_queue()
        mlflow.end_run()

    return finish


_STARTS = {"wandb": _start_wandb, "mlflow": _start_mlflow}
"""Name in ``OUTPUT_WRITERS`` -> what starts its run, and returns what ends it."""


class Services(EventWriter):
    """Runs of the services of ``OUTPUT_WRITERS``, which end with the training's writers.

    Create it before the writer of the TensorBoard files, which the services watch.
    """

    def __init__(self, cfg: CfgNode):
        """
        Args:
            cfg: the config of the training.
        """
        self._finishes: list[Finish] = []
        folder, config = Path(cfg.OUTPUT_DIR).resolve(), yaml.safe_load(cfg.dump())
        for service in cfg.OUTPUT_WRITERS:
            self._try(service, partial(_STARTS[service], folder, config))

    def write(self) -> None:
        """Nothing: the services read the TensorBoard files."""

    def close(self) -> None:
        for finish in self._finishes:
            self._try("a service", finish)

    def _try(self, service: str, action: Callable[[], Finish | None]) -> None:
        try:
            if finish := action():
                self._finishes.append(finish)
        except Exception as error:  # of a service: its network, its disk, its next version
            logger.warning(
                "OUTPUT_WRITERS: %s failed, and the training continues without it: %s",
                service,
                f"{type(error).__name__}: {error}".partition("\n")[0],
            )
