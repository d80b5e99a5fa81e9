import csv
import io
import re
from dataclasses import replace

import pytest

from ablations.storage.layout import PACKAGE
from ablations.storage.reading import names_of
from ablations.study.study import load_study
from reports.results.rows import row_label, translation, value_text
from reports.tables.grids import grid_table
from reports.tables.table import LINKS
from tests.reports.analyses import analysis
from tests.reports.readers import (
    TableReader,
    csv_rows,
    html_rows,
    latex_rows,
    markdown_rows,
    numbers,
)


def html_of(table):
    return TableReader(str(table.table.to_html("caption")))


def markdown_of(table):
    lines = str(table.table.to_markdown()).splitlines()
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


@pytest.fixture
def as_published(make_folder):
    """A folder of a study whose set-up is that of the published tables."""
    folder = make_folder(1)
    folder.study = replace(folder.study, as_published=True)
    return folder


def test_html_markdown_and_csv_show_the_same_digits(as_published):
    for row, ap in enumerate((4.26, 21.25, 13.04)):
        as_published.add(as_published.cell(0, row), ap)
    table = table_of(as_published)
    expected = [
        # alpha, AP, published, difference, AP50, published, AP75, published
        ["0.25", "4.3", "10.8", "-6.5", "8.5", "16.0", "2.1", "11.7"],
        ["0.5", "21.2", "30.2", "-9.0", "42.5", "46.7", "10.6", "32.8"],
        ["0.75", "13.0", "31.1", "-18.1", "26.1", "49.4", "6.5", "33.0"],
    ]
    columns = ("alpha", "AP", "AP_published", "AP_difference", "AP50", "AP50_published",
               "AP75", "AP75_published")  # fmt: skip
    rows = csv.DictReader(io.StringIO(table.table.to_csv()))
    assert [[row[column] for column in columns] for row in rows] == expected
    shown = [[text.replace("-", "−") for text in row] for row in expected]
    assert [row[:8] for row in markdown_of(table)[2:]] == shown
    assert [row[:8] for row in html_of(table).texts()[2:]] == shown


def test_the_difference_is_that_of_the_printed_values(as_published):
    folder = as_published
    # 10.85 - 10.8 = 0.05, but a reader sees 10.8 or 10.9 beside 10.8.
    folder.add(folder.cell(0, 0), 10.88)
    folder.add(folder.cell(0, 1), 30.24)
    texts = table_of(folder).texts
    assert texts["AP_difference"].tolist() == ["+0.1", "0.0", ""]


@pytest.mark.parametrize(
    ("change", "record"),
    [
        ({"as_published": False}, {}),
        ({"as_published": True, "schedule": 0.5}, {}),
        ({"as_published": True}, {"dataset": {"name": "bccd"}}),
    ],
)
def test_another_set_up_has_no_difference_from_the_published_ap(make_folder, change, record):
    folder = make_folder()
    folder.study = replace(folder.study, **change)
    folder.add(folder.cell(0, 0), 10.88, **record)
    table = table_of(folder)
    assert "AP_difference" not in table.texts and table.texts["AP_published"][0] == "10.8"
    assert not any("difference" in column.name for column in table.table.columns)


def test_one_seed_is_shown_as_one_seed(one_seed):
    table = table_of(one_seed)
    page, text = html_of(table), str(table.table.to_markdown())
    assert "±" not in text and "±" not in str(page.texts())
    assert "seeds" not in markdown_of(table)[0]
    assert set(table.texts["AP_sd"]) == {""}


@pytest.mark.parametrize("folder", ["one_seed", "three_seeds"])
def test_without_a_test_no_number_is_bold(folder, request):
    table = table_of(request.getfixturevalue(folder))
    page = html_of(table)
    assert not page.tags & {"b", "strong", "em", "mark"}
    assert not any("style" in attributes for row in page.rows for _, attributes, _ in row)
    assert "**" not in str(table.table.to_markdown())


