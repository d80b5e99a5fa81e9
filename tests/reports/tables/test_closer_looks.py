"""The tables that look closer than AP: categories, safety, types of errors."""

import csv
import io
import math
from dataclasses import replace

import pytest

from ablations.storage.json_files import write_json
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from reports.statistics.contenders import contenders
from reports.tables import error_types, per_class, safety
from tests.reports.analyses import analysis
from tests.reports.readers import csv_rows, html_rows, latex_rows, markdown_rows

EVIL = "<img src=x onerror=alert(1)>_%&|"


def row(method, **values):
    return Row({"method": method, **values}, Setting.of(**values))


HEADLINE = Grid(
    name="headline",
    title="The losses",
    columns=("method", "alpha", "gamma"),
    rows=(
        row("CE", loss="ce", alpha=None),
        row("FL", loss="focal", alpha=0.25, gamma=1.0),
        row("FL*", loss="focal_star", alpha=0.75, gamma=0.125),
    ),
)
CE, FL, STAR = range(3)


@pytest.fixture
def folder(make_folder):
    """A headline of three seeds: CE is done, FL diverged once, FL* has one run of three."""
    folder = make_folder(3, (HEADLINE,))
    for seed, ap in enumerate((10.0, 12.0, 17.0), start=1):
        add(folder, CE, seed, ap, per_class_AP={"cat": ap, EVIL: 2 * ap})
    for seed, ap in enumerate((20.0, 22.0), start=1):
        add(folder, FL, seed, ap, per_class_AP={"cat": ap, EVIL: None})
    folder.add(folder.cell(0, FL, 3), status="diverged")
    add(folder, STAR, 1, 30.0, per_class_AP={"cat": 30.0, EVIL: 60.0})
    return folder


def add(folder, number, seed, ap, changes=None, **result):
    cell, found = folder.cell(0, number, seed), analysis(ap, ("cat", EVIL), seed)
    found |= changes or {}
    result = {"metrics": {"AP": ap}, "iterations": 60, "analysis": found} | result
    folder.add(cell, ap, result=result)


def lines(tabled):
    return {line[0]: dict(zip(header, line, strict=True)) for header, *rows in
            [csv_rows(tabled.table)] for line in rows}  # fmt: skip


def test_the_headline_s_rows_stand_beside_each_other(folder):
    found = contenders(folder.load())
    assert [(one.name, one.seeds, one.diverged) for one in found] == [
        ("CE", "3 of 3", 0), ("FL", "3 of 3", 1), ("FL*", "1 of 3", 0),
    ]  # fmt: skip


def test_without_a_headline_it_is_the_best_of_each_loss(make_folder):
    folder = make_folder()
    for number, ap in enumerate((4.0, 21.0, 13.0)):
        folder.add(folder.cell(0, number), ap)
    folder.add(folder.cell(1, 1), 20.0)
    folder.add(folder.cell(1, 2), status="diverged")
    found = contenders(folder.load())
    assert [(one.name, [record.cell for record in one.records]) for one in found] == [
        ("CE (α = 0.5)", ["ce-alpha0.5-seed1"]),
        ("FL* (α = 0.25, γ = 0.5)", ["focal_star-alpha0.25-gamma0.5-seed1"]),
    ]


def test_rows_of_one_name_are_called_by_their_values(make_folder):
    rows = (row("FL", loss="focal", alpha=0.25, gamma=1.0),
            row("FL", loss="focal", alpha=0.25, gamma=2.0))  # fmt: skip
    folder = make_folder(1, (replace(HEADLINE, rows=rows, references=()),))
    names = [one.name for one in contenders(folder.load())]
    assert names == ["FL, α = 0.25, γ = 1", "FL, α = 0.25, γ = 2"]


