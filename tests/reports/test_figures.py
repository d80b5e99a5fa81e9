import itertools
import math
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from reports import figures, illustrations
from reports.figures import Dots, Line, Panel, Run
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
    runs = [Run([20, 40, 60], [1.0, 0.5, 0.25]), Run([20, 40, 60], [1.1, 0.6, 0.2])]
    panels = [Panel(label, "#0072B2", runs) for label in LABELS]
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
            Panel("a", "black", [Run([1, 2], [1.0, 0.1])]),
            Panel("b", "black", [Run([1, 2], [2e4, 9e3])]),
        ],
        "loss",
    )
    assert small.get_ylim()[1] < 2 and large.get_ylim()[0] > 5e3
    assert_readable(small.figure)


def test_a_diverged_run_ends_in_a_cross_at_its_last_finite_loss():
    run = Run([10, 20, 30, 40], [3.0, 50.0, math.inf, NAN], diverged=True)
    (axes,) = figures.training_curves([Panel("a", "black", [run])], "loss")
    curve, cross = axes.lines
    assert curve.get_xdata().tolist() == [10, 20]
    assert (cross.get_marker(), cross.get_xdata()[0], cross.get_ydata()[0]) == ("X", 20, 50.0)


def test_a_panel_without_runs_says_why():
    filled, empty = figures.training_curves(
        [Panel("a", "black", [Run([1, 2], [1.0, 0.5])]), Panel("b", "black", note="missing")],
        "loss",
    )
    assert not empty.lines and [text.get_text() for text in empty.texts] == ["missing"]
    assert len(empty.get_yticks()) == 0
    (alone,) = figures.training_curves([Panel("b", "black", note="missing")], "loss")
    assert_readable(alone.figure)


@pytest.fixture
def figure():
    return figures.loss_over_p_t([Line("CE", [0.1, 1.0], [2.0, 0.0], "black")]).figure


def test_the_same_figure_gives_the_same_bytes(figure):
    again = figures.loss_over_p_t([Line("CE", [0.1, 1.0], [2.0, 0.0], "black")]).figure
    other = figures.loss_over_p_t([Line("CE", [0.1, 1.0], [2.5, 0.0], "black")]).figure
    assert figures.to_svg(figure, "a") == figures.to_svg(again, "a") != figures.to_svg(other, "a")
    assert figures.to_png(figure) == figures.to_png(again) != figures.to_png(other)


def test_svg_needs_no_font_and_has_no_date(figure):
    svg = figures.to_svg(figure, "a")
    assert "<text" not in svg and "<image" not in svg and "<metadata" not in svg


def test_inline_svgs_share_no_id(figure):
    svg = figures.to_svg(figure, "a")
    first, second = (figures.inline_svg(svg, name) for name in ("a", "b"))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    for text, known in zip((first, second), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
        assert used and set(used) <= known
    assert first.startswith("<svg ") and first.endswith("</svg>")
