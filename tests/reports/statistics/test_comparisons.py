import math
from dataclasses import replace

import numpy as np
import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Row
from reports.statistics import inference
from reports.statistics.comparisons import compare, interval
from reports.statistics.equivalence import needed_to_decide
from reports.statistics.inference import Runs
from reports.statistics.noise import noise_floor
from reports.text.findings import finding
from tests.reports.analyses import analysis

REFERENCE = 2


@pytest.fixture
def folder(make_folder, make_study):
    """A function of the number of seeds: a folder whose first table has a reference row."""

    def make(seeds=3, more_seeds=None):
        first, *others = make_study(seeds).grids
        grids = (replace(first, references=(REFERENCE,) * 3), *others)
        return make_folder(seeds, grids, more_seeds)

    return make


def add(folder, row, values, grid=0, **changes):
    """A record with an analysis for each value, the seeds from 1."""
    for seed, value in enumerate(values, start=1):
        found = analysis(value, seed=seed)
        folder.add(folder.cell(grid, row, seed), value, analysis=found, **changes)


def compared(folder, grid=0):
    return compare(folder.load(), folder.study.grids[grid])


def replicates(values):
    found = [analysis(value, seed=seed) for seed, value in enumerate(values, start=1)]
    return np.array([one["bootstrap"]["AP"] for one in found])


OURS, THEIRS, OTHERS = (20.0, 21.0, 20.4), (30.0, 30.5, 31.2), (29.9, 30.8, 31.0)


def test_rows_can_have_their_own_reference_rows(folder):
    study = folder(3)
    per = replace(study.study.grids[0], references=(0, 0, 2), reference_per=("alpha",))
    study.study = replace(study.study, grids=(per, *study.study.grids[1:]))
    for row, values in enumerate((OURS, OTHERS, THEIRS)):
        add(study, row, values)
    first, second, third = compared(study)
    assert [one.is_reference for one in (first, second, third)] == [True, False, True]
    assert second.difference == pytest.approx(np.mean(OTHERS) - np.mean(OURS))
    assert second.verdict == "better" and second.p_holm == second.p_value, "one row is tested"
    results = study.load()
    assert "Of 1 row tested against their reference rows, 1 is better" in finding(
        results, per, [first, second, third]
    )


def test_a_row_is_compared_by_its_seeds_and_its_resamples(folder):
    study = folder(3)
    add(study, 0, OURS)
    add(study, 1, OTHERS)
    add(study, REFERENCE, THEIRS)
    row, other, reference = compared(study)
    runs = [Runs(np.array(values), replicates(values), 40) for values in (OURS, OTHERS, THEIRS)]
    expected = inference.difference(runs[0], runs[2])
    assert row.difference == pytest.approx(np.mean(OURS) - np.mean(THEIRS))
    assert (row.difference_low, row.difference_high) == (expected.low, expected.high)
    own = inference.mean(runs[0])
    assert (row.mean, row.low, row.high) == (own.value, own.low, own.high)
    assert row.over == row.difference_over == "seeds and images"
    assert row.p_value == expected.p_value
    assert row.survives and row.emphasis == "bold" and row.why_not == ""
    assert not other.survives and other.emphasis == "grey" and other.tested
    # Two rows are tested: Holm takes the smaller p-value twice.
    assert row.p_holm == 2 * row.p_value
    assert other.p_holm == max(row.p_holm, other.p_value)
    assert reference.is_reference and not reference.tested and reference.why_not == ""
    assert reference.emphasis == "" and reference.difference == 0
    assert [comparison.seeds for comparison in (row, other, reference)] == [3, 3, 3]


def test_holm_counts_only_what_is_tested(folder):
    study = folder(3)
    add(study, 0, OURS)
    add(study, REFERENCE, THEIRS)
    row, missing, _ = compared(study)
    assert row.p_holm == row.p_value
    assert (missing.why_not, missing.seeds, missing.survives) == ("no value", 0, False)
    assert np.isnan([missing.mean, missing.low, missing.difference, missing.p_holm]).all()


