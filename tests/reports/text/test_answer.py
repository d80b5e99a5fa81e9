"""The comparison of FL* with FL: every outcome."""

from dataclasses import replace

import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from reports.statistics import best
from reports.statistics.comparisons import compare
from reports.statistics.equivalence import Needed
from reports.text.answer import NO_QUESTION, NO_RESULT, answer
from reports.text.sentences import needed_text
from tests.reports.analyses import analysis

STAR, FL, CAPPED, CE = range(4)


def row(method, **values):
    return Row({"method": method, **values}, Setting.of(**values))


HEADLINE = Grid(
    name="headline",
    title="The losses",
    columns=("method", "alpha", "gamma"),
    rows=(
        row("FL*", loss="focal_star", alpha=0.75, gamma=0.125),
        row("FL", loss="focal", alpha=0.25, gamma=1.0),
        row("FL*, capped", loss="focal_star", alpha=0.25, gamma=1.0, weight_cap=5),
        row("CE", loss="ce", alpha=None),
    ),
    references=(FL,) * 4,
)

PAIR = "FL* (α = 0.75, γ = 0.125) is {} FL (α = 0.25, γ = 1) on digits_in_scenes"
UNKNOWN = f"It is undecided whether {PAIR.format('better than')}"
MODEL = "in a normal model"


@pytest.fixture
def folder(make_folder):
    """A function of the number of seeds and the headline's values: a folder with records."""

    def make(seeds, values, grid=HEADLINE, **changes):
        folder = make_folder(seeds, (grid,))
        for number, of_row in values.items():
            for seed, value in enumerate(of_row, start=1):
                found = analysis(value, seed=seed)
                folder.add(folder.cell(0, number, seed), value, analysis=found, **changes)
        return folder

    return make


FL_RUNS = [30.0, 30.5, 30.4]


def numbers(folder, number=STAR):
    """The row's comparison as it is to be printed: difference, low, high, p."""
    found = compare(folder.load(), folder.study.grids[0])[number]
    values = (found.difference, found.difference_low, found.difference_high)
    p_value = "p < 0.001" if found.p_holm < 0.001 else f"p = {found.p_holm:.3f}"
    return *(f"{value:+.1f}".replace("-", "−") for value in values), f"{p_value} {MODEL}"


def comparison(study, number=STAR):
    return compare(study.load(), study.study.grids[0])[number]


def test_better_and_surviving(folder):
    study = folder(3, {STAR: [35.0, 35.4, 35.5], FL: FL_RUNS})
    difference, low, high, p_value = numbers(study)
    assert difference == "+5.0" and low.startswith("+"), "35.3 - 30.3"
    assert answer(study.load()).verdict == (
        f"{PAIR.format('significantly better than')}: 35.3 "
        f"against 30.3 AP, a difference of +5.0 AP (95 % CI {low} to {high}, {p_value})."
    )


def test_worse_and_surviving(folder):
    study = folder(3, {STAR: [25.0, 25.4, 25.5], FL: FL_RUNS})
    _, low, high, p_value = numbers(study)
    assert high.startswith("−")
    assert answer(study.load()).verdict == (
        f"{PAIR.format('significantly worse than')}: 25.3 "
        f"against 30.3 AP, a difference of −5.0 AP (95 % CI {low} to {high}, {p_value})."
    )


def test_undecided_says_how_many_seeds_would_decide(folder):
    study = folder(3, {STAR: [30.1, 31.4, 30.9], FL: FL_RUNS})
    _, low, high, p_value = numbers(study)
    assert (low[0], high[0]) == ("−", "+")
    seeds = comparison(study).needed.seeds
    assert seeds > 3
    assert answer(study.load()).verdict == (
        f"{UNKNOWN}: 30.8 against 30.3 AP, a difference of +0.5 AP (95 % CI {low} to {high}, "
        f"{p_value}). With the measured spread, {seeds} seeds per row would decide it: better, "
        "worse or equivalent within ±1 AP."
    )


def test_the_margin_is_the_studys(folder):
    study = folder(3, {STAR: [30.1, 31.4, 30.9], FL: FL_RUNS})
    study.study = replace(study.study, equivalence_margin=4.0)
    assert answer(study.load()).verdict.startswith(
        f"{PAIR.format('equivalent to').replace('γ = 1)', 'γ = 1) within ±4 AP')}: 30.8 against"
    )


CLOSE = [30.1, 30.5, 30.3, 30.4]


