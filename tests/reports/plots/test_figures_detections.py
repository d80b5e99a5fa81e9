"""The figures of what detectors find and miss: structure, and whether they can be read."""

import numpy as np
import pytest

from reports.figures.detections import DASHES, MARKERS
from reports.plots.detections import (
    MIN_MISS_RATE,
    ErrorBars,
    Reliability,
    error_types,
    miss_rate,
    precision_recall,
    reliability,
)
from reports.plots.losses import Line
from tests.reports.readable import assert_readable

NAN = float("nan")
NAMES = [
    "CE",
    "α-CE",
    "FL",
    "FL*",
    "FL*, capped at 5 and then some",
    "FL* (appendix of $the$ paper)",
]
FPPI = np.logspace(-2, 0, 9)


def lines(y, x=FPPI, names=NAMES, band=True):
    y = np.asarray(y, float)
    ends = {"low": 0.9 * y, "high": 1.1 * y} if band else {}
    return [
        Line(name, x, y, "#0072B2", dashes, marker, **ends)
        for name, dashes, marker in zip(names, DASHES, MARKERS, strict=False)
    ]


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_precision_recall_has_panels_on_the_same_scales():
    recall = np.linspace(0, 100, 101)
    panels = {title: lines(100 - recall, recall) for title in ("IoU 0.5", "IoU 0.75", "mean over")}
    found = precision_recall(panels)
    assert [axes.get_title(loc="left") for axes in found] == list(panels)
    assert {(axes.get_xlim(), axes.get_ylim()) for axes in found} == {((0, 100), (0, 102))}
    assert all(len(axes.lines) == len(axes.collections) == len(NAMES) for axes in found)
    assert legend_of(found[0].figure) == NAMES
    assert_readable(found[0].figure)


def test_a_band_only_where_there_are_several_seeds():
    (axes,) = precision_recall({"a": lines([1.0, 0.5], [0, 1], ["CE"], band=False)})
    assert len(axes.lines) == 1 and not axes.collections


@pytest.mark.parametrize(
    ("rates", "lowest"),
    [([90.0, 60.0, 20.5], 15), ([100.0] * 3, 80), ([50.0, 4.0, 0.3], 0.2), ([9.0, 0.0, 0.0], 0.1)],
)
def test_miss_rate_is_on_logarithmic_scales(rates, lowest):
    axes = miss_rate(lines(rates, FPPI[[0, 4, 8]]))
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.01", "0.1", "1"]
    ticks = axes.get_yticks()
    assert (ticks[0], ticks[-1]) == (lowest, 100) and 2 <= len(ticks) <= 10
    assert axes.get_ylim()[0] <= min(axes.lines[0].get_ydata())
    assert min(axes.lines[0].get_ydata()) >= MIN_MISS_RATE
    assert_readable(axes.figure)


def diagram(title="FL, ECE 3.5 %", counts=(1000, 10, 1, 0), accuracy=(10.0, 30.0, 60.0, NAN)):
    return Reliability(
        title, [0, 25, 50, 75, 100], [12.0, 40.0, 60.0, NAN], accuracy, counts, "#0072B2"
    )


def test_reliability_shows_the_diagonal_the_accuracy_and_the_counts():
    (axes,) = reliability([diagram()])
    diagonal, accuracy = axes.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [100, 100]]
    assert accuracy.get_xydata().tolist() == [[12, 10], [40, 30], [60, 60]]
    heights = [bar.get_height() for bar in axes.patches]
    # log(1000) / log(1000), log(10) / log(1000), log(1) / log(1000) of a third of the height
    assert heights == pytest.approx([100 / 3, 100 / 9, 0, 0])
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 100), (0, 100))


@pytest.mark.parametrize("number", [1, 2, 4, 6, 7])
def test_panels_of_reliability_share_their_scales(number):
    panels = [diagram(f"{name}, ECE 12.3 %") for name in [*NAMES, "a_name_" * 9][:number]]
    panels[0] = diagram(counts=(0, 0, 0, 0), accuracy=(NAN,) * 4)
    found = reliability(panels)
    assert len(found) == number
    assert {(axes.get_xlim(), axes.get_ylim()) for axes in found} == {((0, 100), (0, 100))}
    assert_readable(found[0].figure)


KINDS = ["class", "location", "both", "duplicate", "background", "missed", "", "all false"]


def error_bars(title="FL", values=(14.8, 2.7, 1.6, 0.2, 0.4, 2.8, NAN, 26.3), spread=0.0):
    values = np.asarray(values)
    return ErrorBars(title, values, values - spread, values + spread, "#0072B2")


@pytest.mark.parametrize("number", [1, 2, 4, 6, 7])
def test_bars_of_errors_are_on_one_scale(number):
    titles = [*NAMES, "a_name_" * 9][:number]
    panels = [error_bars(title, spread=n) for n, title in enumerate(titles)]
    found = error_types(KINDS, panels, "ΔAP₅₀ (%)")
    assert len({axes.get_xlim() for axes in found}) == 1
    assert [text.get_text() for text in found[0].get_yticklabels()] == [k for k in KINDS if k]
    for axes, panel in zip(found, panels, strict=True):
        bars = [patch.get_width() for patch in axes.patches]
        assert bars == pytest.approx(np.nan_to_num(panel.values).tolist())
        printed = [text.get_text() for text in axes.texts]
        assert printed == [f"{value:.1f}" for value in panel.values if np.isfinite(value)]
    assert len(found[0].lines) == 0, "no whiskers for one seed"
    assert all(len(axes.lines) == 7 for axes in found[1:])
    assert_readable(found[0].figure)


def test_bars_of_no_error_at_all():
    found = error_types(KINDS, [error_bars(values=[0.0] * 8)], "ΔAP₅₀ (%)")
    assert found[0].get_xlim() == (0, 1)
    assert_readable(found[0].figure)


def test_settings_of_a_figure_differ_in_grey():
    assert len(set(DASHES)) == len(DASHES) == len(set(MARKERS))
