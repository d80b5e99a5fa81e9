"""Two training runs in one folder would remove each other's checkpoints: the second is refused."""

import errno
import fcntl

import pytest
from detectron2.engine import default_argument_parser

from focal_star.config import CONFIGS
from focal_star.errors import ConfigError
from focal_star.training import command
from focal_star.training import sole_training as module
from focal_star.training.sole_training import sole_training

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr(module, "MAX_SECONDS", 0.1)


def test_a_folder_is_held_until_the_end_of_the_block(tmp_path):
    folder = tmp_path / "train"
    with sole_training(folder):
        refused = pytest.raises(ConfigError, match="train, which another training run is using")
        with refused, sole_training(folder):
            pass
        with sole_training(tmp_path / "other"):
            pass
    with sole_training(folder):
        pass
    assert not list(folder.iterdir())


@pytest.mark.parametrize("resume", [[], ["--resume"]], ids=["anew", "resume"])
def test_a_training_leaves_the_folder_of_another_as_it_is(resume, tiny_overrides, tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "model_0000001.pth").write_text("of a training at work")
    arguments = ["--config-file", str(MINI), *resume, *tiny_overrides]
    with sole_training(folder):
        before = sorted(folder.iterdir())
        with pytest.raises(ConfigError, match="another training run is using"):
            command._train_or_evaluate(default_argument_parser().parse_args(arguments))
        assert sorted(folder.iterdir()) == before


def test_a_disk_without_locks_serves_as_well(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with sole_training(tmp_path / "train"):
        pass
