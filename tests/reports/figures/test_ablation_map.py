"""The map of the ablations: every row of every table has its mark, on one axis."""

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from reports.figures.ablation_map import NAME, ablation_map_figure, noise_text
from reports.plots.ablation_map import (
    RING,
    Keys,
    MapPanel,
    Mark,
    ablation_map,
    frame_of,
    map_key,
    map_panel,
)
from reports.results.labels import STALE_COLOUR, setting_colour
from reports.statistics.noise import noise_floor
from reports.statistics.ranks import at_ranks
from reports.tables import captions
from reports.tables.grids import grid_table
from tests.reports.analyses import analysis
from tests.reports.conftest import grid as make_grid
from tests.reports.readable import assert_readable
from tests.reports.tuned_folder import finished

NAN = math.nan


def tables_of(results):
    return [(grid, grid_table(results, grid)) for grid in results.study.grids]


@pytest.fixture
def mapped(monkeypatch):
    """A function: the map of a study's tables, and the panels and the key that were drawn."""
    monkeypatch.setattr("reports.figures.illustration._KNOWN", {})
    draw_panel, draw_key = map_panel, map_key

    def make(results):
        panels, frames, keys = [], [], []

        def panel(one, frame):
            panels.append(one)
            frames.append(frame)
            return draw_panel(one, frame)

        def key(one):
            keys.append(one)
            return draw_key(one)

        monkeypatch.setattr("reports.figures.ablation_map.map_panel", panel)
        monkeypatch.setattr("reports.figures.ablation_map.map_key", key)
        found = ablation_map_figure(results, tables_of(results))
        return found, tuple(panels), tuple(frames), keys[0]

    return make


@pytest.fixture
def several(make_folder, make_study):
    """Three seeds of every row; tables with a reference row.

    The first row of the second table is the last one of the first table: CE at α = 0.75.
    """
    first, second = make_study(3).grids
    tables = (replace(first, references=(2, 2, 2)), replace(second, references=(0, 0, 0)))
    folder = make_folder(3, tables)
    for number in range(2):
        for row in range(3):
            for seed in (1, 2, 3):
                value = 10.0 + 4 * row + number + seed / 5
                cell = folder.cell(number, row, seed)
                folder.add(cell, value, analysis=analysis(value, seed=seed))
    return folder.load()


def places(svg: str) -> dict[int, float]:
    """Row -> the x of its dot in the drawing."""
    found = {}
    for group in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        if name := re.fullmatch(r"mark-(\d+)", group.get("id", "")):
            point = next(one for one in group.iter() if one.get("x"))
            found[int(name[1])] = float(point.get("x"))
    return found


def test_every_row_of_every_table_has_one_mark_at_its_value(several, mapped):
    found, panels, frames, _ = mapped(several)
    tables = tables_of(several)
    assert [panel.grid for panel in found.panels] == [grid.name for grid, _ in tables]
    for (grid, table), panel, drawing, frame in zip(
        tables, panels, found.panels, frames, strict=True
    ):
        values = table.values["AP"].to_numpy()
        np.testing.assert_allclose([mark.value for mark in panel.marks], values)
        assert [mark.text for mark in panel.marks] == list(table.texts["AP"])
        x = places(drawing.svg)
        assert sorted(x) == list(range(len(grid.rows)))
        # An axis of frame.width inches, which starts frame.left inches from the left edge.
        shares = (values - frame.low) / (frame.high - frame.low)
        expected = 72 * (frame.left + shares * frame.width)
        np.testing.assert_allclose([x[row] for row in range(len(x))], expected, atol=0.01)


def test_all_tables_share_the_axis(several, mapped):
    _, panels, frames, key = mapped(several)
    assert len(set(frames)) == 1
    every = ablation_map(panels, frames[0], key)[1:]
    assert {axes.get_xlim() for axes in every} == {(frames[0].low, frames[0].high)}
    widths = [axes.get_window_extent().width for axes in every]
    assert widths == pytest.approx([widths[0]] * len(widths))
    assert_readable(every[0].figure)


