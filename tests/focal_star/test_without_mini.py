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
from focal_star.config import ConfigError, load_config
from tests.focal_star.conftest import MINI

NARROW = "build_narrow_resnet_fpn_backbone"

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
    assert "DATASETS.TRAIN digits_in_scenes_train needs focal_star.mini" in ended.stderr


def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("focal_star.mini")]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == "focal_star.mini":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])


@pytest.mark.parametrize(
    ("pairs", "asks"),
    [
        (["MODEL.META_ARCHITECTURE", "CachedRetinaNet"], "MODEL.META_ARCHITECTURE CachedRetinaNet"),
        (["MODEL.BACKBONE.NAME", NARROW], f"MODEL.BACKBONE.NAME {NARROW}"),
        (["MODEL.BACKBONE.STORE_FROZEN", "True"], "MODEL.BACKBONE.STORE_FROZEN True"),
        (["DATASETS.TRAIN", "('digits_in_scenes_train',)"], "DATASETS.TRAIN digits_in_scenes_"),
        (["PRETRAINING.ENABLED", "True"], "PRETRAINING.ENABLED True"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_key_that_asks_for_it_is_named(monkeypatch, tmp_path, pairs, asks):
    def ask() -> None:
        cfg = load_config("", ["MODEL.DEVICE", "cpu", *pairs, "CACHE_DIR", str(tmp_path)])
        build_model(cfg) if pairs[0] in ("MODEL.META_ARCHITECTURE", "MODEL.BACKBONE.NAME") else None
        extensions.trainer_class(cfg)
        extensions.embedded_dataset(cfg, compose=True) if "DATASETS" in pairs[0] else None
        extensions.missing_weights(cfg, "") if cfg.PRETRAINING.ENABLED else None

    missing(monkeypatch)
    with pytest.raises(ConfigError, match="needs focal_star.mini") as error:
        ask()
    assert str(error.value).startswith(asks)


def test_a_config_that_does_not_ask_gets_none_of_it(monkeypatch):
    missing(monkeypatch)
    cfg = load_config("", [])
    assert extensions.trainer_class(cfg).__module__ == "focal_star.training.trainer"
    assert extensions.embedded_dataset(cfg) is None


def test_no_config_can_have_other_code_imported(monkeypatch, tmp_path):
    """A name that is not of the list is one of Detectron2's registries, or unknown."""
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for key in ("MODEL.META_ARCHITECTURE", "MODEL.BACKBONE.NAME"):
        for name in ("evil", "evil.Model", "focal_star.mini.models"):
            cfg = load_config(MINI, [key, name])
            with pytest.raises(KeyError, match="found in"):
                build_model(cfg)
    assert "evil" not in sys.modules
