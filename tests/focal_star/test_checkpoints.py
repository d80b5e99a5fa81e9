"""Checkpoints on the disk."""

import logging
import pickle
from pathlib import Path

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer

from focal_star import checkpoints
from focal_star.checkpoints import Checkpointer
from focal_star.config import ConfigError

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
    with caplog.at_level(logging.WARNING):
        assert checkpoints.newest_usable(tmp_path) == tmp_path / "model_0000001.pth"
    (warning,) = caplog.messages
    assert str(path) in warning and "the one before it is taken" in warning
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
    assert caplog.messages == []


def test_clearing_leaves_what_is_not_for_going_on(tmp_path):
    save(tmp_path, 1, 2)
    stays = ["metrics.json", "model_best.pth", "model_final.pth", ".hidden.yaml"]
    goes = [".model_0000003.pth.x1", ".last_checkpoint.x2", ".metrics.json.x3"]
    for name in [*stays, *goes, "model_0000001.pth.unusable"]:
        (tmp_path / name).touch()
    checkpoints.clear(tmp_path)
    assert names(tmp_path) == sorted(stays)


def test_no_code_of_a_checkpoint_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Surprise()}, "bad.pth")
    Path("old.pth").write_bytes(pickle.dumps({"model": Surprise()}))
    for name in ("bad.pth", "old.pth"):
        with pytest.raises(ConfigError, match=f"{name} is not loaded.*could run any code"):
            Checkpointer(torch.nn.Linear(1, 1)).load(name)
    assert not Path("surprise").exists()
    torch.load("bad.pth", weights_only=False)
    assert Path("surprise").exists(), "it would have been"


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


def test_a_model_zoo_pickle_is_read_as_detectron2_reads_it(tmp_path):
    source, found = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    state = {name: tensor.numpy() for name, tensor in source.state_dict().items()}
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps({"model": state, "__author__": "somebody"}))
    Checkpointer(found).load(str(tmp_path / "zoo.pkl"))
    assert torch.equal(found.weight, source.weight)
