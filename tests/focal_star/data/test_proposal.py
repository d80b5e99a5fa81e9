"""The proposed input scale and anchors."""

from itertools import product

import numpy as np
import pytest

from focal_star.data.proposal import propose, read_in_training

CANDIDATES = [*product((256, 320, 384), (32, 24))]


def proposal(*sides, image=(640, 480), candidates=CANDIDATES):
    """The proposal for square boxes in images of one size."""
    boxes = np.repeat(np.array(sides, float)[:, None], 2, axis=1)
    return propose(boxes, np.tile(np.array(image, float), (len(sides), 1)), candidates)


def test_large_objects_get_the_smallest_input_and_the_largest_anchors():
    found = proposal(100)
    assert (found.short_edge, found.smallest_anchor) == (256, 32)
    assert found.sizes == [[32.0], [64.0], [128.0], [256.0], [512.0]]
    assert (found.matched, found.too_small) == (1.0, 0.0)


def test_smaller_objects_get_smaller_anchors_before_a_larger_input():
    # 34 px in 480 are 18.1 px in 256, and 32 / sqrt(2) = 22.6, 24 / sqrt(2) = 17.0.
    assert proposal(34).smallest_anchor == 24
    assert proposal(34).short_edge == 256


def test_still_smaller_objects_get_a_larger_input():
    # 30 px in 480 are 16.0 px in 256 and 20.0 px in 320.
    found = proposal(30)
    assert (found.short_edge, found.smallest_anchor) == (320, 24)


def test_objects_too_small_for_every_input_are_counted():
    # 9 px in 480 are 7.2 px in 384; 10 px are 8.0 px.
    found = proposal(9, 9, 9, 10)
    assert (found.short_edge, found.smallest_anchor) == (384, 24)
    assert (found.matched, found.too_small) == (0.0, 0.75)


def test_three_fifths_of_the_boxes_decide():
    assert proposal(100, 100, 100, 5, 5).smallest_anchor == 32
    assert proposal(100, 100, 5, 5, 5).short_edge == 384


def test_the_long_edge_of_a_panorama_limits_the_scale():
    # 1000 px wide at most 5/3 * 256: 42 px are 17.92 px instead of 107.5 px.
    found = proposal(42, image=(1000, 100))
    assert (found.short_edge, found.smallest_anchor) == (256, 24)


def test_no_boxes():
    with pytest.raises(ValueError, match="no boxes"):
        propose(np.zeros((0, 2)), np.zeros((0, 2)), CANDIDATES)


def annotated(**boxes):
    """Annotations: name of an image -> its objects, as (width, whether it is a crowd)."""
    return {
        "images": [{"id": name, "width": 64, "height": 48} for name in boxes],
        "annotations": [
            {"image_id": name, "bbox": [0, 0, width, 9], "iscrowd": crowd}
            for name, of_image in boxes.items()
            for width, crowd in of_image
        ],
    }


def test_training_reads_images_with_an_object_that_is_no_crowd():
    content = annotated(full=[(9, 0), (9, 1)], empty=[], crowd=[(9, 1)], line=[(0, 0)])
    read = read_in_training(content, with_empty=False)
    assert [image["id"] for image in read["images"]] == ["full", "line"]
    assert read["annotations"] == content["annotations"]
    assert read_in_training(content, with_empty=True) == content


def test_without_any_object_the_images_are_kept():
    content = annotated(empty=[], crowd=[(9, 1)])
    assert read_in_training(content, with_empty=False) == content
