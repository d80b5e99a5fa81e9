import itertools
import math
import re

import numpy as np
import pytest

from reports import figures, plots
from reports.plots import Dots, Line, Panel, Run, drawing
from reports.results.labels import LOSSES, PROPOSAL_FIGURE_4
from tests.reports.readable import assert_readable, texts_of

NAN = float("nan")
LABELS = [f"γ = {gamma:g}, α = 0.25" for gamma in (0, 0.1, 0.2, 0.5, 1, 2, 5)]


def test_loss_over_p_t_draws_every_line_within_limits():
    x = np.linspace(0.01, 1, 50)
    axes = plots.loss_over_p_t([Line("CE", x, -np.log(x), "black"), Line("b", x, x, "red", "--")])
    assert [line.get_label() for line in axes.lines] == ["CE", "b"]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 5))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["CE", "b"]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), -np.log(x))
    assert_readable(axes.figure)


def test_the_proposals_figure_4(monkeypatch):
    drawn, draw = [], plots.loss_over_p_t

    def watched(lines):
        drawn.extend(lines)
        return draw(lines)

    monkeypatch.setattr(plots, "loss_over_p_t", watched)
    found = figures.loss_over_p_t()
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
    left, right = plots.ap_over_rows(LABELS, [ours, theirs])
    assert (left.get_xlabel(), right.get_xlabel()) == ("AP (%), ours", "AP (%), published")
    assert [text.get_text() for text in left.get_yticklabels()] == LABELS
    assert left.get_ylim()[0] > left.get_ylim()[1], "the first row is on top"
    assert left.get_xlim()[0] == right.get_xlim()[0] == 0
    assert 6 < left.get_xlim()[1] < 12 < 30 < right.get_xlim()[1]
    assert [line.get_xdata()[0] for line in left.lines] == [1, 2, 3, 4, 5, 6]
    assert [text.get_text() for text in left.texts] == ["missing"]
    assert {line.get_markerfacecolor() for line in right.lines} == {"white"}
    assert_readable(left.figure)


def test_bars_only_where_there_is_an_interval():
    (without,) = plots.ap_over_rows(["a", "b"], [dots([1.0, 2.0], low=[NAN] * 2, high=[NAN] * 2)])
    assert not without.containers
    (with_one,) = plots.ap_over_rows(
        ["a", "b"], [dots([1.0, 2.0], low=[NAN, 1.5], high=[NAN, 3.0])]
    )
    (bar,) = with_one.containers
    (segment,) = bar.lines[2][0].get_segments()
    assert segment.tolist() == [[1.5, 1], [3.0, 1]]
    assert with_one.get_xlim()[1] > 3.0


def test_a_diverged_row_is_a_cross_with_a_word():
    (axes,) = plots.ap_over_rows(
        ["a", "b"], [dots([0.0, 2.0], crossed=[True, False], notes=["diverged", ""])]
    )
    assert [line.get_marker() for line in axes.lines] == ["X", "o"]
    assert [text.get_text() for text in axes.texts] == ["diverged"]


def test_rows_without_any_value_can_be_drawn():
    (axes,) = plots.ap_over_rows(["a"], [dots([NAN], notes=["failed"])])
    assert not axes.lines and axes.get_xlim() == (0, 1)
    assert_readable(axes.figure)


def test_long_labels_of_rows_leave_room_for_the_dots():
    labels = [f"OHEM 1:3, batch {n} (128), NMS 0.5, a $5$ prize_{{}}" for n in range(3)]
    (axes,) = plots.ap_over_rows(labels, [dots([1.0, 1.0, 1.0], notes=["stale", "", "diverged"])])
    assert_readable(axes.figure)
    assert axes.bbox.width > 0.2 * axes.figure.bbox.width


def collected(axes, kind):
    (found,) = [one for one in axes.collections if one.get_label() == kind]
    return found.get_segments()


def words(axes):
    return [text.get_text() for text in axes.texts]


