import math
import re

import numpy as np
import pytest

from reports.figures.losses import loss_over_p_t_figure
from reports.plots import drawing, svg
from reports.plots.losses import Line, loss_over_p_t, loss_share_over_examples
from reports.plots.rows import Dots, ap_over_rows
from reports.plots.training import Panel, Trace, spread, training_curves
from tests.reports.readable import assert_readable, texts_of

NAN = float("nan")
LABELS = [f"γ = {gamma:g}, α = 0.25" for gamma in (0, 0.1, 0.2, 0.5, 1, 2, 5)]


def test_loss_over_p_t_draws_every_line_within_limits():
    x = np.linspace(0.01, 1, 50)
    axes = loss_over_p_t([Line("CE", x, -np.log(x), "black"), Line("b", x, x, "red", "--")])
    assert [line.get_label() for line in axes.lines] == ["CE", "b"]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 5))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["CE", "b"]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), -np.log(x))
    assert_readable(axes.figure)


def test_the_losses_that_were_compared_are_drawn(broken_folder, monkeypatch):
    drawn, draw = [], loss_over_p_t

    def watched(lines, width):
        drawn[:] = lines
        return draw(lines, width=width)

    monkeypatch.setattr("reports.figures.losses.loss_over_p_t", watched)
    monkeypatch.setattr("reports.figures.illustration._KNOWN", {})
    found = loss_over_p_t_figure(broken_folder.load()).figure
    labels = [line.label for line in drawn]
    assert labels[0] == "CE" and {"FL, γ = 2", "FL*, γ = 0.5"} <= set(labels)
    assert labels[-1] == "FL* of the paper's appendix, γ = 2, β = 1"
    at_one_half = {line.label: np.interp(0.5, line.x, line.y) for line in drawn}
    assert at_one_half["CE"] == pytest.approx(math.log(2), rel=1e-3)
    assert at_one_half["FL, γ = 2"] == pytest.approx(math.log(2) / 4, rel=1e-3)
    assert at_one_half["FL*, γ = 0.5"] == pytest.approx(math.log(2), rel=1e-3)
    # s = 0: log(1 + exp(-1)) / 2
    appendix = math.log(1 + math.exp(-1)) / 2
    assert at_one_half[labels[-1]] == pytest.approx(appendix, rel=1e-3)
    assert len({(line.colour, line.dashes) for line in drawn}) == len(drawn)
    assert all(line.label in found.alternative for line in drawn)


def dots(values, **options):
    return Dots("AP (%), ours", values, ["#0072b2"] * len(values), **options)


def test_ap_over_rows_has_a_panel_and_a_scale_for_each_series():
    ours = dots([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, NAN], notes=[""] * 6 + ["missing"])
    theirs = Dots("AP (%), published", [30.0] * 7, ["#555555"] * 7, filled=False)
    left, right = ap_over_rows(LABELS, [ours, theirs])
    assert (left.get_xlabel(), right.get_xlabel()) == ("AP (%), ours", "AP (%), published")
    assert [text.get_text() for text in left.get_yticklabels()] == LABELS
    assert left.get_ylim()[0] > left.get_ylim()[1], "the first row is on top"
    assert left.get_xlim()[0] == right.get_xlim()[0] == 0
    assert 6 < left.get_xlim()[1] < 12 < 30 < right.get_xlim()[1]
    assert [line.get_xdata()[0] for line in left.lines] == [1, 2, 3, 4, 5, 6]
    assert [text.get_text() for text in left.texts] == ["missing"]
    assert {line.get_markerfacecolor() for line in right.lines} == {"#ffffff"}
    assert_readable(left.figure)


def test_bars_only_where_there_is_an_interval():
    (without,) = ap_over_rows(["a", "b"], [dots([1.0, 2.0], low=[NAN] * 2, high=[NAN] * 2)])
    assert not without.containers
    (with_one,) = ap_over_rows(["a", "b"], [dots([1.0, 2.0], low=[NAN, 1.5], high=[NAN, 3.0])])
    (bar,) = with_one.containers
    (segment,) = bar.lines[2][0].get_segments()
    assert segment.tolist() == [[1.5, 1], [3.0, 1]]
    assert with_one.get_xlim()[1] > 3.0


