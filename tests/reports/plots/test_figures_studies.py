"""The figures of tables and of whole studies: what they are drawn from, and when there are none."""

from dataclasses import replace

import numpy as np
import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from reports.figures import grids, illustration, studies, training
from reports.figures.grids import ap_over_ms_figure, ap_over_rows_figure
from reports.figures.studies import ap_over_scale_figure, heat_maps_figure, speed_figure
from reports.figures.training import training_figures
from reports.plots import drawing
from reports.results.labels import LOSSES, SPEED, STALE_COLOUR
from reports.tables.grids import grid_table
from reports.tables.references import reference_rows
from tests.reports.analyses import analysis, validation
from tests.reports.conftest import speed_grid
from tests.reports.readable import assert_readable


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """Each test draws for itself."""
    monkeypatch.setattr(illustration, "_KNOWN", {})


@pytest.fixture
def watch(monkeypatch):
    """A function of a module and a plot that it uses: what it is given, and the Axes it returns."""

    def of(module, name):
        calls, draw = [], getattr(module, name)

        def watched(*numbers, width):
            found = draw(*numbers, width=width)
            if width == drawing.WIDTH:
                calls.append((*numbers, found))
            else:
                assert_readable(drawing.figure_of(np.ravel(found)[0]))
            return found

        monkeypatch.setattr(module, name, watched)
        return calls

    return of


def star_speed_grid():
    """The same of FL*: with its own loss, and nothing published."""
    rows = [
        replace(row, setting=Setting.of({"depth": 18, "scale": 128}, loss="focal_star", alpha=0.5,
                                        gamma=0.125, **row.ours))
        for row in speed_grid().rows
    ]  # fmt: skip
    return replace(speed_grid(), name="speed_star", rows=tuple(rows), published=(), source="")


def tables_of(results):
    return [(grid, grid_table(results, grid)) for grid in results.study.grids]


def fill(folder, number, aps, seeds=1):
    for row, ap in enumerate(aps):
        for seed in range(1, seeds + 1):
            cell = folder.cell(number, row, seed)
            folder.add(cell, ap + seed, analysis=analysis(ap + seed, seed=seed))


def test_speed_has_the_curves_of_all_tables_and_the_published_detectors(make_folder, watch):
    folder = make_folder(1, (speed_grid(), star_speed_grid()))
    fill(folder, 0, (20.0, 23.0, 21.0, 26.0))
    fill(folder, 1, (19.0, 22.0, 24.0, 25.0))
    results, calls = folder.load(), watch(studies, "ap_over_ms")
    found = speed_figure(results, tables_of(results))
    (((ours, published), axes),) = calls
    assert [curve.label for curve in ours.curves] == [
        "FL, depth 18 (50)", "FL, depth 34 (101)", "FL*, depth 18 (50)", "FL*, depth 34 (101)",
    ]  # fmt: skip
    assert len({(curve.marker, curve.dashes) for curve in ours.curves}) == 4, "apart in grey"
    assert {curve.colour for curve in ours.curves} == {
        LOSSES[loss].colour for loss in ("focal", "focal_star")
    }
    assert ours.curves[0].y.tolist() == [21, 24] and ours.curves[0].notes == ["88", "128"]
    # All of depth 18 take 16.25 ms, all of depth 34 take 24.25 ms: the best of each.
    assert [list(ends) for ends in ours.pareto_front] == [[16.25, 24.25], [24, 27]]
    detectors, *retinanet = published.curves
    rows = reference_rows("published_detectors.csv")
    assert detectors.dashes == "none" and detectors.notes == [row["detector"] for row in rows]
    assert detectors.x == [float(row[SPEED]) for row in rows]
    assert [curve.label for curve in retinanet] == ["FL, depth 50", "FL, depth 101"]
    written = {text.get_text() for text in axes[1].texts}
    assert written >= set(detectors.notes), "each detector is named"
    assert "COCO test-dev, timed on an Nvidia M40" in found.note
    assert "FL*, depth 34 (101), 128: 26.0 at 24.2 ms" in found.figure.alternative
    assert_readable(axes[0].figure)