def test_several_seeds_have_mean_spread_and_count(three_seeds):
    table = table_of(three_seeds)
    header, _, first, second, third = markdown_of(table)
    ours, seeds, status = (header.index(name) for name in ("AP, ours", "seeds", "status"))
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
    assert (failed["AP, ours"], failed["status"]) == ("–", "failed")
    assert failed["AP, published"] == "30.2", "what is published stands there all the same"
    assert markdown_of(star)[4][2] == "0.0", "a diverged run counts as 0.0"


def test_a_done_run_without_ap_says_so(make_folder):
    folder = make_folder()
    folder.add(folder.cell(0, 0), None)
    assert table_of(folder).texts["status"][0] == "done, AP undefined"


def test_a_stale_row_is_marked_and_counts_nowhere(broken_folder):
    table = table_of(broken_folder, 2)
    header, _, done, stale, running, missing = markdown_of(table)
    ours, status = header.index("AP, ours"), header.index("status")
    assert (done[ours], done[status]) == ("20.0", "done")
    assert stale[ours] == "25.0†"
    assert stale[status] == "stale: config and data set changed"
    assert (running[ours], running[status]) == ("–", "running")
    assert (missing[ours], missing[status]) == ("–", "missing")
    assert table.values["AP"].count() == 1 and table.values["AP_stale"].count() == 1
    assert table.texts["AP"][1] == "25.0", "the CSV has its state in another column"
    cells = html_of(table).rows[3]
    assert [c[2] for c in cells if c[1]["class"] == "stale number"] == [
        "25.0†", "49.9†", "12.5†",
    ]  # fmt: skip


def test_a_row_with_current_seeds_leaves_its_stale_ones_out(make_folder):
    folder = make_folder(3)
    folder.describe()
    for seed, stale in ((1, ()), (2, ()), (3, ("numerics",))):
        folder.add(folder.cell(0, 0, seed), 10.0 * seed, stale=stale)
    first = dict(
        zip(markdown_of(table_of(folder))[0], markdown_of(table_of(folder))[2], strict=True)
    )
    # mean of 10 and 20, sd sqrt(50)
    assert (first["AP, ours"], first["seeds"]) == ("15.0 ± 7.1", "2 of 3")
    assert first["status"] == "seed 3 stale: numerics changed"


def test_a_stale_record_of_a_diverged_run_says_both(make_folder):
    folder = make_folder()
    folder.describe()
    folder.add(folder.cell(0, 0), status="diverged", stale=("weights",))
    table = table_of(folder)
    assert table.texts["status"][0] == "stale (diverged): initial weights changed"
    assert table.texts["AP"][0] == "0.0"


def test_a_wide_table_compares_ap_and_speed_alone(broken_folder):
    table = table_of(broken_folder, 2)
    assert markdown_of(table)[0] == [
        "depth", "scale (px)", "AP, ours", "AP, published", "ours, AP₅₀", "ours, AP₇₅", "ours, APₛ",
        "ms per image, ours", "ms per image, 95 % CI", "ms per image, published", "status",
        "records",
    ]  # fmt: skip
    row = next(csv.DictReader(io.StringIO(table.table.to_csv())))
    assert (row["AP50_published"], row["ms_per_image_published"]) == ("47.8", "64")
    assert "ms_per_image_difference" not in row
    (milliseconds,) = [i for i, t in enumerate(markdown_of(table)[0]) if t == "ms per image, ours"]
    # Of the rounds 0.998 to 1.002 times 16.25, the second smallest and the second largest.
    shown = markdown_of(table)[2][milliseconds : milliseconds + 3]
    assert shown == ["16.2", "16.2 to 16.3", "64"]