def test_equivalent_within_the_margin(folder):
    study = folder(4, {STAR: CLOSE, FL: [30.3, 30.2, 30.5, 30.45]})
    _, low, high, _ = numbers(study)
    found = comparison(study)
    assert not found.survives and found.p_equivalence < 0.05
    p_value = "p < 0.001" if found.p_equivalence < 0.001 else f"p = {found.p_equivalence:.3f}"
    expected = PAIR.format("equivalent to").replace("γ = 1)", "γ = 1) within ±1 AP")
    assert answer(study.load()).verdict == (
        f"{expected}: 30.3 against 30.4 AP, a difference of 0.0 AP (95 % CI {low} to {high}, two "
        f"one-sided tests: {p_value} {MODEL})."
    )


def test_a_significant_difference_within_the_margin_is_called_small(folder):
    runs = {STAR: [30.7, 30.8, 30.9] * 3, FL: [30.2, 30.3, 30.4] * 3}
    study = folder(9, runs)
    study.study = replace(study.study, equivalence_margin=3.0)
    found = comparison(study)
    assert found.verdict == "better" and found.within_margin
    verdict = answer(study.load()).verdict
    assert verdict.startswith(PAIR.format("significantly better than"))
    assert "The difference is significantly smaller than 3 AP (two one-sided tests: p " in verdict


@pytest.mark.parametrize(
    ("needed", "text"),
    [
        (None, ""),
        (Needed(None), "With the measured spread, 1000 seeds per row would not decide it."),
        (
            Needed(None, 1625),
            "With the measured spread, no number of seeds decides it within ±1 AP on fewer than "
            "1625 validation images.",
        ),
    ],
)
def test_what_seeds_cannot_decide(needed, text):
    assert needed_text(needed, 1.0) == text


FLOORED = {STAR: [1.9, 2.0, 2.3], FL: [2.1, 1.8, 2.2], CAPPED: [1.5, 1.8, 1.7], CE: [2.0] * 3}
WHERE = {
    "name": "bccd",
    "train": {"num_images": 300, "width": [640, 640, 640], "height": [480, 480, 480],
              "object_size": [20.0, 45.0, 200.0]},
    "val": {"num_images": 40},
}  # fmt: skip


@pytest.mark.parametrize(
    ("empty", "trained"),
    [(0, "1.6 epochs of 300 images"), (60, "2.0 epochs of 240 images with objects")],
)
def test_rows_at_the_floor_have_not_learnt(folder, empty, trained):
    where = WHERE | {"train": WHERE["train"] | {"num_without_objects": empty}}
    study = folder(3, FLOORED, dataset=where)
    solver = {"IMS_PER_BATCH": 8, "MAX_ITER": 60}
    study.prepared.config.update(SOLVER=study.prepared.config.get("SOLVER", {}) | solver)
    study.prepared.config["INPUT"]["SHORT_EDGE"] = 128
    results = study.load()
    found = answer(replace(results, prepared=study.prepared))
    # CAPPED: (1.5 + 1.8 + 1.7) / 3; STAR: (1.9 + 2.0 + 2.3) / 3
    assert found.verdict == (
        "No row of table headline has learnt bccd, so the losses cannot be compared: the rows have "
        "1.7 to 2.1 AP, below 5, and none differs significantly by 1 AP."
    )
    learnt, why, change = found.others
    # The records' AP50 is twice the AP, the recall 0.5 + AP / 120.
    assert learnt == (
        "Learnt: the best row, FL* (α = 0.75, γ = 0.125), has 2.1 AP, 4.1 AP₅₀ and a recall of "
        "52 % at IoU 0.5."
    )
    # 45 px x 128 / 480 = 12 px, 60 iterations x 8 / 300 images = 1.6 epochs
    assert why == (
        "Why: the median object is 12 px wide at a short edge of 128 px, 1.5 strides of the finest "
        f"level; each run trained for {trained}, and the focal loss paper trains for 12 epochs."
    )
    # 128 px x 16 / 12 = 171 px
    assert change == (
        "Change: a short edge of at least 171 px (INPUT.SHORT_EDGE), at which the median object is "
        "16 px wide; a longer schedule, of at least 12 epochs."
    )


def test_rows_at_the_floor_whose_sizes_are_unknown_still_say_what_to_check(folder):
    learnt, change = answer(folder(3, FLOORED).load()).others
    assert learnt.startswith("Learnt: the best row, FL*") and "make check" in change
    assert "the cause" not in change, "neither size nor epochs are known"


def test_rows_at_the_floor_with_large_objects_and_long_training(folder):
    train = {"num_images": 40, "width": [128] * 3, "height": [128] * 3, "object_size": [40.0] * 3}
    study = folder(3, FLOORED, dataset=WHERE | {"train": train})
    solver = {"IMS_PER_BATCH": 8, "MAX_ITER": 60}  # 60 x 8 / 40 = 12 epochs
    study.prepared.config.update(SOLVER=study.prepared.config.get("SOLVER", {}) | solver)
    study.prepared.config["INPUT"]["SHORT_EDGE"] = 128
    *_, change = answer(replace(study.load(), prepared=study.prepared)).others
    assert change.endswith(
        "the initial weights; object size and number of epochs are not the cause."
    )


