import itertools
import math
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from reports import drawing, figures, illustrations
from reports.figures import Curve, Dots, Line, Panel, Run
from reports.labels import LOSSES, PROPOSAL_FIGURE_4

NAN = float("nan")
LABELS = [f"γ = {gamma:g}, α = 0.25" for gamma in (0, 0.1, 0.2, 0.5, 1, 2, 5)]


def assert_readable(figure):
    """Fonts of 9 pt and more, and no two tick labels, titles or notes on each other."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_visible()
        and text.get_text().strip()
        and (text.axes is None or text.axes.get_visible())
    ]
    # A tick outside of the limits has a label that is not drawn.
    outside = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        or not tick.label1.get_visible()
        for label in (tick.label1,)
    }
    texts = [text for text in texts if text not in outside]
    assert texts
    assert min(text.get_fontsize() for text in texts) >= 9
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    for (first, a), (second, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), f"{first!r} lies on {second!r}"
    width, height = canvas.get_width_height()
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text


def test_loss_over_p_t_draws_every_line_within_limits():
    x = np.linspace(0.01, 1, 50)
    axes = figures.loss_over_p_t([Line("CE", x, -np.log(x), "black"), Line("b", x, x, "red", "--")])
    assert [line.get_label() for line in axes.lines] == ["CE", "b"]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 5))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["CE", "b"]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), -np.log(x))
    assert_readable(axes.figure)


def test_the_proposals_figure_4(monkeypatch):
    drawn, draw = [], figures.loss_over_p_t
    monkeypatch.setattr(figures, "loss_over_p_t", lambda lines: drawn.extend(lines) or draw(lines))
    found = illustrations.loss_over_p_t()
    assert [line.label for line in drawn] == [
        "CE", "FL, γ = 2", "FL*, γ = 0.125", "FL*, γ = 0.25", "FL*, γ = 0.5",
    ]  # fmt: skip
    at_one_half = [np.interp(0.5, line.x, line.y) for line in drawn]
    expected = [math.log(2), math.log(2) / 4, *[math.log(2)] * 3]
    np.testing.assert_allclose(at_one_half, expected, rtol=1e-3)
    assert len({(line.colour, line.dashes) for line in drawn}) == 5
    assert all(line.label in found.alternative for line in drawn)


def luminance(colour):
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_lines_of_figure_4_differ_in_grey():
    for (*_, a, dashes_a), (*_, b, dashes_b) in itertools.combinations(PROPOSAL_FIGURE_4, 2):
        assert dashes_a != dashes_b or abs(luminance(a) - luminance(b)) > 0.1
    assert len({loss.colour for loss in LOSSES.values()}) == len(LOSSES)


def dots(values, **options):
    return Dots("AP (%), ours", values, ["#0072B2"] * len(values), **options)


def test_ap_over_rows_has_a_panel_and_a_scale_for_each_series():
    ours = dots([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, NAN], notes=[""] * 6 + ["missing"])
    theirs = Dots("AP (%), published", [30.0] * 7, ["#555555"] * 7, filled=False)
    left, right = figures.ap_over_rows(LABELS, [ours, theirs])
    assert (left.get_xlabel(), right.get_xlabel()) == ("AP (%), ours", "AP (%), published")
    assert [text.get_text() for text in left.get_yticklabels()] == LABELS
    assert left.get_ylim()[0] > left.get_ylim()[1], "the first row is on top"
    assert left.get_xlim()[0] == right.get_xlim()[0] == 0
    assert 6 < left.get_xlim()[1] < 12 < 30 < right.get_xlim()[1]
    assert [line.get_xdata()[0] for line in left.lines] == [1, 2, 3, 4, 5, 6]
    assert [text.get_text() for text in left.texts] == ["missing"]
    assert {line.get_markerfacecolor() for line in right.lines} == {"white"}
    assert_readable(left.figure)


def test_error_bars_only_where_there_is_a_spread():
    (without,) = figures.ap_over_rows(["a", "b"], [dots([1.0, 2.0], spread=[NAN, NAN])])
    assert not without.containers
    (with_one,) = figures.ap_over_rows(["a", "b"], [dots([1.0, 2.0], spread=[NAN, 0.5])])
    (bar,) = with_one.containers
    (segment,) = bar.lines[2][0].get_segments()
    assert segment.tolist() == [[1.5, 1], [2.5, 1]]
    assert with_one.get_xlim()[1] > 2.5


def test_a_diverged_row_is_a_cross_with_a_word():
    (axes,) = figures.ap_over_rows(
        ["a", "b"], [dots([0.0, 2.0], crossed=[True, False], notes=["diverged", ""])]
    )
    assert [line.get_marker() for line in axes.lines] == ["X", "o"]
    assert [text.get_text() for text in axes.texts] == ["diverged"]


def test_rows_without_any_value_can_be_drawn():
    (axes,) = figures.ap_over_rows(["a"], [dots([NAN], notes=["failed"])])
    assert not axes.lines and axes.get_xlim() == (0, 1)
    assert_readable(axes.figure)


def test_training_curves_have_a_panel_for_each_row():
    runs = [Run([20, 40, 60], y, "#0072B2") for y in ([1.0, 0.5, 0.25], [1.1, 0.6, 0.2])]
    panels = [Panel(label, runs) for label in LABELS]
    found = figures.training_curves(panels, "classification loss")
    assert [axes.get_title(loc="left") for axes in found] == LABELS
    for axes in found:
        assert axes.get_yscale() == "log" and len(axes.lines) == 2
        assert axes.get_ylim()[0] < 0.2 and axes.get_ylim()[1] > 1.1
        assert axes.get_xlim() == (0, 60)
    assert_readable(found[0].figure)


def test_each_panel_has_its_own_scale_of_the_loss():
    small, large = figures.training_curves(
        [
            Panel("a", [Run([1, 2], [1.0, 0.1], "black")]),
            Panel("b", [Run([1, 2], [2e4, 9e3], "black")]),
        ],
        "loss",
    )
    assert small.get_ylim()[1] < 2 and large.get_ylim()[0] > 5e3
    assert_readable(small.figure)


def test_a_diverged_run_ends_in_a_cross_at_its_last_finite_loss():
    run = Run([10, 20, 30, 40], [3.0, 50.0, math.inf, NAN], "black", diverged=True)
    (axes,) = figures.training_curves([Panel("a", [run])], "loss")
    curve, cross = axes.lines
    assert curve.get_xdata().tolist() == [10, 20]
    assert (cross.get_marker(), cross.get_xdata()[0], cross.get_ydata()[0]) == ("X", 20, 50.0)


def test_a_panel_without_runs_says_why():
    filled, empty = figures.training_curves(
        [Panel("a", [Run([1, 2], [1.0, 0.5], "black")]), Panel("b", note="missing")],
        "loss",
    )
    assert not empty.lines and [text.get_text() for text in empty.texts] == ["missing"]
    assert len(empty.get_yticks()) == 0
    (alone,) = figures.training_curves([Panel("b", note="missing")], "loss")
    assert_readable(alone.figure)


def test_long_titles_of_training_curves_do_not_meet():
    titles = [f"OHEM, batch {size}, NMS 0.5" for size in ("16 (128)", "32 (256)", "64 (512)")]
    titles += ["OHEM 1:3, batch 16 (128), NMS 0.5"]
    titles += ["depth 34 (101), 168 (800) px", "FL* of the appendix, α = 0.25, γ = 2"]
    panels = [Panel(title, [Run([1, 500], [11.0, 0.5], "black")]) for title in titles]
    found = figures.training_curves(panels, "classification loss")
    shown = [axes.get_title(loc="left") for axes in found]
    assert [title.replace("\n", " ") for title in shown] == titles
    assert_readable(found[0].figure)


def test_a_run_of_almost_one_loss_has_few_ticks():
    (axes,) = figures.training_curves([Panel("a", [Run([1, 2], [3e4, 3e4], "black")])], "loss")
    lowest, highest = axes.get_ylim()
    assert 2 <= sum(lowest <= tick <= highest for tick in axes.get_yticks()) <= 6
    assert_readable(axes.figure)


def speed_curves(seed):
    """Two curves of five points, their values random, so that they meet and cross."""
    random = np.random.default_rng(seed)
    return [
        Curve(label, np.sort(random.uniform(5, 40, 5)), random.uniform(20, 28, 5),
              ["88", "104", "128", "152", "168"], "#0072B2", marker, dashes)
        for label, marker, dashes in (("depth 18 (50)", "o", "-"), ("depth 34 (101)", "s", "--"))
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_ap_over_ms_has_no_note_on_another(seed):
    found = figures.ap_over_ms({"ours": speed_curves(seed), "published": speed_curves(100 + seed)})
    assert [axes.get_title(loc="left") for axes in found] == ["ours", "published"]
    for axes in found:
        assert axes.get_xlabel() == "ms per image" and len(axes.lines) == 2
        assert len(axes.texts) >= 5, "most points have their note"
    assert_readable(found[0].figure)


def test_a_note_without_room_is_left_out():
    crowd = Curve("a", [1.0] * 12 + [2.0], [1.0] * 12 + [2.0], ["168"] * 13, "black")
    (axes,) = figures.ap_over_ms({"ours": [crowd]})
    assert 1 <= len(axes.texts) < 13
    assert_readable(axes.figure)


def test_a_point_without_both_numbers_is_not_joined():
    curve = Curve("a", [1.0, NAN, 3.0], [10.0, 11.0, NAN], ["88", "104", "128"], "black")
    (axes,) = figures.ap_over_ms({"ours": [curve]})
    assert axes.lines[0].get_xydata().tolist() == [[1.0, 10.0]]
    assert [text.get_text() for text in axes.texts] == ["88"]


@pytest.fixture
def figure():
    return figures.loss_over_p_t([Line("CE", [0.1, 1.0], [2.0, 0.0], "black")]).figure


def test_the_same_figure_gives_the_same_bytes(figure):
    again = figures.loss_over_p_t([Line("CE", [0.1, 1.0], [2.0, 0.0], "black")]).figure
    other = figures.loss_over_p_t([Line("CE", [0.1, 1.0], [2.5, 0.0], "black")]).figure
    assert drawing.to_svg(figure, "a") == drawing.to_svg(again, "a") != drawing.to_svg(other, "a")
    assert drawing.to_png(figure) == drawing.to_png(again) != drawing.to_png(other)


def test_svg_needs_no_font_and_has_no_date(figure):
    svg = drawing.to_svg(figure, "a")
    assert "<text" not in svg and "<image" not in svg and "<metadata" not in svg


def test_inline_svgs_share_no_id(figure):
    svg = drawing.to_svg(figure, "a")
    first, second = (drawing.inline_svg(svg, name) for name in ("a", "b"))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    for text, known in zip((first, second), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
        assert used and set(used) <= known
    assert first.startswith("<svg ") and first.endswith("</svg>")
