"""What goes to Weights & Biases and to MLflow, and that nothing of theirs ends a training.

Stand-ins have the documented interface of both; where the packages are installed, they are used
too, offline.
"""

import json
import logging
import math
import sys
from types import ModuleType, SimpleNamespace

import pytest
from detectron2.utils.events import EventStorage

from ablations.identity.fingerprint import ResolvedConfig
from focal_star.config import CONFIGS, ConfigError, load_config
from focal_star.training import engine, writers
from focal_star.training.writers import ServiceWriter, service_writers

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


class Wandb(ModuleType):
    """``wandb.init`` and the run that it returns; ``fails`` names the calls that raise."""

    def __init__(self, *fails: str):
        super().__init__("wandb")
        self.fails, self.runs = set(fails), []

    def Settings(self, **settings):
        return settings

    def init(self, **options):
        self._may_fail("init" if options.get("mode") != "offline" else "offline")
        self.runs.append(SimpleNamespace(options=options, logged={}, finished=False))
        run = self.runs[-1]
        run.id = options["id"] or f"made{len(self.runs)}"

        def log(scalars, step):
            self._may_fail("log")
            run.logged[step] = scalars

        def finish():
            self._may_fail("finish")
            run.finished = True

        run.log, run.finish = log, finish
        return run

    def _may_fail(self, call: str) -> None:
        if call in self.fails:
            raise ConnectionError(f"{call}: the network is away\nand more")


class Mlflow(ModuleType):
    """``mlflow.MlflowClient``, as a store in memory."""

    def __init__(self, *fails: str):
        super().__init__("mlflow")
        self.fails, self.addresses, self.experiments = set(fails), [], {}
        self.runs: dict[str, SimpleNamespace] = {}
        self.entities = ModuleType("mlflow.entities")
        self.entities.Metric = lambda key, value, timestamp, step: (key, value, step)
        self.entities.Param = lambda key, value: (key, value)

    def MlflowClient(self, tracking_uri):
        self.addresses.append(tracking_uri)
        if "init" in self.fails:
            raise ConnectionError("no such server")
        return self

    def get_experiment_by_name(self, name):
        return self.experiments.get(name)

    def create_experiment(self, name):
        self.experiments[name] = SimpleNamespace(experiment_id=str(len(self.experiments)))
        return self.experiments[name].experiment_id

    def create_run(self, experiment_id, run_name):
        run_id = f"run{len(self.runs)}"
        self.runs[run_id] = SimpleNamespace(
            name=run_name, params={}, metrics=[], statuses=["RUNNING"]
        )
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def update_run(self, run_id, status):
        self.runs[run_id].statuses.append(status)

    def log_batch(self, run_id, metrics=(), params=()):
        if "log" in self.fails and metrics:
            raise ConnectionError("the disk is full")
        assert len(params) <= 100 and len(metrics) <= 1000  # as its REST interface takes them
        self.runs[run_id].metrics += metrics
        self.runs[run_id].params |= dict(params)

    def set_terminated(self, run_id):
        if "finish" in self.fails:
            raise ConnectionError("gone")
        self.runs[run_id].statuses.append("FINISHED")


