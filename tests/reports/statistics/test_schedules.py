"""The order of settings over the schedule, in made records."""

import math
from dataclasses import replace

import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from reports.detections.gallery import full_name
from reports.figures.schedules import ap_over_schedule_figure, tau_over_schedule_figure
from reports.page import contents, runs
from reports.page.blocks import FigureBlock, Text
from reports.plots.curves import over_schedule
from reports.plots.drawing import WIDTH
from reports.statistics.inference import kendall
from reports.statistics.schedules import agreements, means_of_settings, order
from reports.tables.grids import grid_table
from reports.text import training_length
from tests.reports.analyses import analysis
from tests.reports.readable import assert_readable

METHODS = {
    "α-CE": {"loss": "ce", "alpha": 0.75},
    "FL, γ = 2": {"loss": "focal", "alpha": 0.25, "gamma": 2.0},
    "FL, γ = 5": {"loss": "focal", "alpha": 0.25, "gamma": 5.0},
}
SCHEDULES = (0.15, 0.3, 1.0)
PUBLISHED = {"0": "31.1", "2": "34.0", "5": "32.2"}

SETTLES = {
    "α-CE": (22.0, 30.0, 33.0),
    "FL, γ = 2": (21.0, 34.0, 37.0),
    "FL, γ = 5": (9.0, 29.0, 35.0),
}
"""At .15x CE leads, at .3x FL with gamma 2 does and gamma 5 is last, at 1x gamma 5 is second."""


def schedules_grid():
    rows = tuple(
        Row(
            {"method": name, "schedule": at, **values},
            Setting.of(**values, schedule=at),
        )
        for name, values in METHODS.items()
        for at in SCHEDULES
    )
    return Grid(
        "schedules", "Training length", ("method", "schedule"), rows, references=(2,) * len(rows)
    )


def gamma_grid(schedule):
    """Table (b) with the same settings, at the schedule of the study."""
    rows = tuple(
        Row({"gamma": values.get("gamma", 0.0)}, Setting.of(**values, schedule=schedule))
        for values in METHODS.values()
    )
    published = tuple({"gamma": gamma, "AP": ap} for gamma, ap in PUBLISHED.items())
    return Grid("gamma", "Table b", ("gamma",), rows, published=published, source="A paper")


@pytest.fixture
def folder(make_folder):
    """A function of the AP of each method at each schedule: a folder with these records."""

    def make(values=SETTLES, seeds=1, own=1.0, spread=0.1):
        study = make_folder(seeds, (schedules_grid(), gamma_grid(own)))
        study.study = replace(study.study, schedule=own)
        flat = [ap for of_method in values.values() for ap in of_method]
        for number, ap in enumerate(flat):
            for seed in range(1, seeds + 1):
                if ap is not None:
                    value = ap + spread * (seed - 1)
                    found = analysis(value, seed=seed)
                    study.add(study.cell(0, number, seed), value, analysis=found)
        return study

    return make


def order_of(study):
    return order(study.load(), study.study.grids[0])


def test_the_order_settles_at_the_first_schedule_without_a_later_swap(folder):
    found = order_of(folder())
    # At .3x alpha-CE (30) still leads gamma 5 (29); at 1x it does not (33, 35).
    assert (found.settled, found.before) == (1.0, 0.3)
    assert found.swapped == (("α-CE", "FL, γ = 5"),)
    assert math.isnan(found.noise) and found.settings == 3 and found.schedules == SCHEDULES


def test_an_order_that_settles_early(folder):
    found = order_of(folder(SETTLES | {"FL, γ = 5": (9.0, 31.0, 35.0)}))
    assert (found.settled, found.before) == (0.3, 0.15)
    assert set(found.swapped) == {("α-CE", "FL, γ = 2"), ("α-CE", "FL, γ = 5")}


def test_a_swap_within_the_noise_is_none(folder):
    close = SETTLES | {"FL, γ = 2": (20.0, 34.0, 37.0), "α-CE": (19.9, 30.0, 37.1),
                       "FL, γ = 5": (9.0, 29.0, 33.0)}  # fmt: skip
    noisy = order_of(folder(close, seeds=3, spread=0.3))
    # At .15x alpha-CE is .1 below gamma 2, at 1x .1 above; at .3x it is 4 below: that is a swap.
    assert noisy.noise > 0.2
    assert (noisy.before, noisy.swapped) == (0.3, (("α-CE", "FL, γ = 2"),))
    silent = SETTLES | {"FL, γ = 2": (20.0, 34.0, 37.0), "α-CE": (20.1, 30.0, 33.0),
                        "FL, γ = 5": (9.0, 29.0, 31.0)}  # fmt: skip
    wide = order_of(folder(silent, seeds=3, spread=5.0))
    assert wide.noise > 4.1 and (wide.settled, wide.swapped) == (0.15, ())


@pytest.mark.parametrize(
    "values", [dict.fromkeys(METHODS, (20.0, None, None)), dict.fromkeys(METHODS, [None] * 3)]
)
def test_one_schedule_has_no_order_over_schedules(folder, values):
    study = folder(values)
    assert order_of(study) is None and training_length.settled(study.load()) == []
    assert agreements(study.load()) == {} and training_length.taus(study.load()) == ""


