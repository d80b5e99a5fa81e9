"""The notes below tables."""

from dataclasses import replace

from reports.page.blocks import TableBlock
from reports.tables import captions
from reports.tables.grids import grid_table
from reports.tables.table import AXIS, NUMBER, OURS, PUBLISHED, Column, Table
from reports.text.sentences import CI
from tests.reports.analyses import analysis
from tests.reports.conftest import grid


def test_the_score_threshold_is_that_of_the_config(make_folder):
    study = make_folder(1)
    assert captions.score_threshold(study.load()) == "", "an unknown config says nothing"
    study.prepared.config["MODEL"]["RETINANET"]["SCORE_THRESH_TEST"] = 0.05
    study.describe()
    text = captions.score_threshold(study.load())
    assert text.startswith("Detections with a score below 0.05 (SCORE_THRESH_TEST) are discarded")


def test_rows_with_their_own_reference_rows_say_what_they_share(make_folder):
    rows = [{"gamma": gamma, "alpha": alpha} for alpha in (0.25, 0.5) for gamma in (1.0, 2.0)]
    table = replace(grid("a", "focal", rows), references=(0, 0, 2, 2), reference_per=("alpha",))
    study = make_folder(2, (table,))
    for row, ap in enumerate((10.0, 12.0, 20.0, 25.0)):
        for seed in (1, 2):
            found = analysis(ap + seed / 10, seed=seed)
            study.add(study.cell(0, row, seed), ap + seed / 10, analysis=found)
    results = study.load()
    note = captions.under_table(results, table, grid_table(results, table))
    assert "The reference row is γ = 1 with the same α." in note


def test_further_columns_are_named_by_their_groups():
    shown = [Column("", "γ", AXIS, ["1"]), *(Column("", f"m{i}", NUMBER, ["1"]) for i in range(8))]
    further = [
        Column("AP", CI, NUMBER, ["1"], 9),
        Column("AP₅₀", OURS, NUMBER, ["1"], 9),
        Column("AP₅₀", PUBLISHED, NUMBER, ["1"], 9),
        Column("effect", "p", NUMBER, ["1"], 9),
    ]
    block = TableBlock("t", Table([*shown, *further]), "Title")
    assert block.detail_names == "AP (95 % CI), AP₅₀ (ours and published) and p"
