import csv
from pathlib import Path

import pytest
import yaml

from ablations.storage.reading import PlanError
from ablations.study import grid as grid_module
from ablations.study.axes import AXES
from ablations.study.cell import Setting
from ablations.study.grid import COLUMNS, load_grid

FOLDER = Path(grid_module.__file__).parents[1]
GRIDS = sorted(path.stem for path in (FOLDER / "grids").glob("*.yaml"))
AXES_OF_MINI = yaml.safe_load((FOLDER / "studies" / "mini.yaml").read_text())["axes"]


def content_of(name):
    return yaml.safe_load((FOLDER / "grids" / f"{name}.yaml").read_text(encoding="utf-8"))


def printed_of(content):
    path = FOLDER / "reference" / content["published"]["file"]
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_of_the_repository(name):
    content, grid = content_of(name), load_grid(name, axes=AXES_OF_MINI)
    assert (grid.name, grid.title) == (name, content["title"])
    common = content.get("common", {})
    assert [row.values | ({"tune": row.tune} if row.tune else {}) for row in grid.rows] == [
        common | row for row in content["rows"]
    ]
    assert len({row.setting for row in grid.rows}) == len(grid.rows), "a row is there once"
    labels = [tuple(row.values.get(column) for column in grid.columns) for row in grid.rows]
    assert len(set(labels)) == len(labels), "two rows are told apart by their columns"
    assert list(grid.metrics) == content.get("metrics", list(COLUMNS))


@pytest.mark.parametrize("name", [name for name in GRIDS if "published" in content_of(name)])
def test_published_values_belong_to_their_rows(name):
    grid, printed = load_grid(name, axes=AXES_OF_MINI), printed_of(content_of(name))
    metrics = [column for column in printed[0] if column not in grid.columns]
    # A row of our own among the paper's has none.
    assert [values for row in grid.rows if (values := grid.published_values(row))] == [
        {metric: float(line[metric]) for metric in metrics if line[metric]} for line in printed
    ]
    ours_alone = {"candidates_per_image"}  # which is printed nowhere
    assert set(grid.metrics) - ours_alone <= set(metrics), "every other has published values"
    assert grid.source and grid.setup


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_has_a_reference_row(name):
    content, grid = content_of(name), load_grid(name, axes=AXES_OF_MINI)
    for number, row in enumerate(grid.rows):
        shared = {key: row.values[key] for key in content.get("reference_per", ())}
        wanted = content["reference"] | shared
        fitting = [other for other in grid.rows if wanted.items() <= other.values.items()]
        assert fitting == [grid.rows[grid.reference_of(number)]]


def test_faster_rcnn_of_table_e_is_the_published_one():
    grid = load_grid("depth_scale")
    found = [
        grid.published_values(row) for row in grid.rows if "loss" not in dict(row.setting.values)
    ]
    with (FOLDER / "reference" / "published_detectors.csv").open(encoding="utf-8") as file:
        plotted = {row.pop("detector"): row for row in csv.DictReader(file)}
    printed = {name: float(text) for name, text in plotted["FPN Faster R-CNN"].items()}
    assert [values for values in found if values] == [printed]
    assert len(found) == 3


def test_a_published_zero_is_a_value():
    grid = load_grid("alpha")
    # Table 1a: alpha .10 gave 0.0, alpha .999 gave 25.1.
    assert grid.published_values(grid.rows[0]) == {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}
    assert grid.published_values(grid.rows[-1])["AP"] == 25.1


@pytest.mark.parametrize("name", ["gamma_star", "alpha_gamma_star", "headline"])
def test_nothing_is_published_for_focal_star(name):
    grid = load_grid(name)
    assert not any(grid.published_values(row) for row in grid.rows)


def test_study_translates_the_papers_values():
    axes = {"depth": {50: 18, 101: 34}, "scale": {400: 88, 600: 128}}
    content = content_of("depth_scale")
    with pytest.raises(PlanError, match="scale 500 has no meaning in this study; known: 400, 600"):
        load_grid("depth_scale", axes=axes)
    axes["scale"] |= {500: 104, 700: 152, 800: 168}
    grid = load_grid("depth_scale", axes=axes, base={"depth": 18, "scale": 128})
    for row, values in zip(grid.rows, content["rows"], strict=True):
        assert row.values == content["common"] | values, "a table has the paper's"
        ours = {axis: axes[axis][value] for axis, value in values.items() if axis in axes}
        assert row.ours == ours
        expected = content["common"] | values | ours
        assert row.setting == Setting.of({"depth": 18, "scale": 128}, **expected)
    default = grid.rows[[row.ours for row in grid.rows].index({"depth": 18, "scale": 128})]
    assert default.setting == Setting.of(**content["common"])