def test_each_speed_table_has_its_own_figure(make_folder, watch):
    folder = make_folder(1, (speed_grid(), star_speed_grid()))
    fill(folder, 1, (19.0, 22.0))
    results, calls = folder.load(), watch(grids, "ap_over_ms")
    (fl, fl_table), (star, star_table) = tables_of(results)
    assert ap_over_ms_figure(fl, fl_table) is None, "no row has both numbers"
    found = ap_over_ms_figure(star, star_table)
    assert found.name == "speed_star_speed"
    (((ours,), _),) = calls
    assert [curve.label for curve in ours.curves] == ["depth 18 (50)"]
    assert speed_figure(results, [(fl, fl_table)]).figure is None


def test_bars_are_the_intervals_of_several_seeds(make_folder, watch):
    folder = make_folder(2, (speed_grid(),))
    fill(folder, 0, (20.0, 23.0), seeds=2)
    folder.add(folder.cell(0, 2), 30.0, analysis=analysis(30.0))
    results = folder.load()
    ((grid, table),) = tables_of(results)
    speeds, scales, rows = (
        watch(grids, "ap_over_ms"),
        watch(studies, "ap_over_scale"),
        watch(grids, "ap_over_rows"),
    )
    ap_over_ms_figure(grid, table)
    note = ap_over_scale_figure(results, [(grid, table)]).note
    ap_over_rows_figure(results, grid, table)
    ((panels, _),), ((curves, _),), ((_, (dots, _), _, _),) = speeds, scales, rows
    expected = table.comparisons[1]
    assert expected.low < 24.5 < expected.high
    for curve in (panels[0].curves[0], curves[0]):
        assert (curve.low[1], curve.high[1]) == (expected.low, expected.high)
    assert (dots.low[1], dots.high[1]) == (expected.low, expected.high)
    assert np.isnan(dots.low[2]), "one seed has no bar"
    assert "95 % CI" in note


def test_ap_over_scale_has_a_line_for_each_depth_and_loss(make_folder, watch):
    folder = make_folder(1, (speed_grid(), star_speed_grid()))
    fill(folder, 0, (20.0, 23.0, 21.0, 26.0))
    fill(folder, 1, (19.0,))
    results, calls = folder.load(), watch(studies, "ap_over_scale")
    found = ap_over_scale_figure(results, tables_of(results))
    ((curves, axes),) = calls
    lines = {curve.label: (list(curve.x), list(curve.y)) for curve in curves}
    assert lines == {
        "FL, depth 18 (50)": ([88, 128], [21, 24]),
        "FL, depth 34 (101)": ([88, 128], [22, 27]),
        "FL*, depth 18 (50)": ([88], [20]),
    }
    assert "side by side" not in found.note, "one seed: no bars, nothing to hide"
    assert_readable(axes.figure)


def alpha_gamma_grids():
    def row(loss, **values):
        return Row(values, Setting.of(loss=loss, **values))

    fl = [row("focal", gamma=g, alpha=a) for g, a in ((0.0, 0.75), (1.0, 0.25), (2.0, 0.25))]
    star = [row("focal_star", gamma=g, alpha=a) for g, a in ((0.0, 0.75), (0.5, 0.25))]
    other = [row("focal_star", gamma=0.5, alpha=0.25, weight_cap=5.0),
             row("focal", gamma=1.0, alpha=0.25, depth=34)]  # fmt: skip
    return tuple(
        Grid(name, name, tuple(rows[0].values), tuple(rows))
        for name, rows in (("fl", fl), ("star", star), ("other", other))
    )


