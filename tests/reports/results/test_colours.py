"""Whether the colours of figures can be seen on light and on dark paper, and told apart."""

import itertools

import pytest

from reports.results.colours import MIN_CONTRAST, PALETTE, PAPER, contrast
from reports.results.labels import DETECTORS, LOSSES, NEW_LOSS_COLOUR, STALE_COLOUR

BACKGROUNDS = "paper", "grid"
"""The colours of the palette that carry no information."""

SEEN = [name for name in PALETTE if name not in BACKGROUNDS]


@pytest.mark.parametrize("paper", ["light", "dark"])
@pytest.mark.parametrize("name", SEEN)
def test_every_line_can_be_seen_on_its_paper(name, paper):
    assert contrast(getattr(PALETTE[name], paper), getattr(PAPER, paper)) >= MIN_CONTRAST


@pytest.mark.parametrize("paper", ["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "soft", "ce", "focal", "focal-star", "faster-rcnn"])
def test_a_label_in_a_line_s_colour_can_be_read(name, paper):
    large = name == "focal-star"  # an orange of 4.5 on white is a brown
    limit = MIN_CONTRAST if large else 4.5
    assert contrast(getattr(PALETTE[name], paper), getattr(PAPER, paper)) >= limit


def test_no_two_colours_are_the_same():
    for one, other in itertools.combinations(PALETTE.values(), 2):
        assert one.light != other.light
        assert one.light == one.light.lower() and len(one.light) == 7


def test_the_colours_of_labels_are_of_the_palette():
    light = {colour.light for colour in PALETTE.values()}
    used = [label.colour for label in (*LOSSES.values(), *DETECTORS.values())]
    assert {*used, NEW_LOSS_COLOUR, STALE_COLOUR} <= light
    assert len({label.colour for label in LOSSES.values()}) == len(LOSSES)
