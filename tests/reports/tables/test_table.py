import re

import pandas as pd
import pytest
from markupsafe import Markup

from reports.tables.table import (
    AXIS,
    BOLD,
    GREY,
    LINKS,
    NUMBER,
    STALE,
    TEXT,
    Column,
    Link,
    Table,
    TableCell,
    linked,
)
from tests.reports.readers import (
    TableReader,
    csv_rows,
    html_rows,
    latex_rows,
    latex_text,
    markdown_rows,
)

EVIL = "<img src=x onerror=alert(1)>_%&|"

NAMES = [
    EVIL,
    "back\\slash {braces} # $ ^ ~",
    '"quoted" *starred* `ticked` [bracketed](x)',
    "**bold** __under__ ~~gone~~ <b>&amp;",
    r"\end{tabular} \input{x} $x$ %",
    "=HYPERLINK(1) & -- more",
]


@pytest.fixture
def table():
    return Table(
        [
            Column("", "setting", AXIS, ["α-CE", "FL", "FL*"]),
            Column("AP", "ours", NUMBER, ["13.0 ± 3.6", TableCell("25.0†", STALE), "20.5 ± 0.7"]),
            Column("AP", "published", NUMBER, ["–", "30.2", "0.0"]),
            Column("against", "difference", NUMBER, [
                TableCell("+4.2 [+2.9, +5.5]", BOLD),
                "reference",
                TableCell("−0.1 [−2.0, +1.8] n.s.", GREY),
            ]),
            Column("against", "p", NUMBER, [TableCell("< 0.001", sort=3.1e-5), "–", "0.880"]),
            Column("", "state", TEXT, ["done", "stale", ""]),
            Column("", "records", LINKS,
                   linked([[Link("1", "a.json"), Link("2", "b.json")], [], []])),
        ]
    )  # fmt: skip


SHOWN = [
    ["α-CE", "13.0 ± 3.6", "–", "+4.2 [+2.9, +5.5]", "< 0.001", "done"],
    ["FL", "25.0†", "30.2", "reference", "–", "stale"],
    ["FL*", "20.5 ± 0.7", "0.0", "−0.1 [−2.0, +1.8] n.s.", "0.880", "–"],
]


def test_html_markdown_and_latex_show_the_same_texts(table):
    assert [row[:-1] for row in html_rows(table)] == SHOWN
    assert [row[:-1] for row in markdown_rows(table)] == SHOWN
    assert latex_rows(table) == SHOWN


def test_without_texts_of_its_own_the_csv_has_those_of_the_columns(table):
    header, *rows = csv_rows(table)
    assert header == ["setting", "AP ours", "AP published", "against difference", "against p",
                      "state"]  # fmt: skip
    assert rows[1] == ["FL", "25.0†", "30.2", "reference", "", "stale"]
    assert rows[2][3] == "'-0.1 [-2.0, +1.8] n.s.", "ASCII, and no formula"


def test_the_csv_has_the_texts_that_it_is_given():
    texts = pd.DataFrame({"AP": ["13.0"], "AP_sd": ["3.6"]}, dtype=object)
    table = Table([Column("", "AP", NUMBER, ["13.0 ± 3.6"])], texts)
    assert csv_rows(table) == [["AP", "AP_sd"], ["13.0", "3.6"]]


def test_emphasis(table):
    page = str(table.to_html("caption"))
    assert re.findall("<strong>(.*?)</strong>", page) == ["+4.2 [+2.9, +5.5]"]
    marked = [(c[1]["class"], c[2]) for row in TableReader(page).rows[2:] for c in row
              if {"grey", "stale"} & set(c[1]["class"].split())]  # fmt: skip
    assert marked == [("stale number", "25.0†"), ("grey number", "−0.1 [−2.0, +1.8] n.s.")]
    assert re.findall(r"\*\*(.+?)\*\*", str(table.to_markdown())) == [r"+4.2 \[+2.9, +5.5\]"]
    latex = table.to_latex("caption", "label")
    assert re.findall(r"\\textbf\{(.*?)\} ", latex) == ["+4.2 [+2.9, +5.5]"]
    assert latex.count(r"\textcolor{gray}") == 2
    assert "*" not in table.to_csv().replace("FL*", "")


def test_cells_have_the_numbers_that_they_are_sorted_by(table):
    rows = TableReader(table.to_html("caption")).rows[2:]
    keys = [[attributes.get("data-sort") for _, attributes, _ in row] for row in rows]
    assert keys == [
        [None, "13", None, "4.2", "3.1e-05", None, None],
        [None, "25", "30.2", None, None, None, None],
        [None, "20.5", "0", "-0.1", "0.88", None, None],
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [("18 (50)", "18"), ("0.125", "0.125"), ("3 of 3", "3"), ("25.0†", "25"), ("−6.5", "-6.5"),
     ("000007.png", ""), ("3x", ""), ("35.5x", ""), ("none", ""), ("", "")],
)  # fmt: skip
def test_what_a_text_is_sorted_by(text, key):
    assert TableCell(text).sort_key == key


def test_headers_have_scopes_and_none_is_empty(table):
    groups, header, first = TableReader(table.to_html("caption")).rows[:3]
    assert [
        (tag, about.get("scope"), about.get("colspan"), text) for tag, about, text in groups
    ] == [
        ("td", None, None, ""), ("th", "colgroup", "2", "AP"), ("th", "colgroup", "2", "against"),
        ("td", None, "2", ""),
    ]  # fmt: skip
    assert [(tag, about["scope"], about["class"]) for tag, about, _ in header] == [
        ("th", "col", kind) for kind in (AXIS, NUMBER, NUMBER, NUMBER, NUMBER, TEXT, LINKS)
    ]
    assert first[0][:2] == ["th", {"scope": "row", "class": "axis"}]