def test_the_band_is_the_noise_floor_of_the_text_around_the_reference_row(several, mapped):
    found, panels, _, key = mapped(several)
    for (grid, table), panel in zip(tables_of(several), panels, strict=True):
        floor = noise_floor(several, grid).least_difference
        assert panel.noise == floor
        assert panel.reference == table.comparisons[grid.reference].mean
        told = re.search(
            r"differ by less than ([\d.]+) AP", captions.under_table(several, grid, table)
        )
        assert f"±{told[1]} AP" in key.noise
        axes = map_panel(panel, frame_of(panels, "AP"))
        (band,) = axes.patches
        ends = band.get_extents().transformed(axes.transData.inverted())
        np.testing.assert_allclose(
            [ends.x0, ends.x1], [panel.reference - floor, panel.reference + floor]
        )
    assert f"N{key.noise[1:]}." in found.figure.alternative


def test_the_reference_row_and_the_losses_are_marked(several, mapped):
    _, panels, _, key = mapped(several)
    assert [[mark.is_reference for mark in panel.marks].index(True) for panel in panels] == [2, 0]
    for grid, panel in zip(several.study.grids, panels, strict=True):
        assert [mark.colour for mark in panel.marks] == [
            setting_colour(row.setting.as_dict()) for row in grid.rows
        ]
    assert set(key.colours) == {"CE", "FL*"}
    axes = map_panel(panels[0], frame_of(panels, "AP"))
    shapes = {line.get_gid(): line.get_marker() for line in axes.lines if line.get_gid()}
    assert shapes == {"mark-0": "o", "mark-1": "o", "mark-2": "D"}


def test_several_seeds_have_intervals_and_are_counted(several, mapped):
    found, panels, _, _ = mapped(several)
    (_, table), *_ = tables_of(several)
    assert [mark.low for mark in panels[0].marks] == [one.low for one in table.comparisons]
    assert all(mark.low < mark.value < mark.high for mark in panels[0].marks)
    assert "95 % CI" in found.legend
    assert (
        "α = 0.25: 10.4 AP, −1.0 against the reference row, 3 seeds" in found.panels[0].sentences[0]
    )


def test_ticks_are_at_the_published_rank():
    ours = [3.0, 1.0, 2.0, NAN, 7.0]
    theirs = [30.0, 34.0, 32.0, 36.0, NAN]
    # The rows with both values rank 1, 3 and 2 in the published order; ours in order are 1, 2, 3.
    np.testing.assert_array_equal(at_ranks(ours, theirs), [1.0, 3.0, 2.0, NAN, NAN])
    np.testing.assert_array_equal(at_ranks(ours, ours), [3.0, 1.0, 2.0, NAN, 7.0])
    # Tied at ranks 1 and 2: in the middle of 1 and 5.
    np.testing.assert_array_equal(at_ranks([1.0, 5.0, 9.0], [4.0, 4.0, 8.0]), [3.0, 3.0, 9.0])
    assert np.isnan(at_ranks([1.0, NAN], [2.0, 3.0])).all(), "one row has no order"


def test_only_a_table_with_published_values_has_ticks(several, mapped):
    found, panels, _, _ = mapped(several)
    assert [mark.text for mark in panels[0].marks] == ["10.4", "14.4", "11.4"]
    # The published order is that of the rows.
    np.testing.assert_allclose([mark.published for mark in panels[0].marks], [10.4, 11.4, 14.4])
    assert all(math.isnan(mark.published) for mark in panels[1].marks)
    assert "published rank" in captions.ablation_map(tables_of(several))
    assert "place in the published order" in found.legend


def test_own_data_without_published_values(make_folder, make_study, mapped):
    first = make_study(1).grids[0]
    alpha = replace(first, published=(), source="", setup="", references=(0, 0, 0))
    folder = make_folder(1, (alpha,))
    folder.add(folder.cell(0, 0), 4.0)
    results = folder.load()
    found, (panel,), _, key = mapped(results)
    assert "published" not in " ".join(
        [*found.legend, found.figure.alternative, *found.panels[0].sentences]
    )
    assert "published" not in captions.ablation_map(tables_of(results))
    assert math.isnan(panel.noise) and key.noise == "", "one seed has no noise"


