"""Weights & Biases and MLflow get what TensorBoard gets, and no failure of theirs ends a training.

Stand-ins have the documented interface of both. If the packages are installed, they are used too,
offline.
"""

import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest
from torch.utils.tensorboard import SummaryWriter

from ablations.identity.fingerprint import ResolvedConfig
from focal_star.config import load_config
from focal_star.errors import ConfigError
from focal_star.training import engine
from focal_star.training.services import Services
from tests.focal_star.conftest import MINI


class StandIn(ModuleType):
    """Both packages in one; ``fails`` names the calls that raise, and ``calls`` lists the rest."""

    def __init__(self, *fails: str):
        super().__init__("stand_in")
        self.fails, self.calls = set(fails), []
        self.pytorch = self

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args, **kwargs):
            if name in self.fails:
                raise ConnectionError(f"{name}: the network is away\nand more")
            self.calls.append((name, args, kwargs))
            return self

        return call


@pytest.fixture
def stand_in(monkeypatch):
    """Replace both packages, by None for one that is not installed."""
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT"):
        monkeypatch.setenv(variable, "")  # so that it is removed at the end
        monkeypatch.delenv(variable)

    def put(wandb: ModuleType | None, mlflow: ModuleType | None) -> None:
        monkeypatch.setitem(sys.modules, "wandb", wandb)
        monkeypatch.setitem(sys.modules, "mlflow", mlflow)
        monkeypatch.setitem(sys.modules, "mlflow.pytorch", mlflow)

    return put


@pytest.fixture
def cfg(tiny_cfg):
    tiny_cfg.OUTPUT_WRITERS = ["wandb", "mlflow"]
    return tiny_cfg


def test_runs_start_before_the_tensorboard_files_and_end_with_them(cfg, stand_in, monkeypatch):
    service, opened = StandIn(), SummaryWriter.__init__
    stand_in(service, service)
    monkeypatch.setattr(
        SummaryWriter, "__init__", lambda *args, **kwargs: (
            service.calls.append(("files", (), {})), opened(*args, **kwargs)
        )[1]
    )  # fmt: skip
    engine.prepare_data_and_weights(cfg)
    cfg.freeze()
    assert engine.train(cfg)["status"] == "done"
    names = [name for name, *_ in service.calls]
    assert names == [
        "init", "set_experiment", "autolog", "start_run", "log_dict", "files", "finish", "end_run",
    ]  # fmt: skip
    calls = {name: (args, kwargs) for name, args, kwargs in service.calls}
    wandb = calls["init"][1]
    assert wandb["sync_tensorboard"] and wandb["config"]["MODEL"]["FOCAL_STAR"]["LOSS"] == "focal"
    assert (wandb["project"], wandb["name"]) == ("focal_star", "train")
    assert calls["set_experiment"][0] == ("focal_star",)
    assert calls["log_dict"][0][0] == wandb["config"]


@pytest.mark.parametrize(
    ("wandb", "mlflow"),
    [
        (None, None),
        (StandIn("init"), StandIn("set_experiment")),
        (StandIn("finish"), StandIn("end_run")),
    ],
    ids=["not installed", "cannot start", "cannot finish"],
)
def test_a_failure_is_one_warning_and_ends_nothing(cfg, stand_in, caplog, wandb, mlflow):
    stand_in(wandb, mlflow)
    with caplog.at_level(logging.WARNING):
        Services(cfg).close()
    warnings = [record.message for record in caplog.records if "OUTPUT_WRITERS" in record.message]
    assert len(warnings) == 2 and all("\n" not in line for line in warnings)


def test_an_unknown_service_is_refused():
    with pytest.raises(ConfigError, match=r"OUTPUT_WRITERS is \['wand'\]; valid: a list of wandb"):
        load_config(MINI, ["OUTPUT_WRITERS", "['wand']"])


def test_they_do_not_count_in_a_fingerprint():
    config = ResolvedConfig({"OUTPUT_WRITERS": [], "SOLVER": {"MAX_ITER": 6}})
    none, both = ({"OUTPUT_WRITERS": value} for value in ([], ["wandb", "mlflow"]))
    assert config.sha256(none) == config.sha256(both)
    assert config.sha256(none) != config.sha256(none | {"SOLVER.MAX_ITER": 7})


def write_scalar(cfg) -> None:
    Path(cfg.OUTPUT_DIR).mkdir()
    services, writer = Services(cfg), SummaryWriter(cfg.OUTPUT_DIR)
    writer.add_scalar("loss_cls", 2.5, 1)
    writer.close()
    services.close()


def test_wandb_itself(cfg, monkeypatch, caplog):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install -e '.[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    cfg.OUTPUT_WRITERS = ["wandb"]
    write_scalar(cfg)
    assert "OUTPUT_WRITERS" not in caplog.text
    (written,) = Path(cfg.OUTPUT_DIR).glob("wandb/offline-run-*/*.wandb")
    assert b"loss_cls" in written.read_bytes()


def test_mlflow_itself(cfg, monkeypatch, caplog):
    mlflow = pytest.importorskip("mlflow", reason="it is not installed: pip install -e '.[mlflow]'")
    address = (Path(cfg.OUTPUT_DIR) / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    cfg.OUTPUT_WRITERS = ["mlflow"]
    write_scalar(cfg)
    assert "OUTPUT_WRITERS" not in caplog.text
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FINISHED" and run.data.metrics["loss_cls"] == 2.5