def test_heat_maps_have_the_settings_of_the_studys_own_model(make_folder, watch):
    folder = make_folder(2, alpha_gamma_grids())
    for seed, ap in ((1, 10.0), (2, 12.0)):
        folder.add(folder.cell(0, 0, seed), ap)
        folder.add(folder.cell(2, 0, seed), 40.0)
        folder.add(folder.cell(2, 1, seed), 50.0)
    folder.add(folder.cell(0, 1, 1), 30.0)
    folder.add(folder.cell(1, 1, 1), 20.0)
    folder.add(folder.cell(1, 1, 2), status="diverged")
    folder.add(folder.cell(0, 2, 1), status="failed")
    calls = watch(studies, "heat_maps")
    found = heat_maps_figure(folder.load())
    ((maps, *_, axes),) = calls
    fl, star = maps
    assert (fl.title, fl.rows, fl.columns) == ("FL", ["0", "1", "2"], ["0.25", "0.75"])
    np.testing.assert_array_equal(fl.values, [[np.nan, 11], [30, np.nan], [np.nan, np.nan]])
    assert fl.planned == [[False, True], [True, False], [True, False]]
    # γ = 0 is the same cross entropy; of the other setting one run is 20 and one diverged.
    np.testing.assert_array_equal(star.values, [[np.nan, 11], [10, np.nan]])
    assert star.marks == [["", ""], ["×", ""]]
    assert "hatched" in found.note and "× a setting with a diverged run" in found.note
    assert "FL*, γ = 0.5, α = 0.25: 10.0×" in found.figure.alternative
    assert "FL, γ = 2, α = 0.25: no value" in found.figure.alternative
    assert_readable(axes[0].figure)


def test_training_curves_show_both_losses(make_folder, watch):
    folder = make_folder(1)
    folder.describe()
    folder.add(folder.cell(0, 0), result={"metrics": {"AP": 1.0},
        "curves": {"iteration": [20, 40], "loss_cls": [1.0, 0.5]},
        "validation": validation([30, 40]) | {"loss_cls": [0.9, None]}})  # fmt: skip
    folder.add(folder.cell(0, 1), 2.0, stale=("config",))
    results, calls = folder.load(), watch(training, "training_curves")
    (found,) = training_figures(results)
    ((panels, _, axes),) = calls
    trained, noted = panels
    assert (trained.title, noted.title) == ("training images", "validation images")
    run, stale = trained.traces
    assert (list(run.iterations), list(run.loss)) == ([20, 40], [1.0, 0.5])
    assert [list(trace.loss) for trace in noted.traces] == [[0.9]]
    assert stale.colour == STALE_COLOUR != run.colour and stale.label.endswith("stale")
    assert found.figure.name == "training_ce" and "α = 0.25" in found.figure.alternative
    assert_readable(axes[0].figure)


def test_training_curves_are_one_figure_per_loss_and_a_line_per_setting(make_folder, watch):
    folder = make_folder(2)
    for seed, loss in ((1, [2.0, 1.0]), (2, [4.0, 2.0])):
        folder.add(folder.cell(0, 0, seed), result={"metrics": {"AP": 1.0},
            "curves": {"iteration": [20, 40], "loss_cls": loss}})  # fmt: skip
    calls = watch(training, "training_curves")
    found = training_figures(folder.load())
    (panels, *_), *_ = calls
    (trace,) = panels[0].traces
    assert list(trace.loss) == [3.0, 1.5], "the mean over the seeds"
    assert "2 runs" in found[0].note and "means over the seeds" in found[0].note


@pytest.mark.parametrize(
    "spoiled", [None, [], {"iteration": 3}, {"iteration": [1], "loss_cls": ["x"]}]
)
def test_curves_that_cannot_be_read_are_left_out(make_folder, watch, spoiled):
    folder = make_folder(1)
    folder.add(folder.cell(0, 0), result={"curves": spoiled, "validation": spoiled})
    calls = watch(training, "training_curves")
    assert not training_figures(folder.load()) and not calls


OF_STUDIES = (speed_figure, ap_over_scale_figure,
              lambda results, _: heat_maps_figure(results))  # fmt: skip


@pytest.mark.parametrize("make", OF_STUDIES)
def test_without_a_result_there_is_a_reason(make_folder, make):
    for tables in ((), (speed_grid(),)):
        results = make_folder(1, tables).load()
        found = make(results, tables_of(results))
        assert found.figure is None and found.note.startswith("No ")


