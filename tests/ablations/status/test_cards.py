"""The published speeds of GPUs, and what a plan for a named card makes of them."""

import pytest

from ablations.identity.prepared import written_config
from ablations.status import cards
from ablations.status.costs import estimate
from ablations.status.status import Status
from ablations.storage.reading import PlanError
from ablations.study.study import load_study


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("A100", "A100"), ("a100", "A100"), ("NVIDIA A100", "A100"), ("RTX 3090", "RTX3090"),
        ("GeForce-RTX_3090", "RTX3090"), ("3090", "RTX3090"), ("Tesla V100", "V100"),
        ("RTX 6000 Ada", "RTX6000Ada"), ("Quadro RTX 8000", "RTX8000"),
    ],
)  # fmt: skip
def test_names_of_cards(given, name):
    assert cards.canonical(given) == name


@pytest.mark.parametrize("given", ["", "A", "K80", "RTX", "A1000", "V100 A100"])
def test_an_unknown_card_is_refused_with_the_known_ones(given):
    with pytest.raises(PlanError, match=r"no published speed here; valid: .*A100.*V100"):
        cards.speed_of(given)


def test_the_speeds_are_relative_to_a_v100():
    assert cards.speed_of("V100") == 1
    # 0.205 s of eight V100 against 0.281 s of eight RTX 2080 Ti.
    assert cards.speed_of("RTX2080Ti") == pytest.approx(0.205 / 0.281, rel=0.01)
    # 23.6 images of 800^2 px, against 9.76 of (640^2 + 672^2 + ... + 800^2) / 6 = 521,387 px.
    assert cards.speed_of("A100") == pytest.approx(23.6 * 640_000 / (9.76 * 521_387), rel=0.001)
    assert cards.speed_of("RTX3090") == pytest.approx(144 / 104)


def test_two_workloads_agree_on_a_card():
    """SSD ranks cards as RetinaNet does, and so may stand in for it."""
    retinanet, ssd = cards._workloads().values()
    for name in retinanet.keys() & ssd.keys():
        by_ssd = ssd[name].work / ssd["V100"].work
        assert by_ssd == pytest.approx(cards.speed_of(name), rel=0.3), name


@pytest.mark.parametrize(
    ("card", "images_per_second", "edge_squared"),
    [
        # The published trainings themselves: 1x is 90,000 iterations of 16 images.
        ("V100", 16 / 0.205 / 8, 521_387), ("RTX2080Ti", 16 / 0.281 / 8, 521_387),
        ("A100", 23.6, 640_000),
    ],
)  # fmt: skip
@pytest.mark.parametrize("gpus", [1, 8])
def test_hours_are_within_30_percent_of_the_published_training(
    card, images_per_second, edge_squared, gpus
):
    study = load_study("coco", ["gamma"])
    status = Status(study, dict.fromkeys(study.cells()[:1], "missing"), {}, [], {})
    found = estimate(status, written_config(study), gpus, card=card)
    pixels_per_second = images_per_second * edge_squared
    hours = 90_000 * 16 * 600**2 / pixels_per_second / 3600
    assert found.seconds * gpus / 3600 == pytest.approx(hours, rel=0.3)
