import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.statistics.inference import (
    Agreement,
    PooledSpread,
    Runs,
    difference,
    holm,
    kendall,
    least_difference,
    mean,
    over_seeds,
    pooled_spread,
    window_medians,
)

NAN = float("nan")


def test_mean_and_sample_standard_deviation_over_seeds():
    frame = pd.DataFrame(
        {"row": [0, 0, 0, 1, 2, 2], "AP": [10.0, 12.0, 17.0, 5.0, 4.0, NAN], "seed": range(6)}
    )
    found = over_seeds(frame, ["AP"])
    # (10 + 12 + 17) / 3 = 13; ((-3)^2 + (-1)^2 + 4^2) / (3 - 1) = 13
    assert found["AP"].tolist() == [13.0, 5.0, 4.0]
    assert found["AP_sd"][0] == pytest.approx(math.sqrt(13))
    assert found["AP_sd"][1:].isna().all(), "one value has no spread"
    assert found["AP_n"].tolist() == [3, 1, 1]


def test_row_without_any_value_stays_in_the_table():
    found = over_seeds(pd.DataFrame({"row": [0, 1], "AP": [NAN, 2.0]}), ["AP"])
    assert math.isnan(found["AP"][0]) and found["AP_n"].tolist() == [0, 1]


def test_pooled_spread_weighs_by_degrees_of_freedom():
    # {1, 3}: squares 1 + 1 = 2, 1 degree; {10, 12, 14}: 4 + 0 + 4 = 8, 2 degrees; {5}: none
    found = pooled_spread([[1.0, 3.0], [10.0, 12.0, 14.0], [5.0]])
    assert found.sd == pytest.approx(math.sqrt((2 + 8) / (1 + 2)))
    assert (found.groups, found.degrees_of_freedom) == (2, 3)


def test_pooled_spread_needs_two_values_of_one_group():
    assert pooled_spread([[1.0], [2.0], []]) is None


def test_kendall_with_a_tie():
    ours, published = [0.0, 0.0, 3.2, 13.0, 16.2], [0.0, 10.8, 30.2, 31.1, 30.8]
    # 10 pairs. Tied in ours: (0.0, 0.0), so T_x = 1, T_y = 0. Discordant: the last pair, 13.0 <
    # 16.2 but 31.1 > 30.8. Concordant: 10 - 1 - 1 = 8.
    # tau-b = (8 - 1) / sqrt((10 - 1) (10 - 0)) = 7 / sqrt(90)
    found = kendall(ours, published)
    assert found.tau == pytest.approx(7 / math.sqrt(90))
    assert 0 < found.p_value < 1
    assert (found.n, found.left_out) == (5, 0)


def test_kendall_of_the_same_and_the_reverse_order():
    assert kendall([1, 2, 3], [10, 20, 30]).tau == pytest.approx(1)
    assert kendall([1, 2, 3], [30, 20, 10]).tau == pytest.approx(-1)


def test_kendall_leaves_out_and_counts_what_has_no_value():
    found = kendall([1.0, NAN, 3.0, 4.0], [10.0, 99.0, 20.0, NAN])
    assert (found.tau, found.n, found.left_out) == (pytest.approx(1), 2, 2)


@pytest.mark.parametrize(
    ("ours", "published", "reason"),
    [
        ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], "all our values are equal"),
        ([1.0, 2.0], [5.0, 5.0], "all published values are equal"),
        ([1.0, NAN], [1.0, 2.0], "fewer than two rows have both values"),
    ],
)
def test_kendall_says_why_it_is_undefined(ours, published, reason):
    found = kendall(ours, published)
    assert found == Agreement(None, None, found.n, found.left_out, reason)


def test_kendall_refuses_lists_of_different_length():
    with pytest.raises(ValueError, match="one published value per row"):
        kendall([1.0, 2.0], [1.0])


def test_window_medians_thin_a_long_curve():
    x, y, window = window_medians([1, 2, 3, 4, 5], [9.0, 1.0, 2.0, 7.0, 8.0], points=2)
    assert window == 3
    assert x.tolist() == [3, 5]
    assert y.tolist() == [2.0, 7.5]


def test_window_medians_leave_a_short_curve_as_it_is():
    x, y, window = window_medians([1, 2], [3.0, 4.0], points=2)
    assert (x.tolist(), y.tolist(), window) == ([1, 2], [3.0, 4.0], 1)
    assert window_medians([], [], points=2)[0].size == 0
    assert isinstance(x, np.ndarray)


IMAGES, RESAMPLES, REPETITIONS = 100, 200, 4000

SPREADS = {
    "as in mini": (0.7, 0.8, 0.3),
    "images": (0.2, 0.8, 0.4),
    "seeds": (0.7, 0.1, 0.1),
}
"""Standard deviations in AP over seeds, over images, and over images for one seed alone."""


