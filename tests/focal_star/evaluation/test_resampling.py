"""AP of weighted images: what COCOeval says of the same images, physically repeated."""

import numpy as np
import pytest

from focal_star.evaluation.ap import coco_eval, essentials
from focal_star.evaluation.matches import find_matches
from focal_star.evaluation.resampling import average_precision, image_weights
from tests.focal_star.evaluation.scenes import ap_by_iou, content_of, evaluated, repeated, scenes


def matches_of(content, results):
    return find_matches(coco_eval(essentials(content), results))


@pytest.mark.parametrize("digits", [None, 2, 1])
@pytest.mark.parametrize("seed", range(5))
def test_weights_of_1_give_the_ap_of_coco(seed, digits):
    content, results = scenes(seed, digits=digits)
    found = average_precision(matches_of(content, results), np.ones((1, 14), int))[0]
    for backend in ("hotcoco", "pycocotools"):
        oracle = ap_by_iou(evaluated(content, results, backend))
        np.testing.assert_allclose(found, oracle, rtol=0, atol=1e-9)
    assert 0 < found.mean() < 1


@pytest.mark.parametrize("digits", [None, 2, 1], ids=["all-differ", "some-equal", "many-equal"])
@pytest.mark.parametrize("seed", range(5))
def test_weighted_ap_equals_that_of_repeated_images(seed, digits):
    content, results = scenes(seed, digits=digits)
    weights = np.concatenate([image_weights(14, 6, seed), np.full((1, 14), 3)])
    weights[0, :10] = 0  # most images away, categories perhaps
    found = average_precision(matches_of(content, results), weights)
    for row, counts in zip(found, weights, strict=True):
        oracle = ap_by_iou(evaluated(*repeated(content, results, counts.tolist())))
        np.testing.assert_allclose(row, oracle, rtol=0, atol=1e-9)
        assert 0 < row.mean() < 1


def test_a_repeated_image_counts_twice():
    """The twin of the test above: the set of a resample's images has another AP."""
    content, results = scenes(0)
    weights = image_weights(14, 20)
    found = average_precision(matches_of(content, results), np.concatenate([weights, weights > 0]))
    once, as_drawn = found[20:].mean(axis=1), found[:20].mean(axis=1)
    assert (abs(once - as_drawn) > 1e-3).all()


def test_ap_by_hand():
    """One object in each of two images; the first has a wrong detection above its true one.

    Weights 1, 1: of scores .9 false, .8 true, .7 true the precision at both true ones is at most
    2/3: AP is 2/3. Weights 1, 3: 1/2 at recall 1/4, then 4/5 at recall 1: AP is 4/5. Weights 2, 1:
    2/4 at recall 2/3, then 3/5: AP is 3/5. Weights 0, 1: AP is 1; 1, 0: 1/2.
    """
    box, away = (10.0, 10.0, 50.0, 50.0), (200.0, 200.0, 50.0, 50.0)
    content = content_of(2, [(1, 3, box), (2, 3, box)])
    results = [
        {"image_id": image, "category_id": 3, "bbox": list(where), "score": score}
        for image, where, score in ((1, away, 0.9), (1, box, 0.8), (2, box, 0.7))
    ]
    weights = np.array([[1, 1], [1, 3], [2, 1], [0, 1], [1, 0]])
    found = average_precision(matches_of(content, results), weights)
    expected = np.repeat([[2 / 3], [4 / 5], [3 / 5], [1], [1 / 2]], 10, axis=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_no_detection_is_0_and_no_object_is_undefined():
    content, results = scenes(0)
    weights = np.ones((1, 14), int)
    assert (average_precision(matches_of(content, []), weights) == 0).all()
    empty = matches_of(content | {"annotations": []}, results)
    assert np.isnan(average_precision(empty, weights)).all()
    nowhere = (weights * 0).astype(np.uint16)
    assert np.isnan(average_precision(matches_of(content, results), nowhere)).all()


def test_weights_depend_only_on_the_number_of_images_and_the_seed():
    weights = image_weights(500, 40)
    assert weights.shape == (40, 500) and (weights.sum(axis=1) == 500).all()
    np.testing.assert_array_equal(weights, image_weights(500, 40))
    np.testing.assert_array_equal(weights[:7], image_weights(500, 7))
    assert (weights != image_weights(500, 40, seed=1)).any()
    assert len(np.unique(weights, axis=0)) == 40
    first = np.floor(np.random.Generator(np.random.PCG64(0)).random(500) * 500).astype(int)
    np.testing.assert_array_equal(weights[0], np.bincount(first, minlength=500))


def test_weights_have_the_distribution_of_drawing_with_replacement():
    """An image is drawn Binomial(n, 1/n) times: mean 1, variance 1 - 1/n, never (1 - 1/n)^n."""
    weights = image_weights(50, 4000).astype(float)
    error = 5 / np.sqrt(weights.size)
    assert weights.var() == pytest.approx(1 - 1 / 50, abs=2 * error)
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=error)
    means = weights.mean(axis=0)
    assert abs(means - 1).max() < 5 / np.sqrt(4000)