def test_rows_without_a_usable_value_are_marked_and_not_dropped(broken_folder, mapped):
    results = broken_folder.load()
    found, panels, _, _ = mapped(results)
    by_table = {one.grid: panel for one, panel in zip(found.panels, panels, strict=True)}
    notes = {name: [mark.note for mark in panel.marks] for name, panel in by_table.items()}
    assert notes["alpha"] == ["", "failed", ""]
    assert notes["star"][1:] == ["missing", "diverged"]
    assert notes["speed"] == ["", "stale", "running", "missing"]
    diverged, stale = by_table["star"].marks[2], by_table["speed"].marks[1]
    assert diverged.is_crossed and diverged.value == 0.0
    assert stale.colour == STALE_COLOUR and stale.value == pytest.approx(24.96)
    for (grid, _), panel in zip(
        sorted(tables_of(results), key=lambda one: one[0].name == "star"), found.panels, strict=True
    ):
        assert panel.grid == grid.name, "tables with published values come first"
        assert len(places(panel.svg)) == len(panel.sentences) == len(grid.rows)
        assert len(re.findall("<title>", panel.inline)) == len(grid.rows)
    assert "α = 0.5: no value, failed" in found.panels[0].sentences[1]
    assert "α = 0.5: no value (failed)" in found.figure.alternative


def test_a_table_of_one_row(make_folder, mapped):
    folder = make_folder(1, (make_grid("one", "focal", [{"gamma": 2.0, "alpha": 0.25}]),))
    folder.add(folder.cell(0, 0), 12.5)
    found, (panel,), (frame,), _ = mapped(folder.load())
    assert frame.low < 12.5 < frame.high
    assert panel.marks[0].label == "2, 0.25" and panel.columns == "γ, α"
    assert places(found.panels[0].svg).keys() == {0}


def test_the_settings_that_the_study_chose_have_a_ring(make_folder, mapped):
    results = finished(make_folder).load()
    found, panels, _, _ = mapped(results)
    ringed = {
        drawing.grid: [mark.label for mark in panel.marks if mark.is_chosen]
        for drawing, panel in zip(found.panels, panels, strict=True)
    }
    assert ringed == {"headline": [], "tune_focal": ["0.5"], "tune_focal_star": ["0.75"]}
    assert "setting chosen for its loss" in found.legend
    for drawing, panel in zip(found.panels, panels, strict=True):
        for mark, sentence in zip(panel.marks, drawing.sentences, strict=True):
            assert ("chosen for its loss" in sentence) == mark.is_chosen
        rings = [line for line in map_panel(panel, frame_of(panels, "AP")).lines
                 if line.get_markersize() == RING["markersize"]]  # fmt: skip
        assert len(rings) == len(ringed[drawing.grid])


def test_without_any_value_there_is_no_map(make_folder):
    results = make_folder(1).load()
    assert ablation_map_figure(results, tables_of(results)) is None


def test_different_noises_are_a_range():
    assert noise_text([3.06, 1.4, 3.06, NAN]) == "noise of seeds: ±1.4 to ±3.1 AP"
    assert noise_text([1.4]) == "noise of seeds: ±1.4 AP"
    assert noise_text([NAN]) == ""


def test_long_names_are_broken_and_readable():
    name = "A loss with a very long name of somebody's own, 0.125, 0.75"
    marks = [
        Mark(name, 12.0, "12.0", "#0072b2", is_reference=True),
        Mark("CE", NAN, "–", "#555555", note="missing"),
        Mark("CE, 0.5", 0.0, "0.0", "#555555", note="diverged", is_crossed=True),
        Mark("CE, 0.75", 13.0, "13.0", "#555555", note="stale"),
    ]
    panel = MapPanel("(z) A table", "method, γ, α", marks, 12.0, 1.4)
    frame = frame_of([panel], "AP")
    axes = map_panel(panel, frame)
    assert_readable(axes.figure)
    keys = Keys({"CE": "#555555"}, marks, "noise of seeds: ±1.4 AP")
    assert_readable(map_key(keys).figure)
    assert_readable(ablation_map([panel] * 4, frame, keys)[0].figure)


def test_the_map_is_named(several, mapped):
    found, *_ = mapped(several)
    assert found.figure.name == NAME
