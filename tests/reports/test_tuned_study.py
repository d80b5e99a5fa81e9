"""The report of a study that chooses its settings."""

from dataclasses import replace

import pytest

from ablations.status.status import DONE, MISSING, STALE, UNCHOSEN, UNJUDGED
from ablations.storage.layout import Layout
from ablations.study.cell import Cell
from ablations.tuning import selection
from reports import publish
from reports.figures.tuning import ap_over_budget_figure
from reports.page import contents
from reports.results.load import load
from reports.statistics import best
from reports.statistics.comparisons import compare
from reports.statistics.noise import noise_floor
from reports.statistics.schedules import means_of_settings
from reports.statistics.tuning import tuned
from reports.tables import captions
from reports.tables.grids import grid_table
from reports.tables.per_class import per_class_ap
from reports.tables.tuning import ALARM, choices
from reports.text import tuning as words
from reports.text.answer import answer
from tests.reports.analyses import analysis
from tests.reports.tuned_folder import ALPHAS, FRESH, TunedFolder, finished, setting


@pytest.fixture
def made(make_folder):
    return finished(make_folder)


def headline(results):
    return results.study.grids[0]


def section(results):
    (found,) = [one for one in contents.report(results).sections if one.anchor == "tuning"]
    return found


def test_a_planned_row_waits_for_its_setting(make_folder):
    made = TunedFolder(make_folder)
    made.folder.describe()
    made.tune({"FL": [28.0, 30.0, 29.0]})
    results = made.load()
    assert results.counts[MISSING] == 3 + 2 * 3 and results.counts[DONE] == 3
    table = grid_table(results, headline(results))
    assert table.texts["status"].tolist() == ["chosen after tuning"] * 2
    assert table.texts["method"].tolist() == ["FL", "FL*"]
    assert "alpha" in table.texts and set(table.texts["alpha"]) == {""}
    assert tuned(results)[0].choice is None
    assert "Chosen after tuning: FL and FL*." in choices(results).note
    assert section(results).blocks


def test_only_the_half_that_reports_judges(made):
    results = made.load()
    assert results.complete
    frame = results.of_grid(headline(results))
    assert frame["AP"].tolist() == [30.0, 30.5, 30.4, 35.0, 35.4, 35.5]
    assert set(frame["seed"]) == set(FRESH) and frame["judged"].all()
    record = results.records[Cell(setting("FL", 0.5), FRESH[0]).id]
    assert record.result["analysis"]["bootstrap"]["images"] == 20
    assert record.result["per_class_AP"] == {"0": 30.0, "1": 30.0}
    comparison = compare(results, headline(results))[1]
    assert comparison.survives and comparison.difference == pytest.approx(5.0)
    table = grid_table(results, headline(results))
    assert table.texts["alpha"].tolist() == ["0.5", "0.75"]


def test_the_answer_says_how_the_settings_were_chosen(made):
    results = made.load()
    found = answer(results)
    assert "FL* (α = 0.75, γ = 1)" in found.verdict and "FL (α = 0.5, γ = 1)" in found.verdict
    assert "on 20 validation images" in found.basis
    assert words.fairness(results, headline(results)) in found.basis
    assert "the best of 3 settings" in found.basis and "20 images" in found.basis
    assert "biased upwards" not in found.basis


def test_fresh_runs_are_in_no_table_of_all_images(made):
    results = made.load()
    assert set(best.competing(results)["seed"]) == {1}
    tuning = results.of_grid(results.study.grids[1])
    assert tuning["AP"].tolist() == [99.0] * 3, "the tables of tuning grids are of all images"


