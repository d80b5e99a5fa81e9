from dataclasses import replace

import msgspec
import pytest

from reports.page.contents import report
from reports.results import provenance
from reports.statistics.inference import Agreement
from reports.tables import captions
from reports.tables.grids import grid_table
from reports.text import sentences
from tests.reports.analyses import analysis


def under_table(folder, number=0):
    results, grid = folder.load(), folder.study.grids[number]
    return captions.under_table(results, grid, grid_table(results, grid))


def frame_of(folder, number=0):
    return folder.load().of_grid(folder.study.grids[number])


def test_one_seed_claims_no_difference(make_folder):
    folder = make_folder(1)
    folder.add(folder.cell(0, 0), 5.0)
    text = under_table(folder)
    assert "so differences between rows are not tested" in text
    assert "compare the order of the rows" in text and "The noise floor is unknown" in text
    assert "±" not in text
    assert "no evidence of an effect" in sentences.seeds_warning(folder.load())


def test_settings_that_found_nothing_are_named_if_others_found_something(make_folder):
    folder = make_folder(1)
    for row, ap in enumerate((0.0, 0.02, 4.9)):
        folder.add(folder.cell(0, row), ap)
    assert sentences.nothing_found(folder.load()) == ""
    folder.add(folder.cell(0, 2), 30.0)
    text = sentences.nothing_found(folder.load())
    assert text.startswith("Almost no detection of CE (") and "reach 30.0 AP" in text
    assert text.count("α = ") == 2


@pytest.mark.parametrize(("schedule", "is_short"), [(0.15, True), (1.0, False), (2.0, False)])
def test_a_study_shorter_than_1x_says_so(make_folder, schedule, is_short):
    folder = make_folder(1)
    folder.add(folder.cell(0, 0), 5.0)
    results = folder.load()
    results = replace(results, study=replace(results.study, schedule=schedule))
    text = sentences.short_training(results)
    assert bool(text) == is_short
    assert is_short is text.startswith("The training runs are at 0.15x of the full length.")


def test_the_noise_floor_leaves_out_diverged_rows(make_folder):
    folder = make_folder(2)
    for seed, ap in ((1, 10.0), (2, 12.0)):
        folder.add(folder.cell(0, 0, seed), ap)
    folder.add(folder.cell(0, 1, 1), 30.0)
    folder.add(folder.cell(0, 1, 2), status="diverged")
    text = under_table(folder)
    # {10, 12}: sqrt(2 / 1) = 1.414; with the diverged run's 0.0 it would be sqrt(452 / 2) = 15.0
    # and the least difference is 12.7062 sqrt(2 / 2) 1.414.
    assert "deviation between seeds 1.4 AP; 1 row, 1 degree of freedom)" in text
    assert (
        "two rows of 2 seeds each that differ only in the seed differ by less than 18.0 AP ("
        in text
    )
    assert "No difference between rows was tested: the table has no reference row." in text
    assert "A run that diverged counts as AP 0.0." in text
    assert "compare the order" not in under_table(folder, 1)


def test_the_noise_floor_is_unknown_without_two_runs_of_a_row(make_folder):
    folder = make_folder(2)
    folder.add(folder.cell(0, 0, 1), 10.0)
    assert "noise floor is unknown" in under_table(folder)


def test_a_table_of_one_seed_has_the_yardstick_of_one_with_several(make_folder):
    folder = make_folder(1, more_seeds={"star": (1, 2)})
    folder.add(folder.cell(0, 0), 10.0)
    for seed, ap in ((1, 20.0), (2, 22.0)):
        folder.add(folder.cell(1, 1, seed), ap)
    text = under_table(folder)
    # {20, 22}: sd 1.414; the least difference of two runs is 12.7062 sqrt(2) 1.414 = 25.4.
    assert "deviation between seeds 1.4 AP; 1 setting of table star, 1 degree of freedom)" in text
    assert "two single runs that differ only in the seed differ by less than 25.4 AP (" in text
    assert "differences between rows are not tested" in text and "±" not in text


def compared_folder(make_folder, make_study, seeds):
    """A table whose first row is far from its reference row, and a second row without a run."""
    grid = replace(make_study(seeds).grids[0], references=(2, 2, 2))
    folder = make_folder(seeds, (grid, *make_study(seeds).grids[1:]))
    for seed in range(1, seeds + 1):
        for row, ap in ((0, 10.0), (2, 30.0)):
            value = ap + 0.1 * seed
            folder.add(folder.cell(0, row, seed), value, analysis=analysis(value, seed=seed))
    return folder


def test_a_tested_table_names_its_reference_row_and_the_rows_without_a_test(
    make_folder, make_study
):
    folder = compared_folder(make_folder, make_study, 3)
    text = under_table(folder)
    assert "The reference row is α = 0.75. Not tested (no value): α = 0.5." in text
    assert "Bold" not in text, "the report explains the marks once"
    # FL* has no reference row, and its first setting is CE's α = 0.75.
    assert "No difference between rows was tested" in under_table(folder, 1)
    assert "The reference row is" not in under_table(folder, 1)


def test_the_marks_of_tests_are_explained_once_and_only_where_there_are_tests(
    make_folder, make_study
):
    def explained(seeds):
        content = report(compared_folder(make_folder, make_study, seeds).load())
        return [one for one in content.sections if one.anchor == "reading"]

    (section,) = explained(3)
    (text,) = section.blocks
    for mark in ("Bold:", "grey:", "within ±1 AP", "Undecided:", "Holm", "a normal model of"):
        assert mark in str(text)
    assert explained(1) == []


