"""The best anchor of each box, found without laying out the anchors."""

import numpy as np
import pytest
import torch
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.modeling import build_model
from detectron2.structures import Boxes, pairwise_iou

from focal_star.config import CONFIGS, load_config
from focal_star.modeling.anchors import anchors_of_image
from focal_star.tools.doctor.anchor_coverage import best_iou, coverage, levels_of, scaled

COCO = CONFIGS / "coco" / "retinanet_FPN_1x.yaml"
MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


@pytest.fixture
def boxes() -> np.ndarray:
    """x, y, width, height, of all sizes, in an image of 300 x 400 px, some at its border."""
    random = np.random.default_rng(0)
    sides = np.exp(random.uniform(np.log(2), np.log(300), (300, 2)))
    corners = random.uniform(0, 1, (300, 2)) * (np.array([400, 300]) - sides)
    corners[:40, 0] = 0
    corners[40:80, 1] = 300 - sides[40:80, 1]
    return np.concatenate([corners, sides], axis=1)


@pytest.mark.parametrize(
    ("path", "pairs"),
    [
        (COCO, []),
        (COCO, ["MODEL.ANCHOR_GENERATOR.NUM_SCALES", "1"]),
        (COCO, ["MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS", "1"]),
        (COCO, ["MODEL.ANCHOR_GENERATOR.OFFSET", "0.5"]),
        (MINI, []),
    ],
)
def test_the_best_iou_is_that_of_all_anchors_of_detectron2(boxes, path, pairs):
    cfg = load_config(path, ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", *pairs])
    anchors = Boxes.cat(anchors_of_image(build_model(cfg), 300, 400))
    truth = Boxes(torch.tensor(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)))
    expected = pairwise_iou(Boxes(truth.tensor.float()), anchors).max(dim=1).values
    extents = np.tile([300, 400], (len(boxes), 1))
    found = best_iou(boxes, extents, levels_of(cfg), cfg.MODEL.ANCHOR_GENERATOR.OFFSET)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_a_box_equal_to_an_anchor_has_iou_1():
    levels = levels_of(load_config(COCO))
    width, height = levels[1].shapes[0]
    at = 16 * 5  # the sixth place of the level of stride 16
    box = np.array([[at - width / 2, at - height / 2, width, height]])
    assert best_iou(box, np.array([[600, 1000]]), levels) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (333, 500), (120, 900), (2000, 37)])
def test_images_are_scaled_as_detectron2_does(size):
    image = np.zeros((*size, 3), np.uint8)
    transform = ResizeShortestEdge([600], 1000, "choice").get_transform(image)
    assert scaled(np.array([size]), 600, 1000).tolist() == [[transform.new_h, transform.new_w]]


def test_boxes_are_counted_by_their_size_in_the_image():
    image = {"id": 7, "height": 300, "width": 500}
    objects = [
        {"bbox": [10, 10, 40, 30], "area": 1023},  # small by its area, not by its box
        {"bbox": [10, 10, 32, 32]},  # medium: without an area, the box's
        {"bbox": [10, 10, 90, 90], "area": 9216},
        {"bbox": [10, 10, 95, 95], "area": 9025},
        {"bbox": [0, 0, 300, 300], "iscrowd": 1},
        {"bbox": [5, 5, 0, 9]},
    ]
    content = {"images": [image], "annotations": [{"image_id": 7} | each for each in objects]}
    found = coverage(content, load_config(COCO))
    assert {size: len(best) for size, best in found.items()} == {
        "small": 1, "medium": 2, "large": 1,
    }  # fmt: skip
    # At 600 px all is doubled: 32 x 32 about (26, 26) becomes 64 x 64 about (52, 52). The nearest
    # anchor of that shape, at stride 16, is about (48, 48): 60 x 60 is shared.
    assert found["medium"][0] == pytest.approx(60**2 / (2 * 64**2 - 60**2))


def test_the_scale_is_that_of_the_config(tmp_path):
    content = {
        "images": [{"id": 1, "height": 600, "width": 600}],
        "annotations": [{"image_id": 1, "bbox": [100, 100, 16, 16]}],
    }
    (small,) = coverage(content, load_config(COCO, ["INPUT.SHORT_EDGE", "600"]))["small"]
    (large,) = coverage(content, load_config(COCO, ["INPUT.SHORT_EDGE", "1200"]))["small"]
    assert small == pytest.approx(256 / 1024) and large > 0.7


def test_a_data_set_without_boxes():
    found = coverage({"images": [], "annotations": []}, load_config(COCO))
    assert [len(best) for best in found.values()] == [0, 0, 0]
