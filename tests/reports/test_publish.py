"""What README shows is what the kept records say."""

import re

import pytest

from reports.load import ReportError
from reports.publish import PUBLISHED, README, fill, published
from reports.statistics import kendall
from reports.tables import grid_table


def test_readme_shows_the_kept_records():
    text = README.read_text(encoding="utf-8")
    assert fill(text, published("mini")) == text
    assert {"best", "order", "made"} <= set(re.findall(r"<!-- report: (\w+) -->", text))


def test_an_edited_number_is_seen():
    text = README.read_text(encoding="utf-8")
    number = re.search(r"<!-- report: best -->.*?(\d+\.\d)", text, re.DOTALL)
    edited = text[: number.start(1)] + "99.9" + text[number.end(1) :]
    assert fill(edited, published("mini")) == text


def test_an_unknown_block_is_named():
    text = "<!-- report: nothing -->\n<!-- /report -->"
    with pytest.raises(ReportError, match="no block nothing; there are: best, order, made"):
        fill(text, published("mini"))


def test_the_kept_study_is_whole_and_its_pictures_are_there():
    results = published("mini")
    assert results.complete
    text = README.read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert pictures
    for picture in pictures:
        assert (README.parent / picture).is_file(), picture


def test_the_kept_study_is_one_to_learn_from():
    """A cell that learns, and an order of the rows that has to do with the paper's."""
    results = published("mini")
    cells = results.cells
    focal = cells[(cells["loss"] == "focal") & (cells["gamma"] == 2.0) & (cells["alpha"] == 0.25)]
    assert focal["AP"].mean() >= 18
    alpha = next(grid for grid in results.study.grids if grid.name == "alpha")
    values = grid_table(results, alpha).values
    assert kendall(values["AP"], values["AP_published"]).tau >= 0.6


def test_nothing_kept_names_a_place_of_one_machine():
    for path in PUBLISHED.rglob("*"):
        if path.suffix in (".json", ".md", ".html", ".csv"):
            assert not re.search(r"/(home|root|work|tmp|Users)/", path.read_text(encoding="utf-8"))
