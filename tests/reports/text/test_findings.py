"""What a table shows in a sentence: order, effect, departures, certainty."""

from dataclasses import replace

import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Row
from reports.statistics.comparisons import compare
from reports.text.findings import finding
from tests.reports.analyses import analysis
from tests.reports.conftest import grid
from tests.reports.statistics.test_schedules import SETTLES, schedules_grid

ALPHAS = ("0.1", "0.25", "0.5", "0.75", "0.9")
PAPERS = (10.0, 20.0, 28.0, 31.0, 30.0)
PUBLISHED = tuple({"alpha": alpha, "AP": str(ap)} for alpha, ap in zip(ALPHAS, PAPERS, strict=True))
REFERENCES = (3, 3, 3, 3, 3)


@pytest.fixture
def told(make_folder):
    """A function of each row's APs, one per seed: the sentence."""

    def told(rows, published=PUBLISHED, references=REFERENCES, seeds=0):
        number = max(map(len, rows))
        table = grid("a", "ce", [{"alpha": float(alpha)} for alpha in ALPHAS], published, "A paper")
        # A second table with several seeds, so that the noise is known.
        other = grid("b", "focal_star", [{"gamma": 0.5, "alpha": 0.25}])
        table = replace(table, references=references)
        folder = make_folder(number, (table, other), {"b": tuple(range(1, seeds + 1))})
        for row, values in enumerate(rows):
            for seed, value in enumerate(values, start=1):
                cell = folder.cell(0, row, seed)
                folder.add(cell, value, analysis=analysis(value, seed=seed))
        for seed in range(1, seeds + 1):
            folder.add(folder.cell(1, 0, seed), 20.0 + seed % 2)
        results = folder.load()
        first = results.study.grids[0]
        return finding(results, first, compare(results, first))

    return told


def test_the_published_order_and_best_row_with_the_noise(told):
    text = told([[3.0], [6.0], [9.0], [12.0], [11.0]], seeds=4)
    # Five rows in the same order: p = 2 / 5! = 0.017.
    assert text.startswith(
        "The order of the rows agrees significantly with the published one (Kendall's τ-b = 1.00, "
        "p = 0.017, 5 rows). The best row is α = 0.75 with 12.0 AP, the reference row, as "
        "published (31.0 AP). "
        "No effect has the opposite sign to the published one. "
    )
    # Four runs of 20 and 21: sd sqrt(1 / 3) = 0.577; 3.182 sqrt(2) 0.577 = 2.6 AP. The effects
    # are -9, -6, -3 and -1 AP.
    assert text.endswith(
        "Certainty: no single effect is tested; the noise of seeds is up to 2.6 AP, and 3 of 4 "
        "effects are larger than the noise of their seeds."
    )


def test_a_departure_beyond_the_noise_is_named(told):
    text = told([[16.0], [6.0], [9.0], [12.0], [12.5]], seeds=4)
    assert "The agreement with the published order is not significant (Kendall's τ-b = " in text
    assert (
        " The best row is α = 0.1 with +4.0 AP against α = 0.75. The best published row is "
        "α = 0.75 with 31.0 AP. The sign of the effect is opposite to the published one for "
        "α = 0.1 (+4.0, published −21.0)."
    ) in text, "α = 0.9 is +0.5 above the reference row, within the noise"


def test_a_departure_within_the_noise_is_not_one(told):
    text = told([[3.0], [6.0], [9.0], [12.0], [12.5]], seeds=4)
    assert (
        "1 effect has the opposite sign to the published one, but it is within the noise." in text
    )


def test_the_best_row_of_a_table_of_schedules_is_that_at_each_schedule(make_folder):
    folder = make_folder(1, (schedules_grid(),))
    for number, ap in enumerate(ap for of_one in SETTLES.values() for ap in of_one):
        folder.add(folder.cell(0, number), ap, analysis=analysis(ap))
    results = folder.load()
    (grid,) = results.study.grids
    assert finding(results, grid, compare(results, grid)).startswith(
        "The best row is α-CE at 0.15x and FL, γ = 2 at 0.3x and 1x. "
    )


def test_a_row_without_a_schedule_is_at_that_of_the_study(make_folder):
    table = schedules_grid()
    tuned = Row({"method": "tuned"}, Setting.of(loss="focal_star", alpha=0.25, gamma=0.5))
    rows = (*table.rows, tuned)
    folder = make_folder(1, (replace(table, rows=rows, references=(2,) * len(rows)),))
    folder.add(folder.cell(0, 0), 30.0)
    folder.add(folder.cell(0, len(table.rows)), 20.0)
    results = folder.load()
    (grid,) = results.study.grids
    assert "The best row is α-CE at 0.15x and tuned at 1x. " in finding(
        results, grid, compare(results, grid)
    )


