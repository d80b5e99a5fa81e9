import json
import math
import shutil
from dataclasses import replace

import pytest

from ablations.storage.layout import Layout
from ablations.storage.reading import PlanError
from ablations.study.asked_seeds import ALL
from ablations.study.study import load_study
from reports.results.load import ReportError, find_study, load, published_metrics


def outcome(results, cell):
    return results.frame[results.frame["cell"] == cell].iloc[0]


def test_hand_written_records_become_rows(tmp_path, fixtures):
    layout = Layout(tmp_path)
    shutil.copytree(fixtures / "records", layout.records)
    results = load(layout, load_study("mini", ["all"], schedule=1))

    done = outcome(results, "focal-alpha0.25-gamma2-seed1")
    assert (done["state"], done["AP"], done["AP50"], done["AP75"]) == ("done", 21.24, 40.0, 19.96)
    assert math.isnan(done["APs"]), "null is no number"
    assert math.isnan(done["ms_per_image"]), "no speed was measured"
    assert done["candidates_per_image"] == 41.5
    assert (done["loss"], done["gamma"], done["alpha"]) == ("focal", 2.0, 0.25)
    assert (done["predicted_loss"], done["measured_loss"]) == (1.13, 1.21)
    assert (done["train_seconds"], done["eval_seconds"], done["wall_seconds"]) == (30.25, 2.5, 36.0)

    diverged = outcome(results, "focal_star-alpha0.25-gamma2-seed1")
    assert (diverged["state"], diverged["AP"], diverged["error_iteration"]) == ("diverged", 0.0, 37)

    missing = outcome(results, "ce-alpha0.1-seed1")
    assert missing["state"] == "missing" and math.isnan(missing["AP"])


def test_every_kind_of_run_is_counted(broken_folder):
    results = broken_folder.load()
    # The cross entropy at alpha 0.75 stands in both tables and is one cell.
    assert len(results.frame) == 10 and len(results.cells) == 9
    assert {state: number for state, number in results.counts.items() if number} == {
        "done": 3, "diverged": 1, "failed": 1, "stale": 1, "running": 1, "missing": 2,
    }  # fmt: skip
    assert math.isnan(outcome(results, broken_folder.cell(0, 1).id)["AP"])
    assert len(results.refused) == 1
    assert results.refused[0].startswith("records/focal_star-alpha0.25-gamma0.5-seed1.json: ")
    assert not results.complete


def test_done_and_diverged_cells_make_a_complete_study(make_folder):
    folder = make_folder()
    for cell in folder.study.cells()[1:]:
        folder.add(cell, 3.0)
    assert not folder.load().complete
    folder.add(folder.study.cells()[0], status="diverged")
    assert folder.load().complete


def test_what_a_stale_record_says_does_not_count(broken_folder):
    stale = outcome(broken_folder.load(), broken_folder.cell(2, 1).id)
    assert (stale["state"], stale["recorded"]) == ("stale", "done")
    assert stale["changed"] == "config and data set changed"
    assert math.isnan(stale["AP"])
    assert (stale["AP_stale"], stale["ms_per_image"]) == (24.96, 16.25), "the network's time"


@pytest.mark.parametrize(
    ("described", "changed_files", "said"),
    [
        (False, False, "the output folder does not say how they were prepared"),
        (True, True, "the config files have changed since the study was prepared"),
        (True, False, ""),
    ],
)
def test_it_is_known_or_said_why_not_what_is_stale(make_folder, described, changed_files, said):
    folder = make_folder()
    folder.add(folder.cell(0, 0), 5.0, stale=("weights",))
    if changed_files:
        folder.prepared = replace(folder.prepared, config_files="other")
    if described:
        folder.describe()
    results = folder.load()
    assert results.unchecked == said
    assert results.counts["stale"] == (0 if said else 1)
    assert results.counts["done"] == (1 if said else 0)


