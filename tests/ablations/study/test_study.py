import argparse
from collections import Counter

import pytest
import yaml

from ablations.identity.fingerprint import ResolvedConfig
from ablations.identity.prepared import Prepared, check_base
from ablations.storage.layout import PACKAGE
from ablations.storage.reading import PlanError
from ablations.study.asked_seeds import ALL, MAX_SEEDS
from ablations.study.cell import Cell, Setting
from ablations.study.grid import Row
from ablations.study.study import ALL_GRIDS, load_study, schedule_name, schedule_of

FOLDER = PACKAGE
GRIDS = sorted(path.stem for path in (FOLDER / "grids").glob("*.yaml"))
STUDIES = sorted(path.stem for path in (FOLDER / "studies").glob("*.yaml"))
CONFIGS = FOLDER.parent / "projects" / "focal_star" / "configs"

NUM_CELLS = 10_000
"""The number of cells of the study that must be planned quickly."""


def content_of(name):
    return yaml.safe_load((FOLDER / "studies" / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_of_the_repository(name):
    content, study = content_of(name), load_study(name)
    assert (study.name, study.title, study.dataset) == (name, content["title"], content["dataset"])
    names = [grid.name for grid in study.grids]
    tuning = [grid.name for grid in study.tuning if grid.name not in content["grids"]]
    assert names == [*content["grids"], *tuning]
    tuned = {grid.name: content["fresh_seeds"] for grid in study.grids if grid.is_tuned}
    assert {grid.name: len(study.seeds_of(grid)) for grid in study.grids} == dict.fromkeys(
        names, content["seeds"]
    ) | content.get("more_seeds", {}) | tuned
    assert (CONFIGS / study.config).is_file()


@pytest.mark.parametrize("name", STUDIES)
def test_every_cell_makes_a_config(name):
    """Every setting's keys are the config's, its values are valid, and the base is the config's."""
    from focal_star.config import load_config, resolve_config

    study = load_study(name)
    config = resolve_config(CONFIGS / study.config)
    resolved, prepared = ResolvedConfig(config), Prepared(config, "", {}, {})
    check_base(study, resolved)
    settings = {cell.setting for cell in study.cells() if not cell.setting.pending}
    for setting in settings:
        cfg = load_config(CONFIGS / study.config, Cell(setting, 7).overrides())
        assert cfg.SEED == 7
        values = prepared.config_values(study, Cell(setting, 7))
        assert ResolvedConfig(yaml.safe_load(cfg.dump())).differences(values) == []
        assert values.items() >= setting.config().items()
        for key, value in setting.config().items():
            found = cfg
            for part in key.split("."):
                found = getattr(found, part)
            assert (found, type(found)) == (value, type(value)), setting.id
    hashes = {resolved.sha256(setting.config()) for setting in settings}
    assert len(hashes) == len(settings), "no two mean one run"


@pytest.mark.parametrize("name", STUDIES)
def test_cells_are_unique_and_ordered_by_seed(name):
    study = load_study(name, seeds={ALL: 3})
    cells = study.cells()
    assert set(cells) == {
        Cell(row.setting, seed)
        for grid in study.grids
        for row in grid.rows
        for seed in (study.fresh_seeds if grid.is_tuned else (1, 2, 3))
    }
    assert max(Counter(cells).values()) == 1
    assert len({cell.id for cell in cells}) == len(cells), "the files of two cells differ"
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert len(study.requested()) == 3 * sum(len(grid.rows) for grid in study.grids)


def test_cells_come_in_the_order_of_the_tables():
    study = load_study("mini", grids=["gamma", "alpha"])
    first = [row.setting for row in study.grids[0].rows]
    assert [cell.setting for cell in study.cells()][: len(first)] == first


def test_headline_has_fresh_seeds():
    study = load_study("mini", grids=["headline", "alpha"])
    assert study.seeds_of(study.grids[0]) == (1001, 1002, 1003, 1004, 1005)
    assert not set(study.fresh_seeds) & set(range(1, MAX_SEEDS + 1)), "no choice can use them"
    of_fresh_seeds = {cell.setting for cell in study.cells() if cell.seed in study.fresh_seeds}
    assert of_fresh_seeds == {row.setting for row in study.grids[0].rows}
    asked = load_study("mini", grids=["headline", "alpha"], seeds={ALL: 2})
    assert Counter(cell.setting for cell in asked.cells()).keys() == {
        cell.setting for cell in study.cells()
    }
    assert asked.fresh_seeds == (1001, 1002) and asked.seeds == (1, 2)


def settings(*grids):
    return {
        row.setting
        for grid in load_study("mini", list(grids), schedule=1).grids
        for row in grid.rows
    }


def test_the_cross_entropy_of_all_tables_is_one_cell():
    # gamma = 0 of tables (b) and (b*) is alpha = 0.75 of table (a).
    expected = {Setting.of(loss="ce", alpha=0.75)}
    for grids in (("alpha", "gamma"), ("gamma", "gamma_star"), ("gamma_star", "alpha")):
        assert settings(grids[0]) & settings(grids[1]) == expected


def test_the_default_cell_of_the_tables_is_one_cell():
    # (b) gamma = 2; (c) three scales and three aspect ratios; (e) depth 50 at 600 px.
    expected = {Setting.of(loss="focal", alpha=0.25, gamma=2)}
    for grids in (("gamma", "anchors"), ("anchors", "depth_scale"), ("gamma", "depth_scale")):
        assert settings(grids[0]) & settings(grids[1]) == expected
    # (d)'s FL is (e)'s on the deeper backbone.
    assert settings("ohem") & settings("depth_scale") == {
        Setting.of(loss="focal", alpha=0.25, gamma=2, depth=34)
    }


def test_a_schedule_is_part_of_every_setting_that_names_none():
    quarter, whole = (load_study("mini", ["gamma", "schedules"], schedule=s) for s in (0.25, 1))
    of_gamma, of_schedules = quarter.grids
    assert {row.setting.as_dict()["schedule"] for row in of_gamma.rows} == {0.25}
    assert all(row.setting.id.endswith("-0.25x") for row in of_gamma.rows)
    # 1x is what the config says, so that it is no change of it.
    assert not any("schedule" in row.setting.as_dict() for row in whole.grids[0].rows)
    assert of_schedules == whole.grids[1]
    assert {"0.15x", "0.3x", "2x"} <= {row.setting.id.split("-")[-1] for row in of_schedules.rows}
    assert not {c.id for c in quarter.cells()} >= {c.id for c in whole.cells()}


@pytest.mark.parametrize(
    ("text", "number"), [("1x", 1), ("0.3x", 0.3), (".3", 0.3), ("2X", 2), ("1000x", 1000)]
)
def test_schedules_have_names(text, number):
    assert schedule_of(text) == number
    assert schedule_of(schedule_name(number)) == number


@pytest.mark.parametrize("text", ["", "x", "0x", "-1x", "nan", "inf", "1001x", "1xx", "fast"])
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a schedule"):
        schedule_of(text)


def test_all_grids_are_the_studys_and_its_further_ones():
    for name in STUDIES:
        content = content_of(name)
        wanted = content["grids"] + content["further_grids"]
        names = [grid.name for grid in load_study(name, [ALL_GRIDS]).grids]
        assert names[: len(wanted)] == wanted


def test_a_misspelt_grid_beside_all_is_refused():
    with pytest.raises(PlanError, match="unknown grid gama"):
        load_study("mini", [ALL_GRIDS, "gama"])


def test_grids_named_twice_count_once():
    assert [grid.name for grid in load_study("mini", grids=["gamma", "gamma"]).grids] == ["gamma"]


@pytest.fixture
def write(tmp_path):
    """A function that writes a file of a study or grid and returns the folder of both kinds."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return tmp_path

    return write


GOOD = {"title": "t", "columns": ["alpha"], "common": {"loss": "ce"}, "rows": [{"alpha": 0.5}]}
STUDY = {"title": "t", "config": "c.yaml", "dataset": "d", "grids": ["good"], "seeds": 1}


def test_the_papers_base_is_translated(write):
    grid = GOOD | {"rows": [{"alpha": 0.5, "scale": 600}, {"alpha": 0.5, "scale": 400}]}
    write("grids/good.yaml", grid)
    axes = {"scale": {400: 88, 600: 128}}
    folder = write("studies/tiny.yaml", STUDY | {"axes": axes, "base": {"scale": 600}})
    study = load_study("tiny", folder=folder)
    assert study.base == {"scale": 128}
    assert [row.setting.id for row in study.grids[0].rows] == ["ce-alpha0.5", "ce-alpha0.5-edge88"]
    assert [row.ours for row in study.grids[0].rows] == [{"scale": 128}, {"scale": 88}]


def test_ten_thousand_cells(write):
    alphas = [number / NUM_CELLS for number in range(NUM_CELLS // 2)]
    rows = [{"alpha": alpha} for alpha in alphas]
    write("grids/good.yaml", GOOD | {"rows": rows})
    gammas = [{"loss": "focal", "gamma": gamma, "alpha": a} for a in alphas[:2] for gamma in (0, 1)]
    write("grids/focal.yaml", GOOD | {"rows": gammas})
    folder = write("studies/tiny.yaml", STUDY | {"grids": ["good", "focal"]})
    study = load_study("tiny", seeds={ALL: 2}, folder=folder)
    assert len(study.requested()) == NUM_CELLS + 8
    assert len(study.cells()) == NUM_CELLS + 4, "the cross entropy at two alphas is there twice"
    assert isinstance(study.grids[0].rows[0], Row)


def test_unknown_names_are_refused_with_the_valid_ones():
    with pytest.raises(PlanError) as refused:
        load_study("mnii")
    assert "mnii" in str(refused.value)
    assert all(study in str(refused.value) for study in STUDIES)
    with pytest.raises(PlanError) as refused:
        load_study("mini", grids=["gama", "alpha", "gamme"])
    assert "unknown grid gama, gamme; known: " in str(refused.value)
    assert all(grid in str(refused.value) for grid in GRIDS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": 0}, "seeds is 0: expected a whole number >= 1"),
        ({"seeds": 10**9}, "seeds is 1000000000: expected a whole number <= 1000"),
        ({"seeds": True}, "seeds is True"),
        ({"grids": []}, "grids is []: expected a list of length >= 1"),
        ({"grids": [1]}, "grids is [1]: expected text"),
        ({"seeds": "3", "config": 4, "colour": 1}, "seeds is '3'"),
        ({"seeds": "3", "config": 4, "colour": 1}, "config is 4"),
        ({"seeds": "3", "config": 4, "colour": 1}, "unknown key colour"),
        ({"more_seeds": {"good": 0}}, "more_seeds.good is 0: expected"),
        ({"more_seeds": {"good": "3"}}, "more_seeds.good is '3'"),
        (
            {"more_seeds": {"goood": 3}},
            "more_seeds: unknown grid goood; known: good; did you mean good?",
        ),
        ({"more_seeds": [3]}, "more_seeds is [3]: expected a mapping"),
        ({"axes": {"scal": {}}}, "axes: unknown axis scal; known: detector, loss, alpha"),
        ({"axes": {"scale": 128}}, "axes.scale is 128: expected a mapping"),
        ({"base": {"scal": 1}}, "base: unknown axis scal; known: detector, loss, alpha"),
        ({"gpus": -1}, "gpus is -1: expected a whole number >= 0"),
        ({"equivalence_margin": 0}, "equivalence_margin is 0: expected"),
        ({"equivalence_margin": "1"}, "equivalence_margin is '1': expected"),
        ({"slurm": {"partition": "main\n#SBATCH --wrap=x"}}, "slurm.partition is 'main\\n"),
        ({"base": {"scale": [1]}}, "base.scale is [1]: expected a number or text"),
    ],
)
def test_a_faulty_study_is_refused(write, change, words):
    write("grids/good.yaml", GOOD)
    folder = write("studies/tiny.yaml", STUDY)
    assert len(load_study("tiny", folder=folder).cells()) == 1
    write("studies/tiny.yaml", STUDY | change)
    with pytest.raises(PlanError) as refused:
        load_study("tiny", folder=folder)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ({"tune_fl": 3}, "--seeds: grid tune_fl tunes a loss; all losses are tuned with equal"),
        ({"tune_fx": 3}, "--seeds: unknown grid tune_fx; known: "),
    ],
)
def test_seeds_of_the_command_line_are_not_blamed_on_the_file(seeds, words):
    with pytest.raises(PlanError) as refused:
        load_study("mini", ["headline"], seeds)
    assert str(refused.value).startswith(words)


def test_the_margin_of_equivalence_is_a_key_and_one_ap_by_default(write):
    write("grids/good.yaml", GOOD)
    folder = write("studies/tiny.yaml", STUDY)
    assert load_study("tiny", folder=folder).equivalence_margin == 1.0
    write("studies/tiny.yaml", STUDY | {"equivalence_margin": 0.5})
    assert load_study("tiny", folder=folder).equivalence_margin == 0.5


def test_only_coco_has_the_published_set_up():
    assert [name for name in STUDIES if load_study(name).as_published] == ["coco"]


def test_the_problems_of_all_grids_are_listed_at_once(write):
    write("grids/one.yaml", GOOD | {"rows": []})
    write("grids/two.yaml", GOOD | {"colour": "red"})
    folder = write("studies/tiny.yaml", STUDY | {"grids": ["one", "two"]})
    with pytest.raises(PlanError) as refused:
        load_study("tiny", folder=folder)
    assert "rows is []" in str(refused.value) and "colour" in str(refused.value)
