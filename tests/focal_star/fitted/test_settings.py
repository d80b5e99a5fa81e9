"""Input scale, anchors and length of training that fit a data set."""

import json

import numpy as np
import pytest

from focal_star.config import CONFIGS, load_config
from focal_star.fitted import settings
from focal_star.fitted.extension import EXTENSION
from focal_star.fitted.settings import fitting, possible_edges
from tests.published_layouts import write_coco, write_voc

OWN = CONFIGS / "own" / "retinanet_R_50_FPN.yaml"


def content(num_images, side, size=(640, 480), crowd=0):
    """Images of one size, each with a square box of this side, px."""
    return {
        "images": [{"id": i, "width": size[0], "height": size[1]} for i in range(num_images)],
        "annotations": [
            {"image_id": i, "bbox": [0, 0, side, side], "iscrowd": crowd} for i in range(num_images)
        ],
    }


@pytest.mark.parametrize(
    ("images", "views"),
    [
        # 36 epochs, and 1,500 iterations of 16 at least; 144,000 images, and 12 epochs at least.
        (100, 24_000), (1000, 36_000), (4000, 144_000), (8000, 144_000), (20_000, 240_000),
    ],
)  # fmt: skip
def test_the_length_of_training(images, views):
    found = fitting(content(images, 100))
    assert found.image_views == views and found.epochs == views / images


@pytest.mark.parametrize(
    ("short", "edges"),
    [(480, (600, 800)), (600, (600, 800, 1000)), (300, (600,)), (128, (400,))],
)  # fmt: skip
def test_the_input_is_at_most_twice_the_image(short, edges):
    assert possible_edges(np.array([[short * 2, short]] * 3)) == edges


@pytest.mark.parametrize(
    ("side", "short_edge", "anchor"),
    [
        # At 600 of 480 px, a box of 20 px has 25, which an anchor of 32 matches from 22.6 px on.
        (20, 600, 32), (15, 600, 24), (10, 600, 16),
        # At 600 px one of 7 px has 8.75, and 800 px are needed for 11.3.
        (7, 800, 16),
    ],
)  # fmt: skip
def test_small_objects_get_smaller_anchors_then_a_larger_input(side, short_edge, anchor):
    found = fitting(content(10, side)).proposal
    assert (found.short_edge, found.smallest_anchor) == (short_edge, anchor)


@pytest.mark.parametrize("kind", [{"crowd": 1}, {"side": 0}])
def test_without_a_box_only_the_length_is_proposed(kind):
    without = content(1000, kind.get("side", 50), crowd=kind.get("crowd", 0))
    assert fitting(without).proposal is None
    found = EXTENSION.propose(load_config(OWN), without)
    assert found.overrides[::2] == ("SOLVER.SCALED_BY",)
    assert "no boxes to propose anchors from" in found.text


@pytest.mark.parametrize("schedule", [1.0, 0.5])
def test_the_proposal_scales_the_whole_schedule(schedule):
    found = EXTENSION.propose(load_config(OWN), content(1000, 15))
    cfg = load_config(OWN, [*found.overrides, "SOLVER.SCHEDULE", str(schedule)])
    # 36,000 images are 2,250 iterations of 16: a quarter of the config's 9,000.
    solver, part = cfg.SOLVER, schedule / 4
    assert round(9000 * part) == solver.MAX_ITER
    assert (round(6000 * part), round(8000 * part)) == solver.STEPS
    assert pytest.approx(500 * part, abs=1) == solver.WARMUP_ITERS
    assert cfg.INPUT.MIN_SIZE_TEST == 600
    sizes = cfg.MODEL.ANCHOR_GENERATOR.SIZES
    assert [level[0] for level in sizes] == [24, 48, 96, 192, 384] and len(sizes[0]) == 3
    assert "600 px, anchors from 24 px, 2,250 iterations of 16 (36 epochs of 1,000" in found.text


@pytest.mark.parametrize(("skips_empty", "images"), [(True, 1000), (False, 4000)])
def test_only_the_images_that_training_reads_count(skips_empty, images):
    cfg = load_config(OWN, ["DATALOADER.FILTER_EMPTY_ANNOTATIONS", str(skips_empty)])
    with_empty = content(4000, 100)
    with_empty["annotations"] = with_empty["annotations"][:1000]
    assert EXTENSION.propose(cfg, with_empty) == EXTENSION.propose(cfg, content(images, 100))


def test_objects_that_cannot_be_found_are_said():
    found = EXTENSION.propose(load_config(OWN), content(10, 3))
    assert "100 % of the boxes are below 8 px" in found.warning
    assert EXTENSION.propose(load_config(OWN), content(10, 50)).warning == ""


@pytest.mark.parametrize("write", [write_coco, write_voc])
def test_the_settings_of_a_folder(tmp_path, capsys, write):
    write(tmp_path)
    folder = tmp_path / "coco" if write is write_coco else tmp_path
    assert settings.main(str(folder)) == 0
    found = json.loads(capsys.readouterr().out)
    test_images = 8 if write is write_coco else 10
    assert found == {"short_edge": 400, "image_views": 24_000, "test_images": test_images}


def test_a_folder_that_cannot_be_read_ends_with_1(tmp_path, capsys):
    assert settings.main(str(tmp_path / "nowhere")) == 1
    assert "nowhere" in capsys.readouterr().err
