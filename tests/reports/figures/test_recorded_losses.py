"""Losses without a formula in the report, such as a user's own."""

import numpy as np
import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from focal_star.training.loss_proof import loss_curve
from reports.figures.losses import cumulative_loss_figures, loss_over_p_t_figure
from reports.figures.recorded_losses import recorded_losses, summaries
from reports.page.contents import report
from reports.plots import losses as plots
from tests.reports.analyses import loss_distribution
from tests.reports.readable import assert_readable

S = np.linspace(-30, 30, 241)
SUMMARY = "Poly-1 of the cross entropy: arXiv:2204.12511."


def poly1(s):
    return np.logaddexp(0, -s) + 1 / (1 + np.exp(s))


def curve(positive=poly1, negative=poly1):
    labels = {"positive": positive(S).tolist(), "negative": negative(S).tolist()}
    return {"low": -30.0, "high": 30.0, **labels}


POLY1 = {"loss": "poly1", "alpha": 0.25, "gamma": 1.0}


def headline(**rows):
    """A table with a row for each method, whose values are those of its setting."""
    return Grid(
        name="headline",
        title="The losses",
        columns=("method", "gamma"),
        rows=tuple(Row({"method": name} | row, Setting.of(**row)) for name, row in rows.items()),
    )


@pytest.fixture
def folder(make_folder):
    return make_folder(1, (headline(CE={"loss": "ce"}, Mine=POLY1),))


def add(folder, loss):
    folder.add(folder.cell(0, 0), 10.0)
    result = {"metrics": {"AP": 20.0}, "loss": loss, "loss_distribution": loss_distribution()}
    folder.add(folder.cell(0, 1), 20.0, result=result)


def watch(monkeypatch, name):
    """What a plot of the losses is given, at every width."""
    calls, draw = [], getattr(plots, name)

    def watched(*numbers, **options):
        calls.append(numbers)
        found = draw(*numbers, **options)
        assert_readable(np.ravel(found)[0].figure)
        return found

    watched.__qualname__ = f"{name} of a test"
    monkeypatch.setattr(f"reports.figures.losses.{name}", watched)
    monkeypatch.setattr("reports.figures.illustration._KNOWN", {})
    return calls


def test_the_loss_of_a_user_is_drawn_as_its_training_recorded_it(folder, monkeypatch):
    """By hand at p_t = 1/2: log 2 + 1/2; at 1/4: 2 log 2 + 3/4."""
    add(folder, {"curve": curve(), "summary": SUMMARY})
    calls = watch(monkeypatch, "loss_over_p_t")
    found = loss_over_p_t_figure(folder.load())
    (line,) = (line for line in calls[0][0] if line.label == "poly1, γ = 1")
    values = np.interp([0.25, 0.5], line.x, line.y)
    assert values == pytest.approx([2 * np.log(2) + 0.75, np.log(2) + 0.5], rel=5e-3)
    assert "poly1, γ = 1" in found.figure.alternative
    assert found.note.endswith(" poly1: as recorded in training.")
    assert len({(line.colour, line.dashes) for line in calls[0][0]}) == len(calls[0][0])


def test_a_loss_that_differs_between_the_labels_has_two_lines(folder, monkeypatch):
    add(folder, {"curve": curve(negative=lambda s: 3 * poly1(s))})
    calls = watch(monkeypatch, "loss_over_p_t")
    loss_over_p_t_figure(folder.load())
    at_half = {line.label: np.interp(0.5, line.x, line.y) for line in calls[0][0]}
    foreground, background = (
        at_half[f"poly1, γ = 1, {kind}"] for kind in ("foreground", "background")
    )
    assert background == pytest.approx(3 * foreground)


def test_its_model_and_its_share_of_the_loss_are_drawn(folder, monkeypatch):
    """The loss of the record is the cross entropy here, so its shares are those of gamma = 0."""
    add(folder, {"curve": curve(*2 * [lambda s: np.logaddexp(0, -s)])})
    calls = watch(monkeypatch, "loss_share_over_examples")
    (found,) = cumulative_loss_figures(folder.load())
    assert "trained with Mine (α = 0.25, γ = 1), seed 1" in found.note
    rows, _ = calls[0]
    assert list(rows) == ["FL", "FL*", "poly1"]
    for kind, (line,) in rows["poly1"].items():
        same = rows["FL"][kind][0]
        assert line.label == "γ = 1" and same.label == "γ = 0 (CE)"
        at = np.linspace(0, 1, 101)
        shares, expected = (np.interp(at, one.x, one.y) for one in (line, same))
        np.testing.assert_allclose(shares, expected, atol=0.01)
    assert "poly1: γ = 1: " in found.figure.alternative


def test_the_section_says_what_the_loss_is(folder):
    add(folder, {"curve": curve(), "summary": SUMMARY})
    results = folder.load()
    assert summaries(results) == {"poly1": SUMMARY}
    (section,) = (each for each in report(results).sections if each.anchor == "losses")
    assert f"poly1: {SUMMARY}" in [
        part for block in section.blocks for part in getattr(block, "parts", ())
    ]


