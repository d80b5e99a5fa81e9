"""A detector that is not RetinaNet: points and rows of its own, and nowhere taken for a loss."""

from dataclasses import replace

import numpy as np
import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Row
from reports.figures import illustration, studies, training
from reports.figures.grids import ap_over_ms_figure, ap_over_rows_figure, curves
from reports.figures.studies import ap_over_scale_figure, speed_figure
from reports.figures.training import training_figures
from reports.plots import drawing
from reports.plots.curves import SpeedPanel, ap_over_ms
from reports.results.labels import (
    DETECTORS,
)
from reports.tables.grids import grid_table
from tests.reports.analyses import analysis
from tests.reports.conftest import BASE, DEPTHS, SCALES, speed_grid
from tests.reports.readable import assert_readable

PURPLE = DETECTORS["faster_rcnn"].colour


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """Each test draws for itself."""
    monkeypatch.setattr(illustration, "_KNOWN", {})


def with_faster_rcnn(grid):
    """The grid with a column that tells the detector, and a row for each depth at 600 px."""
    columns = ("detector", *grid.columns)
    rows = [replace(row, values={"detector": "retinanet"} | row.values) for row in grid.rows]
    for depth in DEPTHS:
        values = {"detector": "faster_rcnn", "depth": depth, "scale": 600}
        ours = {"depth": DEPTHS[depth], "scale": SCALES[600]}
        setting = Setting.of(BASE, **values | ours | {"loss": "focal", "alpha": 0.25})
        rows.append(Row(values, setting, ours))
    published = tuple({"detector": "retinanet"} | row for row in grid.published)
    if published:
        printed = {"detector": "faster_rcnn", "depth": "101", "scale": "600"}
        # The one of published_detectors.csv.
        published += (printed | {"AP": "36.2", "AP50": "", "ms_per_image": "172"},)
    return replace(grid, columns=columns, rows=tuple(rows), published=published)


@pytest.fixture
def results(make_folder):
    """FL and FL* over depth and scale, each table with the same two runs of Faster R-CNN."""
    star = [
        replace(
            row, setting=Setting.of(BASE, loss="focal_star", alpha=0.5, gamma=0.125, **row.ours)
        )
        for row in speed_grid().rows
    ]
    star_grid = replace(speed_grid(), name="speed_star", rows=tuple(star), published=(), source="")
    folder = make_folder(1, (with_faster_rcnn(speed_grid()), with_faster_rcnn(star_grid)))
    for number, aps in enumerate(((20.0, 23.0, 21.0, 26.0, 39.0, 41.0), (19.0, 22.0, 24.0, 25.0))):
        for row, ap in enumerate(aps):
            folder.add(folder.cell(number, row), ap, analysis=analysis(ap))
    return folder.load()


def tables_of(results):
    return [(grid, grid_table(results, grid)) for grid in results.study.grids]


@pytest.fixture
def given(monkeypatch):
    """A function of a module and a plot that it uses: what it is given, as a list."""

    def of(module, name):
        calls, draw = [], getattr(module, name)

        def drawn(*own, width):
            if width == drawing.WIDTH:
                calls.append(own)
            return draw(*own, width=width)

        monkeypatch.setattr(module, name, drawn)
        return calls

    return of


def test_its_runs_are_one_cell_in_both_tables(results):
    assert len(results.cells) == 4 + 4 + 2
    assert len(results.frame) == 2 * (4 + 2)
    two_stage = results.cells[results.cells["detector"] == "faster_rcnn"]
    assert two_stage["loss"].isna().all() and list(two_stage["AP"]) == [39.0, 41.0]