def test_training_curves_have_a_panel_for_each_row():
    runs = [Run([20, 40, 60], y, "#0072B2") for y in ([1.0, 0.5, 0.25], [1.1, 0.6, 0.2])]
    axes = plots.training_curves([Panel(label, runs) for label in LABELS], "classification loss")
    assert [word.replace("\n", " ") for word in words(axes) if "α" in word] == LABELS
    assert len(collected(axes, "training")) == 2 * len(LABELS)
    assert not collected(axes, "validation")
    assert axes.get_legend() is None
    assert_readable(axes.figure)


def test_a_curve_is_where_its_axis_says():
    run = Run([0, 50, 100], [1.0, 0.1, 0.01], "black", validation=([50, 100], [0.1, 0.01]))
    axes = plots.training_curves([Panel("a", [run])], "loss")
    (line,) = collected(axes, "training")
    (dashed,) = collected(axes, "validation")
    np.testing.assert_allclose(dashed, line[1:])
    x, y = line.T
    np.testing.assert_allclose(np.diff(x), x[1] - x[0], err_msg="iterations: a linear scale")
    np.testing.assert_allclose(np.diff(y), y[1] - y[0], err_msg="losses: a logarithmic scale")
    at = {text.get_text(): text.get_position() for text in axes.texts}
    for iteration in (0, 40, 80):
        assert at[str(iteration)][0] == pytest.approx(np.interp(iteration, run.iterations, x))
    assert at["1"][1] == pytest.approx(y[0]) and at["0.01"][1] == pytest.approx(y[2])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "training images", "validation images",
    ]  # fmt: skip
    assert_readable(axes.figure)


def test_each_panel_has_its_own_scale_of_the_loss():
    panels = [Panel("a", [Run([1, 2], [1.0, 0.1], "black")])]
    panels.append(Panel("b", [Run([1, 2], [2e4, 2e3], "black")]))
    axes = plots.training_curves(panels, "loss")
    small, large = collected(axes, "training")
    np.testing.assert_allclose(small[:, 1], large[:, 1])
    assert {"0.1", "1", "10000"} <= set(words(axes))
    assert_readable(axes.figure)


def test_a_diverged_run_ends_in_a_cross_at_its_last_finite_loss():
    run = Run([10, 20, 30, 40], [3.0, 50.0, math.inf, NAN], "black", diverged=True)
    axes = plots.training_curves([Panel("a", [run])], "loss")
    (curve,) = collected(axes, "training")
    (cross,) = axes.lines
    assert len(curve) == 2
    assert cross.get_marker() == "X"
    np.testing.assert_array_equal(cross.get_xydata()[0], curve[-1])


@pytest.mark.parametrize("loss", [[NAN, NAN], [0.0, -1.0], []])
def test_a_run_without_a_loss_that_can_be_drawn(loss):
    run = Run([10, 20][: len(loss)], loss, "black", diverged=True)
    axes = plots.training_curves([Panel("a", [run], "undefined")], "loss")
    assert not axes.lines and not collected(axes, "training")
    assert_readable(axes.figure)


def test_a_panel_without_runs_says_why():
    panels = [Panel("a", [Run([1, 2], [1.0, 0.5], "black")]), Panel("b", note="missing")]
    axes = plots.training_curves(panels, "loss")
    assert len(collected(axes, "training")) == 1 and "missing" in words(axes)
    assert_readable(axes.figure)
    assert_readable(plots.training_curves([Panel("b", note="missing")], "loss").figure)


def test_long_titles_of_training_curves_do_not_meet():
    titles = [f"OHEM, batch {size}, NMS 0.5" for size in ("16 (128)", "32 (256)", "64 (512)")]
    titles += ["OHEM 1:3, batch 16 (128), NMS 0.5"]
    titles += ["depth 34 (101), 168 (800) px", "FL* of the appendix, α = 0.25, γ = 2"]
    titles += ["a_method_of_one_long_word_that_nobody_would_choose", "W" * 12, "$x$ and $y$"]
    run = Run([1, 123456], [11.0, 0.5], "black", validation=([1, 123456], [90000.0, 0.5]))
    axes = plots.training_curves([Panel(title, [run]) for title in titles], "loss")
    shown = {word.replace("\n", "").replace(" ", "") for word in words(axes)}
    assert {title.replace(" ", "") for title in titles} <= shown
    assert_readable(axes.figure)