def test_rows_of_unequal_seeds_are_each_judged_by_the_noise_of_their_own(told):
    text = told([[1.0, 2.0, 3.0], [7.5, 8.5, 9.5], [8.5], [12.0], [12.5]])
    # sd 1; t of 4 degrees of freedom 2.776. Between two rows of one seed sqrt(2) 2.776 = 3.9 AP,
    # between a row of three and a row of one sqrt(1 + 1 / 3) 2.776 = 3.2 AP. The effects are -10,
    # -3.5, -3.5 and +0.5 AP.
    assert text.endswith(
        "Certainty: no single effect is tested; the noise of seeds is up to 3.9 AP, and 2 of 4 "
        "effects are larger than the noise of their seeds."
    )


def test_without_noise_every_departure_is_named_but_none_is_certain(told):
    text = told([[13.0], [12.7], [12.9], [12.0], [12.5]])
    assert (
        "α = 0.1 (+1.0, published −21.0), α = 0.25 (+0.7, published −11.0) and 2 other rows" in text
    )
    assert text.endswith("none of this is tested, and the noise of seeds is unknown.")


def test_a_row_with_fewer_runs_than_the_others_has_a_larger_noise(told):
    rows = [[3.0] * 3, [6.0] * 3, [9.0] * 3, [12.0, 11.0, 13.0], [13.4]]
    text = told(rows)
    # sd sqrt(2 / 8) = 0.5; t of 8 degrees of freedom 2.306; rows of 3 seeds 0.94 AP, a row of 1
    # and a row of 3 sqrt(1 + 1 / 3) 0.5 2.306 = 1.33 AP. 1.4 is above, 1.2 is not.
    assert "α = 0.9 (+1.4, published −1.0)" in text
    rows[-1] = [13.2]
    assert (
        "1 effect has the opposite sign to the published one, but it is within the noise."
        in told(rows)
    )


def test_effects_that_are_no_departure_are_called_by_what_judged_them(told):
    # Against 12.0 +- 1.0: one row without a test, and one whose test is far from significant.
    rows = [[3.0] * 3, [6.0] * 3, [12.2], [12.0, 11.0, 13.0], [12.3, 11.2, 13.4]]
    text = told(rows)
    assert "2 effects have the opposite sign" in text
    assert "but they are not significant or within the noise. " in text
    rows[2] = [9.0] * 3
    text = told(rows)
    assert "1 effect has the opposite sign" in text and "but it is not significant. " in text


def test_our_best_row_is_the_published_one_where_two_are_tied(told):
    tied = tuple(row | {"AP": "31"} if row["alpha"] == "0.5" else row for row in PUBLISHED)
    text = told([[3.0], [6.0], [9.0], [12.0], [11.0]], published=tied)
    assert (
        "The best row is α = 0.75 with 12.0 AP, the reference row, as published (31.0 AP)" in text
    )


def test_a_reverse_order_is_called_so(told):
    text = told([[12.0], [9.0], [6.0], [3.0], [4.0]], seeds=4)
    assert "is significantly the reverse of the published one (Kendall's τ-b = −1.00, p = " in text


def test_tested_rows_have_intervals_and_verdicts(told):
    rows = [
        [3.0, 3.2, 3.1],
        [6.0, 6.2, 6.1],
        [9.0, 9.3, 9.1],
        [12.0, 12.2, 12.1],
        [20.0, 20.2, 20.1],
    ]
    text = told(rows)
    assert "The best row is α = 0.9 with +8.0 AP (95 % CI +" in text
    # The other effects are -9, -6 and -3 AP within about 0.3, and in print -21, -11 and -3 AP.
    assert (
        "opposite to the published one for α = 0.9 (+8.0, published −1.0). The published effect is "
        "outside our 95 % CI for α = 0.1 (−9.0, published −21.0) and α = 0.25 (−6.0, published "
        "−11.0). Of 4"
    ) in text
    assert text.endswith(
        "Of 4 rows tested against the reference row, 1 is better and 3 are worse, after Holm's "
        "correction."
    )


def test_without_published_values_or_a_reference_row(told):
    rows = [[3.0], [6.0], [9.0], [12.0], [11.0]]
    text = told(rows, published=())
    assert text.startswith("The best row is α = 0.75 with 12.0 AP, the reference row. Certainty: ")
    text = told(rows, published=(), references=(), seeds=4)
    assert text == (
        "The best row is α = 0.75 with 12.0 AP. Certainty: no single effect is tested; the noise "
        "of seeds is up to 2.6 AP."
    )


def test_an_unfinished_table_counts_its_rows(told):
    text = told([[3.0], [], [], [12.0], []], seeds=4)
    assert text.startswith("2 of 5 rows have a value. The agreement with the published order")


def test_one_value_has_no_order(told):
    assert told([[3.0], [], [], [], []]).startswith(
        "1 of 5 rows have a value. The order cannot be compared with the published one, since "
        "fewer than two rows have both values. The best row is α = 0.1 with 3.0 AP"
    )


def test_a_table_without_a_value_says_so(make_folder):
    results = make_folder().load()
    first = results.study.grids[0]
    assert finding(results, first, compare(results, first)) == (
        "No row of this table has a value yet."
    )