def test_it_has_one_line_beside_the_curves_once(results, given):
    calls = given(studies, "ap_over_ms")
    found = speed_figure(results, tables_of(results))
    (((ours, published),),) = calls
    assert [curve.label for curve in ours.curves] == [
        "FL, RetinaNet, depth 18 (50)", "FL, RetinaNet, depth 34 (101)",
        "Faster R-CNN",
        "FL*, RetinaNet, depth 18 (50)", "FL*, RetinaNet, depth 34 (101)",
    ]  # fmt: skip
    line = ours.curves[2]
    assert (line.colour, line.filled) == (PURPLE, True) and line.dashes != "none"
    assert (list(line.x), list(line.y)) == ([16.25, 24.25], [39.0, 41.0])
    assert list(line.notes) == ["18, 128", "34, 128"]
    assert len({curve.marker for curve in ours.curves}) == 5
    for curve in ours.curves:
        assert all(np.array(curve.x_low) < curve.x) and all(curve.x < np.array(curve.x_high))
    assert list(ours.curves[0].x) == list(ours.curves[3].x), "FL and FL* have one network"
    assert ours.pareto_front[1][-1] == 41.0, "they take part in the Pareto front"
    others, *curves = published.curves
    assert "FPN Faster R-CNN" not in others.notes and "YOLOv2" in others.notes
    (own,) = [curve for curve in curves if curve.colour == PURPLE]
    assert (own.label, list(own.x), list(own.y)) == ("Faster R-CNN", [172], [36.2])
    assert "Faster R-CNN, 34, 128: 41.0 at 24.2 ms" in found.figure.alternative


def test_where_it_is_no_row_it_is_one_of_the_other_detectors(make_folder, given):
    folder = make_folder(1, (speed_grid(),))
    folder.add(folder.cell(0, 0), 20.0)
    results, calls = folder.load(), given(studies, "ap_over_ms")
    speed_figure(results, tables_of(results))
    (((_, published),),) = calls
    assert "FPN Faster R-CNN" in published.curves[0].notes


def test_its_own_figures_can_be_read(results):
    (grid, table), _ = tables_of(results)
    for made in (
        ap_over_ms_figure(grid, table),
        ap_over_rows_figure(results, grid, table),
    ):
        assert "Faster R-CNN, depth 34 (101), 128 (600) px" in made.alternative
    panels = [SpeedPanel("ours", [curve for _, curve in curves(grid, table)])]
    assert_readable(ap_over_ms(panels)[0].figure)


def test_over_the_scale_it_is_a_line_of_its_own(results, given):
    calls = given(studies, "ap_over_scale")
    ap_over_scale_figure(results, tables_of(results))
    (((curves),),) = calls
    lines = {curve.label: (curve.colour, list(curve.x), list(curve.y)) for curve in curves}
    assert lines["Faster R-CNN, depth 18 (50)"] == (PURPLE, [128.0], [39.0])
    assert len(lines) == len(curves) == 6


def test_its_training_has_a_line_for_each_stage(make_folder, given):
    folder = make_folder(1, (with_faster_rcnn(speed_grid()),))
    curves = {"iteration": [20, 40], "loss_cls": [2.0, 1.0], "loss_rpn_cls": [0.5, 0.2]}
    noted = {"iteration": [39], "loss_cls": [1.5], "loss_rpn_cls": [0.3]}
    folder.add(folder.cell(0, 0), 20.0)
    cell = folder.cell(0, 4)
    folder.add(cell, 39.0)
    record = folder.load().records[cell.id]
    result = record.result | {"curves": curves, "validation": noted}
    folder.add(cell, 39.0, result=result)
    results, calls = folder.load(), given(training, "training_curves")
    *_, found = training_figures(results)
    *_, (panels, _) = calls
    second, first = panels[0].traces
    colour = DETECTORS["faster_rcnn"].colour
    assert (second.colour, list(second.loss)) == (colour, [2.0, 1.0])
    assert (first.colour, list(first.loss)) == (colour, [0.5, 0.2])
    assert first.dashes != second.dashes
    assert [list(trace.loss) for trace in panels[1].traces] == [[1.5], [0.3]]
    assert "dotted: the objectness loss of the region proposal network" in found.note