def test_a_run_of_almost_one_loss_has_few_ticks():
    axes = plots.training_curves([Panel("a", [Run([1, 2], [3e4, 3e4], "black")])], "loss")
    ticks = [word for word in words(axes) if word.isdigit() and int(word) > 1000]
    assert 2 <= len(ticks) <= 6
    assert_readable(axes.figure)


def cumulative(gammas, colour="#0072B2"):
    x = np.linspace(0, 1, 20)
    return [Line(f"γ = {g:g}", x, x ** (1 + g), colour, "--") for g in gammas]


def test_cumulative_losses_are_on_the_same_scales():
    kinds = {"foreground": cumulative([0, 1, 2]), "background": cumulative([0, 1, 2])}
    found = plots.cumulative_loss({"FL": kinds, "FL*": kinds})
    titles = ["FL: foreground", "FL: background", "FL*: foreground", "FL*: background"]
    assert [axes.get_title(loc="left") for axes in found] == titles
    assert {(axes.get_xlim(), axes.get_ylim()) for axes in found} == {((0, 1), (0, 1.02))}
    assert all(len(axes.lines) == 3 for axes in found)
    assert_readable(found[0].figure)


@pytest.fixture
def figure():
    return plots.loss_over_p_t([Line("CE", [0.1, 1.0], [2.0, 0.0], "black")]).figure


def test_the_same_figure_gives_the_same_bytes(figure):
    again = plots.loss_over_p_t([Line("CE", [0.1, 1.0], [2.0, 0.0], "black")]).figure
    other = plots.loss_over_p_t([Line("CE", [0.1, 1.0], [2.5, 0.0], "black")]).figure
    first, second, third = (drawing.to_files(one, "a") for one in (figure, again, other))
    assert first == second
    for kind in ("svg", "png", "pdf"):
        assert getattr(first, kind) != getattr(third, kind)


def test_drawing_a_figure_once_more_changes_nothing(figure):
    first = drawing.to_files(figure, "a")
    assert drawing.to_files(figure, "a") == first
    assert drawing.to_png(figure) == first.png


def test_a_file_is_what_it_is_called_and_has_no_date(figure):
    files = drawing.to_files(figure, "a")
    assert files.png.startswith(b"\x89PNG") and files.pdf.startswith(b"%PDF")
    assert b"Date" not in files.pdf and b"atplotlib" not in files.pdf + files.png
    assert files.svg.startswith("<?xml")


def test_settling_leaves_every_text_where_the_layout_had_put_it():
    def places(settled):
        axes = plots.ap_over_rows(LABELS, [dots([1.0] * 7), dots([30.0] * 7)])[0]
        if settled:
            drawing.settle(axes.figure)
        axes.figure.draw_without_rendering()
        return {t.get_text(): t.get_window_extent().bounds for t in texts_of(axes.figure)}

    free, settled = places(False), places(True)
    assert free.keys() == settled.keys()
    for word, bounds in free.items():
        np.testing.assert_allclose(settled[word], bounds, atol=1.0, err_msg=word)


def test_svg_needs_no_font_and_has_no_date(figure):
    svg = drawing.to_files(figure, "a").svg
    assert "<text" not in svg and "<image" not in svg and "<metadata" not in svg


def test_inline_svgs_share_no_id(figure):
    svg = drawing.to_files(figure, "a").svg
    first, second = (drawing.inline_svg(svg, name) for name in ("a", "b"))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    for text, known in zip((first, second), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
        assert used and set(used) <= known
    assert first.startswith("<svg ") and first.endswith("</svg>")