@pytest.mark.parametrize(
    "loss",
    [
        None,
        {},
        {"curve": None},
        {"curve": "x"},
        {"curve": {}},
        {"curve": curve() | {"low": None}},
        {"curve": curve() | {"low": 40.0}},
        {"curve": curve() | {"low": -1e308, "high": 1e308}},
        {"curve": curve() | {"high": "1e999"}},
        {"curve": curve() | {"positive": [1.0]}},
        {"curve": curve() | {"positive": [None] * 241}},
        {"curve": curve() | {"positive": [1.0, *[None] * 240]}},
        {"curve": curve() | {"negative": [[1.0]] * 241}},
        {"curve": curve() | {"negative": ["x"] * 241}},
    ],
)
def test_a_record_without_a_usable_curve_has_no_line(folder, loss):
    add(folder, loss)
    assert recorded_losses(folder.load()) == []
    assert "poly1" not in loss_over_p_t_figure(folder.load()).note


def test_points_that_are_not_finite_are_left_out(folder):
    values = curve()
    for label in ("positive", "negative"):
        values[label][:20] = [None] * 20
    add(folder, {"curve": values, "summary": SUMMARY})
    results = folder.load()
    (loss,) = recorded_losses(results)
    assert loss.is_symmetric and loss.of_logit(np.zeros(1), "positive") == pytest.approx(poly1(0.0))
    assert len(loss.points["positive"][0]) == 221


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_loss_that_is_nowhere_positive_has_no_share(folder, monkeypatch, value):
    """Such as one with a margin, on examples that are all within it."""
    add(folder, {"curve": curve(*2 * [lambda s: np.full(s.shape, value)])})
    calls = watch(monkeypatch, "loss_share_over_examples")
    (found,) = cumulative_loss_figures(folder.load())
    assert found.figure is not None and "poly1: " not in found.figure.alternative
    rows, _ = calls[0]
    assert [len(line.x) for lines in rows["poly1"].values() for line in lines] == [0, 0]


def test_each_kind_of_examples_has_the_loss_of_its_label(folder, monkeypatch):
    add(folder, {"curve": curve(positive=lambda s: np.zeros(s.shape))})
    calls = watch(monkeypatch, "loss_share_over_examples")
    cumulative_loss_figures(folder.load())
    rows, _ = calls[0]
    has_share = {kind: len(line.x) > 0 for kind, (line,) in rows["poly1"].items()}
    assert has_share == {"foreground": False, "background": True}


def test_the_setting_stands_once_in_a_caption(make_folder):
    """Without a headline, the name of a compared loss has the setting, in the order of the row."""
    row = {"loss": "poly1", "alpha": 0.5, "gamma": 2.0, "beta": 0.05}
    grid = Grid("own", "own", ("loss", "gamma"), (Row(row, Setting.of(**row)),))
    folder = make_folder(1, (grid,))
    folder.add(folder.cell(0, 0), 20.0, result=RESULT | {"loss_distribution": loss_distribution()})
    (found,) = cumulative_loss_figures(folder.load())
    assert found.note.count("β = 0.05") == 1


def test_a_loss_without_a_curve_has_its_summary(folder):
    add(folder, {"curve": None, "summary": SUMMARY})
    assert summaries(folder.load()) == {"poly1": SUMMARY}


def test_the_curve_of_a_training_can_be_read(folder):
    add(folder, {"curve": loss_curve("ce", {"alpha": None, "gamma": 2.0})})
    (loss,) = recorded_losses(folder.load())
    assert loss.of_logit(np.zeros(1), "negative") == pytest.approx(np.log(2), rel=1e-3)


RESULT = {"metrics": {"AP": 20.0}, "loss": {"curve": curve()}}


def test_every_setting_of_a_loss_has_its_curve(make_folder):
    rows = {"A": POLY1, "B": POLY1 | {"gamma": 2.0}, "C": POLY1 | {"beta": 0.5}}
    rows["D"] = POLY1 | {"alpha": 0.5}  # alpha does not change the curve
    folder = make_folder(1, (headline(**rows),))
    for number in range(len(rows)):
        folder.add(folder.cell(0, number), 20.0, result=RESULT)
    labels = [loss.label for loss in recorded_losses(folder.load())]
    assert labels == ["poly1, γ = 1", "poly1, γ = 2", "poly1, γ = 1, β = 0.5"]


def test_losses_with_a_formula_are_not_taken_from_records(make_folder):
    folder = make_folder(1, (headline(FL={"loss": "focal", "gamma": 2.0}),))
    folder.add(folder.cell(0, 0), 20.0, result=RESULT)
    results = folder.load()
    assert len(results.records) == 1 and recorded_losses(results) == []