@pytest.fixture
def write(tmp_path):
    """A function that writes a file, as text or as a mapping, and returns its folder."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        path.write_text(text, encoding="utf-8")
        return path.parent

    return write


GOOD = {"title": "t", "columns": ["alpha"], "common": {"loss": "ce"}, "rows": [{"alpha": 0.5}]}


def refusal(folder):
    with pytest.raises(PlanError) as refused:
        load_grid("faulty", folder)
    assert "faulty" in str(refused.value), "the message names the file"
    return str(refused.value)


def test_published_values_need_every_column_and_leave_out_empty_fields(write):
    write("reference/table.csv", "alpha,gamma,AP,AP50\n0.50,2,30.0,\n0.50,1.0,20.0,40.0\n")
    published = {"file": "table.csv", "source": "s", "setup": "p"}
    content = {
        "title": "t",
        "columns": ["gamma", "alpha"],
        "common": {"loss": "focal", "alpha": 0.5},
        "rows": [{"gamma": 1}, {"gamma": 2}, {"gamma": 3}],
        "published": published,
    }
    grid = load_grid("g", write("grids/g.yaml", content))
    assert [grid.published_values(row) for row in grid.rows] == [
        {"AP": 20.0, "AP50": 40.0}, {"AP": 30.0}, {},
    ]  # fmt: skip


def test_column_can_be_a_word_instead_of_an_axis(write):
    content = {
        "title": "t",
        "columns": ["method", "batch_size"],
        "common": {"loss": "ce", "alpha": None},
        "rows": [
            {"method": "OHEM", "ohem": "ohem", "batch_size": 128, "nms_thresh": 0.7},
            {"method": "CE"},  # an axis without effect needs no value
        ],
    }
    grid = load_grid("g", write("grids/g.yaml", content))
    assert [row.values["method"] for row in grid.rows] == ["OHEM", "CE"]
    assert grid.rows[1].setting == Setting.of(loss="ce", alpha=None)
    content["rows"].append({"loss": "focal"})
    with pytest.raises(PlanError, match="row 3: method is a column and has no value"):
        load_grid("g", write("grids/g.yaml", content))


def test_all_problems_of_a_grid_are_listed_at_once(write):
    rows = [{"alpha": 0.5}, {"gamma": 2}, 7, {"alpha": 1, "gama": 2}, {"alpha": "x", "depth": 1.5}]
    published = {"file": "nowhere.csv", "source": "s", "setup": "p"}
    content = GOOD | {"rows": rows, "published": published, "colum": "x", "metrics": ["AP", 1]}
    message = refusal(write("faulty.yaml", content))
    for words in (
        "unknown key colum; known: title, columns, rows, common, published, metrics",
        "; did you mean columns?",
        "metrics is ['AP', 1]: expected text, got a whole number - at `metrics[1]`",
        "row 2: alpha is a column and has no value",
        "row 3 is 7, not a mapping",
        f"row 4: unknown axis gama; known: {', '.join(AXES)}; did you mean gamma?",
        "row 5: alpha is 'x', not a number; depth is 1.5, not a whole number",
        "nowhere.csv",
    ):
        assert words in message
    assert "row 1" not in message, "what is right is not blamed"


def test_problems_of_keys_and_rows_are_both_listed(write):
    content = {"columns": "alpha", "common": [], "rows": [{"gama": 2}]}
    message = refusal(write("faulty.yaml", content))
    for words in ("title is missing", "columns is 'alpha'", "common is []", "unknown axis gama"):
        assert words in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (GOOD | {"rows": []}, "rows is []: expected a list of length >= 1"),
        (GOOD | {"rows": {}}, "rows is {}: expected a list"),
        (GOOD | {"published": {"file": "nowhere.csv", "source": "s", "setup": "p"}}, "nowhere.csv"),
        (GOOD | {"published": {"source": "s", "setup": "p"}}, "published.file is missing"),
        (GOOD | {"published": {"file": 3, "source": "s", "setup": "p"}}, "published.file is 3"),
        (GOOD | {"columns": [["alpha"]]}, "columns is [['alpha']]: expected text"),
        (GOOD | {"rows": [{"alpha": [0.5]}]}, "row 1: alpha is [0.5]"),
        (GOOD | {"rows": [{"alpha": {}}]}, "row 1: alpha is {}"),
        (GOOD | {"rows": [{1: 0.5, "alpha": 1}]}, "row 1: a key of row is 1: expected text"),
    ],
)
def test_a_faulty_grid_is_refused(write, content, words):
    assert words in refusal(write("faulty.yaml", content))


REFERENCE_ROWS = [{"alpha": 0.5}, {"alpha": 0.75, "weight_cap": None}, {"alpha": 0.9}]


@pytest.mark.parametrize(
    ("reference", "index"),
    [({"alpha": 0.9}, 2), ({"alpha": 0.50, "loss": "ce"}, 0), ({"weight_cap": None}, 1)],
)
def test_reference_is_the_only_row_with_its_values(write, reference, index):
    content = GOOD | {"rows": REFERENCE_ROWS, "reference": reference}
    assert load_grid("g", write("grids/g.yaml", content)).reference == index


def test_a_grid_needs_no_reference(write):
    grid = load_grid("g", write("grids/g.yaml", GOOD))
    assert grid.reference is None and grid.reference_of(0) is None


PAIRS = [{"loss": loss, "alpha": alpha} for alpha in (0.5, 0.9) for loss in ("ce", "focal")]


def test_rows_can_have_their_own_references(write):
    content = GOOD | {
        "columns": ["method", "alpha"],
        "rows": [row | {"method": row["loss"], "gamma": 1} for row in PAIRS],
        "reference": {"method": "ce"},
        "reference_per": ["alpha"],
    }
    grid = load_grid("g", write("grids/g.yaml", content))
    assert [grid.reference_of(row) for row in range(4)] == [0, 0, 2, 2]
    assert grid.reference is None, "no row is the reference of all others"


@pytest.mark.parametrize(
    ("title", "label"), [("(b*) Varying γ", "(b*)"), ("Tuning (all)", "g"), ("(b)", "(b)")]
)
def test_the_label_is_the_letter_of_the_title(write, title, label):
    assert load_grid("g", write("grids/g.yaml", GOOD | {"title": title})).label == label


def test_a_value_without_a_reference_row_is_refused(write):
    content = GOOD | {"rows": REFERENCE_ROWS, "reference": {"alpha": 0.5}}
    content["reference_per"] = ["weight_cap"]
    assert "fits no row" in refusal(write("faulty.yaml", content))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ({"alpha": 0.6}, "reference {'alpha': 0.6} fits no row"),
        ({"gamma": None}, "fits no row; it takes values that one row has"),
        ({"loss": "ce"}, "fits rows 1, 2, 3"),
        ({}, "fits rows 1, 2, 3"),
        (3, "reference is 3: expected a mapping"),
    ],
)
def test_a_reference_that_is_not_one_row_is_refused(write, reference, words):
    content = GOOD | {"rows": REFERENCE_ROWS, "reference": reference}
    assert words in refusal(write("faulty.yaml", content))


COMPARED = {
    "title": "t",
    "columns": ["method", "alpha"],
    "reference": {"method": "CE"},
    "rows": [
        {"method": "CE", "loss": "ce", "alpha": 0.5},
        {"method": "FL", "loss": "focal", "alpha": 0.5, "gamma": 2.0},
        {"method": "deep FL", "loss": "focal", "alpha": 0.5, "gamma": 2.0, "depth": 34},
        {"method": "CE again", "loss": "ce", "alpha": 0.9},
        {"method": "tuned", "tune": "tune_fl"},
    ],
}


def test_a_grid_can_name_its_candidate(write):
    grid = load_grid("g", write("grids/g.yaml", COMPARED | {"candidate": {"method": "FL"}}))
    assert grid.candidate == 1
    assert load_grid("h", write("grids/h.yaml", COMPARED)).candidate is None


@pytest.mark.parametrize("reference", ["CE", "tuned"])
def test_a_candidate_can_be_compared_with_a_tuned_row(write, reference):
    """At every schedule, although a tuned row has no schedule of its own."""
    candidate = {"CE": "tuned", "tuned": "FL"}[reference]
    keys = {"candidate": {"method": candidate}, "reference": {"method": reference}}
    folder = write("grids/g.yaml", COMPARED | keys)
    assert load_grid("g", folder, schedule=0.15).candidate is not None


def test_all_problems_of_reference_and_candidate_are_listed(write):
    keys = {"reference": {"method": "A"}, "candidate": {"method": "B"}}
    words = refusal(write("faulty.yaml", COMPARED | keys))
    assert "reference {'method': 'A'} fits no row" in words
    assert "candidate {'method': 'B'} fits no row" in words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"candidate": {"method": "SL"}}, "candidate {'method': 'SL'} fits no row"),
        ({"candidate": {"alpha": 0.5}}, "candidate {'alpha': 0.5} fits rows 1, 2, 3"),
        ({"candidate": {"method": "CE"}}, "candidate and reference are the same row"),
        ({"candidate": {"method": "CE again"}}, "candidate and reference have the same loss"),
        ({"candidate": {"method": "deep FL"}}, "candidate and reference differ in depth"),
        ({"candidate": {"method": "FL"}, "reference": None}, "candidate needs a reference row"),
        ({"candidate": "FL"}, "candidate is 'FL': expected a mapping"),
    ],
)
def test_a_candidate_that_compares_no_losses_is_refused(write, changes, words):
    assert words in refusal(write("faulty.yaml", COMPARED | changes))


def test_an_unknown_grid_is_refused_with_the_known_ones():
    with pytest.raises(PlanError) as refused:
        load_grid("nope")
    assert all(name in str(refused.value) for name in GRIDS)