def test_with_one_seed_differences_are_not_tested(make_folder, make_study):
    text = under_table(compared_folder(make_folder, make_study, 1))
    assert "differences between rows are not tested" in text


def test_the_warning_names_the_tables_whose_differences_are_tested(make_folder, make_study):
    warning = sentences.seeds_warning(compared_folder(make_folder, make_study, 3).load())
    assert warning == (
        "Values are means over a few seeds, with their sample standard deviation. Differences "
        "from the reference row are tested in table alpha, with Holm's correction within a table."
    )


def test_the_warning_says_where_nothing_is_tested(make_folder):
    warning = sentences.seeds_warning(make_folder(2).load())
    assert warning.endswith("No difference was tested for significance.")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.25, "+1.2"), (-3.14, "−3.1"), (0.04, "0.0"), (-0.04, "0.0")],
)
def test_differences_have_a_sign_unless_they_are_none(value, text):
    assert sentences.difference_number(value) == text


def test_the_title_does_not_speak_of_other_data(make_folder):
    folder = make_folder()
    folder.add(folder.cell(0, 0), 5.0)
    assert sentences.title(folder.load()) == "A small study"
    folder.add(folder.cell(0, 0), 5.0, dataset={"name": "bccd"})
    assert sentences.title(folder.load()) == "small on bccd"


def test_the_summary_counts_what_is_there(broken_folder):
    text = sentences.summary(broken_folder.load())
    assert "small has 9 training runs (cells) on digits_in_scenes, with 1 seed per setting:" in text
    assert "3 done, 1 diverged, 1 failed, 1 stale, 1 running, 2 missing" in text


def test_numbers_of_seeds_that_differ_are_told_apart(make_folder):
    results = make_folder(1, more_seeds={"star": (1, 2, 3)}).load()
    # 3 and 3 rows of which one is shared: 5 cells of seed 1, and 3 of either other seed.
    assert (
        "11 training runs (cells) on digits_in_scenes, with 1 seed per setting (3 in table star):"
        in (sentences.summary(results))
    )
    warning = sentences.seeds_warning(results)
    assert warning.startswith(
        "Values are means over 3 seeds in table star, with their sample standard"
    )
    assert "Elsewhere, each value comes from a single run" in warning


def test_one_number_of_seeds_is_said_once(make_folder):
    results = make_folder(2).load()
    assert "with 2 seeds per setting:" in sentences.summary(results)
    assert sentences.seeds_warning(results).startswith("Values are means over a few seeds, with")


def test_unknown_staleness_is_said_where_there_is_something_to_be_stale(make_folder):
    folder = make_folder()
    assert sentences.staleness(folder.load()) == ""
    folder.add(folder.cell(0, 0), 5.0)
    assert sentences.staleness(folder.load()) == (
        "It is unknown whether records are stale: the output folder does not say how they were "
        "prepared."
    )
    folder.describe()
    assert sentences.staleness(folder.load()) == ""


def test_under_a_table_of_speed_stands_what_was_timed(broken_folder):
    text = under_table(broken_folder, 2)
    assert "the median of 10 rounds of 2 images after 5 to warm up" in text
    assert "It was measured on Example CPU, 1 thread, after the training runs" in text
    assert "timed on an Nvidia M40" in text
    assert "Parentheses contain the paper's depth and scale (px)." in text
    assert "The CSV file has the published AP₅₀, AP₇₅ and APₛ." in text
    assert "† marks a stale record, which is excluded from every comparison." in text
    assert "ms per image" not in under_table(broken_folder, 0)


def dots_of(folder, number=0):
    return captions.dots(
        frame_of(folder, number), grid_table(folder.load(), folder.study.grids[number])
    )


def test_the_caption_of_the_dots_says_what_is_drawn(make_folder, make_study):
    assert dots_of(make_folder(1)) == "AP of each row; each panel has its own scale."
    assert dots_of(make_folder(2), 1) == (
        "Mean AP of each row, with 95 % CI over seeds and images; CE is grey, FL* is orange."
    )
    assert dots_of(compared_folder(make_folder, make_study, 3)) == (
        "Mean AP of each row and its effect against the reference row, with 95 % CI over seeds and "
        "images. Effects: filled if significant, else a ring; a diamond is the published effect."
    )


def test_captions_name_the_schedule_where_the_records_have_it(make_folder):
    folder = make_folder()
    folder.add(folder.cell(0, 0), 5.0)
    records = list(folder.load().records.values())
    assert provenance.schedule(records) == "1x, 60 iterations"
    (old,) = (msgspec.structs.replace(one, run={}) for one in records)
    assert provenance.schedule([old]) == "60 iterations", "before schedules had names"
    short = msgspec.structs.replace(
        records[0], setting={"schedule": 0.25}, result=records[0].result | {"iterations": 15}
    )
    assert provenance.schedule([short, *records]) == "0.25x, 15 iterations; 1x, 60 iterations"


def test_orders_name_each_table_that_can_be_compared():
    text = sentences.orders(
        {"alpha": Agreement(0.8, 0.01, 7, 0), "gamma": Agreement(None, None, 1, 6, "...")}
    )
    assert "0.80 in table alpha" in text and "gamma" not in text
    assert sentences.orders({}) == ""
