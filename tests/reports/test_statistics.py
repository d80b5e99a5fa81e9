import math

import numpy as np
import pandas as pd
import pytest

from reports.statistics import Agreement, kendall, over_seeds, pooled_spread, window_medians

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