@pytest.mark.parametrize(
    "values",
    [
        {STAR: [4.9, 5.0, 5.3], FL: [2.1, 1.8, 2.2]},  # one row has learnt
        {STAR: [4.3, 4.4, 4.5], FL: [0.1, 0.2, 0.1]},  # the rows differ
    ],
)
def test_a_row_above_the_floor_or_a_difference_is_compared(folder, values):
    verdict = answer(folder(3, values).load()).verdict
    assert verdict.startswith(PAIR.format("significantly better than"))


def test_an_interval_without_zero_that_does_not_survive_the_correction(folder):
    others = {CAPPED: [30.1, 31.4, 30.9], CE: [30.2, 31.0, 29.5]}
    study = folder(3, {STAR: [31.3, 32.4, 31.6], FL: FL_RUNS, **others})
    found = compare(study.load(), study.study.grids[0])[STAR]
    assert found.p_value < 0.05 < found.p_holm and found.difference_low > 0
    verdict = answer(study.load()).verdict
    assert verdict.startswith(f"{UNKNOWN}: 31.8 against")
    assert (
        "The interval of this single comparison excludes 0, but the difference is not significant "
        "after Holm's correction for 3 tested rows. With the measured spread, "
    ) in verdict


def test_one_seed_each(folder):
    study = folder(1, {STAR: [35.0], FL: [30.0]})
    _, low, high, _ = numbers(study)
    assert comparison(study).needed is None, "the spread between seeds is unknown"
    found = answer(study.load())
    assert found.verdict == (
        f"{UNKNOWN}: each loss has one seed, so the spread between seeds is unknown. The result is "
        f"35.0 against 30.0 AP, a difference of +5.0 AP (95 % CI {low} to {high} over images "
        "only); the interval does not include that spread."
    )
    assert found.basis == "Each value comes from one seed, on 40 validation images."


def test_one_seed_without_resamples_has_no_interval_to_speak_of(make_folder):
    study = make_folder(1, (HEADLINE,))
    study.add(study.cell(0, STAR), 35.0)
    study.add(study.cell(0, FL), 30.0)
    assert answer(study.load()).verdict == (
        f"{UNKNOWN}: each loss has one seed, so the spread between seeds is unknown. The result is "
        "35.0 against 30.0 AP, a difference of +5.0 AP."
    )


def test_one_seed_of_three_says_what_became_of_the_others(folder):
    study = folder(3, {STAR: [35.0, 35.4, 35.5], FL: [30.0]})
    study.add(study.cell(0, FL, 2), status="failed")
    verdict = answer(study.load()).verdict
    assert ": FL has one seed (seed 2 failed; seed 3 missing), so the spread" in verdict


def test_no_result(folder):
    study = folder(2, {FL: FL_RUNS[:2]})
    study.add(study.cell(0, STAR, 1), status="failed")
    found = answer(study.load())
    assert found.verdict == (f"{UNKNOWN}: FL* has no result (seed 1 failed; seed 2 missing).")
    assert found.others == ("Not tested (no value): FL*, capped (α = 0.25, γ = 1, cap 5) and CE "
                            "(no α).",)  # fmt: skip


def test_no_result_of_the_reference_row(folder):
    study = folder(2, {STAR: FL_RUNS[:2]})
    assert answer(study.load()).verdict == (f"{UNKNOWN}: FL has no result (missing).")


def test_a_run_diverged(folder):
    study = folder(3, {STAR: [36.0, 36.0], FL: FL_RUNS})
    study.add(study.cell(0, STAR, 3), status="diverged")
    assert answer(study.load()).verdict == (
        f"{UNKNOWN}: 1 of 3 runs of FL* diverged and counts as AP 0.0. The result is "
        "24.0 against 30.3 AP, a difference of −6.3 AP."
    )


def test_a_run_of_the_reference_row_diverged(folder):
    study = folder(3, {STAR: FL_RUNS, FL: [30.0, 30.0]})
    study.add(study.cell(0, FL, 3), status="diverged")
    assert "digits_in_scenes: 1 of 3 runs of FL diverged" in answer(study.load()).verdict


def test_without_resampled_images(make_folder):
    study = make_folder(2, (HEADLINE,))
    for seed in (1, 2):
        study.add(study.cell(0, STAR, seed), 35.0 + seed)
        study.add(study.cell(0, FL, seed), 30.0 + seed)
    verdict = answer(study.load()).verdict
    assert "there is no test (no resampled images). The result is 36.5 against" in verdict
    assert "over seeds only)" in verdict