def test_the_paper_s_value_stands_in_parentheses(broken_folder):
    table = table_of(broken_folder, 2)
    assert [row[:2] for row in markdown_of(table)[2:4]] == [
        ["18 (50)", "88 (400)"], ["18 (50)", "128 (600)"],
    ]  # fmt: skip
    assert table.row_labels[0] == "depth 18 (50), 88 (400) px"
    rows = list(csv.DictReader(io.StringIO(table.table.to_csv())))
    assert [(row["depth"], row["depth_paper"]) for row in rows[1:3]] == [
        ("18", "50"),
        ("34", "101"),
    ]


@pytest.mark.parametrize("name", names_of(PACKAGE / "grids"))
def test_rows_of_every_grid_have_labels_of_their_own(name):
    grid = load_study("mini", [name]).grids[0]
    labels = [row_label(row, grid.columns) for row in grid.rows]
    assert len(set(labels)) == len(labels)
    for label in labels:
        assert label and len(label) <= 42 and not re.search(r"None|_|: *$|= *(,|$)", label), label


def test_a_table_of_words_and_of_what_a_row_has_not():
    grid = load_study("mini", ["ohem"]).grids[0]
    labels = [row_label(row, grid.columns) for row in grid.rows]
    assert re.fullmatch(r"OHEM, batch \d+ \(128\), NMS 0\.7", labels[0]) and labels[-2] == "FL"
    assert [value_text(grid.rows[-2], c) for c in grid.columns] == ["FL", "", ""]
    assert translation(grid) == (
        "All rows have depth 34, where the paper has 101. Parentheses contain "
        "the paper's batch size."
    )
    caps = load_study("mini", ["weight_cap_star"]).grids[0]
    assert value_text(caps.rows[0], "weight_cap") == "none"
    assert row_label(caps.rows[0], caps.columns) == "γ = 0.5, no cap"


def test_nothing_is_said_of_publications_where_there_are_none(one_seed):
    table = table_of(one_seed, 1)
    assert not table.has_published
    assert markdown_of(table)[0][:5] == ["γ", "α", "AP", "AP₅₀", "AP₇₅"]
    assert markdown_of(table)[2][0] == "0", "the row keeps the gamma that its setting drops"


def test_headers_have_scopes_and_rows_lead_to_their_records(one_seed):
    page = html_of(table_of(one_seed))
    groups, header, first = page.rows[:3]
    assert [(c[1]["scope"], c[1]["colspan"], c[2]) for c in groups if c[0] == "th"] == [
        ("colgroup", "2", "AP"), ("colgroup", "2", "AP₅₀"), ("colgroup", "2", "AP₇₅"),
    ]  # fmt: skip
    assert all(c[0] == "th" and c[1]["scope"] == "col" and c[2] for c in header)
    assert first[0] == ["th", {"scope": "row", "class": "axis", "data-sort": "0.25"}, "0.25"]
    assert all(c[1]["class"] == "number" for c in first[1:-1])
    html = str(table_of(one_seed).table.to_html("caption"))
    assert 'href="../records/ce-alpha0.25-seed1.json"' in html
    assert "<caption>caption</caption>" in html


def test_seeds_have_an_interval_and_one_seed_has_none(three_seeds, one_seed):
    table = table_of(three_seeds)
    header, _, first, second, third = markdown_of(table)
    interval = header.index("AP, 95 % CI")
    for row, found in zip((first, second), table.comparisons, strict=False):
        assert found.low < found.mean < found.high
        assert row[interval] == f"{found.low:.1f} to {found.high:.1f} (seeds only)"
    assert third[interval] == "–", "a run that diverged is no noise"
    assert "AP, 95 % CI" not in markdown_of(table_of(one_seed))[0]


RUNS = ((30.0, 30.6, 30.1), (25.0, 25.5, 24.8), (30.2, 30.5, 30.9), (12.0, 26.0, 40.0))
REFERENCE = 2