def test_a_diverged_row_is_a_cross_with_a_word():
    (axes,) = ap_over_rows(
        ["a", "b"], [dots([0.0, 2.0], crossed=[True, False], notes=["diverged", ""])]
    )
    assert [line.get_marker() for line in axes.lines] == ["X", "o"]
    assert [text.get_text() for text in axes.texts] == ["diverged"]


def test_rows_without_any_value_can_be_drawn():
    (axes,) = ap_over_rows(["a"], [dots([NAN], notes=["failed"])])
    assert not axes.lines and axes.get_xlim() == (0, 1)
    assert_readable(axes.figure)


def test_long_labels_of_rows_leave_room_for_the_dots():
    labels = [f"OHEM 1:3, batch {n} (128), NMS 0.5, a $5$ prize_{{}}" for n in range(3)]
    (axes,) = ap_over_rows(labels, [dots([1.0, 1.0, 1.0], notes=["stale", "", "diverged"])])
    assert_readable(axes.figure)
    assert axes.bbox.width > 0.2 * axes.figure.bbox.width


def test_on_a_phone_a_label_stands_above_its_row():
    ours, effect = dots([1.0] * 7), dots([0.1] * 7, notes=["reference"] + [""] * 6)
    long = [f"RetinaNet, depth 34 (101), {size} (800) px" for size in range(150, 157)]
    found = ap_over_rows(long, [ours], [effect], width=drawing.NARROW)
    labels = {text.get_text(): text.xy[1] for text in found[0].texts if text.get_text()}
    assert [labels[label] for label in long] == list(range(7))
    assert not any(label.get_visible() for label in found[0].get_yticklabels())
    assert_readable(found[0].figure)


def trace(loss, label="a", **options):
    iterations = 20 * np.arange(1, len(loss) + 1)
    return Trace(label, iterations, loss, "#0072b2", **options)


@pytest.mark.parametrize("width", [drawing.WIDTH, drawing.NARROW])
def test_lines_of_training_are_labelled_at_their_ends(width):
    traces = [trace([1.0, 0.5 + k / 100], f"α = 0.25, γ = {k}") for k in range(14)]
    panels = [Panel("training images", traces), Panel("validation images", traces)]
    found = training_curves(panels, "classification loss", width=width)
    for axes in found:
        assert axes.get_yscale() == "log" and len(axes.lines) == 14
        places = {text.get_text(): text.get_position()[1] for text in axes.texts}
        assert list(places) == [one.label for one in traces]
        assert sorted(places, key=places.get) == list(places), "in the order of their ends"
    assert_readable(found[0].figure)


def test_a_line_without_a_label_is_thin():
    (axes,) = training_curves([Panel("a", [trace([1.0, 0.5]), trace([2.0, 1.0], "")])], "x")
    labelled, other = axes.lines
    assert labelled.get_linewidth() > other.get_linewidth() and len(axes.texts) == 1


def test_a_diverged_run_ends_in_a_cross_at_its_last_finite_loss():
    run = trace([3.0, 50.0, math.inf, NAN], diverged=True)
    (axes,) = training_curves([Panel("a", [run])], "loss")
    curve, cross = axes.lines
    assert len(curve.get_xydata()) == 2 and cross.get_marker() == "X"
    np.testing.assert_array_equal(cross.get_xydata()[0], curve.get_xydata()[-1])


@pytest.mark.parametrize("loss", [[NAN, NAN], [0.0, -1.0], []])
def test_a_run_without_a_loss_that_can_be_drawn(loss):
    (axes,) = training_curves([Panel("a", [trace(loss, diverged=True)])], "loss")
    assert not any(len(line.get_xydata()) for line in axes.lines) and not axes.texts
    assert_readable(axes.figure)


@pytest.mark.parametrize("loss", [[3e4, 3e4], [1e-3, 1e4]])
def test_a_scale_of_losses_has_a_few_plain_numbers(loss):
    (axes,) = training_curves([Panel("a", [trace(loss)])], "loss")
    low, high = axes.get_ylim()
    shown = [t.get_text() for t, y in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
             if low <= y <= high]  # fmt: skip
    assert 1 <= len(shown) <= 8 and all(float(text) > 0 for text in shown)
    assert_readable(axes.figure)