def test_the_other_losses_against_fl(folder):
    study = folder(3, {STAR: FL_RUNS, FL: FL_RUNS, CAPPED: [20.0, 20.4, 20.3], CE: [25.0]})
    _, low, high, p_value = numbers(study, CAPPED)
    found = answer(study.load())
    assert found.others == (
        "FL*, capped (α = 0.25, γ = 1, cap 5) is significantly worse than FL: −10.1 AP "
        f"(95 % CI {low} to {high}, {p_value}).",
        "Not tested (one seed): CE (no α).",
    )
    assert found.basis.startswith(
        "Each value is a mean over the finished runs of 3 seeds, on 40 validation images. Each "
        "interval covers a single comparison and the variation in seeds and images, not in the "
        "training data. The p-values are corrected for 2 tested rows (Holm) and rest on a normal "
        # 2 of the C(6, 3) = 20 divisions of six runs
        "model of seeds and images. A permutation test of the seeds alone, which assumes no "
        "distribution, cannot go below p = 0.100 before that correction."
    )


def test_another_loss_that_is_undecided(folder):
    study = folder(3, {STAR: FL_RUNS, FL: FL_RUNS, CE: [30.0, 31.4, 30.9]})
    tested, not_tested = answer(study.load()).others
    assert tested.startswith("It is undecided whether CE (no α) is better than FL: +0.5 AP (95 %")
    assert tested.endswith(
        " seeds per row would decide it: better, worse or equivalent within ±1 AP."
    )
    assert not_tested.startswith("Not tested (no value): FL*, capped")


def test_rows_of_one_setting_are_named_by_their_schedule(folder):
    short = row("α-CE", loss="ce", alpha=0.75, schedule=0.3)
    long = row("α-CE", loss="ce", alpha=0.75)
    grid = replace(HEADLINE, rows=(*HEADLINE.rows[:2], short, long))
    study = folder(1, {number: [30.0] for number in range(4)}, grid)
    assert answer(study.load()).others == (
        "Not tested (one seed): α-CE (α = 0.75, 0.3x) and α-CE (α = 0.75).",
    )


def test_the_basis_counts_the_settings_that_the_best_was_chosen_from(folder):
    results = folder(1, {STAR: [35.0], FL: [30.0], CAPPED: [31.0]}).load()
    assert {one.loss: one.tried for one in best.best_of_losses(results)} == {
        "focal_star": 2,
        "focal": 1,
    }
    basis = answer(results).basis
    assert "This study has results for 2 settings of FL* and 1 setting of FL." in basis
    assert "biased upwards" in basis


def test_another_data_set_is_named(folder):
    study = folder(1, {STAR: [35.0], FL: [30.0]}, dataset={"name": "<b>cells</b>"})
    assert "on <b>cells</b>: each loss has one seed" in answer(study.load()).verdict


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (replace(HEADLINE, name="losses"), "FL* (α = 0.75, γ = 0.125) is better than FL (α"),
        (
            replace(HEADLINE, references=(CE,) * 4),
            "FL* (α = 0.75, γ = 0.125) is better than CE (no α)",
        ),
        (
            replace(HEADLINE, rows=HEADLINE.rows[1:], references=(0, 0, 0)),
            "FL*, capped (α = 0.25, γ = 1, cap 5) is better than FL (α = 0.25, γ = 1)",
        ),
        (
            replace(HEADLINE, rows=(*HEADLINE.rows[2:], row("Mine", loss="ce", alpha=0.5),
                                    HEADLINE.rows[1]), references=(3,) * 4),
            "FL*, capped (α = 0.25, γ = 1, cap 5) is better than FL (α = 0.25, γ = 1)",
        ),
    ],
)  # fmt: skip
def test_other_tables_and_losses_are_asked_about(folder, grid, said):
    found = answer(folder(2, {}, grid).load())
    assert found.verdict.startswith(f"It is undecided whether {said}")
    assert found.outcome == NO_RESULT


@pytest.mark.parametrize(
    "grid",
    [
        replace(HEADLINE, references=()),
        replace(HEADLINE, columns=("alpha", "gamma")),
        replace(HEADLINE, rows=HEADLINE.rows[1:2], references=(0,)),
    ],
)
def test_a_study_that_compares_no_losses_says_so(folder, grid):
    found = answer(folder(2, {}, grid).load())
    assert found.verdict.startswith("This report compares no losses: ")
    assert (found.others, found.basis, found.outcome) == ((), "", NO_QUESTION)