@pytest.fixture
def tested(make_folder, make_study):
    """A function of the rows' runs: a table whose third row is the reference, each of 3 seeds."""

    def make(runs=RUNS, seeds=3):
        alpha, star = make_study(seeds).grids
        rows = (*alpha.rows, star.rows[1])
        grid = replace(alpha, rows=rows, references=(REFERENCE,) * len(rows))
        folder = make_folder(seeds, (grid,))
        for number, values in enumerate(runs):
            for seed, value in enumerate(values, start=1):
                found = analysis(value, seed=seed)
                folder.add(folder.cell(0, number, seed), value, analysis=found)
        folder.study = replace(folder.study, equivalence_margin=0.5)
        return folder

    return make


def column_of(table, name):
    return [column for column in table.table.columns if column.name == name][0]


EFFECT = "effect on AP vs reference {}"
DIFFERENCE = EFFECT.format("ours [95 % CI]")


def test_differences_to_the_reference_row(tested):
    table = table_of(tested())
    cells = column_of(table, DIFFERENCE).cells
    found = table.comparisons
    for number, emphasis in ((0, "grey"), (1, "bold"), (3, "grey")):
        one = found[number]
        printed = [f"{v:+.1f}" for v in (one.difference, one.difference_low, one.difference_high)]
        text = f"{printed[0]} [{printed[1]}, {printed[2]}]".replace("-", "−")
        assert (cells[number].text, cells[number].emphasis) == (text, emphasis)
        assert one.survives == (emphasis == "bold")
        inside = one.difference_low <= 0 <= one.difference_high
        assert not (inside and emphasis == "bold"), "nothing is bold inside the noise"
    # 25.1 - 30.533
    assert cells[1].text.startswith("−5.4 [") and found[1].difference_high < 0
    assert (cells[2].text, cells[2].emphasis) == ("reference", "")
    p_values = column_of(table, EFFECT.format("p (Holm, normal model)")).cells
    assert [cell.text for cell in p_values] == [
        "–" if one.is_reference else "< 0.001" if one.p_holm < 0.001 else f"{one.p_holm:.3f}"
        for one in found
    ]
    assert p_values[1].text == "< 0.001" and p_values[1].sort == found[1].p_holm
    assert "<strong>−5.4 [" in table.table.to_html("caption")
    assert "**−5.4 " in table.table.to_markdown()
    assert r"\textbf{\ensuremath{-}5.4 [" in table.table.to_latex("caption", "label")


def test_the_published_effect_stands_beside_ours(tested):
    """Published: 10.8 at α = 0.25, 30.2 at 0.5, and 31.1 in the reference row."""
    table = table_of(tested())
    names = [column.name for column in table.table.columns]
    assert names.index(EFFECT.format("published")) == names.index(DIFFERENCE) + 1
    cells = column_of(table, EFFECT.format("published")).cells
    assert [cell.text for cell in cells] == ["−20.3", "−0.9", "reference", "−20.3"]
    assert not any(cell.emphasis for cell in cells)


def test_the_verdict_is_a_word_with_the_seeds_that_decide(tested):
    table = table_of(tested())
    seeds = table.comparisons[0].needed.seeds
    cells = column_of(table, EFFECT.format("verdict")).cells
    assert [cell.text for cell in cells] == [
        f"undecided ({seeds} seeds)", "worse", "–", "undecided",
    ]  # fmt: skip
    assert seeds > 3
    assert table.comparisons[3].needed.seeds is None, "12, 26 and 40: beyond any number of seeds"


def test_rows_that_differ_by_less_than_the_margin_are_equivalent(tested):
    folder = tested()
    folder.study = replace(folder.study, equivalence_margin=4.0)
    assert column_of(table_of(folder), EFFECT.format("verdict")).cells[0].text == "equivalent"


def test_a_table_without_published_values_shows_our_effects_alone(make_folder, make_study):
    star = replace(make_study(3).grids[1], references=(1, 1, 1))
    folder = make_folder(3, (star,))
    for row in (1, 2):
        for seed in (1, 2, 3):
            ap = 20.0 + 3 * row + seed / 10
            folder.add(folder.cell(0, row, seed), ap, analysis=analysis(ap, seed=seed))
    names = [column.name for column in table_of(folder).table.columns]
    assert EFFECT.format("difference [95 % CI]") in names
    assert EFFECT.format("published") not in names


