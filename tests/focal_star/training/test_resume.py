"""The state of a training, put back; test_broken_off.py has whole trainings."""

import io
import json
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.utils.events import EventStorage

from focal_star.errors import ConfigError
from focal_star.training import checkpoints, config_changes, engine, resume
from focal_star.training.events import MetricsWriter, naming
from focal_star.training.outcome import finished
from focal_star.training.trainer import Trainer


def through_a_file(state: dict) -> dict:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_smoothed_values_go_on_where_they_were():
    def put(storage: EventStorage, start: int, end: int) -> None:
        for iteration in range(start, end):
            storage.iter = iteration
            storage.put_scalar("loss", (7 * iteration % 11) / 3)
            storage.put_scalar("lr", iteration / 7, smoothing_hint=False)
            if iteration == 3:
                storage.put_scalar("rare", 0.1, smoothing_hint=False)

    def seen(storage: EventStorage) -> tuple:
        histories = {k: (v.global_avg(), v.median(1000)) for k, v in storage.histories().items()}
        return storage.latest_with_smoothing_hint(20), histories, storage.latest()

    whole, begun, gone_on = EventStorage(), EventStorage(), EventStorage(1500)
    put(whole, 0, 1530)
    put(begun, 0, 1500)
    state = through_a_file(resume.storage_state(begun))
    assert all(len(scalar["values"]) <= resume.HISTORY for scalar in state.values())
    resume.set_storage_state(gone_on, state)
    assert seen(gone_on) == seen(begun)
    put(gone_on, 1500, 1530)
    assert seen(gone_on) == seen(whole)


def test_metrics_are_put_back(tmp_path):
    def write(writer: MetricsWriter, start: int, end: int) -> None:
        with EventStorage(start) as storage:
            for storage.iter in range(start, end):
                storage.put_scalar("loss", storage.iter)
                writer.write()

    writer = MetricsWriter(tmp_path)
    write(writer, 0, 3)
    state = through_a_file(writer.state_dict())
    kept = (tmp_path / "metrics.json").read_text()
    write(writer, 3, 5)
    writer.close()
    again = MetricsWriter(tmp_path, state)
    assert (tmp_path / "metrics.json").read_text() == kept
    write(again, 2, 4)  # what was written is not repeated
    assert again.state_dict()["last_write"] == 3
    again.close()
    assert (tmp_path / "metrics.json").read_text().count("\n") == 4


def test_an_error_names_its_file(tmp_path):
    with pytest.raises(OSError) as found, naming(tmp_path):
        raise OSError(28, "No space left on device")
    assert (found.value.errno, found.value.filename) == (28, str(tmp_path))
    with pytest.raises(OSError) as found, naming(tmp_path):
        raise OSError(28, "No space left on device", "named")
    assert found.value.filename == "named"


def trained(cfg: CfgNode, iterations: int, *more: HookBase, start: dict | None = None) -> Trainer:
    """A trainer that went through some iterations, and not through what follows them."""

    class Leave(Exception):
        pass

    class Leaving(HookBase):
        def after_step(self):
            if self.trainer.iter + 1 == iterations:
                self.trainer.interrupted = True
                raise Leave

    trainer = Trainer(cfg, start)
    trainer.register_hooks([*more, Leaving()])
    trainer.load()
    with pytest.raises(Leave):
        trainer.train()
    return trainer


def equal(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def test_a_state_that_was_put_back_is_the_same(tiny_cfg, tmp_path):
    tiny_cfg.SEED = 3
    tiny_cfg.INPUT.RANDOM_FLIP = "horizontal"
    (tmp_path / "train").mkdir()
    engine.prepare_data_and_weights(tiny_cfg)
    state = through_a_file(trained(tiny_cfg, 3).full_state())
    assert state["ranks"][0]["loss_normalizer"] not in (None, 100.0)

    class Look(HookBase):
        def before_step(self):
            if self.trainer.iter == 3:
                self.found = through_a_file(self.trainer.full_state())

    look = Look()
    trained(tiny_cfg, 4, look, start=through_a_file(state))
    for name, content in state.items():
        if name == "trainer":
            content["iteration"] = 3
        assert equal(look.found[name], content), name


def test_the_weights_of_a_training_are_its_last_ones(tiny_cfg, tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    assert resume.trained_weights(folder) is None
    engine.prepare_data_and_weights(tiny_cfg)
    state = trained(tiny_cfg, 2).full_state() | {"config": {}}
    for iteration in (1, 2):
        checkpoints.save_numbered(folder, iteration, state)
    path = resume.trained_weights(folder)
    assert path.name == "model_0000002.pth"
    tiny_cfg.MODEL.WEIGHTS = str(path)
    found = engine.load_model(tiny_cfg).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state["model"].items())
    checkpoints.write(folder / "model_final.pth", {"model": state["model"]})
    assert resume.trained_weights(folder).name == "model_final.pth"


def test_a_checkpoint_of_another_config_is_refused(tiny_cfg, tmp_path):
    (tmp_path / "train").mkdir()
    engine.prepare_data_and_weights(tiny_cfg)
    state = trained(tiny_cfg, 2).full_state()
    tiny_cfg.MODEL.FPN.OUT_CHANNELS = 16
    trainer = Trainer(tiny_cfg, through_a_file(state))
    with pytest.raises(ConfigError, match="of another config.*size mismatch"):
        trainer.load()


FAULTY = {
    "no mapping": lambda config: [],
    "nothing": lambda config: None,
    "no values": lambda config: {},
    "values that are a list": lambda config: config | {"values": []},
    "no content": lambda config: config | {"content": None},
    "a hash that is a number": lambda config: config | {"loss_code": 3},
}


@pytest.mark.parametrize("spoil", FAULTY.values(), ids=FAULTY)
def test_a_file_that_no_training_wrote_is_named(spoil, tiny_cfg):
    folder = Path(tiny_cfg.OUTPUT_DIR)
    folder.mkdir()
    config = spoil(config_changes.record(tiny_cfg, tiny_cfg))
    checkpoint = dict.fromkeys(checkpoints.CONTENT, {}) | {"ranks": [{}], "config": config}
    torch.save(checkpoint, folder / "model_0000001.pth")
    with pytest.raises(ConfigError, match="model_0000001.pth is not as a training leaves it"):
        resume.find_start(tiny_cfg, True)
    (folder / "result.json").write_text(json.dumps({"status": "done", "config": config}))
    with pytest.raises(ConfigError, match="result.json is not as a training leaves it"):
        resume.find_start(tiny_cfg, True)
    assert len(list(folder.iterdir())) == 2


def test_a_checkpoint_of_processes_that_are_no_list_is_named(tiny_cfg):
    folder = Path(tiny_cfg.OUTPUT_DIR)
    folder.mkdir()
    checkpoint = dict.fromkeys(checkpoints.CONTENT, {}) | {"ranks": 3}
    torch.save(checkpoint, folder / "model_0000001.pth")
    with pytest.raises(ConfigError, match="model_0000001.pth is not as a training leaves it"):
        resume.find_start(tiny_cfg, True)


def test_a_result_that_is_nested_too_deeply_is_no_result(tmp_path, caplog):
    (tmp_path / "result.json").write_text("[" * 100_000)
    assert finished(tmp_path) is None
    assert "result.json is broken and is ignored" in caplog.text
