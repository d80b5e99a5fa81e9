"""``python -m focal_star.tools.prepare``, called in the test's own process."""

import json
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from focal_star.config import CONFIGS, resolve_config
from focal_star.mini import pretraining
from focal_star.tools import prepare
from focal_star.tools.doctor import requirements

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
COCO = CONFIGS / "coco" / "retinanet_FPN_1x.yaml"
DEEPER = "MODEL.RESNETS.DEPTH 34"


@pytest.fixture
def call(tmp_path, tiny_overrides, monkeypatch, capsys):
    """Calls with the tiny data set; returns the exit code, the file's content, and stderr."""
    monkeypatch.setattr(pretraining, "_train", lambda cfg: (_layer(cfg.MODEL.RESNETS.DEPTH), 50.0))
    monkeypatch.setattr(prepare, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    pairs = [*tiny_overrides, "PRETRAINING.ENABLED", "True"]

    def call(*flags: str, pairs: list[str] = pairs, path: Path = tmp_path / "out.json"):
        code = prepare.main(["--config-file", str(MINI), "--json", str(path), *flags, *pairs])
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        return code, content, capsys.readouterr().err

    call.pairs = pairs
    return call


def _layer(depth: int) -> nn.Module:
    layer = nn.Linear(3, 3)
    nn.init.constant_(layer.weight, depth)
    nn.init.zeros_(layer.bias)
    return layer


def test_each_variant_gets_its_weights(call):
    same = "INPUT.SHORT_EDGE 88"
    code, content, _ = call("--variant", "", "--variant", DEEPER, "--variant", same)
    assert code == 0
    assert list(content) == ["config", "dataset", "weights"]
    weights = content["weights"]
    assert list(weights) == ["", DEEPER, same]
    assert weights[same] == weights[""]
    assert weights[DEEPER]["sha256"] != weights[""]["sha256"]
    for variant, depth in (("", 18), (DEEPER, 34)):
        saved = torch.load(weights[variant]["path"], weights_only=True)["model"]
        assert saved["backbone.bottom_up.weight"][0, 0] == depth
        assert weights[variant]["accuracy"] == 50.0
    dataset = content["dataset"]
    assert dataset["train"]["num_images"] == 24 and dataset["val"]["num_images"] == 8
    assert dataset["name"] == Path(dataset["folder"]).name and len(dataset["sha256"]) == 64
    assert dataset["categories"] == [str(digit) for digit in range(10)]


def test_several_backbones_are_trained_by_processes_of_their_own(tmp_path, tiny_overrides):
    path = tmp_path / "out.json"
    pairs = [*tiny_overrides, "PRETRAINING.ENABLED", "True", "PRETRAINING.MAX_ITER", "2"]
    variants = ["--variant", "", "--variant", DEEPER]
    assert prepare.main(["--config-file", str(MINI), "--json", str(path), *variants, *pairs]) == 0
    weights = json.loads(path.read_text(encoding="utf-8"))["weights"]
    assert weights[""]["sha256"] != weights[DEEPER]["sha256"]
    # One process alone makes the same.
    Path(weights[""]["path"]).unlink()
    alone = tmp_path / "alone.json"
    assert prepare.main(["--config-file", str(MINI), "--json", str(alone), *pairs]) == 0
    assert json.loads(alone.read_text(encoding="utf-8"))["weights"][""] == weights[""]


def test_without_a_variant_there_is_the_empty_one(call):
    assert list(call()[1]["weights"]) == [""]


def test_a_variant_is_quoted_as_a_shell_does(call):
    variant = 'MODEL.RESNETS.OUT_FEATURES \'["res3", "res4", "res5"]\''
    code, content, _ = call("--variant", variant)
    assert code == 0 and list(content["weights"]) == [variant]


def test_the_config_is_resolved_and_neither_derived_nor_a_variants(call):
    config = call("--variant", DEEPER, pairs=[*call.pairs, "SEED", "7"])[1]["config"]
    expected = resolve_config(MINI, [*call.pairs, "SEED", "7"])
    assert config == json.loads(json.dumps(expected))
    assert config == yaml.safe_load(yaml.safe_dump(config))  # plain types
    assert config["SEED"] == 7 and config["MODEL"]["RESNETS"]["DEPTH"] == 18
    assert config["INPUT"]["SHORT_EDGE"] == 128 and config["INPUT"]["MIN_SIZE_TEST"] == 800
    assert config["MODEL"]["ANCHOR_GENERATOR"]["SIZES"][0] == [32.0]
    assert config["DATASETS"]["TRAIN"] == ["digits_in_scenes_train"]


def test_resolving_touches_neither_data_nor_weights(call, tmp_path):
    pairs = ["DATASETS.FOLDER", str(tmp_path / "nowhere"), "CACHE_DIR", str(tmp_path / "cache")]
    code, content, _ = call("--resolve-only", "--variant", DEEPER, pairs=pairs)
    assert code == 0
    assert content == {"config": json.loads(json.dumps(resolve_config(MINI, pairs)))}
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_the_images_are_checked_once(call, monkeypatch):
    checked = []
    monkeypatch.setattr(
        "focal_star.data.registration.require_valid",
        lambda folder, _: checked.append(folder) or ({}, None),
    )
    call("--variant", "", "--variant", DEEPER)
    assert len(checked) == 1


@pytest.mark.parametrize(
    ("flags", "pairs", "words"),
    [
        ([], ["MODEL.FOCAL_STAR.LOSS", "fl"], ["'fl'; valid"]),
        ([], ["DATASETS.FOLDER", "nowhere"], ["nowhere"]),
        (
            ["--variant", "INPUT.SHORT_EDGE 0", "--variant", "SEED 'open", "--variant", "SEED"],
            [],
            ["--variant 'INPUT.SHORT_EDGE 0': config: ", "closing quotation", "--variant 'SEED'"],
        ),
        (["--variant", "", "--variant", "MODEL.WEIGHTS a.pth"], [], ["MODEL.WEIGHTS is 'a.pth'"]),
    ],
)
def test_mistakes_are_all_said_and_nothing_is_written(call, flags, pairs, words):
    code, content, error = call(*flags, pairs=[*call.pairs, *pairs])
    assert (code, content) == (2, None)
    assert error.startswith("error: ") and "Traceback" not in error
    for word in words:
        assert word in error


def test_variants_on_several_data_sets_are_refused(call):
    other = "DATASETS.FOLDER '' DATASETS.TRAIN '[\"coco_2017_train\"]' PRETRAINING.ENABLED False"
    code, content, error = call("--variant", "", "--variant", other)
    assert (code, content) == (2, None)
    assert "several data sets" in error and "coco_2017_train" in error


def test_a_disk_that_fills_up_is_said_and_the_old_file_stays(call, tmp_path):
    path = tmp_path / "out.json"
    path.write_text('"old"')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # a real write fails half way
    try:
        code, content, error = call("--resolve-only")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, content) == (2, "old")
    assert error.startswith("error: ") and len(error.splitlines()) == 1
    assert f"File too large: '{path}'" in error
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_a_cache_that_cannot_be_written_is_said(call, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    code, content, error = call()
    assert (code, content) == (2, None)
    assert error.startswith("error: ") and "cache" in error and len(error.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder_is_said(call, tmp_path):
    folder = tmp_path / "read_only"
    folder.mkdir(mode=0o555)
    code, _, error = call("--resolve-only", path=folder / "out.json")
    assert code == 2 and error.startswith("error: ") and "Permission denied" in error


def test_a_folder_that_is_a_file_is_said(call, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, error = call("--resolve-only", path=tmp_path / "file" / "out.json")
    assert code == 2 and len(error.splitlines()) == 1
    assert error.startswith("error: ") and str(tmp_path / "file") in error


def test_what_coco_lacks_is_named_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(requirements, "fault_of_server", lambda _: "no network")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    flags = ["--config-file", str(COCO), "--json", str(tmp_path / "out.json"), "--num-gpus", "8"]
    variants = ["--variant", "", "--variant", "MODEL.RESNETS.DEPTH 101"]
    assert prepare.main([*flags, *variants, "CACHE_DIR", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: data: ") and "Traceback" not in error
    for words in (
        "annotations/instances_train2017.json", "DETECTRON2_DATASETS", "MSRA/R-50.pkl does not",
        "MSRA/R-101.pkl does not", "GPUs: a training needs 8",
    ):  # fmt: skip
        assert words in error, words
    assert not (tmp_path / "out.json").exists()


def test_weights_are_fetched_once_for_all_cells(tiny_overrides, tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(prepare, "fetch", fetched.append)
    monkeypatch.setattr(requirements, "fault_of_server", lambda _: "")
    path = tmp_path / "out.json"
    variants = ["--variant", "", "--variant", "MODEL.RESNETS.DEPTH 101", "--variant", "SEED 3"]
    flags = ["--config-file", str(COCO), "--json", str(path), *variants]
    assert prepare.main([*flags, "EXTENSIONS", "['mini']", *tiny_overrides]) == 0
    addresses = [f"detectron2://ImageNetPretrained/MSRA/R-{depth}.pkl" for depth in (50, 101)]
    assert sorted(fetched) == sorted(addresses)
    weights = json.loads(path.read_text(encoding="utf-8"))["weights"]
    assert [each["path"] for each in weights.values()] == [*addresses, addresses[0]]