def test_the_csv_has_what_the_test_was(tested):
    table = table_of(tested())
    rows = list(csv.DictReader(io.StringIO(table.table.to_csv())))
    one = table.comparisons[1]
    assert {key: rows[1][key] for key in rows[1] if key.startswith(("reference", "AP_"))} == {
        "AP_sd": "0.4",
        "AP_published": "30.2",
        "AP_low": f"{one.low:.1f}",
        "AP_high": f"{one.high:.1f}",
        "AP_interval_over": "seeds and images",
        "reference_difference": "-5.4",
        "reference_difference_low": f"{one.difference_low:.1f}",
        "reference_difference_high": f"{one.difference_high:.1f}",
        "reference_difference_interval_over": "seeds and images",
        "reference_difference_published": "-0.9",
        "reference_p": f"{one.p_value:.1e}",
        "reference_p_holm": f"{one.p_holm:.1e}",
        "reference_p_equivalence": "1.000",
        "reference_verdict": "worse",
        "reference_seeds_to_decide": "",
    }
    assert [row["reference_verdict"] for row in rows] == [
        "undecided",
        "worse",
        "reference",
        "undecided",
    ]
    assert rows[0]["reference_seeds_to_decide"] == str(table.comparisons[0].needed.seeds)
    assert rows[REFERENCE]["reference_difference"] == ""


def test_without_seeds_nothing_is_tested(tested):
    table = table_of(tested([(20.0,), (25.0,), (30.0,), ()], seeds=1))
    cells = column_of(table, EFFECT.format("ours")).cells
    assert [(cell.text, cell.emphasis) for cell in cells] == [
        ("−10.0 (1 seed)", "grey"), ("−5.0 (1 seed)", "grey"), ("reference", ""), ("–", ""),
    ]  # fmt: skip
    assert "Holm" not in table.table.to_markdown() and "strong" not in table.table.to_html(
        "caption"
    )
    verdicts = [
        row["reference_verdict"] for row in csv.DictReader(io.StringIO(table.table.to_csv()))
    ]
    assert verdicts == ["one seed", "one seed", "reference", "no value"]


def test_a_row_that_diverged_is_not_tested(tested):
    folder = tested(RUNS[:1] + ((),) + RUNS[2:])
    folder.add(folder.cell(0, 1, 1), status="diverged")
    cells = column_of(table_of(folder), DIFFERENCE).cells
    assert (cells[1].text, cells[1].emphasis) == ("−30.5 (diverged)", "grey")


def test_a_table_without_a_reference_row_compares_nothing(three_seeds):
    table = table_of(three_seeds)
    assert "reference" not in table.table.to_markdown()
    verdicts = [
        row["reference_verdict"] for row in csv.DictReader(io.StringIO(table.table.to_csv()))
    ]
    assert verdicts == ["the table has no reference row"] * 3


@pytest.mark.parametrize("folder", ["tested", "three_seeds", "broken_folder"])
def test_all_four_outputs_are_equal_to_the_digit(folder, request):
    found = request.getfixturevalue(folder)
    found = found() if callable(found) else found
    for number in range(len(found.study.grids)):
        table = table_of(found, number).table
        width = sum(column.kind != LINKS for column in table.columns)
        html, markdown = ([row[:width] for row in of(table)] for of in (html_rows, markdown_rows))
        assert html == markdown == latex_rows(table)
        header, *rows = csv_rows(table)
        compared = 0
        for shown, row in zip(html, rows, strict=True):
            printed = [value for text in row for value in numbers(text)]
            for text in shown:
                for value in numbers(text) if not text.startswith("<") else ():
                    assert value in printed, (
                        f"{text} is not in {dict(zip(header, row, strict=True))}"
                    )
                    compared += 1
        assert compared > 2 * len(rows)
