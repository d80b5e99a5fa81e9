"""The log-average miss rate, against cases computed by hand."""

import numpy as np
import pytest

from focal_star.evaluation.ap import coco_eval, essentials
from focal_star.evaluation.matches import find_matches
from focal_star.evaluation.miss_rate import REFERENCE_FPPI, curve, log_average, miss_rates
from tests.focal_star.evaluation.scenes import CATEGORIES, content_of, results_of, scenes

AWAY = (300, 300, 50, 50)


def lamr(num_objects: int, num_images: int, detections: list[tuple[float, bool]]) -> float:
    """Of detections (score, whether true) of one category, through the whole evaluation.

    Objects stand one in each image from the first on; the n-th true detection finds the n-th.
    """
    objects = [(n, 3, (10, 10, 50, 50)) for n in range(1, num_objects + 1)]
    found, true = [], 0
    for score, is_true in detections:
        true += is_true
        found.append((true, 3, (10, 10, 50, 50), score) if is_true else (1, 3, AWAY, score))
    evaluation = coco_eval(essentials(content_of(num_images, objects)), results_of(found))
    averages = log_average(miss_rates(find_matches(evaluation), 0.5))
    defined = dict(zip(CATEGORIES, averages, strict=True))
    assert all(np.isnan(value) for key, value in defined.items() if key != 3)
    return float(defined[3])


def test_reference_points():
    """Nine, a quarter of a decade apart."""
    expected = [10 ** (-2 + n / 4) for n in range(9)]
    np.testing.assert_allclose(REFERENCE_FPPI, expected, rtol=1e-14)
    # A false positive in 100, 10 or 1 images is at a reference point, not just above it.
    assert set(REFERENCE_FPPI[[0, 4, 8]]) == {1 / 100, 1 / 10, 1 / 1}


def test_false_and_true_detections_in_turn():
    """4 objects in 100 images; T .9, F .8, T .7, F .6, F .6, T .5.

    FPPI and miss rate: (0, 1), (0, 3/4), (.01, 3/4), (.01, 1/2), (.03, 1/2), (.03, 1/4). At
    FPPI .01 and .0178 the lowest miss rate is 1/2, at the other seven points, from .0316 on, 1/4:
    (1/2)^(2/9) (1/4)^(7/9) = 2^(-16/9).
    """
    given = [(0.9, True), (0.8, False), (0.7, True), (0.6, False), (0.6, False), (0.5, True)]
    assert lamr(4, 100, given) == pytest.approx(2 ** (-16 / 9), rel=1e-12)


def test_before_the_first_detection_all_are_missed():
    """2 objects in 2 images; F .9, T .8: FPPI .5, then a miss rate of 1/2 there.

    The seven points up to .316 are below .5, with miss rate 1; the other two have 1/2:
    1^(7/9) (1/2)^(2/9) = 2^(-2/9).
    """
    assert lamr(2, 2, [(0.9, False), (0.8, True)]) == pytest.approx(2 ** (-2 / 9), rel=1e-12)


def test_equal_scores_are_accepted_together():
    """1 object in 2 images; T and F at .9: FPPI .5 and miss rate 0, with nothing between.

    Miss rate 1 at seven points, 0 at two, which counts as 1e-10: (1e-10)^(2/9) = 10^(-20/9).
    """
    expected = pytest.approx(10 ** (-20 / 9), rel=1e-12)
    assert lamr(1, 2, [(0.9, True), (0.9, False)]) == expected
    assert lamr(1, 2, [(0.9, False), (0.9, True)]) == expected
    assert lamr(1, 2, [(0.9, True), (0.8, False)]) == 0


def test_a_perfect_detector_has_0_and_an_empty_one_1_exactly():
    assert lamr(5, 8, [(0.5, True)] * 5) == 0
    assert lamr(5, 8, []) == 1
    assert lamr(5, 8, [(0.5, False)] * 9) == 1


def test_crowds_are_neither_found_nor_missed():
    """One object, found; the detection on a crowd, at the highest score, is no false positive."""
    box, crowd = (10, 10, 50, 50), (100, 100, 200, 200)
    content = content_of(1, [(1, 3, box), (1, 3, crowd, True), (1, 17, crowd, True)])
    found = results_of([(1, 3, (150, 150, 40, 40), 0.9), (1, 3, box, 0.8)])
    rates = miss_rates(find_matches(coco_eval(essentials(content), found)), 0.5)
    assert (rates[0] == 0).all()
    assert np.isnan(rates[1:]).all()  # a category with crowds only has nothing to miss


def test_the_curve_falls_with_the_threshold():
    matches = find_matches(coco_eval(*map_essentials(scenes(1))))
    for category in range(3):
        own = matches.category == category
        fppi, rate = curve(
            matches.score[own], matches.is_true[0, own],
            int((matches.object_category == category).sum()), len(matches.image_ids),
        )  # fmt: skip
        assert (np.diff(fppi) >= 0).all() and (np.diff(rate) <= 0).all()
        assert (fppi[0], rate[0]) == (0, 1) and rate[-1] >= 0 and len(fppi) > 3


def map_essentials(scene):
    return essentials(scene[0]), scene[1]
