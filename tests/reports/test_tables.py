import csv
import io
from html.parser import HTMLParser

import pytest

from reports.tables import grid_table


class TableReader(HTMLParser):
    """The cells of a table as lists of (tag, attributes, text)."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.tags = [], set()
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append([tag, dict(attributes), ""])

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1][2] += data.strip()

    def texts(self):
        return [[text for _, _, text in row] for row in self.rows]


def html_of(table):
    return TableReader(str(table.to_html("caption")))


def markdown_of(table):
    lines = str(table.to_markdown()).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def one_seed(make_folder):
    folder = make_folder(1)
    for row, ap in enumerate((4.26, 21.25, 13.04)):
        folder.add(folder.cell(0, row), ap)
    return folder


@pytest.fixture
def three_seeds(make_folder):
    folder = make_folder(3)
    for seed, ap in enumerate((10.0, 12.0, 17.0), start=1):
        folder.add(folder.cell(0, 0, seed), ap)
    for seed, ap in enumerate((20.0, 21.0), start=1):
        folder.add(folder.cell(0, 1, seed), ap)
    folder.add(folder.cell(0, 2, 1), 30.0)
    folder.add(folder.cell(0, 2, 2), status="diverged")
    folder.add(folder.cell(0, 2, 3), status="failed")
    return folder


def table_of(folder, number=0):
    return grid_table(folder.load(), folder.study.grids[number])


def test_html_markdown_and_csv_show_the_same_digits(one_seed):
    table = table_of(one_seed)
    expected = [
        # alpha, AP, published, difference, AP50, published, AP75, published
        ["0.25", "4.3", "10.8", "-6.5", "8.5", "16.0", "2.1", "11.7"],
        ["0.5", "21.2", "30.2", "-9.0", "42.5", "46.7", "10.6", "32.8"],
        ["0.75", "13.0", "31.1", "-18.1", "26.1", "49.4", "6.5", "33.0"],
    ]
    columns = ("alpha", "AP", "AP_published", "AP_difference", "AP50", "AP50_published",
               "AP75", "AP75_published")  # fmt: skip
    rows = csv.DictReader(io.StringIO(table.to_csv()))
    assert [[row[column] for column in columns] for row in rows] == expected
    shown = [[text.replace("-", "−") for text in row] for row in expected]
    assert [row[:8] for row in markdown_of(table)[2:]] == shown
    assert [row[:8] for row in html_of(table).texts()[2:]] == shown


def test_the_difference_is_that_of_the_printed_values(make_folder):
    folder = make_folder()
    # 10.85 - 10.8 = 0.05, but a reader sees 10.8 or 10.9 beside 10.8.
    folder.add(folder.cell(0, 0), 10.88)
    folder.add(folder.cell(0, 1), 30.24)
    texts = table_of(folder).texts
    assert texts["AP_difference"].tolist() == ["+0.1", "0.0", ""]


def test_one_seed_is_shown_as_one_seed(one_seed):
    table = table_of(one_seed)
    page, text = html_of(table), str(table.to_markdown())
    assert "±" not in text and "±" not in str(page.texts())
    assert "seeds" not in markdown_of(table)[0]
    assert set(table.texts["AP_sd"]) == {""}


@pytest.mark.parametrize("folder", ["one_seed", "three_seeds"])
def test_no_number_is_bold(folder, request):
    table = table_of(request.getfixturevalue(folder))
    page = html_of(table)
    assert not page.tags & {"b", "strong", "em", "mark"}
    assert not any("style" in attributes for row in page.rows for _, attributes, _ in row)
    assert "**" not in str(table.to_markdown())


def test_several_seeds_have_mean_spread_and_count(three_seeds):
    table = table_of(three_seeds)
    header, _, first, second, third = markdown_of(table)
    ours, seeds, status = (header.index(name) for name in ("AP ours", "seeds", "status"))
    # sd of 10, 12, 17: sqrt(13) = 3.606; of 20, 21: sqrt(0.5) = 0.707; 30 and a diverged run's
    # 0: mean 15, sd sqrt(450) = 21.213
    assert (first[ours], first[seeds], first[status]) == ("13.0 ± 3.6", "3 of 3", "done")
    assert (second[ours], second[seeds], second[status]) == (
        "20.5 ± 0.7", "2 of 3", "seed 3 missing",
    )  # fmt: skip
    assert (third[ours], third[seeds]) == ("15.0 ± 21.2", "2 of 3")
    assert third[status] == "seed 2 diverged at iteration 37; seed 3 failed"


def test_one_finished_seed_of_several_has_no_spread(make_folder):
    folder = make_folder(3)
    folder.add(folder.cell(0, 0, 2), 10.0)
    first = markdown_of(table_of(folder))[2]
    assert "10.0" in first and "1 of 3" in first and "seeds 1, 3 missing" in first


def test_status_appears_only_where_a_row_is_not_plainly_done(one_seed, broken_folder):
    assert "status" not in markdown_of(table_of(one_seed))[0]
    alpha, star = table_of(broken_folder, 0), table_of(broken_folder, 1)
    assert alpha.texts["status"].tolist() == ["", "failed", ""]
    assert star.texts["status"].tolist() == ["", "missing", "diverged at iteration 37"]
    failed = dict(zip(markdown_of(alpha)[0], markdown_of(alpha)[3], strict=True))
    assert (failed["AP ours"], failed["AP difference"], failed["status"]) == ("–", "–", "failed")
    assert failed["AP published"] == "30.2", "what is published stands there all the same"
    assert markdown_of(star)[4][2] == "0.0", "a diverged run counts as 0.0"


def test_a_done_run_without_ap_says_so(make_folder):
    folder = make_folder()
    folder.add(folder.cell(0, 0), None)
    assert table_of(folder).texts["status"][0] == "done, AP undefined"


def test_nothing_is_said_of_publications_where_there_are_none(one_seed):
    table = table_of(one_seed, 1)
    assert not table.has_published
    assert markdown_of(table)[0][:5] == ["γ", "α", "AP", "AP₅₀", "AP₇₅"]
    assert markdown_of(table)[2][0] == "0", "the row keeps the gamma that its setting drops"


def test_headers_have_scopes_and_rows_lead_to_their_records(one_seed):
    page = html_of(table_of(one_seed))
    groups, header, first = page.rows[:3]
    assert [(c[1]["scope"], c[1]["colspan"], c[2]) for c in groups if c[0] == "th"] == [
        ("colgroup", "3", "AP"), ("colgroup", "2", "AP₅₀"), ("colgroup", "2", "AP₇₅"),
    ]  # fmt: skip
    assert all(c[0] == "th" and c[1]["scope"] == "col" and c[2] for c in header)
    assert first[0] == ["th", {"scope": "row", "class": "axis"}, "0.25"]
    assert all(c[1]["class"] == "number" for c in first[1:-1])
    html = str(table_of(one_seed).to_html("caption"))
    assert 'href="../records/ce-alpha0.25-seed1.json"' in html
    assert "<caption>caption</caption>" in html