def test_one_seed_has_an_interval_over_images_and_no_claim(folder):
    study = folder(1)
    add(study, 0, [5.0])
    add(study, REFERENCE, [30.0])
    row, _, reference = compared(study)
    assert row.difference_high < -20 and row.difference_over == row.over == "images only"
    assert reference.low < 30 < reference.high and reference.over == "images only"
    assert not row.survives and not row.tested and math.isnan(row.p_holm)
    assert (row.seeds, row.why_not, row.emphasis) == (1, "one seed", "")


def test_one_seed_of_the_reference_row_is_blamed_on_it(folder):
    study = folder(3)
    add(study, 0, OURS)
    add(study, REFERENCE, THEIRS[:1])
    row = compared(study)[0]
    assert row.why_not == "one seed in the reference row"
    assert (row.over, row.difference_over) == ("seeds and images", "images only")


def test_a_run_that_diverged_counts_as_zero_and_is_not_tested(folder):
    study = folder(3)
    add(study, 0, OURS)
    study.add(study.cell(0, 0, 3), status="diverged")
    add(study, REFERENCE, THEIRS)
    row = compared(study)[0]
    assert row.mean == pytest.approx((OURS[0] + OURS[1] + 0) / 3)
    assert row.difference == pytest.approx(row.mean - np.mean(THEIRS))
    assert np.isnan([row.low, row.difference_low, row.p_value]).all() and row.over == ""
    assert not row.survives and row.why_not == "a run diverged"


def test_a_reference_row_with_a_diverged_run_leaves_nothing_to_test(folder):
    study = folder(3)
    add(study, 0, OURS)
    add(study, REFERENCE, THEIRS)
    study.add(study.cell(0, REFERENCE, 1), status="diverged")
    row = compared(study)[0]
    assert row.why_not == "a run diverged in the reference row" and not row.tested
    assert row.low < row.mean < row.high


def test_stale_and_failed_runs_count_for_nothing(folder):
    study = folder(3)
    add(study, 0, OURS)
    study.describe()
    study.add(study.cell(0, 0, 2), 99.0, stale=("config",))
    study.add(study.cell(0, 0, 3), status="failed")
    add(study, REFERENCE, THEIRS)
    row = compared(study)[0]
    assert (row.mean, row.seeds, row.why_not) == (OURS[0], 1, "one seed")


@pytest.mark.parametrize("change", [{"images": 41}, {"seed": 5}, {"resamples": 199}])
def test_rows_on_other_images_are_not_compared(folder, change):
    study = folder(2)
    add(study, REFERENCE, THEIRS[:2])
    for seed in (1, 2):
        found = analysis(20.0 + seed, seed=seed)
        found["bootstrap"] |= change
        found["bootstrap"]["AP"] = found["bootstrap"]["AP"][: change.get("resamples")]
        study.add(study.cell(0, 0, seed), 20.0 + seed, analysis=found)
    row = compared(study)[0]
    assert (row.why_not, row.tested, row.difference_over) == ("the images differ", False, "")
    assert row.difference < 0


def test_rows_on_another_data_set_are_not_compared(folder):
    study = folder(2)
    add(study, 0, OURS[:2], dataset={"name": "digits_in_scenes", "sha256": "other"})
    add(study, REFERENCE, THEIRS[:2])
    assert compared(study)[0].why_not == "the images differ"


def test_one_seed_on_other_images_has_no_interval_over_images(folder):
    study = folder(1)
    add(study, 0, OURS[:1], dataset={"name": "digits_in_scenes", "sha256": "other"})
    add(study, REFERENCE, THEIRS[:1])
    row = compared(study)[0]
    assert row.difference_over == "" and math.isnan(row.difference_low)