def test_latex_has_rules_under_groups_alone(table):
    text = table.to_latex("caption", "label")
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in text
    assert text.count(r"\cmidrule") == 2 and text.count(r"\multicolumn") == 2
    flat = Table([Column("", "a", AXIS, ["x"]), Column("", "b", NUMBER, ["1"])])
    assert "cmidrule" not in flat.to_latex("c", "l") and "{lr}" in flat.to_latex("c", "l")


def test_links(table):
    page = str(table.to_html("caption"))
    assert '<a class="beside" href="a.json" aria-label="1">1</a> <a class="beside"' in page
    assert "[1](a.json), [2](b.json)" in str(table.to_markdown())
    for text in (table.to_latex("caption", "label"), table.to_csv()):
        assert "json" not in text and "records" not in text


def test_a_link_may_stand_for_a_row_s_name():
    cells = [TableCell("a<b", links=(Link("a<b", "x%20y"),)), TableCell("c")]
    table = Table([Column("", "cell", AXIS, cells), Column("", "n", NUMBER, ["1", "2"])])
    header = (
        '<th scope="row" class="axis">'
        '<a class="beside" href="x%20y" aria-label="a&lt;b">a&lt;b</a></th>'
    )
    assert header in str(table.to_html("caption"))
    assert markdown_rows(table)[0][0] == "[a<b](x%20y)"
    assert latex_rows(table)[0][0] == csv_rows(table)[1][0] == "a<b"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_everywhere(name):
    """As a row's name, as a header, as a group, as a caption."""
    table = Table(
        [
            Column("", name, AXIS, [name]),
            Column(name, name, NUMBER, ["1.0"]),
            Column(name, "b", TEXT, [TableCell(name, BOLD)]),
        ]
    )
    reader = TableReader(table.to_html(Markup.escape(name)))
    assert reader.tags <= {"table", "caption", "thead", "tbody", "tr", "td", "th", "strong"}
    assert reader.texts() == [["", name], [name, name, "b"], [name, "1.0", name]]
    lines = str(table.to_markdown()).splitlines()
    assert len(lines) == 3
    assert markdown_rows(table) == [[name, "1.0", name]]
    assert "<" not in "".join(lines)
    latex = table.to_latex(name, name)
    assert latex_rows(table) == [[name, "1.0", name]]
    caption = re.search(r"\\caption\{(.*)\}\n(?:.*\n)*\\label\{([\w:-]*)\}\n", latex)
    assert latex_text(caption[1]) == name
    assert latex.count("\\begin{") == latex.count("\\end{tab") == 2 and latex.isascii()
    safe = f"'{name}" if name.startswith("=") else name
    assert csv_rows(table)[1] == [safe, "1.0", safe]


def test_lines_and_half_characters_break_nothing():
    name = "two\n lines \ud800 and\ttabs"
    table = Table([Column("", name, AXIS, [name]), Column("", "b", NUMBER, ["1"])])
    whole = "two lines ? and tabs"
    assert csv_rows(table)[1][0] == whole and table.to_csv().encode()
    assert latex_rows(table) == [[whole, "1"]]
    assert markdown_rows(table)[0][0].encode(errors="replace").decode() == whole
    assert len(table.to_csv().splitlines()) == 2


def test_columns_may_share_a_name():
    """A data set may call its categories as the table calls its columns."""
    table = Table([Column("", "AP", kind, [text]) for kind, text in
                   ((AXIS, "a"), (NUMBER, "1"), (NUMBER, "2"))])  # fmt: skip
    for rows in (html_rows(table), markdown_rows(table), latex_rows(table), csv_rows(table)[1:]):
        assert rows == [["a", "1", "2"]]


def test_a_table_may_have_no_rows():
    table = Table([Column("", "a", AXIS, []), Column("g", "b", NUMBER, [])])
    assert len(table) == 0 and "<th" in table.to_html("caption")
    assert "a" in table.to_markdown() and r"\bottomrule" in table.to_latex("caption", "label")
    assert csv_rows(table) == [["a", "g b"]]


def test_columns_of_different_length_are_refused():
    with pytest.raises(AssertionError, match="differ in length"):
        Table([Column("", "a", AXIS, ["x"]), Column("", "b", NUMBER, [])])


@pytest.mark.parametrize(
    ("ranks", "shown"),
    [
        ([0] * 12, range(12)),
        ([0] * 9, range(9)),
        ([0] * 6 + [2, 1, 3], range(9)),
        ([0] * 7 + [2, 1, 3], [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ([0] * 7 + [3, 2, 1, 4], [0, 1, 2, 3, 4, 5, 6, 8, 9]),
        ([0] * 7 + [1, 2, 2], range(8)),
        ([0] * 7 + [1, 2, 2, 3], range(8)),
        ([0] * 9 + [1], range(9)),
    ],
)
def test_a_page_shows_nine_columns_and_has_the_others_as_details(ranks, shown):
    columns = [
        Column("", str(place), NUMBER if place else AXIS, ["same"], rank)
        for place, rank in enumerate(ranks)
    ]
    table = Table(columns)
    assert table.main.columns == [columns[place] for place in shown]
    left = [columns[place] for place in range(len(ranks)) if place not in shown]
    assert (table.details.columns if table.details else None) == (
        [columns[0], *left] if left else None
    )
    assert len(table.columns) == len(ranks), "the files have all"


def test_a_narrow_table_does_not_fill_the_page(table):
    assert "<table>" in table.to_html("caption")
    assert '<table class="small">' in Table(table.columns[:2]).to_html("caption")