@pytest.fixture(scope="module")
def weights():
    """(B, images): the share of each image in each resample, the same for all runs."""
    rng = np.random.default_rng(0)
    return rng.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=RESAMPLES) / IMAGES


def synthetic(rng, weights, truths, seeds, spread=SPREADS["as in mini"], repetitions=REPETITIONS):
    """Studies by the model of the module: the runs of each setting, (repetitions, seeds).

    Half of what the images do, they do to all settings alike.

    Args:
        rng: draws everything.
        weights: (B, images).
        truths: the true AP of each setting.
        seeds: the number of seeds of each setting.
        spread: of each setting or of all: standard deviations over seeds, images, and both.
        repetitions: how many studies.
    """
    common = rng.normal(size=(repetitions, 1, IMAGES))
    spreads = spread if isinstance(spread, list) else [spread] * len(truths)
    found = []
    for truth, n, (by_seed, by_image, by_both) in zip(truths, seeds, spreads, strict=True):
        image = (common + rng.normal(size=common.shape)) * by_image * math.sqrt(IMAGES / 2)
        both = rng.normal(size=(repetitions, n, IMAGES)) * by_both * math.sqrt(IMAGES)
        seed = rng.normal(size=(repetitions, n, 1)) * by_seed
        values = truth + seed + image + both
        found.append(Runs(values.mean(-1), values @ weights.T, IMAGES))
    return found


def coverage(low, high, truth):
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_of_a_difference_covers_the_truth(weights, seeds, spread):
    rng = np.random.default_rng(seeds)
    ours, theirs = synthetic(rng, weights, (31, 29), (seeds, seeds), SPREADS[spread])
    found = difference(ours, theirs)
    assert 0.93 <= coverage(found.low, found.high, 2) <= 0.97
    assert found.over_seeds and found.over_images


@pytest.mark.parametrize("seeds", [(2, 2), (2, 3), (3, 3), (3, 5), (5, 5)])
def test_it_covers_the_truth_where_one_setting_is_less_steady(weights, seeds):
    spread = [SPREADS["as in mini"], tuple(3 * sd for sd in SPREADS["as in mini"])]
    ours, theirs = synthetic(np.random.default_rng(1), weights, (31, 29), seeds, spread)
    found = difference(ours, theirs)
    assert 0.93 <= coverage(found.low, found.high, 2) <= 0.97


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_of_a_mean_covers_the_truth(weights, seeds, spread):
    (runs,) = synthetic(np.random.default_rng(seeds), weights, (31,), (seeds,), SPREADS[spread])
    found = mean(runs)
    # Of two seeds, s^2 has one degree of freedom: no better can be had for every spread.
    low, high = (0.92, 0.985) if seeds == 2 else (0.93, 0.97)
    assert low <= coverage(found.low, found.high, 31) <= high


def percentile_bootstrap(rng, ours, theirs):
    """The interval that :func:`difference` is not: percentiles over resampled seeds and images."""
    resampled = []
    for runs in (ours, theirs):
        drawn = rng.integers(runs.seeds, size=(runs.seeds, runs.replicates.shape[-1]))
        resampled.append(np.take_along_axis(runs.replicates, drawn[None], axis=1).mean(1))
    return np.quantile(resampled[0] - resampled[1], [0.025, 0.975], axis=-1)


@pytest.mark.parametrize("seeds", [2, 3])
def test_a_percentile_bootstrap_over_so_few_seeds_is_too_narrow(weights, seeds):
    rng = np.random.default_rng(seeds)
    ours, theirs = synthetic(rng, weights, (31, 29), (seeds, seeds), SPREADS["seeds"])
    found = difference(ours, theirs)
    assert coverage(*percentile_bootstrap(rng, ours, theirs), 2) < 0.88
    assert 0.93 <= coverage(found.low, found.high, 2) <= 0.97


def survivors(runs):
    """(repetitions, rows): which rows differ from the first after Holm's correction in a table."""
    p_values = np.stack([difference(row, runs[0]).p_value for row in runs[1:]], axis=-1)
    return np.apply_along_axis(holm, -1, p_values) < 0.05


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_of_200_equal_rows_at_most_one_in_twenty_survives(weights, seeds):
    # Tables of a reference and five rows.
    rng = np.random.default_rng(seeds)
    found = survivors(synthetic(rng, weights, [30] * 6, [seeds] * 6, repetitions=400))
    assert np.count_nonzero(found[:40]) <= 10
    assert np.mean(found.any(axis=-1)) <= 0.05, "of the tables, any row survives in one of twenty"


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_of_equal_rows_one_in_twenty_survives_where_one_alone_is_compared(weights, seeds):
    found = survivors(synthetic(np.random.default_rng(seeds), weights, (30, 30), (seeds, seeds)))
    # As many of 4000 as 5 % may give by chance: 3 standard errors of 0.34 %.
    assert np.mean(found) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / REPETITIONS)


