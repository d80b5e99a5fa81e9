"""Checkpoints on the disk."""

import io
import logging
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer

from focal_star.config import CONFIGS, load_config
from focal_star.errors import ConfigError
from focal_star.training import checkpoints, engine
from focal_star.training.checkpoints import Checkpointer, CompleteCheckpointer
from focal_star.training.trainer import Trainer

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
WHOLE = {name: {} for name in checkpoints.CONTENT}


class Surprise:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return Path("surprise").touch, ()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def save(folder: Path, *iterations: int) -> None:
    for iteration in iterations:
        content = WHOLE | {"model": {"weight": torch.full((1000,), float(iteration))}}
        checkpoints.save_numbered(folder, iteration, content)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """At whatever level an earlier test has left the loggers."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_the_two_newest_are_kept_however_many_digits_they_have(tmp_path):
    (tmp_path / "model_best.pth").touch()
    save(tmp_path, 9, 999_999, 9_999_999, 10_000_000)
    kept = ["model_10000000.pth", "model_9999999.pth"]
    assert names(tmp_path) == ["last_checkpoint", *kept, "model_best.pth"]
    assert [path.name for path in checkpoints.numbered(tmp_path)] == kept[::-1]
    assert (tmp_path / "last_checkpoint").read_text() == "model_10000000.pth"
    newest = checkpoints.newest_usable(tmp_path)
    assert checkpoints.read(newest)["model"]["weight"][0] == 10_000_000


@pytest.mark.parametrize("spoiled", ["cut", "changed", "empty", "of Detectron2", "not a dict"])
def test_what_cannot_be_used_is_said_and_passed_over(tmp_path, caplog, spoiled):
    save(tmp_path, 1, 2)
    path = tmp_path / "model_0000002.pth"
    content = bytearray(path.read_bytes())
    if spoiled == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif spoiled == "changed":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif spoiled == "empty":
        path.write_bytes(b"")
    else:
        content = {"model": {}, "iteration": 2} if spoiled == "of Detectron2" else [1]
        checkpoints.write(path, content)
    assert checkpoints.newest_usable(tmp_path) == tmp_path / "model_0000001.pth"
    (warning,) = warnings_in(caplog)
    assert str(path) in warning and "falling back to the previous one" in warning
    assert path.with_suffix(".pth.unusable").is_file()
    save(tmp_path, 3)
    assert [p.name for p in checkpoints.numbered(tmp_path)] == [
        "model_0000001.pth",
        "model_0000003.pth",
    ]


@pytest.mark.parametrize("text", ["model_00", "model_0000007.pth", "", "\xff\x00"])
def test_a_last_checkpoint_that_names_none_is_not_heeded(tmp_path, caplog, text):
    save(tmp_path, 1)
    (tmp_path / "last_checkpoint").write_bytes(text.encode("latin-1"))
    assert checkpoints.newest_usable(tmp_path) == tmp_path / "model_0000001.pth"
    assert "which is no checkpoint" in caplog.text


def test_a_sound_folder_is_no_cause_for_warning(tmp_path, caplog):
    assert checkpoints.newest_usable(tmp_path) is None
    save(tmp_path, 1, 2)
    checkpoints.newest_usable(tmp_path)
    assert warnings_in(caplog) == []


def test_clearing_leaves_what_is_not_for_going_on(tmp_path):
    save(tmp_path, 1, 2)
    stays = ["metrics.json", "model_best.pth", "model_final.pth", ".hidden.yaml"]
    goes = [f".{name}.abcd_123.tmp" for name in ("model_0000003.pth", "last_checkpoint", "x.json")]
    for name in [*stays, *goes, "model_0000001.pth.unusable"]:
        (tmp_path / name).touch()
    checkpoints.clear(tmp_path)
    assert names(tmp_path) == sorted(stays)


def write_tar(path):
    """As torch 0.1 wrote checkpoints."""
    pickled = io.BytesIO(pickle.dumps({"model": Surprise()}))
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("pickle")
        member.size = len(pickled.getvalue())
        archive.addfile(member, pickled)


def write_tar_and_zip(path):
    """Two files in one: torch goes by a file's first bytes, and Python's zipfile by its last."""
    write_tar(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/version", "3")


HOSTILE = {
    "bad.pth": lambda path: torch.save({"model": Surprise()}, path),
    "old.pth": lambda path: path.write_bytes(pickle.dumps({"model": Surprise()})),
    "tar.pth": write_tar,
    "tar_and_zip.pth": write_tar_and_zip,
    "zoo.pkl": lambda path: path.write_bytes(
        pickle.dumps({"model": Surprise(), "__author__": "somebody"})
    ),
    "array.pkl": lambda path: path.write_bytes(
        pickle.dumps({"model": {"weight": np.array([Surprise()])}, "__author__": "somebody"})
    ),
    "pycls.pyth": lambda path: torch.save({"model_state": Surprise()}, path),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_code_of_a_checkpoint_is_run(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    HOSTILE[name](Path(name))
    with pytest.raises(ConfigError, match=f"{name} is not loaded.*could run any code; if you tru"):
        Checkpointer(torch.nn.Linear(1, 1)).load(name)
    assert not Path("surprise").exists()


@pytest.mark.parametrize("name", [name for name in HOSTILE if "tar" not in name])
def test_code_is_run_where_that_is_asked_for(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    HOSTILE[name](Path(name))
    with suppress(Exception):  # what they hold is no model
        Checkpointer(torch.nn.Linear(1, 1), trusted=True).load(name)
    assert Path("surprise").exists(), "or the test above would not see it"


@pytest.mark.parametrize("trusted", [False, True])
def test_the_caller_says_whether_initial_weights_are_trusted(tmp_path, monkeypatch, trusted):
    monkeypatch.chdir(tmp_path)
    HOSTILE["bad.pth"](Path("bad.pth"))
    cfg = load_config(MINI, ["MODEL.WEIGHTS", "bad.pth", "MODEL.TRUSTED_WEIGHTS", str(not trusted)])
    monkeypatch.setattr(Trainer, "build_model", lambda _: torch.nn.Linear(1, 1))
    with pytest.raises(ConfigError):
        engine.evaluate(cfg, trusted)  # what it holds is no model even so
    assert Path("surprise").exists() is trusted


def of_classes(number: int) -> torch.nn.Module:
    """A stand-in of a detector: a backbone, and a head of so many classes."""
    layers = OrderedDict(backbone=torch.nn.Linear(3, 2), head=torch.nn.Linear(2, number))
    return torch.nn.Sequential(layers)


def test_weights_that_do_not_fill_the_model_are_refused_with_both_shapes(tmp_path):
    Checkpointer(of_classes(5), str(tmp_path)).save("five")
    with pytest.raises(ConfigError, match="five.pth does not match the model") as error:
        CompleteCheckpointer(of_classes(7)).load(str(tmp_path / "five.pth"))
    assert "head.weight is (5, 2) in the file, and (7, 2) by the config" in str(error.value)
    assert "head.bias is (5,) in the file, and (7,) by the config" in str(error.value)
    torch.save({"model": {"backbone.weight": torch.ones(2, 3)}}, tmp_path / "part.pth")
    with pytest.raises(ConfigError, match="backbone.bias is missing; head.bias is missing"):
        CompleteCheckpointer(of_classes(5)).load(str(tmp_path / "part.pth"))


def test_weights_that_the_model_does_not_have_are_warned_of(tmp_path, caplog):
    state = of_classes(5).state_dict() | {"mask.weight": torch.ones(1)}
    torch.save({"model": state}, tmp_path / "more.pth")
    checkpointer = CompleteCheckpointer(of_classes(5))
    checkpointer.logger = logging.Logger("of this test")  # others have set up the usual one
    checkpointer.logger.addHandler(caplog.handler)
    checkpointer.load(str(tmp_path / "more.pth"))
    assert "mask.weight" in caplog.text


def test_a_training_may_start_from_a_part_of_the_weights(tmp_path, caplog):
    torch.save({"model": of_classes(5).backbone.state_dict(prefix="backbone.")}, tmp_path / "b.pth")
    model = of_classes(7)
    Checkpointer(model).load(str(tmp_path / "b.pth"))
    assert "has other shapes" not in caplog.text
    Checkpointer(of_classes(5), str(tmp_path)).save("five")
    Checkpointer(model).load(str(tmp_path / "five.pth"))
    assert "five.pth has other shapes for some parameters, for example because of a" in caplog.text
    assert "head.weight is (5, 2) in the file, and (7, 2) by the config" in caplog.text


@pytest.mark.parametrize("others", [{"layer9.weight": torch.ones(1)}, {}])
def test_a_file_of_which_nothing_is_taken_is_refused(tmp_path, others):
    torch.save({"model": others}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="other.pth has none of the model's 4 parameters; valid"):
        Checkpointer(of_classes(5)).load(str(tmp_path / "other.pth"))


def test_a_weight_that_is_no_tensor_is_named(tmp_path):
    path = tmp_path / "odd.pth"
    torch.save({"model": {"weight": "heavy"}}, path)
    with pytest.raises(ConfigError, match="odd.pth: 'weight' is a str, not a tensor"):
        Checkpointer(torch.nn.Linear(1, 1)).load(str(path))


def test_detectron2_reads_what_is_saved_and_the_reverse(tmp_path):
    source, ours, theirs = (torch.nn.Linear(3, 2) for _ in range(3))
    Checkpointer(source, str(tmp_path)).save("ours", note=1)
    DetectionCheckpointer(source, str(tmp_path)).save("theirs")
    assert DetectionCheckpointer(ours).load(str(tmp_path / "ours.pth"))["note"] == 1
    Checkpointer(theirs).load(str(tmp_path / "theirs.pth"))
    for model in (ours, theirs):
        assert torch.equal(model.weight, source.weight)
    torch.save(source.state_dict(), tmp_path / "bare.pth")
    assert Checkpointer(torch.nn.Linear(3, 2)).load(str(tmp_path / "bare.pth")) == {}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_model_zoo_pickle_is_read_as_detectron2_reads_it(tmp_path, protocol):
    source, ours, theirs = (torch.nn.Linear(3, 2) for _ in range(3))
    state = {name: tensor.numpy() for name, tensor in source.state_dict().items()}
    content = {"model": OrderedDict(state), "__author__": "somebody", "epoch": np.float32(3)}
    path = tmp_path / "zoo.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    DetectionCheckpointer(theirs).load(str(path))
    assert Checkpointer(ours).load(str(path)) == {"__author__": "somebody", "epoch": 3}
    assert torch.equal(ours.weight, source.weight) and torch.equal(theirs.weight, source.weight)


@pytest.mark.parametrize("in_blobs", [False, True])
def test_a_pickle_of_caffe2_is_read_as_detectron2_reads_it(tmp_path, in_blobs):
    def model():
        block = torch.nn.Sequential(OrderedDict(conv1=torch.nn.Conv2d(3, 2, 1, bias=False)))
        return torch.nn.Sequential(OrderedDict(res2=torch.nn.Sequential(block)))

    source, ours, theirs = model(), model(), model()
    name, weight = "res2_0_branch2a_w", source.res2[0].conv1.weight
    weights = {name: weight.detach().numpy(), f"{name}_momentum": np.zeros(1)}
    path = tmp_path / "caffe2.pkl"
    path.write_bytes(pickle.dumps({"blobs": weights} if in_blobs else weights))
    for checkpointer in (Checkpointer(ours), DetectionCheckpointer(theirs)):
        checkpointer.load(str(path))
    assert torch.equal(theirs.res2[0].conv1.weight, weight), "or the case is none"
    assert torch.equal(ours.res2[0].conv1.weight, weight)


@pytest.mark.parametrize("content", [b"", b"x", b"\x80\x04", pickle.dumps([1])])
def test_a_broken_pickle_is_named(tmp_path, content):
    path = tmp_path / "broken.pkl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="broken.pkl (is|holds)"):
        Checkpointer(torch.nn.Linear(1, 1)).load(str(path))