def test_the_sentences(folder):
    assert training_length.settled(folder().load()) == [
        "Up to the longest schedule, the order of the 3 settings of table schedules still changes: "
        "at 0.3x it differs from the order at 1x (α-CE ↔ FL, γ = 5). Every swap counts, since the "
        "spread between seeds is unknown."
    ]
    early = folder(SETTLES | {"FL, γ = 5": (9.0, 31.0, 35.0)})
    (text,) = training_length.settled(early.load())
    assert text.startswith(
        "From 0.3x on, the order of the 3 settings of table schedules no longer changes: at 0.15x "
        "it differs from the order at 1x (α-CE ↔ FL, γ = 2; α-CE ↔ FL, γ = 5). "
    )
    (text,) = training_length.settled(folder(dict.fromkeys(METHODS, (1.0, 2.0, 3.0))).load())
    assert text.startswith("From 0.15x to 1x, the order of the 3 settings of table schedules does")


@pytest.mark.parametrize("own", [1.0, 0.3])
def test_tau_of_a_table_uses_the_cells_of_every_schedule(folder, own):
    """The table's own rows are at one schedule; the cells of the others come from table (j)."""
    found = agreements(folder(own=own).load())
    assert list(found) == ["gamma"]
    published = [31.1, 34.0, 32.2]
    expected = [kendall([SETTLES[n][at] for n in METHODS], published).tau for at in range(3)]
    assert found["gamma"].schedules == SCHEDULES and found["gamma"].rows == 3
    assert found["gamma"].taus == pytest.approx(expected)
    assert expected == pytest.approx([-1 / 3, 1 / 3, 1.0])
    assert training_length.taus(folder(own=own).load()).endswith(
        "table gamma (3 rows): −0.33 at 0.15x, 0.33 at 0.3x and 1.00 at 1x."
    )


def test_a_setting_is_averaged_over_the_seeds_that_it_has_at_every_schedule(folder):
    study = folder(seeds=2, spread=1.0)
    cell = next(
        one for one in (study.cell(0, row, 2) for row in range(9)) if one.setting.schedule == 0.15
    )
    whole, alone = means_of_settings(study.load()), SETTLES["α-CE"]
    study.layout.record(cell.id).unlink()  # seed 2 of the first method at 0.15x
    found = means_of_settings(study.load())
    first = found.index[0]
    assert whole.loc[first].to_list() == pytest.approx([ap + 0.5 for ap in alone])
    assert found.loc[first].to_list() == pytest.approx(alone), "seed 1 alone"
    assert found.drop(first).equals(whole.drop(first))


def test_only_rows_with_every_schedule_count(folder):
    study = folder(SETTLES | {"FL, γ = 5": (None, 31.0, 35.0)})
    found = agreements(study.load())["gamma"]
    assert found.schedules == (0.3, 1.0) and found.rows == 3


def test_the_figures_show_every_value(folder, monkeypatch):
    calls, limits, draw = [], [], over_schedule

    def watched(*numbers, **options):
        if options["width"] == WIDTH:  # every figure is drawn once more for a phone
            calls.append(numbers)
            limits.append(options.get("limits"))
        return draw(*numbers, **options)

    monkeypatch.setattr("reports.figures.schedules.over_schedule", watched)
    study = folder(seeds=3)
    results = study.load()
    tables = [(grid, grid_table(results, grid)) for grid in study.study.grids]
    found = ap_over_schedule_figure(results, tables), tau_over_schedule_figure(results)
    (lines, label), (taus, _) = calls
    assert label == "AP (%)" and [line.label for line in lines] == list(METHODS)
    for line in lines:
        assert tuple(line.x) == SCHEDULES
        assert list(line.y) == pytest.approx([ap + 0.1 for ap in SETTLES[line.label]])
        assert all(low < y < high for low, y, high in zip(line.low, line.y, line.high, strict=True))
    assert len({(line.marker, line.dashes) for line in lines}) == 3
    assert [line.label for line in taus] == ["table gamma, 3 rows"]
    assert limits == [None, (-1.05, 1.05)], "a correlation is between −1 and 1"
    assert draw(taus, "τ", limits[1]).get_ylim() == limits[1]
    axes = draw(lines, label)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.15x", "0.3x", "1x"]
    assert_readable(axes.figure)
    assert "FL, γ = 5: 9.1 at 0.15x, 29.1 at 0.3x, 35.1 at 1x" in found[0].figure.alternative
    assert "means over seeds with their 95 % CI" in found[0].note
    assert "−0.33 at 0.15x" in found[1].figure.alternative


def test_runs_of_one_setting_are_named_by_their_schedule(folder):
    results = folder(dict.fromkeys(METHODS, (20.0, None, 30.0))).load()
    named = [dict(entry.facts)["Setting"] for entry in runs.entries(results)[:2]]
    assert named == ["CE, α = 0.75, 0.15x, seed 1", "CE, α = 0.75, seed 1"]
    rows = results.study.grids[0].rows
    assert full_name(results, rows[0], 1) == "CE (α = 0.75, 0.15x), seed 1"


def test_a_row_without_a_schedule_has_that_of_the_study_and_lines_ascend(folder):
    study = folder()
    first = study.study.grids[0]
    tuned = replace(first.rows[2], values={"method": "α-CE"})
    grid = replace(first, rows=(tuned, *first.rows[1::-1]), references=())
    study.study = replace(study.study, grids=(grid,))
    results = study.load()
    found = ap_over_schedule_figure(results, [(grid, grid_table(results, grid))])
    assert "α-CE: 22.0 at 0.15x, 30.0 at 0.3x, 33.0 at 1x." in found.figure.alternative


def test_the_report_has_a_section_of_the_training_length(folder, make_folder):
    sections = {one.anchor: one for one in contents.report(folder().load()).sections}
    blocks = sections["training_length"].blocks
    assert [type(block) for block in blocks] == [Text, Text, FigureBlock, FigureBlock]
    without = contents.report(make_folder().load()).sections
    assert "training_length" not in [one.anchor for one in without]