def test_a_row_whose_own_seeds_are_on_different_images_is_not_compared(folder):
    study = folder(2)
    add(study, 0, OURS[:2])
    other = {"name": "digits_in_scenes", "sha256": "other"}
    study.add(study.cell(0, 0, 2), 20.0, analysis=analysis(20.0, seed=2), dataset=other)
    add(study, REFERENCE, THEIRS[:2])
    assert compared(study)[0].why_not == "the images differ"


def without(key):
    found = analysis(20.0)
    found["bootstrap"].pop(key)
    return found


def with_values(values):
    found = analysis(20.0)
    found["bootstrap"]["AP"] = values
    return found


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        {"bootstrap": None},
        without("images"),
        without("AP"),
        with_values([20.0, None, 21.0]),
        with_values(["x"]),
        with_values([[20.0], [21.0, 22.0]]),
        with_values([20.0]),
    ],
)
def test_without_usable_resamples_the_interval_is_over_seeds_alone(folder, found):
    study = folder(2)
    add(study, REFERENCE, THEIRS[:2])
    for seed in (1, 2):
        study.add(study.cell(0, 0, seed), 20.0 + seed, analysis=found)
    row = compared(study)[0]
    assert (row.why_not, row.survives) == ("no resampled images", False)
    assert row.over == row.difference_over == "seeds only"
    expected = inference.difference(Runs(np.array([21.0, 22.0])), Runs(np.array(THEIRS[:2])))
    assert row.difference_low == expected.low


def test_runs_that_never_vary_are_not_tested(folder):
    study = folder(2)
    for row, value in ((0, 0.0), (REFERENCE, 10.0)):
        for seed in (1, 2):
            found = with_values([value] * 5)
            study.add(study.cell(0, row, seed), value, analysis=found)
    row = compared(study)[0]
    assert (row.difference, row.why_not, row.tested) == (-10, "no run differs from another", False)


def test_a_row_of_the_reference_rows_own_setting_does_not_differ(make_folder, make_study):
    grid = make_study(2).grids[0]
    twin = Row({"alpha": 0.75}, Setting.of(loss="ce", alpha=0.75))
    grid = replace(grid, rows=(*grid.rows, twin), references=(REFERENCE,) * 4)
    study = make_folder(2, (grid,))
    add(study, REFERENCE, THEIRS[:2])
    row = compared(study)[3]
    assert (row.is_reference, row.tested, row.difference) == (False, False, 0)
    assert row.why_not == "the setting of the reference row"


def test_without_a_reference_row_the_rows_have_their_intervals(folder):
    study = folder(2)
    add(study, 1, OURS[:2], grid=1)
    row = compared(study, 1)[1]
    assert (row.why_not, row.is_reference) == ("the table has no reference row", False)
    assert row.low < row.mean < row.high and math.isnan(row.difference)


def test_an_interval_ends_at_what_an_ap_can_be(folder):
    study = folder(2)
    add(study, 0, [0.1, 1.0])
    add(study, 1, [99.9, 99.0])
    low, high, _ = compared(study)
    assert (low.low, high.high) == (0, 100)


def test_the_interval_of_a_setting(folder):
    study = folder(3)
    add(study, 0, OURS)
    results = study.load()
    cells = results.cells
    found = interval(results, cells[cells["setting"] == study.cell(0, 0).setting.id])
    row = compared(study)[0]
    assert (found.mean, found.low, found.high) == (row.mean, row.low, row.high)
    assert (found.over, found.seeds) == ("seeds and images", 3)