def test_noise_is_measured_on_the_same_images_where_it_can_be(made):
    tables = {grid.name: grid for grid in made.study.grids}
    results = made.load()
    assert noise_floor(results, tables["headline"]).tables == ()
    # Only the headline has several seeds, and its rows are judged on half of the images.
    floor = noise_floor(results, tables["tune_focal"])
    assert floor.tables == ("headline",)
    assert floor.other_images == "the reporting half of the images"
    table = grid_table(results, tables["tune_focal"])
    assert (
        "It was measured on the reporting half of the images; runs differ more on fewer images."
        in captions.under_table(results, tables["tune_focal"], table)
    )
    study = replace(made.study, more_seeds={"tune_focal_star": (1, 2)})
    for alpha, ap in zip(ALPHAS, (31.0, 32.0, 33.0), strict=True):
        made.folder.add(Cell(setting("FL*", alpha), 2), ap)
    results = load(made.layout, study)
    floor = noise_floor(results, tables["tune_focal"])
    assert (floor.tables, floor.other_images) == (("tune_focal_star",), "")


def test_the_mean_of_a_setting_on_all_images_leaves_fresh_runs_out(made):
    means = means_of_settings(made.load())
    assert means[1.0][setting("FL", 0.5).id] == 99.0, "AP of its tuning run on all images"


def test_objects_of_both_halves_beside_values_of_one_are_explained(made, make_folder):
    explained = "measured on the reporting half of the validation images"
    assert explained in per_class_ap(made.load()).note
    plain = make_folder(1)
    plain.add(plain.cell(0, 0), 10.0, analysis=analysis(10.0))
    assert explained not in per_class_ap(plain.load()).note


def test_the_best_setting_is_not_shown_beside_the_chosen_one(made, make_folder):
    anchors = [one.anchor for one in contents.report(made.load()).sections]
    assert "tuning" in anchors and "best" not in anchors
    plain = [one.anchor for one in contents.report(make_folder(1).load()).sections]
    assert "best" in plain and "tuning" not in plain


def test_choice_and_runners_up(made):
    table = choices(made.load()).table
    columns = {column.header: [cell.text for cell in column.cells] for column in table.columns}
    assert columns["loss"] == ["FL"] * 3 + ["FL*"] * 3
    assert columns["place"] == ["1 of 3", "2 of 3", "3 of 3"] * 2
    assert columns["setting"][0] == "α = 0.5, γ = 1" and columns["setting"][3] == "α = 0.75, γ = 1"
    assert columns["selection half"] == ["30.0", "29.0", "28.0", "33.0", "32.0", "31.0"]
    assert columns["reporting half"] == ["29.0", "28.0", "27.0", "32.0", "31.0", "30.0"]
    gaps = columns["gap [95 % CI]"]
    assert gaps[0].startswith("+1.0 [") and gaps[1] == "+1.0"


def test_a_gap_beyond_chance_raises_an_alarm(make_folder):
    made = TunedFolder(make_folder)
    made.folder.describe()
    made.tune({"FL": [28.0, 30.0, 29.0], "FL*": [31.0, 32.0, 33.0]})
    made.add(Cell(setting("FL", 0.5), 1), 30.0, 20.0)  # a half of another kind
    made.choose()
    results = made.load()
    first, second = tuned(results)
    assert first.gap.alarm and not second.gap.alarm
    assert first.gap.p_holm == pytest.approx(2 * first.gap.p_value)
    assert words.alarm([first, second]).startswith(
        "The gap between the two halves of the images is too large to be due to chance: FL +10.0 "
        "AP (p < "
    )
    assert ALARM in str([column.cells[0].text for column in choices(results).table.columns])
    kinds = [type(block).__name__ for block in section(results).blocks]
    assert "Warning" in kinds and kinds.index("Warning") < kinds.index("TableBlock")


def test_the_figure_has_a_line_per_loss(made):
    figure = ap_over_budget_figure(made.load())
    assert figure.figure.name == "ap_over_budget"
    # FL on the reporting half: (27 + 28 + 29) / 3 with one setting, 29 with all three.
    assert "FL: 28.0 with 1 setting, 29.0 with 3;" in figure.figure.alternative
    assert "arXiv:1909.03004" in figure.note