def test_a_stale_record_of_a_cell_at_work_is_running(make_folder):
    folder = make_folder()
    folder.describe()
    folder.add(folder.cell(0, 0), 5.0, stale=("weights",))
    folder.hold(folder.cell(0, 0))
    found = outcome(folder.load(), folder.cell(0, 0).id)
    assert found["state"] == "running" and math.isnan(found["AP_stale"])


def test_a_grid_may_have_seeds_of_its_own(make_folder):
    frame = make_folder(1, more_seeds={"star": (1, 2, 3)}).load().frame
    seeds = frame.groupby("grid")["seed"].unique()
    assert seeds["alpha"].tolist() == [1] and seeds["star"].tolist() == [1, 2, 3]


def test_a_metric_without_a_label_is_refused(make_folder, make_study):
    grid = replace(make_study().grids[0], metrics=("AP", "nonsense"))
    with pytest.raises(ReportError, match="alpha: nonsense; known: AP, AP50"):
        make_folder(grids=(grid,)).load()


def test_a_metric_that_is_no_number_is_nan(make_folder):
    folder = make_folder()
    folder.add(folder.cell(0, 0), None)
    found = outcome(folder.load(), folder.cell(0, 0).id)
    assert found["state"] == "done" and math.isnan(found["AP"])


def test_published_values_stand_in_the_order_of_the_rows():
    alpha, star = load_study("mini", ["alpha", "gamma_star"]).grids
    assert published_metrics(alpha)["AP"].tolist() == [0.0, 10.8, 30.2, 31.1, 30.8, 28.7, 25.1]
    without = published_metrics(star)
    assert without["AP"].isna().all() and len(without) == len(star.rows)


def write_request(folder, content):
    layout = Layout(folder)
    layout.study.write_text(json.dumps(content), encoding="utf-8")
    return layout


def test_the_request_says_what_was_run(tmp_path):
    layout = write_request(tmp_path, {"grids": ["gamma"], "seeds": 3})
    study = find_study(layout, "mini")
    assert [grid.name for grid in study.grids] == ["gamma"]
    assert study.seeds == (1, 2, 3)


def test_what_is_given_goes_before_the_request(tmp_path):
    layout = write_request(tmp_path, {"grids": ["gamma"], "seeds": 3})
    study = find_study(layout, "mini", ["alpha"], {ALL: 2})
    assert [grid.name for grid in study.grids] == ["alpha"]
    assert study.seeds == (1, 2)


def test_no_number_of_seeds_is_the_study_s_own(tmp_path):
    layout = write_request(tmp_path, {"grids": ["alpha", "headline"], "seeds": ""})
    study = find_study(layout, "mini")
    assert study == load_study("mini", ["alpha", "headline"])
    assert study.same_seeds == {}, "or this tests nothing"


def test_without_a_request_the_study_counts(tmp_path):
    assert find_study(Layout(tmp_path), "mini") == load_study("mini")


def test_a_broken_request_is_refused_with_all_its_problems(tmp_path):
    layout = write_request(tmp_path, {"grids": "gamma", "seeds": 0})
    with pytest.raises(PlanError, match=r"grids is 'gamma', .*; seeds: '0' is not"):
        find_study(layout, "mini")
    layout.study.write_text("[", encoding="utf-8")
    with pytest.raises(ReportError, match=r"study\.json: cannot be read as JSON"):
        find_study(layout, "mini")
    layout.study.write_text("[]", encoding="utf-8")
    with pytest.raises(ReportError, match="an object is expected, this is list"):
        find_study(layout, "mini")


def test_an_unknown_grid_or_folder_is_named(tmp_path):
    with pytest.raises(PlanError, match="nonsense"):
        find_study(Layout(tmp_path), "mini", ["nonsense"])
    with pytest.raises(ReportError, match="nowhere"):
        find_study(Layout(tmp_path / "nowhere"), "mini")
    (tmp_path / "own_cpu-data").mkdir()
    write_request(tmp_path / "own_cpu-data", {"study": "own_cpu", "dataset": "data"})
    with pytest.raises(ReportError, match="has: STUDY=own_cpu DATASET=data"):
        find_study(Layout(tmp_path / "nowhere"), "mini")