def test_ap_of_each_category(folder):
    found = per_class.per_class_ap(folder.load())
    assert html_rows(found.table) == markdown_rows(found.table) == latex_rows(found.table)
    # CE: (10 + 12 + 17) / 3 and twice that; FL: (20 + 22 + 0) / 3, and only the 0 of the run that
    # diverged where AP is undefined in the others.
    assert html_rows(found.table) == [
        [EVIL, "26.0", "0.0", "60.0"],
        ["cat", "13.0", "14.0", "30.0"],
    ]
    cat = lines(found)["cat"]
    # sqrt(13), and of 20, 22, 0: sqrt(148); one run has none
    assert (cat["AP, sd: CE"], cat["AP, sd: FL"], cat["AP, sd: FL*"]) == ("3.6", "12.2", "")
    assert "counts as 0.0" in found.note and "3 seeds" in found.note


def test_categories_have_their_objects_beside_them(folder):
    folder.describe(categories=(EVIL, "cat", "dog"))
    split = {"num_images": 1, "per_category": {"cat": 7, EVIL: 8}}
    about = folder.prepared.dataset | {"train": split, "categories": [EVIL, "cat", "dog"]}
    write_json(folder.layout.prepared, vars(folder.prepared) | {"dataset": about})
    rows = html_rows(per_class.per_class_ap(folder.load()).table)
    assert [line[:3] for line in rows] == [
        [EVIL, "8", "26.0"], ["cat", "7", "13.0"], ["dog", "–", "–"],
    ]  # fmt: skip


def test_miss_rate_of_each_category(folder):
    found = per_class.per_class_miss_rate(folder.load())
    expected = analysis(30.0, ("cat", EVIL), 1)["miss_rate"]["lamr_per_class"]
    assert [line[-1] for line in html_rows(found.table)] == [
        f"{100 * expected[name]:.1f}" for name in (EVIL, "cat")
    ]
    assert "counts as 100.0" in found.note


def test_safety(folder):
    found = safety.safety(folder.load())
    assert html_rows(found.table) == markdown_rows(found.table) == latex_rows(found.table)
    star, expected = lines(found)["FL*"], analysis(30.0, ("cat", EVIL), 1)
    rates = dict(
        zip(expected["miss_rate"]["fppi"], expected["miss_rate"]["miss_rate"], strict=True)
    )
    assert star == {
        "setting": "FL*",
        **measured("lamr", expected["miss_rate"]["lamr"]),
        **measured("miss_rate_at_0.1_fppi", rates[0.1]),
        **measured("miss_rate_at_1_fppi", rates[1.0]),
        **measured("recall_small", expected["recall"]["small"]),
        **measured("recall_medium", expected["recall"]["medium"]),
        **measured("recall_large", None),
        **measured("recall_at_precision", expected["recall"]["at_precision"]["recall"]),
        **measured("ece", expected["calibration"]["ece"]),
        "seeds_done": "1",
        "seeds_diverged": "0",
        "seeds_planned": "3",
    }
    assert any("at precision 0.9" in column.header for column in found.table.columns)


def measured(name, fraction):
    """The texts of a metric of one run, which has no spread."""
    return {name: "" if fraction is None else f"{100 * fraction:.1f}", f"{name}_sd": ""}


def test_a_run_that_diverged_misses_everything(folder):
    fl = lines(safety.safety(folder.load()))["FL"]
    runs = [analysis(ap, ("cat", EVIL), seed) for seed, ap in ((1, 20.0), (2, 22.0))]
    lamr = sum(100 * run["miss_rate"]["lamr"] for run in runs) + 100.0
    small = sum(100 * run["recall"]["small"] for run in runs)
    assert (fl["lamr"], fl["recall_small"]) == (f"{lamr / 3:.1f}", f"{small / 3:.1f}")
    assert fl["recall_large"] == "", "the data set has none"
    ece = [100 * run["calibration"]["ece"] for run in runs]
    assert fl["ece"] == f"{sum(ece) / 2:.1f}", "without detections there is none"
    assert (fl["seeds_done"], fl["seeds_diverged"]) == ("3", "1")


