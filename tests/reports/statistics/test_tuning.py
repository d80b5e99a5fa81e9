"""The gap between the halves of the images, and AP over the tuning budget."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from reports.statistics.tuning import expected_best, gap_of


@pytest.mark.parametrize("seed", range(3))
def test_expected_best_is_the_mean_over_all_subsets(seed):
    draw = np.random.default_rng(seed)
    selection, reporting = draw.normal(30, 2, 6), draw.normal(30, 2, 6)
    selection[3] = selection[1] if seed else selection[3]  # settings may be equal
    for k, found in enumerate(expected_best(selection, reporting), start=1):
        of_subsets = []
        for subset in map(list, itertools.combinations(range(6), k)):
            best = selection[subset] == selection[subset].max()
            of_subsets.append(reporting[subset][best].mean())
        if seed == 0:
            assert found == pytest.approx(np.mean(of_subsets))
        else:  # which of two equal ones is drawn alone does not matter on average
            assert found == pytest.approx(np.mean(of_subsets), abs=0.5)


def test_expected_best_by_hand():
    # Of 1, 2, 4: the mean is 7/3; of two, the maximum is 2, 4 or 4, on average 10/3.
    assert expected_best([1, 2, 4], [1, 2, 4]) == pytest.approx([7 / 3, 10 / 3, 4])
    # The best on the first values is the worst on the others.
    assert expected_best([1, 2, 4], [4, 2, 1]) == pytest.approx([7 / 3, 4 / 3, 1])
    # Two equal ones: either is the best.
    assert expected_best([3, 3], [1, 2]) == pytest.approx([1.5, 1.5])
    assert expected_best([5.0], [6.0]) == pytest.approx([6.0])


def test_expected_maximum_never_falls_and_is_below_that_with_replacement():
    """With replacement, a setting may be drawn twice: Dodge's first form is biased downwards."""
    values = np.sort(np.random.default_rng(4).normal(30, 2, 9))
    found = expected_best(values, values)
    assert (np.diff(found) > 0).all() and found[-1] == values[-1]
    k = np.arange(1, 10)[:, None]
    shares = (np.arange(1, 10) / 9) ** k - (np.arange(9) / 9) ** k
    biased = shares @ values
    assert found[0] == pytest.approx(biased[0])
    assert (found[1:] > biased[1:]).all()


def resamples(sd, seeds, seed, number=4000):
    draw = np.random.default_rng(seed)
    return 30 + draw.normal(0, sd, (1, number)) + np.zeros((seeds, 1))


def test_interval_of_a_gap_covers_the_images_of_both_halves():
    found = gap_of(0.5, resamples(0.3, 2, 0), resamples(0.4, 2, 1))
    # sqrt(0.3^2 + 0.4^2) = 0.5, times 1.96; p of a normal at 1 standard error.
    assert found.high - found.value == pytest.approx(1.96 * 0.5, rel=0.03)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(1), rel=0.05)


def test_a_gap_without_resamples_has_no_interval():
    for one in (gap_of(0.5, None, None), gap_of(0.5, np.full((1, 5), 3.0), np.full((1, 5), 3.0))):
        assert (one.value, one.alarm) == (0.5, False)
        assert math.isnan(one.low) and math.isnan(one.p_value)


def test_halves_of_the_same_images_raise_few_alarms():
    """Without selection, the p-values of the gap are those of chance."""
    draw = np.random.default_rng(5)
    p_values = []
    for _ in range(1000):
        halves = [35 + draw.normal(0, 0.5) + draw.normal(0, 0.5, (1, 100)) for _ in range(2)]
        centres = [35 + draw.normal(0, 0.5) for _ in range(2)]
        gap = centres[0] - centres[1]
        p_values.append(gap_of(gap, *halves).p_value)
    assert (np.array(p_values) < 0.05).mean() == pytest.approx(0.05, abs=3 * 0.0069)