def test_labels_are_moved_apart_as_little_as_needed():
    np.testing.assert_allclose(spread([0.5, 2.0], [0.2, 0.2], 3.0), [0.5, 2.0])
    np.testing.assert_allclose(spread([1.0, 1.0, 0.0], [0.2] * 3, 3.0), [1.0, 1.2, 0.1])
    np.testing.assert_allclose(spread([3.0, 3.0], [0.2, 0.4], 3.0), [2.5, 2.8])


def cumulative(gammas, colour="#0072B2"):
    x = np.linspace(0, 1, 20)
    return [Line(f"γ = {g:g}", x, x ** (1 + g), colour, "--") for g in gammas]


def test_cumulative_losses_are_on_the_same_scales():
    kinds = {"foreground": cumulative([0, 1, 2]), "background": cumulative([0, 1, 2])}
    found = loss_share_over_examples({"FL": kinds, "FL*": kinds})
    titles = ["FL: foreground", "FL: background", "FL*: foreground", "FL*: background"]
    assert [axes.get_title(loc="left") for axes in found] == titles
    assert {(axes.get_xlim(), axes.get_ylim()) for axes in found} == {((0, 1), (0, 1.02))}
    assert all(len(axes.lines) == 3 for axes in found)
    assert_readable(found[0].figure)


def test_a_panel_can_start_with_the_hardest_examples():
    x = np.array([0.0, 0.5, 0.999, 1.0])
    lines = [Line("CE", x, np.array([0.0, 0.01, 0.2, 1.0]), "black")]
    first, second = loss_share_over_examples({"CE": {"all": lines, "hardest": lines}}, ["hardest"])
    assert (first.get_xscale(), second.get_xscale()) == ("linear", "log")
    drawn_x, drawn_y = second.lines[0].get_data()
    np.testing.assert_allclose(drawn_x, [0.001, 0.5, 1.0])
    np.testing.assert_allclose(drawn_y, [0.8, 0.99, 1.0])
    assert_readable(first.figure)


@pytest.fixture
def figure():
    return loss_over_p_t([Line("CE", [0.1, 1.0], [2.0, 0.0], "black")]).figure


def test_the_same_figure_gives_the_same_bytes(figure):
    again = loss_over_p_t([Line("CE", [0.1, 1.0], [2.0, 0.0], "black")]).figure
    other = loss_over_p_t([Line("CE", [0.1, 1.0], [2.5, 0.0], "black")]).figure
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
    assert files.svg.startswith("<svg ")


def test_settling_leaves_every_text_where_the_layout_had_put_it():
    def places(settled):
        axes = ap_over_rows(LABELS, [dots([1.0] * 7), dots([30.0] * 7)])[0]
        if settled:
            drawing.settle(axes.figure)
        axes.figure.draw_without_rendering()
        return {t.get_text(): t.get_window_extent().bounds for t in texts_of(axes.figure)}

    free, settled = places(False), places(True)
    assert free.keys() == settled.keys()
    for word, bounds in free.items():
        np.testing.assert_allclose(settled[word], bounds, atol=1.0, err_msg=word)


def test_svg_has_real_text_and_no_date(figure):
    svg = drawing.to_files(figure, "a").svg
    assert ">loss</text>" in svg and "pₜ, probability given to the true label</text>" in svg
    assert "<image" not in svg and "<metadata" not in svg and "DejaVu" not in svg


def test_the_colours_of_a_file_are_those_of_light_paper_and_of_a_page_its_variables():
    axes = ap_over_rows(["a"], [dots([1.0])])[0]
    text = drawing.to_files(axes.figure, "a").svg
    assert "#0072b2" in text and "var(" not in text
    element = svg.inline(text, "a", "wide")
    assert "var(--c-focal)" in element and "var(--c-ink)" in element
    assert not re.findall(r"#[0-9a-f]{6}", element), "a colour that does not follow the theme"


def test_inline_svgs_share_no_id(figure):
    text = drawing.to_files(figure, "a").svg
    first, second = (svg.inline(text, name) for name in ("a", "b"))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    for text, known in zip((first, second), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
        assert used and set(used) == known
    assert first.startswith("<svg ") and first.endswith("</svg>")
