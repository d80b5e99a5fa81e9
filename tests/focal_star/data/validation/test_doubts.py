"""Boxes that all have another form than COCO's are named, and no others."""

import pytest

from focal_star.data.validation.checks import check_folder

LARGE = [2, 2, 60, 40]
OVER = [5, 2, 62, 40]  # 3 px over the edge of an image of 64 x 48 px; as two corners, inside
RIGHT = [30, 20, 50, 40]  # as two corners, in the right half


def set_boxes(tiny, boxes: list[list[float]], with_area: bool) -> None:
    for content in tiny.json.values():
        content["annotations"] = [
            {"id": n, "image_id": 1 + n % 2, "category_id": 3, "bbox": box}
            | ({"area": box[2] * box[3]} if with_area else {})
            for n, box in enumerate(boxes)
        ]
    tiny.write()


@pytest.mark.parametrize("with_area", [True, False])
def test_a_large_box_over_the_edge_makes_no_corners_of_the_others(tiny, with_area):
    set_boxes(tiny, [OVER] + [LARGE] * 11, with_area)
    assert tiny.kinds() == ["box-outside", "box-outside"]


@pytest.mark.parametrize(
    ("num_right", "with_area", "is_corners"),
    [(2, False, True), (2, True, False), (6, True, False), (7, True, True)],
)
def test_areas_of_width_times_height_speak_against_corners(tiny, num_right, with_area, is_corners):
    """Programs compute such areas of corners, too: then most boxes extend beyond their image."""
    set_boxes(tiny, [RIGHT] * num_right + [LARGE] * (12 - num_right), with_area)
    assert set(tiny.kinds()) == {"corners" if is_corners else "box-outside"}


@pytest.mark.parametrize("with_polygons", [True, False])
def test_boxes_around_polygons_are_no_corners(tiny, with_polygons):
    set_boxes(tiny, [OVER] * 2 + [LARGE] * 10, with_area=False)
    for content in tiny.json.values() if with_polygons else ():
        for one in content["annotations"]:
            x, y, width, height = one["bbox"]
            one["segmentation"] = [[x, y, x + width, y, x + width, y + height]]
    tiny.write()
    assert set(tiny.kinds()) == {"box-outside" if with_polygons else "corners"}


def test_corners_are_named_by_the_evidence_for_them(tiny):
    set_boxes(tiny, [RIGHT] * 12, with_area=False)
    (first, _) = check_folder(tiny.folder).problems
    assert "12 of them extend beyond their image" in first.message
    for content in tiny.json.values():
        content["annotations"] = [one | {"area": 20 * 20} for one in content["annotations"][:3]]
    tiny.write()
    (first, _) = check_folder(tiny.folder).problems
    assert first.kind == "corners" and "each area is that of the corners" in first.message


CENTRED = [44, 30, 30, 30]  # x 29 to 59; as COCO's, x 44 to 74 in an image of 64 px


@pytest.mark.parametrize("other", ["", "at the left", "polygons"])
def test_boxes_by_their_centre_are_named(tiny, other):
    """Unless one of them is none: a box at the left edge would be centred beyond it."""
    set_boxes(tiny, [CENTRED] * 9 + [[0, 2, 20, 20] if other == "at the left" else CENTRED], True)
    for content in tiny.json.values() if other == "polygons" else ():
        x, y, width, height = CENTRED
        polygon = [x, y, x + width, y, x + width, y + height]
        content["annotations"] = [a | {"segmentation": [polygon]} for a in content["annotations"]]
    tiny.write()
    if other:
        assert set(tiny.kinds()) == {"box-outside"}
        return
    (first, _) = check_folder(tiny.folder).problems
    assert first.kind == "centres"
    assert "10 of them extend beyond their image" in first.message
    assert "subtract half of the width from x" in first.message


def test_boxes_a_little_over_the_edge_are_not_centred(tiny):
    set_boxes(tiny, [[30, 20, 37, 20]] * 12, with_area=False)  # 3 px over the edge
    assert set(tiny.kinds()) == {"box-outside"}


def test_few_boxes_are_not_centred(tiny):
    set_boxes(tiny, [CENTRED] * 9, with_area=False)
    assert set(tiny.kinds()) == {"box-outside"}


def test_boxes_of_an_image_of_another_size_are_no_corners(tiny):
    for content in tiny.json.values():
        for image in content["images"]:
            image.update(width=128, height=96)
    set_boxes(tiny, [RIGHT] * 12, with_area=False)
    assert set(tiny.kinds()) == {"image-size", "box-outside"}


def test_boxes_of_another_format_than_coco_are_no_corners(voc_2007):
    voc_2007.annotate("000001", [("dog", (6, 6, 66, 45), 0)] * 12)
    problems = check_folder(voc_2007.folder).problems
    assert [problem.kind for problem in problems] == ["box-outside"] * 12
