"""Weights & Biases and MLflow as writers of a training, for those who have them.

``OUTPUT_WRITERS: [wandb]``, ``[mlflow]`` or both; the packages are extras (``pip install
'.[wandb]'``, ``'.[mlflow]'``). They get the config, every scalar that goes to ``metrics.json``, and
with these, at the end, the APs. No training needs them: where one of them fails, that is said once,
it is left out from there on, and the training goes on.

Where a run goes is theirs to say: ``WANDB_PROJECT``, ``WANDB_MODE``, ``MLFLOW_TRACKING_URI`` and
their other variables. Where W&B cannot be reached or nobody is logged in, it writes into
``OUTPUT_DIR`` (``wandb sync`` sends that later); so does MLflow without an address.
"""

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from detectron2.config import CfgNode
from detectron2.utils.events import EventWriter, get_event_storage

from focal_star.io.writing import write_whole

logger = logging.getLogger(__name__)

PROJECT = "focal_star"
"""Of the runs, where the environment names none."""

RUNS_FILE = "runs.json"
"""In OUTPUT_DIR: service -> the id of its run, where a training that is gone on with goes on."""

WINDOW = 20
"""Iterations over which scalars are smoothed, as those of metrics.json."""

SECONDS = 20
"""A service that does not answer for so long is taken to be away."""


class Run(Protocol):
    """A run of a service.

    Attributes:
        id: by which the service finds it again.
    """

    id: str

    def log(self, scalars: dict[str, float], iteration: int) -> None: ...

    def finish(self) -> None: ...


class WandbRun:
    """A run of Weights & Biases."""

    def __init__(self, cfg: CfgNode, run_id: str | None):
        """
        Args:
            cfg: of the training.
            run_id: of the run to go on with; None for a new one.
        """
        import wandb

        folder = Path(cfg.OUTPUT_DIR)
        options = {
            "project": os.environ.get("WANDB_PROJECT", PROJECT),
            "name": folder.resolve().name,
            "dir": str(folder),
            "config": dict(_flat(cfg)),
            "id": run_id,
            "resume": "allow",
            "settings": wandb.Settings(
                console="off", silent=True, init_timeout=SECONDS, login_timeout=SECONDS
            ),
        }
        try:
            self._run = wandb.init(**options)
        except Exception as error:  # no login, no network
            logger.warning("W&B is written offline, into %s: %s", folder / "wandb", _line(error))
            self._run = wandb.init(**options, mode="offline")
        self.id = self._run.id

    def log(self, scalars: dict[str, float], iteration: int) -> None:
        self._run.log(scalars, step=iteration)

    def finish(self) -> None:
        self._run.finish()


class MLflowRun:
    """A run of MLflow."""

    def __init__(self, cfg: CfgNode, run_id: str | None):
        """
        Args:
            cfg: of the training.
            run_id: of the run to go on with; None for a new one.
        """
        # Defaults that a user's own take the place of. Without them MLflow asks a server that is
        # away for minutes, and newer ones refuse to write files.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(SECONDS))
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        folder = Path(cfg.OUTPUT_DIR).resolve()
        self._metric = Metric
        address = os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlruns").as_uri()
        self._client = MlflowClient(tracking_uri=address)
        if run_id is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            known = self._client.get_experiment_by_name(name)
            experiment = known.experiment_id if known else self._client.create_experiment(name)
            run_id = self._client.create_run(experiment, run_name=folder.name).info.run_id
            params = [Param(key, str(value)[:500]) for key, value in _flat(cfg)]
            for start in range(0, len(params), 100):  # it takes so many at once
                self._client.log_batch(run_id, params=params[start : start + 100])
        else:
            self._client.update_run(run_id, status="RUNNING")
        self.id = run_id

    def log(self, scalars: dict[str, float], iteration: int) -> None:
        now = int(time.time() * 1000)
        found = [self._metric(name, value, now, iteration) for name, value in scalars.items()]
        for start in range(0, len(found), 1000):
            self._client.log_batch(self.id, metrics=found[start : start + 1000])

    def finish(self) -> None:
        self._client.set_terminated(self.id)


SERVICES: dict[str, Callable[[CfgNode, str | None], Run]] = {
    "wandb": WandbRun,
    "mlflow": MLflowRun,
}
"""Name in ``OUTPUT_WRITERS`` -> what starts its run."""


class ServiceWriter(EventWriter):
    """Sends what is new in the event storage to the run of a service, until something fails."""

    def __init__(self, cfg: CfgNode, service: str, last_write: int | None = None):
        """
        Args:
            cfg: of the training.
            service: of :data:`SERVICES`.
            last_write: the last iteration that counts, of a training that is gone on with; None
                for one that begins.
        """
        self._cfg, self._service = cfg, service
        self._resumes = last_write is not None
        self._last_write = -1 if last_write is None else last_write
        self._run: Run | None = None
        self._failed = False

    def write(self) -> None:
        new: dict[int, dict[str, float]] = {}
        latest = get_event_storage().latest_with_smoothing_hint(WINDOW)
        for name, (value, iteration) in latest.items():
            if iteration > self._last_write and math.isfinite(value):
                new.setdefault(iteration, {})[_safe(name)] = float(value)
        for iteration in sorted(new):
            self._try(self._log, new[iteration], iteration)
        self._last_write = max([self._last_write, *new])

    def close(self) -> None:
        if self._run is not None:
            self._try(self._run.finish)

    def _log(self, scalars: dict[str, float], iteration: int) -> None:
        if self._run is None:
            self._run = self._start()
        self._run.log(scalars, iteration)

    def _start(self) -> Run:
        """Start a run, or go on with the one that :data:`RUNS_FILE` names."""
        path = Path(self._cfg.OUTPUT_DIR) / RUNS_FILE
        try:
            runs = {key: str(value) for key, value in json.loads(path.read_bytes()).items()}
        except (OSError, ValueError, AttributeError):
            runs = {}
        run = SERVICES[self._service](self._cfg, runs.get(self._service) if self._resumes else None)
        runs[self._service] = run.id
        write_whole(path, json.dumps(runs).encode())
        return run

    def _try(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do it; where that fails, say so once and do no more."""
        if self._failed:
            return
        try:
            action(*arguments)
        except ImportError as error:
            self._failed = True
            logger.warning(
                "OUTPUT_WRITERS: %s cannot be imported (%s), and nothing is written to it; to have "
                "it: pip install -e '.[%s]'", self._service, _line(error), self._service,
            )  # fmt: skip
        except Exception as error:  # of a service: its network, its disk, its next version
            self._failed = True
            logger.warning(
                "OUTPUT_WRITERS: %s failed, and nothing more is written to it: %s",
                self._service,
                _line(error),
            )


def service_writers(cfg: CfgNode, last_write: int | None = None) -> list[ServiceWriter]:
    """The writers of ``OUTPUT_WRITERS``; see :class:`ServiceWriter`."""
    return [ServiceWriter(cfg, service, last_write) for service in cfg.OUTPUT_WRITERS]


def _flat(node: CfgNode, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _safe(name: str) -> str:
    """A scalar's name in the letters that both services take; it may have a category's in it."""
    return re.sub(r"[^\w\-. /]", "_", name, flags=re.ASCII)[:200]


def _line(error: Exception) -> str:
    """The first line of its message, with its type."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]
