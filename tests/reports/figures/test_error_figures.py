"""Figures of what the detectors find, miss and believe, and of where their loss comes from."""

import itertools
import math
import re
import sys

import numpy as np
import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from reports.figures.detections import (
    error_types_figure,
    miss_rate_figure,
    precision_recall_figure,
    reliability_figure,
)
from reports.figures.losses import cumulative_loss_figures
from reports.plots import drawing, formulas
from reports.plots.detections import (
    ErrorBars,
    Reliability,
    error_types,
    miss_rate,
    precision_recall,
    reliability,
)
from reports.plots.losses import Line, loss_share_over_examples
from reports.results.labels import TIDE_ERRORS, loss_label
from tests.reports.analyses import analysis, loss_distribution
from tests.reports.readable import assert_readable

MEASURED = {
    precision_recall_figure: precision_recall,
    reliability_figure: reliability,
    error_types_figure: error_types,
    miss_rate_figure: miss_rate,
}
"""Function of ``figures`` -> the plot that it draws."""

LONG = "FL* with a capped weight, a prior of its own and many words more, the number {}"
LOSSES = ("ce", "focal", "focal_star")
CE, FL, STAR = range(3)


def headline(names=("CE", "FL", "FL*")):
    rows = (
        ("ce", {"alpha": None}),
        ("focal", {"alpha": 0.25, "gamma": 1.0}),
        ("focal_star", {"alpha": 0.75, "gamma": 0.125}),
    )
    return Grid(
        name="headline",
        title="The losses",
        columns=("method", "alpha", "gamma"),
        rows=tuple(
            Row({"method": name, **values}, Setting.of(loss=loss, **values))
            for name, (loss, values) in zip(names, rows, strict=True)
        ),
    )


def add(folder, number, seed=1, ap=20.0, measured=None, **result):
    cell = folder.cell(0, number, seed)
    entries = {
        "analysis": measured or analysis(ap, seed=seed),
        "loss_distribution": loss_distribution(),
    }
    folder.add(cell, ap, result={"metrics": {"AP": ap}, "iterations": 60} | entries | result)


@pytest.fixture
def folder(make_folder):
    """A headline of two seeds, all of them done."""
    folder = make_folder(2, (headline(),))
    for number, seed in itertools.product(range(3), (1, 2)):
        add(folder, number, seed, ap=10.0 * (number + 1) + seed)
    return folder


def watch(monkeypatch, draw, make):
    """What a plot is given by the function of ``figures`` that uses it, and the Axes it returns."""
    calls, name = [], draw.__name__

    def watched(*numbers, **options):
        found = draw(*numbers, **options)
        if options["width"] == drawing.WIDTH:
            calls.append((numbers, found))
        else:
            assert_readable(drawing.figure_of(np.ravel(found)[0]))
        return found

    watched.__qualname__ = f"{name} of a test"  # not one that has been drawn before
    monkeypatch.setattr(sys.modules[make.__module__], name, watched)
    monkeypatch.setattr("reports.figures.illustration._KNOWN", {})
    return calls


def limits(axes):
    return {(one.get_xlim(), one.get_ylim()) for one in axes}


# The cumulative loss.


def test_cumulative_loss_by_hand():
    # CE at p_t = 1/2 is log 2, at p_t = 1/4 it is 2 log 2: two easy examples carry half.
    s, counts = np.array([-math.log(3), 0.0]), np.array([1, 2])
    for loss in formulas.OF_LOGIT.values():
        examples, share = formulas.cumulative_shares(s, counts, lambda s, loss=loss: loss(s, 0.0))
        np.testing.assert_allclose(examples, [0, 2 / 3, 1])
        np.testing.assert_allclose(share, [0, 1 / 2, 1])


