import csv
from collections import Counter
from pathlib import Path

import pytest
import yaml

from ablations import plan
from ablations.cell import AXES
from ablations.plan import PlanError, load_grid, load_study

FOLDER = Path(plan.__file__).parent
GRIDS = sorted(path.stem for path in (FOLDER / "grids").glob("*.yaml"))
STUDIES = sorted(path.stem for path in (FOLDER / "studies").glob("*.yaml"))
CONFIGS = FOLDER.parent / "projects" / "focal_star" / "configs"


def read(kind, name):
    return yaml.safe_load((FOLDER / kind / f"{name}.yaml").read_text(encoding="utf-8"))


def distinct_losses(grids):
    """What the rows come to, by the definitions: (loss, alpha, gamma) without doublets."""
    found = set()
    for content in (read("grids", grid) for grid in grids):
        for row in content["rows"]:
            values = content.get("common", {}) | row
            loss, gamma = values["loss"], values.get("gamma")
            if loss == "ce" or gamma == (1 if loss == "focal_appendix" else 0):
                loss, gamma = "ce", None
            found.add((loss, values.get("alpha"), gamma))
    return found


def test_there_is_something_to_load():
    assert {"alpha", "gamma", "gamma_star"} <= set(GRIDS)
    assert "mini" in STUDIES


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_of_the_repository(name):
    content, grid = read("grids", name), load_grid(name)
    assert (grid.name, grid.title) == (name, content["title"])
    assert [row.values for row in grid.rows] == content["rows"], "the order of the file is kept"
    assert len({row.setting for row in grid.rows}) == len(grid.rows), "a row is there once"
    for row in grid.rows:
        assert set(grid.columns) <= set(row.values), "a row says all that it is labelled by"


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_of_the_repository(name):
    content, study = read("studies", name), load_study(name)
    assert (study.name, study.title, study.dataset) == (name, content["title"], content["dataset"])
    assert [grid.name for grid in study.grids] == content["grids"]
    assert len(study.seeds) == content["seeds"]
    assert (CONFIGS / study.config).is_file()


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("seeds", [1, 3])
def test_each_cell_is_there_once_and_seed_by_seed(name, seeds):
    study = load_study(name, seeds=seeds)
    cells = study.cells()
    losses = distinct_losses(read("studies", name)["grids"])
    assert len(cells) == len(losses) * seeds
    assert max(Counter(cells).values()) == 1
    assert len({cell.id for cell in cells}) == len(cells), "the files of two cells differ"
    assert [cell.seed for cell in cells] == [
        seed for seed in range(1, seeds + 1) for _ in range(len(losses))
    ]
    for seed in study.seeds:
        assert {
            (axes["loss"], axes.get("alpha"), axes.get("gamma"))
            for axes in (cell.setting.as_dict() for cell in cells if cell.seed == seed)
        } == losses


def test_cells_come_in_the_order_of_the_tables():
    study = load_study("mini", grids=["gamma", "alpha"])
    first = [row.setting for row in study.grids[0].rows]
    assert [cell.setting for cell in study.cells()][: len(first)] == first


def test_the_tables_share_the_cells_that_they_both_show():
    # gamma = 0 of tables (b) and (b*) is a row of table (a).
    def cells(*names):
        return set(load_study("mini", grids=list(names), seeds=1).cells())

    assert len(cells("alpha") & cells("gamma")) == 1
    assert cells("alpha") & cells("gamma") == cells("gamma") & cells("gamma_star")


def test_grids_named_twice_count_once():
    assert [grid.name for grid in load_study("mini", grids=["gamma", "gamma"]).grids] == ["gamma"]


@pytest.mark.parametrize(
    ("name", "file"), [("alpha", "table_a_alpha_ce.csv"), ("gamma", "table_b_gamma_fl.csv")]
)
def test_published_values_stand_beside_their_rows(name, file):
    with (FOLDER / "reference" / file).open(encoding="utf-8", newline="") as opened:
        printed = list(csv.DictReader(opened))
    grid = load_grid(name)
    metrics = [column for column in printed[0] if column not in AXES]
    assert [grid.published_values(row) for row in grid.rows] == [
        {metric: float(line[metric]) for metric in metrics} for line in printed
    ]
    assert grid.source and grid.setup


def test_a_published_zero_is_a_value():
    grid = load_grid("alpha")
    assert grid.rows[0].values == {"alpha": 0.1}
    # Table 1a: alpha .10 gave 0.0, alpha .999 gave 25.1.
    assert grid.published_values(grid.rows[0]) == {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}
    assert grid.published_values(grid.rows[-1])["AP"] == 25.1


def test_nothing_is_published_for_focal_star():
    grid = load_grid("gamma_star")
    assert not any(grid.published_values(row) for row in grid.rows)