def test_a_difference_larger_than_the_noise_survives(weights):
    runs = synthetic(np.random.default_rng(0), weights, (30, 34), (3, 3), repetitions=200)
    assert survivors(runs).mean() > 0.9


def test_the_interval_of_a_difference_by_hand():
    # Over the seeds: {1, 3} and {2, 2}, s^2 = 2 and 0. Over the resamples: all runs +1 and -1
    # alike but for the second of ours, which stays: our mean +-0.5, theirs +-1, so that the
    # difference is -+0.5, variance 0.5. Ours are (+-0.5, -+0.5) about their mean: own =
    # 4 x 0.25 / (1 x 1) = 1, theirs 0. Images: 0.5 - 1 / 2 = 0.
    ours = Runs(np.array([1.0, 3.0]), np.array([[2.0, 0.0], [3.0, 3.0]]), 10)
    theirs = Runs(np.array([2.0, 2.0]), np.array([[3.0, 1.0], [5.0, 3.0]]), 10)
    found = difference(ours, theirs)
    # Variance 2 / 2 + 0 / 2 + 0 = 1 with 1^2 / (1^2 / 1) = 1 degree of freedom, t = 12.706.
    assert found.value == 0
    assert (found.low, found.high) == (pytest.approx(-12.7062), pytest.approx(12.7062))
    assert found.p_value == 1


def test_a_spread_over_seeds_is_not_less_than_what_the_images_do_to_one_seed():
    # Equal values by chance, though each run's resamples go their own way.
    runs = Runs(np.array([5.0, 5.0]), np.array([[4.0, 6.0], [7.0, 3.0]]), 10)
    # Centred: (-1, 1) and (2, -2); less their mean (0.5, -0.5): (-1.5, 1.5) and (1.5, -1.5).
    assert runs.interaction == pytest.approx(4 * 1.5**2)
    assert runs.between == runs.interaction


def test_one_seed_has_an_interval_over_images_alone():
    one = Runs(np.array([30.0]), np.array([[29.0, 30.0, 31.0]]), 3)
    found = mean(one)
    # variance 1 with 2 degrees of freedom: t = 4.3027
    assert (found.low, found.high) == (pytest.approx(30 - 4.30265), pytest.approx(30 + 4.30265))
    assert found.over_images and not found.over_seeds
    several = Runs(np.array([30.0, 31.0]), np.array([[29.0, 30.0, 31.0]] * 2), 3)
    assert not difference(one, several).over_seeds


def test_without_resamples_the_interval_is_over_seeds_alone():
    found = mean(Runs(np.array([1.0, 3.0])))
    # s^2 / n = 2 / 2 = 1, t of 1 degree of freedom
    assert found.high == pytest.approx(2 + 12.7062)
    assert found.over_seeds and not found.over_images


def test_one_seed_without_resamples_has_no_interval():
    found = mean(Runs(np.array([1.0])))
    assert found.value == 1 and np.isnan([found.low, found.high, found.p_value]).all()


def test_nothing_that_never_varies_has_an_interval():
    found = mean(Runs(np.zeros(3), np.zeros((3, 5)), 10))
    assert np.isnan([found.low, found.high, found.p_value]).all()


def test_holm_by_hand():
    # Sorted: .01, .02, .03, .04 times 4, 3, 2, 1: .04, .06, .06, .04; none less than one before.
    assert holm([0.02, 0.01, 0.04, 0.03]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])


def test_holm_does_not_count_what_was_not_tested():
    assert holm([NAN, 0.02, NAN]) == pytest.approx([NAN, 0.02, NAN], nan_ok=True)
    assert holm([]).size == 0


def test_the_least_difference_that_exceeds_the_noise():
    # t of 4 degrees of freedom at 5 %: 2.7764; sqrt(2 / 2) = 1
    assert least_difference(PooledSpread(0.5, 2, 4), 2, 2) == pytest.approx(2.776445 * 0.5)
    # The same test by scipy: two rows of 3 seeds just so far apart have p = 0.05.
    rows = np.array([[0.0, 1.0, 2.0], [5.0, 6.0, 7.0]])
    spread = pooled_spread(rows)
    rows[1] += least_difference(spread, 3, 3) - 5
    assert stats.ttest_ind(*rows).pvalue == pytest.approx(0.05)
    # The same for a row of 3 seeds and a row of 2.
    ours, theirs = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0])
    spread = pooled_spread([ours, theirs])
    theirs += ours.mean() - theirs.mean() + least_difference(spread, 3, 2)
    assert stats.ttest_ind(ours, theirs).pvalue == pytest.approx(0.05)
