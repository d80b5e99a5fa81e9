"""Which rows of a study have their detections shown."""

from dataclasses import replace

from ablations.study.cell import Cell, Setting
from ablations.study.grid import Grid, Row
from reports.detections import gallery


def rows_of(make_folder, *grids: Grid) -> gallery.ComparedRows:
    """What is shown of a study with APs that rise from row to row, but for the last one."""
    folder = make_folder(grids=grids)
    for grid in grids:
        for number, row in enumerate(grid.rows):
            folder.add(Cell(row.setting, 1), 20.0 + number % (len(grid.rows) - 1))
    return gallery.compared_rows(folder.load())


def table(name: str, *rows: dict) -> Grid:
    """A table whose first row is the reference row."""
    of_settings = tuple(Row(row, Setting.of(**row)) for row in rows)
    references = (0,) * len(rows)
    return Grid(name, name, ("loss", "gamma"), of_settings, references=references)


CE_ROW = {"loss": "ce", "alpha": 0.75}
GAMMAS = [{"loss": "focal", "alpha": 0.25, "gamma": gamma} for gamma in (1.0, 2.0, 5.0)]
MINE = {"loss": "mine", "alpha": 0.25, "gamma": 1.0}


def test_without_fl_star_the_best_row_is_compared_with_the_reference_row(make_folder):
    shown = rows_of(make_folder, table("b", CE_ROW, *GAMMAS))
    assert (shown.baseline, shown.candidate) == ("ce", "focal")
    assert shown.rows["focal"].setting == Setting.of(**GAMMAS[1])


def test_a_loss_of_ones_own_is_compared_before_others(make_folder):
    own = table("own", GAMMAS[0], {"loss": "ce", "alpha": 0.5}, MINE)
    shown = rows_of(make_folder, table("b", CE_ROW, *GAMMAS), own)
    assert (shown.grid.name, shown.baseline, shown.candidate) == ("own", "focal", "mine")


def test_a_row_of_another_model_is_not_compared(make_folder):
    deeper = {**GAMMAS[1], "depth": 34}
    shown = rows_of(make_folder, table("b", CE_ROW, GAMMAS[0], deeper, GAMMAS[2]))
    assert shown.rows["focal"].setting == Setting.of(**GAMMAS[0])


STAR_ROW = {"loss": "focal_star", "alpha": 0.25, "gamma": 0.5}


def test_the_candidate_that_a_table_names_is_compared_before_fl_star(make_folder):
    headline = table("headline", GAMMAS[0], STAR_ROW)
    own = replace(table("own", CE_ROW, STAR_ROW, MINE, GAMMAS[0]), candidate=3)
    shown = rows_of(make_folder, headline, own)
    assert (shown.grid.name, shown.baseline, shown.candidate) == ("own", "ce", "focal")
    assert list(shown.rows) == ["ce", "focal"]


def test_a_candidate_that_was_tuned_to_the_loss_of_the_reference_row_is_not_compared(make_folder):
    twice = replace(table("twice", GAMMAS[0], GAMMAS[1], STAR_ROW), candidate=1)
    assert rows_of(make_folder, twice).candidate == "focal_star"