@pytest.fixture
def plans(tmp_path):
    """A function that writes a plan's file, as text or as a mapping, and returns its folder."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        path.write_text(text, encoding="utf-8")
        return path.parent

    return write


GOOD = {"title": "t", "columns": ["alpha"], "common": {"loss": "ce"}, "rows": [{"alpha": 0.5}]}


def refusal(folder, name="faulty"):
    with pytest.raises(PlanError) as refused:
        load_grid(name, folder)
    assert "faulty" in str(refused.value), "the message names the file"
    return str(refused.value)


def test_published_values_need_every_column_and_leave_out_empty_fields(plans):
    lines = "alpha,gamma,AP,AP50\n0.50,2,30.0,\n0.50,1.0,20.0,40.0\n"
    plans("reference/table.csv", lines)
    published = {"file": "table.csv", "source": "s", "setup": "p"}
    content = {
        "title": "t",
        "columns": ["gamma", "alpha"],
        "common": {"loss": "focal", "alpha": 0.5},
        "rows": [{"gamma": 1}, {"gamma": 2}, {"gamma": 3}],
        "published": published,
    }
    grid = load_grid("g", plans("grids/g.yaml", content))
    assert [grid.published_values(row) for row in grid.rows] == [
        {"AP": 20.0, "AP50": 40.0}, {"AP": 30.0}, {},
    ]  # fmt: skip


def test_all_problems_of_a_grid_are_listed_at_once(plans):
    rows = [{"alpha": 0.5}, {"gamma": 2}, 7, {"alpha": 1, "gama": 2}, {"alpha": 1, "loss": "ce"}]
    published = {"file": "nowhere.csv", "source": "s", "setup": "p"}
    message = refusal(
        plans("faulty.yaml", GOOD | {"rows": rows, "published": published, "colour": "red"})
    )
    for words in (
        "unknown key colour; known: title, columns, rows, common, published",
        "row 2 has no alpha",
        "row 3 is 7, not a mapping",
        "row 4: unknown axes gama; known: loss, alpha, gamma",
        "row 5: ",
        "nowhere.csv",
    ):
        assert words in message
    assert "row 1" not in message, "what is right is not blamed"


def test_faults_of_the_keys_hide_no_faults_of_the_rows(plans):
    content = {"columns": "alpha", "common": [], "rows": [{"gama": 2}]}
    message = refusal(plans("faulty.yaml", content))
    for words in ("title is missing", "columns is 'alpha'", "common is []", "unknown axes gama"):
        assert words in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (GOOD | {"rows": []}, "there are no rows"),
        (GOOD | {"rows": {}}, "rows is {}, not a list"),
        ([GOOD], "a mapping is expected, this is list"),
        ("", "a mapping is expected, this is NoneType"),
        ("title: [", "not YAML"),
        ("title: t\nrows: !!python/object/apply:os.system ['true']", "not YAML"),
        ("title: !!python/tuple [1]", "not YAML"),
        (GOOD | {"published": {"file": "nowhere.csv", "source": "s", "setup": "p"}}, "nowhere.csv"),
        (GOOD | {"published": {"source": "s", "setup": "p"}}, "'file'"),
        (GOOD | {"published": {"file": 3, "source": "s", "setup": "p"}}, "'file'"),
        (GOOD | {"columns": [["alpha"]]}, "columns"),
        (GOOD | {"rows": [{"alpha": [0.5]}]}, "row 1: alpha is [0.5]"),
        (GOOD | {"rows": [{1: 0.5}]}, "row 1"),
    ],
)
def test_a_faulty_grid_is_refused(plans, content, words):
    assert words in refusal(plans("faulty.yaml", content))


def test_a_python_tag_runs_nothing(plans, tmp_path):
    mark = tmp_path / "mark"
    refusal(plans("faulty.yaml", f"title: !!python/object/apply:os.mkdir ['{mark}']"))
    assert not mark.exists()


def test_unknown_names_are_refused_with_the_valid_ones():
    with pytest.raises(PlanError) as refused:
        load_study("mnii")
    assert "mnii" in str(refused.value)
    assert all(study in str(refused.value) for study in STUDIES)
    with pytest.raises(PlanError) as refused:
        load_study("mini", grids=["gama", "alpha", "gamme"])
    assert "unknown grids gama, gamme;" in str(refused.value)
    assert all(grid in str(refused.value) for grid in GRIDS)
    with pytest.raises(PlanError, match="gamma_star"):
        load_grid("nope")


STUDY = {"title": "t", "config": "c.yaml", "dataset": "d", "grids": ["good"], "seeds": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": True}, "seeds is True"),
        ({"grids": []}, "grids"),
        ({"grids": [1]}, "unknown grids 1"),
        ({"seeds": "3", "config": 4, "colour": 1}, "seeds is '3'"),
        ({"seeds": "3", "config": 4, "colour": 1}, "config is 4"),
        ({"seeds": "3", "config": 4, "colour": 1}, "unknown key colour"),
    ],
)
def test_a_faulty_study_is_refused(plans, change, words):
    plans("grids/good.yaml", GOOD)
    folder = plans("studies/tiny.yaml", STUDY).parent
    assert len(load_study("tiny", folder=folder).cells()) == 1
    plans("studies/tiny.yaml", STUDY | change)
    with pytest.raises(PlanError) as refused:
        load_study("tiny", folder=folder)
    assert words in str(refused.value)


def test_the_problems_of_all_grids_are_listed_at_once(plans):
    plans("grids/one.yaml", GOOD | {"rows": []})
    plans("grids/two.yaml", GOOD | {"colour": "red"})
    folder = plans("studies/tiny.yaml", STUDY | {"grids": ["one", "two"]}).parent
    with pytest.raises(PlanError) as refused:
        load_study("tiny", folder=folder)
    assert "there are no rows" in str(refused.value) and "colour" in str(refused.value)
