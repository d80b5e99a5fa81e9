"""Matches: the same from both backends, and those that can be counted by hand."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from ablations.storage.layout import Layout
from focal_star.evaluation import matches as module
from focal_star.evaluation.ap import coco_eval, essentials
from focal_star.evaluation.matches import (
    FALSE,
    IGNORED,
    MATCHES_FILE,
    find_matches,
    write_matches,
)
from tests.focal_star.evaluation.scenes import content_of, results_of, scenes, with_ids


def matches_of(content, results, backend="hotcoco"):
    return find_matches(coco_eval(essentials(content), results, backend))


def assert_same(first, second):
    for field in fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, field.name)


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("seed", range(3))
def test_both_backends_give_the_same(seed, digits):
    content, results = scenes(seed, digits=digits)
    found = matches_of(content, results)
    assert_same(found, matches_of(content, results, "pycocotools"))
    assert found.is_true.any() and found.is_ignored.any()


def test_how_many_images_are_read_at_once_does_not_matter(monkeypatch):
    content, results = scenes(0)
    at_once = matches_of(content, results)
    monkeypatch.setattr(module, "IMAGES_AT_ONCE", 3)
    assert_same(at_once, matches_of(content, results))


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize("base", [2**31 - 4, 2**32 - 4, 2**53 - 4, 2**53, 2**62, 2**63 - 200])
def test_ids_are_exact_however_large(base, backend):
    """From 2^53 on, neighbours are one number as floats: 2^53 and 2^53 + 1, for example."""
    content, results = scenes(0)
    small = matches_of(content, results, backend)
    large = matches_of(
        *with_ids(content, results, lambda n: n + base, lambda n: n + base), backend=backend
    )
    ids = {"image_ids": small.image_ids + base, "category_ids": small.category_ids + base}
    assert_same(large, replace(small, **ids))


def test_matches_counted_by_hand():
    box, elsewhere = (10, 10, 100, 100), (200, 200, 50, 50)
    content = content_of(
        3, [(2, 17, box), (1, 17, box), (1, 17, (150, 150, 200, 200), True), (1, 3, elsewhere)]
    )
    results = results_of(
        [
            (3, 17, box, 0.4),  # nothing is there
            (1, 17, (10, 10, 100, 80), 0.7),  # IoU 0.8
            (1, 17, (160, 160, 20, 20), 0.9),  # wholly on the crowd
            (2, 17, box, 0.4),
            (1, 17, box, 0.6),  # the better one, but the object is taken up to IoU 0.8
        ]
    )
    found = matches_of(content, results)
    assert found.image_ids.tolist() == [1, 2, 3]
    assert found.category_ids.tolist() == [3, 17, 90, 91]
    assert found.category_starts.tolist() == [0, 0, 5, 5, 5]
    assert found.score.tolist() == [0.9, 0.7, 0.6, 0.4, 0.4]
    assert found.image.tolist() == [0, 0, 0, 1, 2]
    at_half, at_90 = found.at(0.5), found.at(0.9)
    assert found.is_ignored[at_half].tolist() == [True, False, False, False, False]
    assert found.is_true[at_half].tolist() == [False, True, False, True, False]
    assert found.is_true[at_90].tolist() == [False, False, True, True, False]
    assert found.object_category.tolist() == [0, 1, 1]
    assert found.object_image.tolist() == [0, 0, 1]
    assert found.object_id.tolist() == [4, 2, 1]  # places in the file, from 1 on
    np.testing.assert_array_equal(found.found_score[at_half], [np.nan, 0.7, 0.4])
    np.testing.assert_array_equal(found.found_score[at_90], [np.nan, 0.6, 0.4])


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_nothing_to_find_and_nothing_found(backend):
    content, results = scenes(0)
    none = matches_of(content, [], backend)
    assert none.is_true.shape == none.is_ignored.shape == (10, 0)
    assert len(none.object_id) and np.isnan(none.found_score).all()
    empty = matches_of(content | {"annotations": []}, results, backend)
    assert len(empty.score) == len(results) and not empty.is_true.any()
    assert empty.found_score.shape == (10, 0)


def written(path, found, num_detections):
    write_matches(path, found, num_detections, 0.5)
    return json.loads(path.read_text())


def test_the_written_matches_are_those_of_hotcoco(tmp_path):
    content, results = scenes(3)
    evaluation = coco_eval(essentials(content), results)
    evaluation.params.iouThrs = [0.5]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [100]
    evaluation.evaluate()
    oracle = evaluation.image_diagnostics(iou_thr=0.5)
    expected = [IGNORED] * len(results)
    for number, status in oracle["dt_status"].items():
        expected[number - 1] = oracle["dt_match"][number] - 1 if status == "tp" else FALSE
    path = Layout(tmp_path).cell_matches("cell")
    assert path.name == MATCHES_FILE
    path.parent.mkdir(parents=True)
    about = written(path, matches_of(content, results), len(results))
    assert about == {"iou": 0.5, "found": expected}
    assert {FALSE, IGNORED} < set(expected)


def test_written_matches_counted_by_hand(tmp_path):
    box, crowd = (10, 10, 100, 100), (150, 150, 200, 200)
    content = content_of(2, [(1, 17, crowd, True), (2, 17, box)])
    results = results_of(
        [
            (2, 17, box, 0.3),
            (2, 17, box, 0.9),
            (1, 17, (160, 160, 20, 20), 0.5),
            *[(1, 17, (300, 10, 9, 9), 0.8)] * 101,  # one more than count
        ]
    )
    path = tmp_path / "matches.json"
    found = written(path, matches_of(content, results), len(results))["found"]
    # The detection on the crowd has the lowest score of image 1, so it is not among its 100 either.
    assert found[:3] == [FALSE, 1, IGNORED]
    assert sorted(found[3:]) == [IGNORED] + [FALSE] * 100
    assert written(path, matches_of(content, []), 0)["found"] == []
