"""The figures of speed, scale and the heat maps: structure, and whether they can be read."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from reports.plots.curves import Curve, SpeedPanel, ap_over_ms, ap_over_scale
from reports.plots.heat_maps import HeatMap, heat_maps
from reports.plots.pareto import pareto_front
from reports.results.colours import BLACK, WHITE, contrast
from tests.reports.readable import assert_readable

NAN = float("nan")
SCALES = ["88", "104", "128", "152", "168"]


def speed_curves(seed, bars=False):
    """Two curves of five points, their values random, so that they meet and cross."""
    random = np.random.default_rng(seed)
    found = []
    for label, marker, dashes in (("depth 18 (50)", "o", "-"), ("depth 34 (101)", "s", "--")):
        x, y = np.sort(random.uniform(5, 40, 5)), random.uniform(20, 28, 5)
        ends = {"low": y - 2, "high": y + 1} if bars else {}
        found.append(Curve(label, x, y, SCALES, "#0072B2", marker, dashes, **ends))
    return found


def notes(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bars", [False, True])
def test_ap_over_ms_has_no_note_on_another(seed, bars):
    panels = [
        SpeedPanel("ours", speed_curves(seed, bars)),
        SpeedPanel("published", speed_curves(100 + seed)),
    ]
    found = ap_over_ms(panels)
    assert [axes.get_title(loc="left") for axes in found] == ["ours", "published"]
    for axes in found:
        assert axes.get_xlabel() == "ms per image"
        assert len(axes.texts) >= 5, "most points have their note"
    assert_readable(found[0].figure)


def test_the_pareto_front_is_a_staircase_of_its_points():
    curve = Curve("a", [1.0, 2.0, 3.0], [10.0, 9.0, 12.0], [""] * 3, "black")
    (axes,) = ap_over_ms([SpeedPanel("ours", [curve], ([1.0, 3.0], [10.0, 12.0]))])
    (step,) = [line for line in axes.lines if line.get_label() == "Pareto front"]
    assert step.get_drawstyle() == "steps-post"
    assert step.get_xydata().tolist() == [[1, 10], [3, 12]]
    (without,) = ap_over_ms([SpeedPanel("ours", [curve])])
    legend = [text.get_text() for text in without.get_legend().get_texts()]
    assert legend == ["a"]


def test_a_note_without_room_is_left_out():
    crowd = Curve("a", [1.0] * 12 + [2.0], [1.0] * 12 + [2.0], ["168"] * 13, "black")
    (axes,) = ap_over_ms([SpeedPanel("ours", [crowd])])
    assert 1 <= len(axes.texts) < 13
    assert_readable(axes.figure)


def test_a_point_without_both_numbers_is_not_joined():
    curve = Curve("a", [1.0, NAN, 3.0], [10.0, 11.0, NAN], ["88", "104", "128"], "black")
    (axes,) = ap_over_ms([SpeedPanel("ours", [curve])])
    drawn = [line for line in axes.lines if line.get_label() == "a"]
    assert [line.get_xydata().tolist() for line in drawn] == [[[1.0, 10.0]]]
    assert notes(axes) == ["88"]


def test_points_that_are_not_joined_may_have_a_note_between_them():
    apart = Curve("others", [1.0, 1.0, 9.0], [0.0, 10.0, 5.0], ["a", "b", "in between"], "black",
                  dashes="none")  # fmt: skip
    (axes,) = ap_over_ms([SpeedPanel("published", [apart])])
    assert sorted(notes(axes)) == ["a", "b", "in between"]


def test_long_names_in_the_legend():
    labels = ["FL*, a network of a very long name and depth 18 (50), 3 scales", "W" * 40, "$a$_{b}"]
    curves = [
        Curve(label, [1.0, 2.0], [n, n + 1.0], ["x" * 30, "y"], "black")
        for n, label in enumerate(labels)
    ]
    (axes,) = ap_over_ms([SpeedPanel("ours", curves)])
    assert_readable(axes.figure)
    assert axes.bbox.width > 0.4 * axes.figure.bbox.width
    assert_readable(ap_over_scale(curves).figure)


def test_curves_over_scale_with_bars_stand_side_by_side():
    x, y = [88.0, 104.0], [20.0, 22.0]
    barred = [Curve(n, x, y, ["", ""], "black", low=[19.0, NAN], high=[21.0, NAN]) for n in "ab"]
    axes = ap_over_scale(barred)
    a, b = (line for line in axes.lines if line.get_label() in "ab")
    assert (b.get_xdata() - a.get_xdata()).tolist() == pytest.approx([1.6, 1.6])
    assert (a.get_xdata() + b.get_xdata()).tolist() == pytest.approx([176, 208])
    assert [len(bar.lines[2][0].get_segments()) for bar in axes.containers] == [1, 1]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["88", "104"]
    plain = ap_over_scale([Curve(n, x, y, ["", ""], "black") for n in "ab"])
    assert {tuple(line.get_xdata()) for line in plain.lines} == {(88, 104)}
    assert_readable(axes.figure)


def test_one_size_alone_can_be_drawn():
    bars = {"low": [19.0], "high": [21.0]}
    assert_readable(ap_over_scale([Curve("a", [88.0], [20.0], [""], "black", **bars)]).figure)


def test_the_pareto_front_leaves_out_what_another_point_beats():
    #    (ms, AP): b is as slow as a and worse, d is slower and worse than c, e has no AP
    ms, ap = [5.0, 5.0, 8.0, 9.0, 1.0, 20.0], [20.0, 19.0, 25.0, 24.0, NAN, 25.5]
    x, y = pareto_front(ms, ap)
    assert x.tolist() == [5, 8, 20] and y.tolist() == [20, 25, 25.5]


def test_the_pareto_front_of_equal_points_is_one_point():
    x, y = pareto_front([3.0, 3.0, 4.0], [7.0, 7.0, 7.0])
    assert (x.tolist(), y.tolist()) == ([3], [7])
    assert [len(one) for one in pareto_front([NAN], [1.0])] == [0, 0]


def test_no_point_beats_one_of_the_pareto_front():
    random = np.random.default_rng(0)
    ms, ap = random.uniform(1, 9, 200), random.uniform(0, 50, 200)
    x, y = pareto_front(ms, ap)
    for cost, value in zip(x, y, strict=True):
        assert not np.any((ms <= cost) & (ap > value)) and not np.any((ms < cost) & (ap >= value))
    kept = set(zip(x, y, strict=True))
    for cost, value in set(zip(ms, ap, strict=True)) - kept:
        assert np.any((x <= cost) & (y >= value)), "every other point is beaten"


def heat_map(values, title="FL", planned=None, marks=None):
    values = np.asarray(values, float)
    rows, columns = values.shape
    return HeatMap(
        title,
        [f"{0.125 * n:g}" for n in range(rows)],
        [f"{0.999 - n / 8:g}" for n in range(columns)],
        values.tolist(),
        np.full(values.shape, "").tolist() if marks is None else marks,
        np.full(values.shape, False).tolist() if planned is None else planned,
    )


def test_heat_maps_share_one_scale_of_colours():
    left, right = heat_maps([heat_map([[0.0, 10.0]]), heat_map([[10.0], [40.0]], "FL*")], "γ", "α")
    assert [text.get_text() for text in left.texts] == ["0.0", "10.0"]
    colours = [[patch.get_facecolor() for patch in axes.patches] for axes in (left, right)]
    assert colours[0][1] == colours[1][0], "10.0 in both"
    assert len({colours[0][0], colours[0][1], colours[1][1]}) == 3
    assert left.get_ylim() == right.get_ylim()
    assert_readable(left.figure)


def test_a_value_can_be_read_on_its_cell():
    values = np.linspace(0, 40, 32).reshape(4, 8)
    (axes,) = heat_maps([heat_map(values)], "γ", "α")
    for text, cell in zip(axes.texts, axes.patches, strict=True):
        assert contrast(text.get_color(), cell.get_facecolor()[:3]) >= 4.5
    assert {text.get_color() for text in axes.texts} == {BLACK, WHITE}


def test_contrast_is_that_of_wcag():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#777777") == pytest.approx(1)
    # linear #777777: ((0x77 / 255 + 0.055) / 1.055)^2.4 = 0.18447; 1.05 / 0.23447
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)


def test_what_has_no_value_is_hatched_if_it_was_planned_else_a_dot():
    values, planned = [[1.0, NAN, NAN]], [[True, True, False]]
    marks = [["×", "", ""]]
    (axes,) = heat_maps([heat_map(values, "FL", planned, marks)], "γ", "α")
    assert [text.get_text() for text in axes.texts] == ["1.0\n×"]
    filled, hatched = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    assert not filled.get_hatch() and hatched.get_hatch() == "////"
    assert len(axes.lines) == 1
    assert_readable(axes.figure)


@pytest.mark.parametrize("value", [0.0, 30.0, NAN])
def test_a_heat_map_of_one_value(value):
    (axes,) = heat_maps([heat_map([[value]], planned=[[True]])], "γ", "α")
    assert_readable(axes.figure)


def test_wide_heat_maps_side_by_side():
    wide = [heat_map(np.full((9, 11), 33.3), title, marks=np.full((9, 11), "×").tolist())
            for title in ("FL", "FL* of a name that is long")]  # fmt: skip
    assert_readable(heat_maps(wide, "γ", "α")[0].figure)
