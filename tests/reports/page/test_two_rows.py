import json
from dataclasses import replace

import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Row
from reports.detections.gallery import TRUTH_PANEL, Gallery, Picture
from reports.page import two_rows
from tests.reports.analyses import analysis


def content(folder, shown=None):
    return json.loads(two_rows.data(folder.load(), shown or Gallery()))


def test_a_row_has_its_setting_means_errors_and_curves(make_folder):
    folder = make_folder(2)
    folder.describe()
    found = analysis(10.0)
    for seed, ap in ((1, 10.0), (2, 13.0)):
        own = found | {"tide": {"delta_AP50": {"Cls": 2.0 * seed}}}
        folder.add(folder.cell(0, 0, seed), ap, analysis=own)
        folder.add(folder.cell(0, 1, seed), status="diverged")
    row, diverged = content(folder)["rows"]
    assert row["name"] == "CE, α = 0.25" and row["seeds"] == "2 of 2"
    # Mean 11.5, s = sqrt(2 x 1.5^2 / 1) = 2.1; AP50 is twice the AP: 23 and 4.2.
    assert row["ap"][:2] == [[11.5, 2.1], [23.0, 4.2]]
    assert row["setting"]["loss"] == "CE" and row["setting"]["α"] == "0.25"
    assert "γ" not in row["setting"], "it has no effect on CE"
    assert row["errors"][0] == 3.0 and row["errors"][1] is None
    curve = found["precision_recall"]["0.50"]
    step = two_rows.STEPS[0]
    assert row["curves"][0] == [round(1000 * value) for value in curve[::step]]
    assert row["runs"] == [[1, "ce-alpha0.25-seed1"], [2, "ce-alpha0.25-seed2"]]
    assert diverged["ap"][0] == [0.0, 0.0] and diverged["curves"] == []
    assert "diverged at iteration 37" in diverged["state"]


def test_categories_are_means_in_which_a_diverged_run_counts_as_0(make_folder):
    folder = make_folder(2)
    folder.describe()
    result = {"metrics": {"AP": 8.0}, "per_class_AP": {"0": 6.0, "1": None, "extra": 4.0}}
    folder.add(folder.cell(0, 0, 1), 8.0, result=result)
    folder.add(folder.cell(0, 0, 2), status="diverged")
    folder.add(folder.cell(0, 1, 1), 8.0)
    found = content(folder)
    assert found["categories"] == ["0", "1", "extra"]
    assert found["rows"][0]["categories"] == [3.0, None, 2.0]


def test_every_table_offers_its_rows_that_have_a_value(make_folder):
    folder = make_folder(1)
    folder.describe()
    for grid, row in ((0, 0), (0, 2), (1, 1)):
        folder.add(folder.cell(grid, row), 10.0)
    found = content(folder)
    assert found["tables"] == [
        ["Table alpha", [[0, "α = 0.25"], [1, "α = 0.75"]]],
        # FL* with γ = 0 is CE, and so the row of the other table.
        ["Table star", [[1, "γ = 0, α = 0.75"], [2, "γ = 0.5, α = 0.25"]]],
    ]
    assert [found["rows"][number]["name"] for number in (0, 1, 2)] == [
        "CE, α = 0.25", "CE, α = 0.75", "FL*, α = 0.25, γ = 0.5",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_rows_have_nothing_to_compare(make_folder, number):
    folder = make_folder(1)
    for row in range(number):
        folder.add(folder.cell(0, row), 10.0)
    assert two_rows.data(folder.load(), Gallery()) is None


def test_broken_entries_are_left_out(make_folder):
    folder = make_folder(1)
    broken = {"precision_recall": {"0.50": ["x"] * 101, "0.75": [0.5]}, "tide": {"delta_AP50": 3}}
    folder.add(folder.cell(0, 0), 10.0, analysis=broken)
    folder.add(folder.cell(0, 1), 11.0, analysis=analysis(11.0))
    row = content(folder)["rows"][0]
    assert row["curves"] == [] and row["errors"] == [] and row["ap"][0] == [10.0]


def test_pictures_lead_to_the_rows_that_they_show(make_folder):
    folder = make_folder(1)
    for row in range(3):
        folder.add(folder.cell(0, row), 10.0 + row)
    place = (0.1, 0.2, 0.3, 0.4)
    panels = {TRUTH_PANEL: [place], folder.cell(0, 0).id: [place], folder.cell(0, 2).id: [place]}
    pictures = [Picture("best_images", "Best", "", "", b"", "", "", (), panels)]
    pictures += [Picture("misses", "Misses", "", "", b"", "", "", (), {TRUTH_PANEL: [place]})]
    (found,) = content(folder, Gallery(tuple(pictures)))["pictures"]
    assert found["figure"] == "best_images" and found["rows"].keys() == {"0", "2"}
    assert found["truth"] == [list(place)]


def test_no_name_ends_the_script_and_curves_are_thinned_to_fit(make_folder, make_study):
    values = [{"alpha": (1 + number) / 1000} for number in range(60)]
    rows = tuple(Row(one, Setting.of(loss="ce", **one)) for one in values)
    grid = replace(make_study(1).grids[0], rows=rows, published=())
    folder = make_folder(1, (grid,))
    folder.describe(categories=("</script><script>alert(1)</script>", "1"))
    for row in range(len(rows)):
        folder.add(folder.cell(0, row), 10.0 + row, analysis=analysis(10.0 + row))
    text = two_rows.data(folder.load(), Gallery())
    assert "<" not in text and "\\u003c/script>" in text
    assert len(text.encode()) <= two_rows.MAX_BYTES
    lengths = {len(row["curves"][0]) for row in json.loads(text)["rows"]}
    assert lengths <= {len(range(0, 101, step)) for step in two_rows.STEPS if step}
