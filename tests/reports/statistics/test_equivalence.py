"""Two one-sided tests, Holm's correction and the number of seeds, against SciPy and simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from reports.statistics.equivalence import (
    Needed,
    equivalence,
    needed_to_decide,
    smallest_permutation_p,
)
from reports.statistics.inference import Runs, difference, holm

RNG = np.random.default_rng(3)
SAMPLES = [
    (RNG.normal(mean, spread, n), RNG.normal(30, 0.4, m))
    for mean, spread, n, m in [
        (30, 0.3, 3, 3),
        (30.8, 0.2, 5, 4),
        (29, 0.9, 8, 8),
        (31.5, 0.1, 2, 6),
    ]
]


@pytest.mark.parametrize("margin", [0.25, 1.0, 2.0])
@pytest.mark.parametrize(("ours", "theirs"), SAMPLES)
def test_equivalence_is_the_larger_of_two_one_sided_t_tests_of_welch(ours, theirs, margin):
    """SciPy's one-sided Welch tests of samples that are shifted by the margin are the oracle."""
    above = stats.ttest_ind(ours + margin, theirs, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(ours - margin, theirs, equal_var=False, alternative="less").pvalue
    found = difference(Runs(ours), Runs(theirs))
    assert equivalence(found, margin) == pytest.approx(max(above, below), rel=1e-9)


def test_equivalence_is_that_the_90_percent_interval_lies_within_the_margin():
    ours, theirs = SAMPLES[0]
    found = difference(Runs(ours), Runs(theirs))
    half = stats.t.ppf(0.95, found.freedom) * found.error
    margin = abs(found.value) + half
    assert equivalence(found, float(margin)) == pytest.approx(0.05)


def test_runs_without_spread_have_no_p_value():
    constant = Runs(np.array([3.0, 3.0]))
    assert np.isnan(equivalence(difference(constant, constant), 1.0))


def test_holm_is_the_closed_test_with_bonferroni():
    """A hypothesis is rejected if Bonferroni rejects every intersection that contains it."""
    for p in RNG.uniform(0, 0.2, (20, 5)):
        expected = [
            max(
                min(1.0, len(chosen) * p[list(chosen)].min())
                for size in range(1, 6)
                for chosen in itertools.combinations(range(5), size)
                if number in chosen
            )
            for number in range(5)
        ]
        np.testing.assert_allclose(holm(p), expected)


def decided(seeds, apart, spread, margin, tests, rng):
    """Whether every simulated comparison is decided by the tests themselves.

    The runs have exactly the measured spread, which is what the number of seeds assumes.
    """
    level, outcomes = 0.05 / tests, []
    for shift in apart:
        runs = []
        for mean in (30 + shift, 30.0):
            values = rng.normal(0, 1, seeds)
            runs.append(mean + spread * (values - values.mean()) / values.std(ddof=1))
        found = difference(*map(Runs, runs))
        outcomes.append(found.p_value < level or equivalence(found, margin) < level)
    return all(outcomes)


@pytest.mark.parametrize("tests", [1, 5])
@pytest.mark.parametrize("spread", [0.2, 0.6])
def test_the_needed_seeds_decide_a_difference_of_any_size_and_fewer_do_not(spread, tests):
    found = needed_to_decide([spread**2] * 2, 0.0, 500, 1.0, tests)
    apart = np.linspace(-0.7, -0.3, 801)  # between the two tests' limits, finely
    assert decided(found.seeds, apart, spread, 1.0, tests, RNG)
    assert not decided(found.seeds - 1, apart, spread, 1.0, tests, RNG)


def test_the_images_limit_what_seeds_can_decide():
    few = needed_to_decide([0.04, 0.04], 0.0, 500, 1.0, 1)
    more = needed_to_decide([0.04, 0.04], 0.05, 500, 1.0, 1)
    assert few.seeds < more.seeds
    # (1.9600 + 1.6449) sqrt(0.25) = 1.80 > 1, and 500 (1.80 / 1)^2 = 1,624.4
    assert needed_to_decide([0.04, 0.04], 0.25, 500, 1.0, 1) == Needed(None, 1625)
    assert needed_to_decide([1e6, 1e6], 0.0, 500, 1.0, 1) == Needed(None)


@pytest.mark.parametrize(("ours", "theirs"), [(3, 3), (4, 4), (3, 5)])
def test_no_permutation_test_goes_below_its_smallest_p_value(ours, theirs):
    def apart(x, y, axis):
        return np.abs(x.mean(axis) - y.mean(axis))

    groups = 100.0 + np.arange(ours) ** 2, np.arange(theirs) * 1.0
    found = stats.permutation_test(groups, apart, alternative="greater", n_resamples=10_000)
    assert found.pvalue == pytest.approx(smallest_permutation_p(ours, theirs))
