"""Recall by size and at a precision, and the worst misses."""

import numpy as np
import pytest

from focal_star.evaluation import recall as module
from focal_star.evaluation.ap import coco_eval, essentials
from focal_star.evaluation.matches import find_matches
from focal_star.evaluation.recall import recall_at_precision, recall_by_size, worst_misses
from tests.focal_star.evaluation.scenes import content_of, results_of, scenes


def matches_of(content, results):
    return find_matches(coco_eval(essentials(content), results))


def areas(content, matches):
    annotations = essentials(content)["annotations"]
    return np.array([a["area"] for a in annotations], float)[matches.object_id - 1]


def test_recall_by_size():
    """Areas 31^2, 32^2, 95 x 97 < 96^2 and 96^2: one small, two medium, one large."""
    boxes = [(0, 0, 31, 31), (50, 0, 32, 32), (100, 0, 95, 97), (200, 0, 96, 96)]
    content = content_of(2, [(1, 3, box) for box in boxes])
    results = results_of([(1, 3, box, 0.01) for box in boxes[1:3]] + [(1, 17, boxes[3], 0.9)])
    matches = matches_of(content, results)
    found = recall_by_size(matches, areas(content, matches), 0.5)
    assert found == {"all": 0.5, "small": 0.0, "medium": 1.0, "large": 0.0}
    none = matches_of(content_of(2, []), results)
    assert all(np.isnan(v) for v in recall_by_size(none, np.zeros(0), 0.5).values())


def test_recall_at_a_precision():
    """12 objects. T at .9 (nine times) and F at .8: 9/10. T at .7 (twice), F at .6: 11/12 and
    11/13, which is below .9. So the threshold is .7, with 11 of 12 found."""
    objects = [(n, 3 if n % 2 else 17, (10, 10, 50, 50)) for n in range(1, 13)]
    found = [(*thing, 0.9 if thing[0] < 10 else 0.7) for thing in objects[:11]]
    false = [(1, 90, (200, 200, 50, 50), score) for score in (0.8, 0.6)]
    matches = matches_of(content_of(12, objects), results_of(found + false))
    assert recall_at_precision(matches, 0.9, 0.5) == (11 / 12, 0.7)
    assert recall_at_precision(matches, 11 / 13, 0.5) == (11 / 12, 0.6)
    assert recall_at_precision(matches, 1.0, 0.5) == (9 / 12, 0.9)


def test_detections_of_equal_score_are_accepted_together():
    """Of T and F at .9 the precision is 1/2, whichever comes first."""
    box, away = (10, 10, 50, 50), (200, 200, 50, 50)
    for pair in ((box, away), (away, box)):
        results = results_of([(1, 3, where, 0.9) for where in pair])
        matches = matches_of(content_of(1, [(1, 3, box)]), results)
        assert recall_at_precision(matches, 0.5, 0.5) == (1, 0.9)
        assert np.isnan(recall_at_precision(matches, 0.9, 0.5)).all()


def test_no_precision_without_detections_or_objects():
    content, results = scenes(0)
    assert np.isnan(recall_at_precision(matches_of(content, []), 0.9, 0.5)).all()
    empty = matches_of(content | {"annotations": []}, results)
    assert np.isnan(recall_at_precision(empty, 0.0, 0.5)).all()


def misses(content, results):
    truth = essentials(content) | {"images": content["images"]}
    evaluation = coco_eval(essentials(content), results)
    return worst_misses(find_matches(evaluation), truth, evaluation.cocoDt, 0.5)


def test_the_worst_misses_are_the_largest():
    large, middle, small = (0, 0, 200, 200), (0, 210, 100, 100), (250, 250, 20, 20)
    crowd, twin = (210, 0, 190, 200), (0, 0, 190, 200)
    content = content_of(
        4,
        [
            (1, 3, small),
            (1, 3, middle),
            (2, 17, large),
            (2, 17, crowd, True),
            (3, 3, large),  # found
            (3, 3, twin),  # one detection overlaps both: matched to `large`, it covers this too
            (4, 90, large),
        ],
    )
    results = results_of(
        [
            (1, 3, (0, 210, 100, 60), 0.04),  # IoU 0.6, but hardly a detection
            (1, 17, (0, 210, 100, 90), 0.9),  # IoU 0.9, of another category
            (2, 17, (0, 0, 200, 80), 0.9),  # IoU 0.4
            (3, 3, large, 0.05),
        ]
    )
    found = misses(content, results)
    assert [(miss["image_id"], miss["category"], miss["area"]) for miss in found] == [
        (2, "dog", 40_000.0), (4, "kite", 40_000.0), (1, "cat", 10_000.0), (1, "cat", 400.0),
    ]  # fmt: skip
    assert [miss["best_score"] for miss in found] == [0, 0, 0.04, 0]
    assert [miss["best_iou"] for miss in found] == pytest.approx([0.4, 0, 0.9, 0])
    assert found[2]["bbox"] == list(middle) and found[2]["file_name"] == "1.png"


def test_misses_do_not_depend_on_the_order_of_the_detections(monkeypatch):
    content, results = scenes(3)
    expected = misses(content, results)
    assert len(expected) > 3
    assert misses(content, results[::-1]) == expected
    monkeypatch.setattr(module, "MAX_MISSES", 2)
    assert misses(content, results) == expected[:2]


def test_a_detector_that_finds_all_misses_none_and_an_empty_one_the_largest():
    content, _ = scenes(0)
    things = [a for a in content["annotations"] if not a["iscrowd"]]
    perfect = [(a["image_id"], a["category_id"], a["bbox"], 1.0) for a in things]
    assert misses(content, results_of(perfect)) == []
    largest = sorted((a["area"] for a in things), reverse=True)
    assert [miss["area"] for miss in misses(content, [])] == largest[: module.MAX_MISSES]