def test_the_noise_floor_of_a_table_with_several_seeds(folder):
    study = folder(3)
    add(study, 0, [10.0, 12.0, 14.0])
    add(study, 1, [20.0, 20.0, 20.0])
    add(study, REFERENCE, [30.0, 40.0])
    study.add(study.cell(0, REFERENCE, 3), status="diverged")
    found = noise_floor(study.load(), study.study.grids[0])
    # {10, 12, 14}: 4 + 4; {20, 20, 20}: 0; 2 degrees each; the diverged row is left out.
    assert found.spread.sd == pytest.approx(math.sqrt(8 / 4))
    assert (found.spread.degrees_of_freedom, found.tables, found.seeds) == (4, (), 3)
    # t of 4 degrees of freedom at 5 %
    assert found.least_difference == pytest.approx(2.776445 * math.sqrt(2 / 3) * math.sqrt(2))


def test_a_table_of_one_seed_has_the_noise_floor_of_the_tables_with_several(folder):
    study = folder(1, more_seeds={"star": (1, 2)})
    add(study, 0, [10.0])
    add(study, 1, [20.0, 22.0], grid=1)
    found = noise_floor(study.load(), study.study.grids[0])
    assert found.spread.sd == pytest.approx(math.sqrt(2))
    assert (found.tables, found.seeds) == (("star",), 1)
    # t of 1 degree of freedom at 5 %, sqrt(2 / 1) and sd sqrt(2)
    assert found.least_difference == pytest.approx(12.7062 * 2)


def test_the_noise_floor_of_an_unfinished_table_is_that_of_its_finished_runs(folder):
    study = folder(3)
    add(study, 0, [10.0, 12.0])
    found = noise_floor(study.load(), study.study.grids[0])
    # t of 1 degree of freedom at 5 %, sqrt(2 / 2) and sd sqrt(2)
    assert (found.seeds, found.least_difference) == (2, pytest.approx(12.7062 * math.sqrt(2)))
    add(study, 1, [20.0])
    found = noise_floor(study.load(), study.study.grids[0])
    assert (found.seeds, found.least_difference) == (1, pytest.approx(12.7062 * 2))


def test_without_two_runs_of_a_setting_there_is_no_noise_floor(folder):
    study = folder(1)
    add(study, 0, [10.0])
    assert noise_floor(study.load(), study.study.grids[0]) is None


APART = np.array([[1, 1, -1, -1], [1, -1, 1, -1]])
"""What two runs lose or gain on four resamples of the images; the runs share nothing."""


def add_apart(study, cells, values, scale=1.0, images=40):
    """A record of each of two cells, whose AP varies over the resamples by ``APART``."""
    for cell, value, apart in zip(cells, values, APART, strict=True):
        found = with_values((value + scale * apart).tolist())
        found["bootstrap"] |= {"images": images, "resamples": 4}
        study.add(cell, value, analysis=found)


@pytest.mark.parametrize(("images", "scale"), [(40, 1.0), (20, math.sqrt(2))])
def test_needed_seeds_of_one_seed_count_the_runs_own_reaction_to_the_images_once(
    folder, images, scale
):
    study = folder(1, more_seeds={"star": (1, 2)})
    add_apart(study, [study.cell(0, row) for row in (0, REFERENCE)], (20.0, 20.5))
    add_apart(study, [study.cell(1, 1, seed) for seed in (1, 2)], (20.0, 22.0), scale, images)
    row = compared(study)[0]
    # The difference varies by 8 / 3 over the resamples. Two seeds of one setting differ by as much,
    # or on half of the images by twice as much: the rows have no other reaction to the images.
    # Two seeds of AP 20 and 22 have a variance of 2.
    assert row.why_not == "one seed"
    assert row.needed == needed_to_decide([2.0, 2.0], 0.0, 40, 1.0, tests=1)
    assert row.needed.seeds is not None


def test_without_resamples_of_several_seeds_the_needed_seeds_of_one_seed_are_unknown(folder):
    study = folder(1, more_seeds={"star": (1, 2)})
    add(study, 0, [20.0])
    add(study, REFERENCE, [20.5])
    for seed, value in ((1, 20.0), (2, 22.0)):
        study.add(study.cell(1, 1, seed), value)
    assert compared(study)[0].needed is None
