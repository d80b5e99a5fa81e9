"""The forest plot: what is drawn where, and whether it can be read."""

import math

import numpy as np
import pytest

from reports.plots.forest import WIDTH, Effect, forest
from tests.reports.readable import assert_readable, texts_of

NAN = math.nan
STAR = Effect("FL* (α = 0.75, γ = 0.125)", "−2.8, worse", -2.8, -4.2, -1.3, [-3.9, -1.4], "#D55E00")
REFERENCE = Effect("FL (α = 0.5, γ = 1)", "12.4 AP", 0.0, NAN, NAN, [0.3, -0.3], "#0072B2", True)


def test_rows_bands_and_seeds_are_at_their_numbers():
    axes = forest([STAR, REFERENCE], "difference in AP from FL", 1.4, 1.0)
    marks = [line for line in axes.lines if line.get_marker() == "D"]
    assert [float(line.get_xdata()[0]) for line in marks] == [-2.8], "the reference row has none"
    seeds = [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"]
    assert seeds == [[-3.9, -1.4], [0.3, -0.3]]
    (bar,) = [container.lines[2][0].get_segments()[0] for container in axes.containers]
    np.testing.assert_allclose(bar[:, 0], [-4.2, -1.3])
    bands = {round(float(patch.get_extents().transformed(axes.transData.inverted()).x1), 3)
             for patch in axes.patches}  # fmt: skip
    assert bands == {1.4, 1.0}
    low, high = axes.get_xlim()
    assert low < -4.2 and high > 1.4
    texts = {text.get_text() for text in texts_of(axes.figure)}
    assert {STAR.label, STAR.text, REFERENCE.label, "95 % CI", "noise of seeds"} <= texts


@pytest.mark.parametrize("width", [7.6, WIDTH, 3.54])
def test_it_can_be_read_on_any_width(width):
    name = "A loss with a long name (α = 0.75, γ = 0.125, cap 5, β = 2)"
    long = Effect(name, "+0.4 undecided", 0.4, -0.4, 1.2, [0.1], "#009E73")
    axes = forest([STAR, long, REFERENCE], "difference in AP from FL", 1.4, 1.0, width=width)
    assert_readable(axes.figure)
    assert axes.figure.get_figwidth() == min(width, WIDTH)


def test_without_noise_or_interval():
    alone = Effect("FL*", "not tested", NAN, NAN, NAN, [], "#D55E00")
    partial = Effect("CE", "+1.0 not tested", 1.0, 0.2, 1.8, [1.0], "#555555", partial=True)
    axes = forest([alone, partial, REFERENCE], "difference", NAN, 1.0)
    assert_readable(axes.figure)
    texts = {text.get_text() for text in texts_of(axes.figure)}
    assert "noise of seeds" not in texts and "95 % CI, images only" in texts