@pytest.mark.parametrize("gamma", [0.0, 0.125, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("loss", formulas.OF_LOGIT)
def test_of_logits_are_the_losses_of_p_t(loss, gamma):
    s = np.linspace(-9, 9, 181)
    p_t = 1 / (1 + np.exp(-s))
    np.testing.assert_allclose(
        formulas.OF_LOGIT[loss](s, gamma), formulas.LOSSES[loss](p_t, gamma), rtol=1e-9
    )
    far = formulas.OF_LOGIT[loss](np.array([-1e4, -100.0, 100.0, 1e4]), gamma)
    assert np.isfinite(far).all() and (np.diff(far) <= 0).all()


@pytest.mark.parametrize(
    ("loss", "gamma"),
    [("focal", gamma) for gamma in (0.0, 0.5, 1.0, 2.0)]
    + [("focal_star", gamma) for gamma in (0.125, 0.25, 0.5, 1.0)],
)
def test_histograms_give_the_cumulative_loss_of_the_examples(loss, gamma):
    """Against the sorted losses of the samples themselves, to 0.1 % of the whole.

    The bins are 0.05 wide. The logarithm of a loss falls by at most 1 + gamma per unit of s, so a
    bin's loss is off by at most a factor exp(0.025 (1 + gamma)); nearly all of that cancels.
    """
    rng = np.random.default_rng(0)
    sample = np.concatenate([rng.normal(4.5, 1.5, 200_000), rng.normal(-1, 1, 5_000)])

    losses = np.sort(formulas.OF_LOGIT[loss](sample, gamma))  # the easiest first
    exact = np.cumsum(losses) / losses.sum()

    counts, edges = np.histogram(sample, np.linspace(-20, 20, 801))
    examples, share = formulas.cumulative_shares(
        (edges[:-1] + edges[1:]) / 2, counts, lambda s: formulas.OF_LOGIT[loss](s, gamma)
    )
    at = np.rint(examples[1:] * len(sample)).astype(int)
    filled = at > 0  # before that there is no example
    np.testing.assert_allclose(share[1:][filled], exact[at[filled] - 1], atol=1e-3)
    assert np.all(np.diff(examples) >= 0) and np.all(np.diff(share) >= 0)


def test_no_example_has_no_cumulative_loss():
    for s, counts in ((np.empty(0), np.empty(0)), (np.zeros(2), np.zeros(2))):
        found = formulas.cumulative_shares(s, counts, lambda s: formulas.focal_of_logit(s, 2.0))
        assert [len(one) for one in found] == [0, 0]


def test_cumulative_loss_of_the_first_seed_that_has_it(folder, monkeypatch):
    add(folder, FL, 1, 21.0, loss_distribution=None)
    calls = watch(monkeypatch, loss_share_over_examples, cumulative_loss_figures)
    of_focal, of_star = cumulative_loss_figures(folder.load())
    assert "trained with FL (α = 0.25, γ = 1), seed 2" in of_focal.note
    assert "trained with FL* (α = 0.75, γ = 0.125), seed 1" in of_star.note
    for (rows, hardest_first), axes in calls:
        assert list(hardest_first) == ["background"]
        assert [list(panels) for panels in rows.values()] == [["foreground", "background"]] * 2
        assert [[line.label for line in panels["background"]] for panels in rows.values()] == [
            ["γ = 0 (CE)", "γ = 0.5", "γ = 1", "γ = 2"],
            ["γ = 0 (CE)", "γ = 0.125", "γ = 0.25", "γ = 0.5", "γ = 1"],
        ]
        assert limits(axes[::2]) == {((0, 1), (0, 1.02))}, "the panels of the foreground"
        assert_readable(axes[0].figure)
    counted = loss_distribution()["background"]["counts"]
    assert f"{sum(counted):,} background" in of_focal.note


def test_the_share_of_the_hardest_background_is_told(folder):
    entry = loss_distribution()
    (found, _) = cumulative_loss_figures(folder.load())
    width = (entry["high"] - entry["low"]) / entry["num_bins"]
    s = entry["low"] + (np.array(entry["background"]["bins"]) + 0.5) * width
    for loss, gamma in (("focal", 0.5), ("focal_star", 0.5)):
        examples, share = formulas.cumulative_shares(
            s,
            np.array(entry["background"]["counts"]),
            lambda s, loss=loss, gamma=gamma: formulas.OF_LOGIT[loss](s, gamma),
        )
        carried = 100 * (1 - np.interp(0.999, examples, share))
        label = f"{loss_label(loss).short}: γ"
        (told,) = (part for part in found.figure.alternative.split("; ") if label in part)
        assert f"γ = {gamma:g}: {carried:.1f} %" in told


# All of the figures, from records.


@pytest.mark.parametrize("make", [*MEASURED, cumulative_loss_figures])
def test_without_entries_there_is_a_reason(make_folder, make):
    folder = make_folder(1, (headline(),))
    folder.add(folder.cell(0, CE), 4.0)
    folder.add(folder.cell(0, FL), status="diverged")
    found = make(folder.load())
    found = found[0] if isinstance(found, list) else found
    assert found.figure is None and found.note.startswith("No record")


@pytest.mark.parametrize("make", MEASURED)
def test_rows_without_it_are_named(folder, make):
    for seed in (1, 2):
        add(folder, CE, seed, measured={"version": 1})
        folder.add(folder.cell(0, STAR, seed), status="diverged")
    found = make(folder.load())
    assert "No data: CE, FL* (diverged)." in found.note
    assert re.search(r"\bFL\b", found.figure.alternative)
    assert not re.search(r"\bCE\b", found.figure.alternative)


@pytest.mark.parametrize("make", MEASURED)
def test_a_mean_says_of_how_many_seeds_it_is(folder, make):
    complete = make(folder.load()).note
    folder.add(folder.cell(0, STAR, 2), status="diverged")
    assert "fewer seeds" not in complete
    assert "Fewer seeds: FL* (1 of 2, 1 diverged)." in make(folder.load()).note


@pytest.mark.parametrize("make", MEASURED)
@pytest.mark.parametrize("broken", [{"tide": 3, "calibration": [], "miss_rate": {"fppi": "x"}}])
def test_what_cannot_be_read_is_left_out(folder, make, broken):
    add(folder, CE, 1, measured=broken | {"precision_recall": {"0.50": [1.0]}})
    found = make(folder.load())
    assert found.figure is not None and "nan" not in found.figure.alternative


def test_calibration_without_bins_is_none(folder):
    for number, seed in itertools.product(range(3), (1, 2)):
        add(folder, number, seed, measured={"calibration": {"bins": []}})
    assert reliability_figure(folder.load()).figure is None


def undefined(found, kind):
    """An analysis as it is where nothing was detected, or where nothing is defined."""
    if kind == "no detections":
        found["calibration"] |= {"ece": None, "mce": None}
        for one in found["calibration"]["bins"]:
            one |= {"count": 0, "confidence": None, "accuracy": None}
        found["miss_rate"] |= {"lamr": 1.0, "miss_rate": [1.0] * 9}
    else:
        found["calibration"]["ece"] = found["miss_rate"]["lamr"] = None
    return found


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", MEASURED)
@pytest.mark.parametrize("kind", ["no detections", "no number"])
def test_undefined_numbers_are_no_nan(folder, monkeypatch, make, kind):
    for seed in (1, 2):
        add(folder, FL, seed, measured=undefined(analysis(0.0, seed=seed), kind))
    calls = watch(monkeypatch, MEASURED[make], make)
    found = make(folder.load())
    assert "nan" not in found.figure.alternative + found.note
    ((_, axes),) = calls
    assert_readable(np.ravel(axes)[0].figure)


@pytest.mark.filterwarnings("error")
def test_a_detector_that_misses_nothing(folder):
    for number, seed in itertools.product(range(3), (1, 2)):
        found = analysis(60.0)
        found["miss_rate"] |= {"lamr": 0.0, "miss_rate": [0.0] * 9}
        add(folder, number, seed, measured=found)
    assert "CE: LAMR 0.0 %" in miss_rate_figure(folder.load()).figure.alternative


@pytest.mark.parametrize("make", MEASURED)
def test_long_names_lie_on_nothing(make_folder, monkeypatch, make):
    folder = make_folder(1, (headline([LONG.format(n) for n in range(3)]),))
    for number in range(3):
        add(folder, number)
    calls = watch(monkeypatch, MEASURED[make], make)
    make(folder.load())
    ((_, axes),) = calls
    assert_readable(np.ravel(axes)[0].figure)


def test_precision_recall_is_the_mean_over_the_seeds(folder, monkeypatch):
    ((panels,), axes) = drawn_once(folder, monkeypatch, precision_recall_figure)
    for (title, lines), iou in zip(panels.items(), ("0.50", "0.75", "mean"), strict=True):
        assert [line.label for line in lines] == ["CE", "FL", "FL*"]
        both = [100 * np.array(analysis(20.0 + n, seed=n)["precision_recall"][iou]) for n in (1, 2)]
        np.testing.assert_allclose(lines[FL].y, np.mean(both, axis=0), err_msg=title)
        np.testing.assert_allclose(lines[FL].low, np.min(both, axis=0))
        assert [line.colour for line in lines] == [loss_label(loss).colour for loss in LOSSES]
        assert len({line.dashes for line in lines}) == 3, "apart in grey"
    assert len(limits(axes)) == 1 and len(axes) == 3
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["CE", "FL", "FL*"]


def test_reliability_pools_the_seeds(folder, monkeypatch):
    ((panels,), axes) = drawn_once(folder, monkeypatch, reliability_figure)
    both = [analysis(20.0 + n, seed=n)["calibration"] for n in (1, 2)]
    bins = [[one["bins"][3] for one in both]]
    right = sum(one["count"] * one["accuracy"] for one in bins[0])
    number = sum(one["count"] for one in bins[0])
    assert panels[FL].accuracy[3] == pytest.approx(100 * right / number)
    assert panels[FL].counts[3] == number / 2
    ece = 100 * np.mean([one["ece"] for one in both])
    assert panels[FL].title == axes[FL].get_title(loc="left") == f"FL, ECE {ece:.1f} %"
    assert limits(axes) == {((0, 100), (0, 100))}


def test_error_types_have_a_bar_for_each_kind(folder, monkeypatch):
    ((kinds, panels, _), axes) = drawn_once(folder, monkeypatch, error_types_figure)
    expected = analysis(20.0)["tide"]["delta_AP50"]
    shown = [number for number, kind in enumerate(kinds) if kind]  # the others are gaps
    assert [kinds[number] for number in shown] == list(TIDE_ERRORS.values())
    expected = [expected[kind] for kind in TIDE_ERRORS]
    for panel, one in zip(panels, axes, strict=True):
        np.testing.assert_allclose(np.asarray(panel.values)[shown], expected)
        assert [one.patches[number].get_width() for number in shown] == pytest.approx(expected)
        assert [text.get_text() for text in one.texts] == [f"{value:.1f}" for value in expected]
    assert len(limits(axes)) == 1


def test_miss_rate_has_its_log_average_in_the_legend(folder, monkeypatch):
    ((lines,), axes) = drawn_once(folder, monkeypatch, miss_rate_figure)
    lamr = 100 * np.mean([analysis(20.0 + n, seed=n)["miss_rate"]["lamr"] for n in (1, 2)])
    assert lines[FL].label == f"FL: LAMR {lamr:.1f} %"
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [line.label for line in lines]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    low, high = axes.get_ylim()
    assert all(low <= value <= high for line in lines for value in [*line.y, *line.low])
    assert len({(line.dashes, line.marker) for line in lines}) == 3, "apart in grey"


def drawn_once(folder, monkeypatch, make):
    """What the figure was drawn from, and its Axes."""
    calls = watch(monkeypatch, MEASURED[make], make)
    found = make(folder.load())
    ((numbers, axes),) = calls
    assert_readable(np.ravel(axes)[0].figure)
    for name in ("CE", "FL", "FL*"):
        assert name in found.figure.alternative
    return numbers, axes


def test_many_settings_find_room():
    """More than a headline has, with names of any length."""
    names = [LONG.format(number) for number in range(7)]
    nine = np.linspace(0.1, 1, 9)
    lines = [Line(name, nine, 90 * nine, "#0072B2") for name in names]
    panels = [
        Reliability(name, np.linspace(0, 100, 11), *np.full((3, 10), 50.0), "#0072B2")
        for name in names
    ]
    bars = [ErrorBars(name, *np.full((3, 2), 30.0), "#0072B2") for name in names]
    for axes in (
        precision_recall({"IoU 0.5": lines, "IoU 0.75": lines}),
        miss_rate(lines),
        reliability(panels),
        error_types(["class", "location"], bars, "ΔAP₅₀ (%)"),
    ):
        assert_readable(np.ravel(axes)[0].figure)


def test_the_same_records_give_the_same_bytes(folder, monkeypatch):
    for make in MEASURED:
        files = []
        for _ in range(2):
            monkeypatch.setattr("reports.figures.illustration._KNOWN", {})
            one = make(folder.load()).figure
            files.append((one.svg, one.png, one.pdf))
        assert files[0] == files[1]
        assert one.svg.startswith("<svg") and one.pdf.startswith(b"%PDF")