def test_where_no_score_is_precise_nothing_is_found(make_folder):
    folder = make_folder(1, (HEADLINE,))
    recall = analysis(9.0)["recall"]
    recall["at_precision"] |= {"recall": None, "score": None}
    add(folder, CE, 1, 9.0, {"recall": recall})
    assert lines(safety.safety(folder.load()))["CE"]["recall_at_precision"] == "0.0"


def miss(image, area, **changes):
    return {
        "image_id": image, "file_name": f"{image}.png", "category": EVIL, "area": area,
        "bbox": [1.0, 2.5, 30.0, 40.0], "best_score": 0.01 * image, "best_iou": 0.3,
    } | changes  # fmt: skip


def test_the_worst_misses_are_those_of_most_seeds_then_the_largest(make_folder):
    folder = make_folder(3, (HEADLINE,))
    add(folder, CE, 1, 9.0, {"worst_misses": [miss(1, 900.0), miss(2, 400.0)]})
    again = miss(2, 400.0, best_score=0.04)
    add(folder, CE, 2, 9.0, {"worst_misses": [miss(3, 901.0, file_name=None), again]})
    add(folder, FL, 1, 9.0, {"worst_misses": [miss(n, 100.0 + n) for n in range(9)]})
    add(folder, STAR, 1, 9.0, {"worst_misses": []})
    found = safety.missed_objects(folder.load())
    rows = html_rows(found.table)
    assert rows == markdown_rows(found.table) == latex_rows(found.table)
    box = "1.0, 2.5, 30.0, 40.0"
    assert rows[:3] == [
        ["CE", "2.png", EVIL, box, "400", "0.04", "0.30", "2 of 3"],
        ["CE", "3", EVIL, box, "901", "0.03", "0.30", "1 of 3"],
        ["CE", "1.png", EVIL, box, "900", "0.01", "0.30", "1 of 3"],
    ]
    assert [line[1] for line in rows[3:]] == ["8.png", "7.png", "6.png", "5.png", "4.png"]


def test_error_types(folder):
    found = error_types.error_types(folder.load())
    assert html_rows(found.table) == markdown_rows(found.table) == latex_rows(found.table)
    fl = lines(found)["FL"]
    # AP50 of 1.7 * 20 and 1.7 * 22; the deltas are the same in all
    assert (fl["AP50"], fl["AP50_sd"], fl["Cls"], fl["FN"]) == ("35.7", "2.4", "14.8", "7.5")
    assert fl["Cls_count"] == "907.0" and fl["seeds_done"] == "2"
    assert "Diverged runs are excluded" in found.note


TABLES = (
    per_class.per_class_ap,
    per_class.per_class_miss_rate,
    safety.safety,
    safety.missed_objects,
    error_types.error_types,
)


@pytest.mark.parametrize("make", TABLES)
def test_without_anything_measured_there_is_a_reason(make_folder, make):
    folder = make_folder()
    assert make(folder.load()).table is None
    folder.add(folder.cell(0, 0), 4.0)
    found = make(folder.load())
    assert found.table is None and found.note.startswith("No record")


@pytest.mark.parametrize("make", TABLES)
@pytest.mark.parametrize("broken", [None, [], 3, {"miss_rate": 3, "recall": [], "tide": {}}])
def test_what_a_record_lacks_is_left_out(folder, make, broken):
    folder.add(folder.cell(0, STAR, 2), 5.0, result={"metrics": {"AP": 5.0}, "analysis": broken})
    found = make(folder.load())
    assert found.table is not None
    assert len(html_rows(found.table)) == len(markdown_rows(found.table)) > 1


def test_older_records_count_in_no_mean(folder):
    folder.add(folder.cell(0, STAR, 2), 5.0)
    star = lines(safety.safety(folder.load()))["FL*"]
    assert (star["seeds_done"], star["seeds_planned"]) == ("1", "3")


def test_a_study_s_numbers_are_numbers(folder):
    for make in TABLES:
        found = make(folder.load()).table
        for line in csv.DictReader(io.StringIO(found.to_csv())):
            numbers = [value for key, value in line.items() if key.endswith("_sd") and value]
            assert all(math.isfinite(float(value)) for value in numbers)