@pytest.fixture
def stand_in(monkeypatch):
    """Put a stand-in in the place of its package; None for a package that is not installed."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)

    def put(name: str, module: ModuleType | None) -> ModuleType | None:
        monkeypatch.setitem(sys.modules, name, module)
        if name == "mlflow":
            monkeypatch.setitem(sys.modules, "mlflow.entities", getattr(module, "entities", None))
        return module

    return put


@pytest.fixture
def cfg(tiny_cfg):
    tiny_cfg.OUTPUT_WRITERS = ["wandb", "mlflow"]
    return tiny_cfg


def write(writer: ServiceWriter, until: int = 2, **scalars: float) -> None:
    """Let it write after each of some iterations, and close it."""
    with EventStorage(0) as storage:
        for iteration in range(until):
            storage.iter = iteration
            storage.put_scalars(loss_cls=3.0 - iteration, **scalars)
            writer.write()
        writer.close()


def test_a_training_sends_its_config_its_metrics_and_its_ap(cfg, stand_in):
    wandb, mlflow = stand_in("wandb", Wandb()), stand_in("mlflow", Mlflow())
    engine.prepare(cfg)
    cfg.freeze()
    outcome = engine.train(cfg)
    (run,) = wandb.runs
    assert run.options["config"]["MODEL.FOCAL_STAR.LOSS"] == "focal" and run.finished
    assert run.options["project"] == "focal_star" and run.options["name"] == "train"
    last = {key: value for scalars in run.logged.values() for key, value in scalars.items()}
    assert last["bbox/AP"] == outcome["result"]["metrics"]["AP"]
    assert last["total_loss"] > 0 and all(map(math.isfinite, last.values()))
    (run,) = mlflow.runs.values()
    assert {key: value for key, value, _ in run.metrics} == last
    assert run.params["MODEL.FOCAL_STAR.LOSS"] == "focal"
    assert run.statuses == ["RUNNING", "FINISHED"]
    assert mlflow.addresses[0].startswith("file:") and mlflow.addresses[0].endswith("/mlruns")


FAILURES = {
    "neither is installed": (None, None),
    "they cannot start": (Wandb("init", "offline"), Mlflow("init")),
    "they cannot log": (Wandb("log"), Mlflow("log")),
    "they cannot finish": (Wandb("finish"), Mlflow("finish")),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_said_once_and_ends_nothing(cfg, stand_in, caplog, case):
    stand_in("wandb", FAILURES[case][0])
    stand_in("mlflow", FAILURES[case][1])
    with caplog.at_level(logging.WARNING):
        for writer in service_writers(cfg):
            write(writer)
    told = [record.message for record in caplog.records if "OUTPUT_WRITERS" in record.message]
    assert len(told) == 2 and "wandb" in told[0] and "mlflow" in told[1]
    assert all("\n" not in line for line in told)
    if case == "neither is installed":
        assert "pip install -e '.[wandb]'" in told[0]


def test_without_a_network_wandb_is_written_offline(cfg, stand_in, caplog):
    wandb = stand_in("wandb", Wandb("init"))
    write(ServiceWriter(cfg, "wandb"))
    assert [run.options["mode"] for run in wandb.runs] == ["offline"] and wandb.runs[0].finished
    assert "offline" in caplog.text


@pytest.mark.parametrize("service", writers.SERVICES)
def test_a_training_that_is_gone_on_with_goes_on_in_its_run(cfg, stand_in, service):
    wandb, mlflow = stand_in("wandb", Wandb()), stand_in("mlflow", Mlflow())
    write(ServiceWriter(cfg, service))
    write(ServiceWriter(cfg, service, last_write=1), until=3)
    write(ServiceWriter(cfg, service))
    if service == "wandb":
        assert [run.id for run in wandb.runs] == ["made1", "made1", "made3"]
        assert [list(run.logged) for run in wandb.runs] == [[0, 1], [2], [0, 1]]
    else:
        first, second = mlflow.runs.values()
        assert [step for *_, step in first.metrics] == [0, 1, 2]
        assert [step for *_, step in second.metrics] == [0, 1]


def test_names_and_numbers_that_a_service_would_refuse(cfg, stand_in):
    mlflow = stand_in("mlflow", Mlflow())
    odd = {"bbox/AP-<é\n>": 1.0, "bbox/APl": math.nan, "bbox/AP-" + "x" * 999: 2.0}
    write(ServiceWriter(cfg, "mlflow"), until=1, **odd)
    (run,) = mlflow.runs.values()
    sent = {key: value for key, value, _ in run.metrics}
    assert sent == {"loss_cls": 3.0, "bbox/AP-____": 1.0, ("bbox/AP-" + "x" * 999)[:200]: 2.0}


def test_an_unknown_service_is_refused():
    with pytest.raises(ConfigError, match=r"OUTPUT_WRITERS is \['wand'\]; valid: a list of wandb"):
        load_config(MINI, ["OUTPUT_WRITERS", "['wand']"])


def test_they_do_not_count_in_a_fingerprint(cfg):
    def plain(node):
        return {
            key: plain(value) if hasattr(value, "items") else value for key, value in node.items()
        }

    config = ResolvedConfig(plain(cfg))
    none, both = ({"OUTPUT_WRITERS": value} for value in ([], ["wandb", "mlflow"]))
    assert config.sha256(none) == config.sha256(both)
    assert config.sha256(none) != config.sha256(none | {"SOLVER.MAX_ITER": 7})


def test_wandb_itself(cfg, monkeypatch, caplog):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install -e '.[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    write(ServiceWriter(cfg, "wandb"))
    assert "OUTPUT_WRITERS" not in caplog.text
    (written,) = writers.Path(cfg.OUTPUT_DIR).glob("wandb/offline-run-*/*.wandb")
    assert written.stat().st_size > 0 and b"loss_cls" in written.read_bytes()


def test_mlflow_itself(cfg, monkeypatch, caplog):
    mlflow = pytest.importorskip("mlflow", reason="it is not installed: pip install -e '.[mlflow]'")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write(ServiceWriter(cfg, "mlflow"))
    assert "OUTPUT_WRITERS" not in caplog.text
    folder = writers.Path(cfg.OUTPUT_DIR)
    client = mlflow.MlflowClient(tracking_uri=(folder / "mlruns").as_uri())
    run = client.get_run(json.loads((folder / writers.RUNS_FILE).read_text())["mlflow"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["loss_cls"] == 2.5  # the median of 3 and 2
    assert run.data.params["SOLVER.MAX_ITER"] == "6"
