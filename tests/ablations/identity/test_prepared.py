"""The preparation of the cells, with a stand-in for focal_star.tools.prepare."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ablations.identity import prepared as preparing
from ablations.identity.fingerprint import ResolvedConfig
from ablations.identity.prepared import (
    PrepareError,
    check_base,
    config_files_sha256,
    is_current,
    load,
    prepare,
    variant,
)
from ablations.identity.snapshot import CONFIGS
from ablations.storage.reading import PlanError
from ablations.study.cell import Cell, Setting
from ablations.study.grid import Grid, Row

DEEP = "MODEL.RESNETS.DEPTH 34"


@pytest.fixture
def request_(in_root):
    return in_root.request(0.5)


def prepare_for(request, **options):
    return prepare(request.study, request.layout, request.data_overrides(), **options)


def with_depths(request, *depths):
    """The study of the request, at these depths."""
    grid = request.study.grids[0]
    rows = [
        replace(row, setting=Setting.of({"depth": 18}, **row.setting.as_dict(), depth=depth))
        for row in grid.rows
        for depth in depths
    ]
    return replace(request, study=replace(request.study, grids=(replace(grid, rows=tuple(rows)),)))


def test_prepared_file_is_written_and_loaded(in_root, request_):
    prepared = prepare_for(request_)
    assert prepared.config == json.loads((in_root.root / "config.json").read_text())
    assert prepared.dataset["name"] == "digits"
    assert prepared.weights == {"": {"path": "output/cache/weights.pth", "sha256": "of ''"}}
    assert load(request_.layout) == prepared
    assert is_current(prepared, request_.study)
    assert "composing the data set" in request_.layout.prepare_log.read_text()


def test_prepared_file_without_an_axis_is_not_current(request_):
    prepared, grid = prepare_for(request_), request_.study.grids[0]
    row = replace(grid.rows[0], setting=Setting.of(detector="faster_rcnn", depth=34))
    study = replace(request_.study, grids=(replace(grid, rows=(row,)),))
    assert ("DETECTOR" in prepared.config["MODEL"]) == is_current(prepared, study)
    config = {part: dict(keys) for part, keys in prepared.config.items() if part == "MODEL"}
    config["MODEL"]["DETECTOR"] = "retinanet"
    assert is_current(replace(prepared, config=prepared.config | config), study)
    del config["MODEL"]["DETECTOR"]
    assert not is_current(replace(prepared, config=prepared.config | config), study)


def test_user_data_overrides_reach_the_preparation(request_):
    assert prepare_for(replace(request_, dataset=Path("own"))).dataset["sha256"] == "own"


def test_each_variant_has_its_own_weights(request_):
    prepared = prepare_for(with_depths(request_, 34, 18))
    assert {name: about["sha256"] for name, about in prepared.weights.items()} == {
        DEEP: f"of {DEEP!r}", "": "of ''",
    }  # fmt: skip
    assert variant(Setting.of(loss="ce", depth=34)) == DEEP
    assert variant(Setting.of(loss="ce", scale=88)) == ""


def test_weights_for_other_grids_are_kept(in_root, request_):
    deep = with_depths(request_, 34, 18)
    before = prepare_for(deep)
    prepare_for(request_)
    assert load(request_.layout).weights == before.weights
    # Another config may need other weights, and so may other data.
    (in_root.root / CONFIGS / "tiny.yaml").write_text("# changed\n")
    assert set(prepare_for(request_).weights) == {""}
    prepare_for(deep)
    assert set(prepare_for(replace(request_, weights=Path("own.pth"))).weights) == {""}
    prepare_for(deep)
    assert set(prepare_for(replace(request_, dataset=Path("own"))).weights) == {""}


def test_resolving_keeps_the_known_data_and_weights(in_root, request_):
    before = prepare_for(request_)
    config = json.loads((in_root.root / "config.json").read_text())
    config["SOLVER"]["BASE_LR"] = 0.5
    (in_root.root / "config.json").write_text(json.dumps(config))
    (in_root.root / CONFIGS / "tiny.yaml").write_text("# changed\n")
    assert not is_current(before, request_.study)
    files = {path: path.read_bytes() for path in request_.layout.root.iterdir()}
    after = prepare_for(request_, resolve_only=True)
    assert (after.config, after.dataset, after.weights) == (config, before.dataset, before.weights)
    assert is_current(after, request_.study)
    found = {path: path.read_bytes() for path in request_.layout.root.iterdir()}
    assert found == files, "nothing is written"


def test_resolving_works_without_an_earlier_preparation(request_):
    prepared = prepare_for(request_, resolve_only=True)
    assert (prepared.dataset, prepared.weights) == ({}, {})


def test_unusable_data_raise_one_message(in_root, request_, capfd):
    in_root.act({"prepare": "refuse"})
    with pytest.raises(PrepareError) as refused:
        prepare_for(request_)
    assert str(refused.value) == "own: 2 problems\n  - image 1 is missing\n  - box 7 is empty"
    assert not request_.layout.prepared.exists()
    assert capfd.readouterr().err == "", "the message comes with the error, not beside it"


def test_one_validation_image_cannot_be_halved_for_tuning(in_root, request_):
    in_root.act({"prepare": "one image"})
    prepare_for(request_)
    (grid,) = request_.study.grids
    tuned = Row({"method": "FL"}, Setting((), grid.name), tune=grid.name)
    headline = Grid("headline", "the best", ("method",), (tuned,))
    study = replace(request_.study, grids=(headline, grid))
    with pytest.raises(PrepareError, match="the validation split has 1 image, .* at least 2"):
        prepare_for(replace(request_, study=study))


def test_a_crash_shows_the_end_of_its_log(in_root, request_):
    in_root.act({"prepare": "crash"})
    with pytest.raises(PrepareError) as refused:
        prepare_for(request_)
    assert str(refused.value).startswith("preparing failed:\n")
    assert str(refused.value).endswith("MemoryError: no room for the images")


def test_failed_preparation_keeps_the_last_file(in_root, request_):
    before = prepare_for(request_)
    in_root.act({"prepare": "crash"})
    with pytest.raises(PrepareError):
        prepare_for(request_)
    assert load(request_.layout) == before
    assert {path.name for path in request_.layout.root.iterdir()} == {
        "prepare.log", "prepared.json",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", '{"config": {', "[]", "3", "{}", '{"colour": "red"}', "\0"])
def test_broken_prepared_file_is_ignored(request_, text):
    prepare_for(request_)
    request_.layout.prepared.write_text(text)
    assert load(request_.layout) is None
    assert prepare_for(request_) == load(request_.layout), "it is made again"


def test_study_base_that_differs_from_its_config_is_refused(request_):
    study = replace(request_.study, base={"depth": 50, "scale": 128})
    with pytest.raises(PrepareError) as refused:
        prepare_for(replace(request_, study=study))
    assert str(refused.value) == (
        "studies/tiny.yaml: base: depth is 50, and MODEL.RESNETS.DEPTH of tiny.yaml is 18"
    )
    assert not request_.layout.prepared.exists()


def test_a_config_without_the_common_base_is_refused(request_):
    config = ResolvedConfig({"MODEL": {"RETINANET": {"PRIOR_PROB": 0.1}, "OHEM": {"METHOD": "x"}}})
    with pytest.raises(PrepareError) as refused:
        check_base(request_.study, config)
    for words in ("prior is 0.01", "of tiny.yaml is 0.1", "ohem is None", "of tiny.yaml is 'x'"):
        assert words in str(refused.value)


@pytest.mark.parametrize("key", ["MODEL.RETINANET.PRIOR_PROB", "MODEL.RETINANET.FOCAL_LOSS_ALPHA"])
def test_a_key_that_is_an_axis_is_named_as_one_of_keys(request_, key):
    request = replace(request_, keys=(key, "0.1", "SOLVER.BASE_LR", "0.1"))
    with pytest.raises(PrepareError) as refused:
        prepare_for(request)
    assert str(refused.value) == (
        f"KEYS: {key} cannot have another value for all cells of study tiny; vary the axis in a "
        "grid"
    )


def test_axis_without_a_config_key_is_refused(workplace):
    del workplace.prepared.config["MODEL"]["RESNETS"]
    cell = Cell(Setting.of(loss="ce", alpha=0.5, depth=34), 1)
    words = "ce-alpha0.5-depth34: the config has no key 'MODEL.RESNETS.DEPTH'"
    with pytest.raises(PlanError, match=words):
        workplace.prepared.identities([cell])


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A function that writes a config file into a separate folder of configs."""
    monkeypatch.setattr(preparing, "ROOT", tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return Path(name)

    return write


def test_change_in_any_base_config_file_is_detected(configs):
    path = configs("mini/a.yaml", "_BASE_: ../base.yaml\n")
    configs("base.yaml", "_BASE_: deep/root.yaml\nSEED: 1\n")
    configs("deep/root.yaml", "VERSION: 2\n")
    seen = {config_files_sha256(path)}
    for name, text in (
        ("mini/a.yaml", "_BASE_: ../base.yaml\n# a comment\n"),
        ("base.yaml", "_BASE_: deep/root.yaml\nSEED: 2\n"),
        ("deep/root.yaml", ""),
    ):
        configs(name, text)
        assert config_files_sha256(path) not in seen
        assert config_files_sha256(path) == config_files_sha256(path)
        seen.add(config_files_sha256(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("_BASE_: nowhere.yaml", "nowhere.yaml"),
        ("_BASE_: a.yaml", "a.yaml: is its own _BASE_"),
        ("[", "a.yaml"),
        ("- 1", "a.yaml"),
    ],
)
def test_config_files_that_cannot_be_read_are_named(configs, text, words):
    path = configs("a.yaml", text)
    with pytest.raises(PrepareError, match=words):
        config_files_sha256(path)
