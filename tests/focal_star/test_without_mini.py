"""Without ``focal_star.mini`` the core trains, and refuses a config that asks for it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from detectron2.modeling import build_model

from focal_star import extensions
from focal_star.config import load_config
from focal_star.errors import ConfigError
from focal_star.training.trainer import Trainer
from tests.focal_star.conftest import MINI

PROJECT = Path(__file__).resolve().parents[2] / "projects" / "focal_star"


@pytest.fixture(scope="module")
def without_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that lacks the package."""
    copy = tmp_path_factory.mktemp("copy") / "focal_star"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("mini", "__pycache__"))
    shutil.copytree(PROJECT / "configs" / "mini", copy / "configs" / "mini")
    assert not (copy / "focal_star" / "mini").exists()
    return copy


TRAIN_NET = """
import runpy, sys
# An editable installation finds what the copy lacks.
sys.meta_path[:] = [f for f in sys.meta_path if "Editable" not in getattr(f, "__name__", "")]
sys.argv[0] = "train_net.py"
runpy.run_path("train_net.py", run_name="__main__")
"""


def train(project: Path, config: str, pairs: dict[str, object]) -> subprocess.CompletedProcess:
    overrides = [str(part) for pair in pairs.items() for part in pair]
    return subprocess.run(
        [sys.executable, "-c", TRAIN_NET, "--config-file", f"configs/{config}", *overrides],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_config_of_coco_is_trained(without_mini, tiny_data, tmp_path):
    pairs = {
        "DATASETS.FOLDER": tiny_data, "MODEL.DEVICE": "cpu", "MODEL.WEIGHTS": "",
        "INPUT.SHORT_EDGE": 64, "SOLVER.IMS_PER_BATCH": 2, "SOLVER.MAX_ITER": 2,
        "SOLVER.STEPS": "()", "DATALOADER.NUM_WORKERS": 0, "TEST.BOOTSTRAP_RESAMPLES": 0,
        "CACHE_DIR": tmp_path / "cache", "OUTPUT_DIR": tmp_path / "train",
    }  # fmt: skip
    ended = train(without_mini, "coco/retinanet_R_50_FPN_1x_600_FL_star.yaml", pairs)
    assert ended.returncode == 0, ended.stderr[-3000:]
    outcome = json.loads((tmp_path / "train" / "result.json").read_text())
    assert outcome["status"] == "done"


@pytest.mark.slow
def test_a_config_of_mini_is_refused(without_mini, tmp_path):
    ended = train(without_mini, "mini/retinanet_R_18_FPN.yaml", {"OUTPUT_DIR": tmp_path / "train"})
    assert ended.returncode == 2, ended.stderr[-3000:]
    assert "EXTENSIONS mini needs focal_star.mini" in ended.stderr


def remove_mini(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("focal_star.mini")]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == "focal_star.mini":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])


def test_the_core_alone_loads_a_config_and_refuses_one_of_mini(monkeypatch):
    remove_mini(monkeypatch)
    cfg = load_config("", ["MODEL.DEVICE", "cpu"])
    assert extensions.trainer_class(cfg, Trainer) is Trainer
    assert extensions.dataset_folder(cfg) is None and extensions.weights_maker(cfg) is None
    for load in (lambda: load_config(MINI), lambda: load_config("", ["EXTENSIONS", "['mini']"])):
        with pytest.raises(ConfigError, match="EXTENSIONS mini needs focal_star.mini, which this"):
            load()


def test_mini_is_loaded_by_a_config_or_by_a_pair(tmp_path):
    for cfg in (load_config(MINI), load_config("", ["EXTENSIONS", "['mini']"])):
        assert extensions.trainer_class(cfg, Trainer).__module__ == "focal_star.mini.trainer"
        assert cfg.PRETRAINING.MAX_ITER == 2000
    with pytest.raises(ConfigError, match="PRETRAINING"):
        load_config("", ["PRETRAINING.ENABLED", "True"])


def test_two_trainers_are_refused_and_one_named_twice_is_not():
    with pytest.raises(ConfigError, match="EXTENSIONS has mini and frozen; valid: only one"):
        load_config("", ["EXTENSIONS", "['mini', 'frozen']"])
    cfg = load_config("", ["EXTENSIONS", "['fitted', 'mini', 'mini']"])
    assert extensions.trainer_class(cfg, Trainer).__module__ == "focal_star.mini.trainer"


@pytest.mark.parametrize("value", ["['evil']", "['focal_star.mini']", "[['mini']]", "[None]"])
def test_no_config_can_have_other_code_imported(monkeypatch, tmp_path, value):
    """Neither as an extension nor as a model or backbone, in a file or on the command line."""
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')\n")
    (tmp_path / "evil.yaml").write_text(f"EXTENSIONS: {value}\n".replace("None", "null"))
    monkeypatch.syspath_prepend(tmp_path)
    for config, pairs in ((tmp_path / "evil.yaml", []), ("", ["EXTENSIONS", value])):
        with pytest.raises(
            ConfigError, match="EXTENSIONS is .*; valid: a list of mini, frozen, fi"
        ):
            load_config(config, pairs)
    for key in ("MODEL.META_ARCHITECTURE", "MODEL.BACKBONE.NAME"):
        for name in ("evil", "evil.Model", "focal_star.mini.trainer"):
            with pytest.raises(KeyError, match="found in"):
                build_model(load_config(MINI, [key, name]))
    assert "evil" not in sys.modules