@pytest.mark.parametrize("make", OF_STUDIES)
def test_one_cell_alone_can_be_drawn(make_folder, make):
    folder = make_folder(1, (speed_grid(),))
    folder.add(folder.cell(0, 1), 20.0)
    results = folder.load()
    assert make(results, tables_of(results)).figure.svg.startswith("<svg")


def test_a_broken_study_can_be_drawn(broken_folder):
    results = broken_folder.load()
    for grid, table in tables_of(results):
        assert ap_over_rows_figure(results, grid, table).png
    for found in training_figures(results):
        assert found.figure.png
    for make in OF_STUDIES:
        found = make(results, tables_of(results))
        assert found.note


def test_effects_are_drawn_beside_the_published_ones(make_folder, make_study, watch):
    grid = replace(make_study(2).grids[0], references=(2, 2, 2))
    folder = make_folder(2, (grid,))
    for row, ap in ((0, 10.0), (1, 30.4), (2, 30.0)):
        for seed in (1, 2):
            value = ap + seed / 10
            folder.add(folder.cell(0, row, seed), value, analysis=analysis(value, seed=seed))
    results, calls = folder.load(), watch(grids, "ap_over_rows")
    found = ap_over_rows_figure(results, *tables_of(results)[0])
    ((_, series, (ours, published), axes),) = calls
    assert [one.label for one in series] == ["AP (%), ours"]
    comparisons = tables_of(results)[0][1].comparisons
    np.testing.assert_allclose(ours.values, [-20.0, 0.4, np.nan], atol=1e-9)
    # published: 10.8, 30.2 and 31.1 in the reference row
    np.testing.assert_allclose(published.values, [-20.3, -0.9, np.nan], atol=1e-9)
    assert list(ours.filled) == [one.survives for one in comparisons] == [True, False, False]
    assert list(ours.low)[:2] == [one.difference_low for one in comparisons[:2]]
    assert published.marker != ours.marker and not published.filled
    assert "effect −20.0, published 10.8, published effect −20.3" in found.alternative
    assert_readable(axes[0].figure)


def test_what_has_been_drawn_is_not_drawn_again(make_folder, watch):
    folder = make_folder(1)
    folder.add(folder.cell(0, 0), 4.0)
    calls = watch(grids, "ap_over_rows")

    def of_first():
        results = folder.load()
        return ap_over_rows_figure(results, *tables_of(results)[0])

    first = of_first()
    assert of_first() == first and len(calls) == 1
    folder.add(folder.cell(0, 1), 5.0)
    assert of_first().svg != first.svg and len(calls) == 2


def test_a_figure_that_is_only_linked_is_not_drawn_for_a_phone(make_folder, monkeypatch):
    monkeypatch.setattr(illustration, "_KNOWN", {})
    folder = make_folder(1)
    folder.add(folder.cell(0, 0), 4.0)
    results = folder.load()
    found = ap_over_rows_figure(results, *tables_of(results)[0], linked_only=True)
    assert found.svg and not found.narrow
    both = ap_over_rows_figure(results, *tables_of(results)[0])
    assert both.narrow and both.svg == found.svg


def test_a_figure_from_memory_has_the_bytes_of_one_that_is_drawn(make_folder, monkeypatch):
    folder = make_folder(1)
    folder.add(folder.cell(0, 0), 4.0)
    results = folder.load()
    first = ap_over_rows_figure(results, *tables_of(results)[0])
    monkeypatch.setattr(illustration, "_KNOWN", {})
    assert ap_over_rows_figure(results, *tables_of(results)[0]) == first


def test_scales_ascend_and_a_row_without_one_is_not_drawn(make_folder):
    grid = speed_grid()
    values = {axis: value for axis, value in grid.rows[3].values.items() if axis != "scale"}
    tuned = replace(grid.rows[3], values=values, ours={"depth": 34})
    grid = replace(grid, rows=(*grid.rows[1::-1], tuned), published=())
    folder = make_folder(1, (grid,))
    fill(folder, 0, (23.0, 20.0, 26.0))
    results = folder.load()
    found = ap_over_scale_figure(results, tables_of(results))
    assert found.figure.alternative.endswith(": 21.0 at 88 px, 24.0 at 128 px.")
