import pytest

from reports.tables.spreadsheets import cell


@pytest.mark.parametrize(
    "text", ["+4.2", "-6.5", "0.0", "-.5", "1e-05", "-3.1E+2", "FL*", "a=b", ""]
)
def test_numbers_and_plain_text_stay_as_they_are(text):
    assert cell(text) == text


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "=HYPERLINK(\"x\")", "＝1", "-1_000", "--1",
     "+", "-"],
)  # fmt: skip
def test_what_begins_like_a_formula_is_marked_as_text(text):
    assert cell(text) == f"'{text}"


def test_space_before_a_formula_does_not_hide_it():
    assert cell("\t=1") == cell("\r\n =1") == "'=1"


def test_one_line_that_a_file_can_hold():
    assert cell("two\nlines \ud800") == "two lines ?"