def test_a_stale_choice_is_marked(made):
    made.edit("tune_focal", fingerprints={Cell(setting("FL", 0.25), 1).id: "old"})
    results = made.load()
    frame = results.of_grid(headline(results))
    assert frame["state"].tolist() == [STALE] * 3 + [DONE] * 3
    assert frame["AP_stale"].tolist()[:3] == [30.0, 30.5, 30.4], "nothing vanishes"
    table = grid_table(results, headline(results))
    assert table.texts["status"][0] == "stale: tuning runs changed"
    assert "The choice for FL is stale: tuning runs changed." in choices(results).note
    assert not results.complete


def test_a_fresh_run_that_is_not_judged_yet_has_no_value(made):
    made.layout.half(Cell(setting("FL", 0.5), FRESH[0]).id).unlink()
    results = made.load()
    frame = results.of_grid(headline(results))
    assert frame["state"].tolist() == [UNJUDGED] + [DONE] * 5
    assert frame["AP"].isna().tolist() == [True] + [False] * 5, "not the value of all images"


def test_a_fresh_run_that_is_not_judged_yet_does_not_count_the_images(made):
    made.layout.half(Cell(setting("FL", 0.5), FRESH[0]).id).unlink()
    results = made.load()
    assert words.images_of_half(results, headline(results)) == 20
    sections = {one.anchor: one for one in contents.report(results).sections}
    (caption,) = [one.caption for one in sections["headline"].blocks if one.kind == "table"]
    assert "20 validation images" in caption and "40" not in caption
    for path in made.layout.halves.glob("*-seed100?.json"):
        path.unlink()
    results = made.load()
    assert words.images_of_half(results, headline(results)) == 0, "unknown yet"


def test_a_loss_whose_tuning_diverged_has_a_marked_row(make_folder):
    made = TunedFolder(make_folder)
    made.folder.describe()
    made.tune({"FL": [28.0, 30.0, 29.0]})
    made.tune({"FL*": [0.0, 0.0, 0.0]}, status="diverged")
    made.choose()
    made.judge("FL", 0.5, [30.0, 30.5, 30.4])
    results = made.load()
    assert results.counts[UNCHOSEN] == 3 and results.complete
    table = grid_table(results, headline(results))
    assert table.texts["status"].tolist() == [
        "", "no setting: every run of the tuning grid diverged",
    ]  # fmt: skip
    assert "no result (no setting" in answer(results).verdict
    assert "No setting, since every run diverged: FL*." in choices(results).note
    assert contents.report(results)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"choices": {"tune_focal": {"ranked": 3}}}'])
def test_a_broken_selection_is_no_choice(made, text):
    made.layout.selection.write_text(text, encoding="utf-8")
    results = made.load()
    assert selection.read(made.layout) == {}
    assert results.counts[MISSING] == 6


@pytest.mark.parametrize("text", ["", "[]", '{"cell": 3}', "[" * 100_000])
def test_a_broken_half_judges_nothing(made, text):
    made.layout.half(Cell(setting("FL", 0.5), FRESH[0]).id).write_text(text, encoding="utf-8")
    assert made.load().counts[UNJUDGED] == 1


def test_a_study_without_tuning_has_no_such_section(make_folder):
    folder = make_folder(1)
    assert "tuning" not in [one.anchor for one in contents.report(folder.load()).sections]


def test_a_published_study_can_be_rendered_again(made, tmp_path, monkeypatch):
    results = made.load()
    monkeypatch.setattr(publish, "PUBLISHED", tmp_path / "published")
    monkeypatch.setattr(publish, "README", tmp_path / "README.md")
    monkeypatch.setattr(publish, "find_study", lambda *_: made.study)
    monkeypatch.setattr(publish, "write_report", lambda *_, **__: None)
    (tmp_path / "README.md").write_text("text", encoding="utf-8")
    publish.publish(made.layout, "small")
    again = load(Layout(tmp_path / "published" / "small"), made.study)
    assert again.complete and again.study == results.study
    assert again.frame.equals(results.frame)
    assert tuned(again) == tuned(results)
    assert choices(again).table.to_markdown() == choices(results).table.to_markdown()
