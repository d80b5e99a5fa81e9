"""The best setting of each loss: which, its interval, and when there is none."""

from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from ablations.study.study import load_study
from reports.statistics import best
from reports.statistics.comparisons import compare
from reports.tables.best import FEWER_SEEDS, best_settings
from tests.reports.text.test_sentences import compared_folder

INTERVAL = "95 % CI"


def lines_of(results):
    """Header -> text of each line."""
    columns = best_settings(results).table.columns
    texts = [[cell.text for cell in column.cells] for column in columns]
    headers = [column.header for column in columns]
    return [dict(zip(headers, line, strict=True)) for line in zip(*texts, strict=True)]


def test_the_best_setting_of_each_loss(make_folder):
    folder = make_folder(2)
    for seed in (1, 2):
        folder.add(folder.cell(0, 0, seed), 5.0)
        folder.add(folder.cell(0, 1, seed), 10.0 + seed)
    folder.add(folder.cell(1, 2, 1), status="diverged")
    ce, star = lines_of(folder.load())
    # mean of 11 and 12, sd sqrt(0.5)
    assert ce == {
        "loss": "CE", "setting": "α = 0.5", "AP": "11.5 ± 0.7", "seeds": "2 of 2",
        "settings tried": "2",
        # 11.5 +- 12.7062 sqrt(0.5 / 2)
        INTERVAL: "5.1 to 17.9 (seeds only)",
    }  # fmt: skip
    assert (star["loss"], star["AP"], star["seeds"]) == ("FL*", "0.0", "1 of 2, 1 diverged")
    assert star[INTERVAL] == "–"


def test_the_best_setting_has_an_interval_over_seeds_and_images(make_folder, make_study):
    results = compared_folder(make_folder, make_study, 3).load()
    (ce,) = lines_of(results)
    found = compare(results, results.study.grids[0])[2]
    assert ce[INTERVAL] == f"{found.low:.1f} to {found.high:.1f}"


def test_the_best_setting_of_one_seed_has_no_interval(make_folder, make_study):
    (ce,) = lines_of(compared_folder(make_folder, make_study, 1).load())
    assert ce["AP"] == "30.1" and INTERVAL not in ce


def test_the_best_setting_is_not_one_of_larger_images(broken_folder):
    results = broken_folder.load()
    # FL has a result at 88 px alone, and at its own 128 px only a stale one.
    assert [line["loss"] for line in lines_of(results)] == ["CE", "FL*"]
    assert best.compared(broken_folder.study) == ("All compared settings use depth 18, 128 px.")


def test_the_schedule_of_the_compared_settings_is_the_studys():
    study = load_study("mini", ["alpha", "headline"], schedule=0.3)
    assert best.compared(study) == "All compared settings use 0.3x."


def test_settings_are_compared_without_a_word_where_all_can_be(make_folder):
    assert best.compared(make_folder().study) == ""


def test_the_best_setting_names_what_is_none(make_folder):
    row = Row({"alpha": None}, Setting.of(loss="ce", alpha=None))
    folder = make_folder(grids=(Grid("a", "A", ("alpha",), (row,)),))
    folder.add(folder.cell(0, 0), 5.0)
    assert lines_of(folder.load())[0]["setting"] == "no α"


def test_means_over_different_numbers_of_seeds_are_noticed(make_folder):
    folder = make_folder(1, more_seeds={"star": (1, 2)})
    folder.add(folder.cell(0, 0), 5.0)
    folder.add(folder.cell(1, 1), 5.0)
    assert FEWER_SEEDS not in best_settings(folder.load()).note
    folder.add(folder.cell(1, 1, 2), 5.0)
    assert FEWER_SEEDS in best_settings(folder.load()).note


def test_no_best_setting_without_a_result(make_folder):
    found = best_settings(make_folder().load())
    assert (found.table, found.note) == (None, "No cell has a result yet.")
