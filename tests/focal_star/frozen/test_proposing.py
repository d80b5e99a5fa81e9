"""What is proposed for training on stored views."""

import pytest

from focal_star.config import CONFIGS, load_config
from focal_star.frozen.extension import EXTENSION
from focal_star.frozen.proposing import proposed
from focal_star.tools.doctor.proposal import proposed_for

CONFIG = str(CONFIGS / "own" / "retinanet_lite0_FPN.yaml")


def content(number: int, side: float, **more) -> dict:
    """The annotations of images of 640 x 480 px with a square object each."""
    return {
        "images": [{"id": i, "width": 640, "height": 480} for i in range(number)],
        "annotations": [{"image_id": i, "bbox": [0, 0, side, side], **more} for i in range(number)],
    }


def pairs(number: int, side: float) -> dict[str, str]:
    overrides = proposed(content(number, side), 8, 1500).overrides
    return dict(zip(overrides[::2], overrides[1::2], strict=True))


def iterations(number: int, side: float, *more: str) -> int:
    overrides = proposed(content(number, side), 8, 1500).overrides
    return load_config(CONFIG, [*overrides, *more]).SOLVER.MAX_ITER


def test_of_large_objects():
    found = pairs(200, 100)
    assert found == {
        "INPUT.SHORT_EDGE": "256",
        "MODEL.ANCHOR_GENERATOR.SIZES": "[[32.0], [64.0], [128.0], [256.0], [512.0]]",
        "VIEWS.PER_IMAGE": "12",
        "SOLVER.SCALED_BY": "1.25",
    }
    assert iterations(200, 100) == 1200, "48 epochs of 200 images, 8 at a time"


def test_a_schedule_multiplies_the_proposal():
    assert iterations(200, 100, "SOLVER.SCHEDULE", "0.5") == 600
    assert iterations(7, 100, "SOLVER.SCHEDULE", "0.5") == 300


@pytest.mark.parametrize(
    ("side", "expected"),
    [(22, (384, 24)), (21, (384, 16)), (15, (384, 16)), (9, (384, 16))],
)
def test_anchors_from_16_px_are_the_last_choice(side, expected):
    # 22 px in 480 are 17.6 px in 384, and 24 / sqrt(2) = 17.0; 21 px are 16.8 px.
    found = pairs(200, side)
    assert found["INPUT.SHORT_EDGE"] == str(expected[0])
    assert found["MODEL.ANCHOR_GENERATOR.SIZES"].startswith(f"[[{expected[1]}.0], ")


def test_of_few_and_of_many_images():
    assert iterations(10, 100) == 600
    assert iterations(3000, 100) == 1500, "the time of a cell is limited"
    assert pairs(3000, 100)["VIEWS.PER_IMAGE"] == "4"
    assert pairs(30_000, 100)["VIEWS.PER_IMAGE"] == "1"


def test_a_larger_input_takes_fewer_iterations():
    assert pairs(3000, 30)["INPUT.SHORT_EDGE"] == "320"
    assert iterations(3000, 30) == 960, "1,500 / (320 / 256)^2"


@pytest.mark.parametrize(
    ("side", "words"),
    [(100, ""), (9, "100 % of the boxes are below 8 px at this input: this network cannot learn")],
)
def test_what_cannot_be_learnt(side, words):
    warning = proposed(content(20, side), 8, 1500).warning
    assert warning.startswith(words)
    assert bool(warning) == bool(words)


def test_crowds_alone_give_no_proposal():
    found = proposed(content(5, 100, iscrowd=1), 8, 1500)
    assert (found.overrides, found.warning) == ((), "")


@pytest.mark.parametrize(("skips_empty", "images"), [(True, 200), (False, 1500)])
def test_only_the_images_that_training_reads_count(skips_empty, images):
    cfg = load_config(CONFIG, ["DATALOADER.FILTER_EMPTY_ANNOTATIONS", str(skips_empty)])
    with_empty = content(1500, 100)
    with_empty["annotations"] = with_empty["annotations"][:200]
    assert EXTENSION.propose(cfg, with_empty) == EXTENSION.propose(cfg, content(images, 100))


def test_a_folder_of_data(tiny_data, tmp_path):
    overrides = ["DATASETS.FOLDER", str(tiny_data), "CACHE_DIR", str(tmp_path)]
    found = proposed_for(CONFIG, overrides)
    assert found == proposed_for(CONFIG, overrides)
    assert "24 images" in found.text
