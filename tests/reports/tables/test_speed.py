"""The time per image in tables and notes."""

from dataclasses import replace

import msgspec
import pytest

from ablations.records import speed as speeds
from reports.figures.grids import ap_over_ms_figure, curves
from reports.figures.studies import speed_figure
from reports.page.render import write_report
from reports.tables import speed
from reports.tables.captions import under_table
from reports.tables.grids import grid_table
from tests.ablations.speeds import attempt
from tests.reports.conftest import speed_grid


@pytest.fixture
def folder(make_folder):
    """FL over depth and scale; every row has an AP."""
    made = make_folder(1, (speed_grid(),))
    for row, ap in enumerate((20.0, 23.0, 21.0, 26.0)):
        made.add(made.cell(0, row), ap)
    return made


def busy(apart):
    """Rounds whose quartiles are so far apart for depth 34, and equal for depth 18."""

    def rounds(architecture):
        shares = [1 - apart / 2] * 4 + [1.0] * 2 + [1 + apart / 2] * 4
        deep = architecture.as_dict().get("depth") == 34
        return [8 * share for share in shares] if deep else [5.0] * 10

    return rounds


def texts(results):
    found = speed.architectures(results).table
    return {column.name: [cell.text for cell in column.cells] for column in found.columns}


def test_each_architecture_has_a_row_and_the_control_is_the_last(folder):
    ms = {"edge88": 4.0, "": 5.0, "depth34-edge88": 7.0, "depth34": 8.0}
    folder.time(lambda architecture: [ms[architecture.id]] * 10)
    shown = texts(folder.load())
    assert shown["architecture"] == [
        "RetinaNet, depth 18, 88 px", "RetinaNet, depth 18, 128 px",
        "RetinaNet, depth 34, 88 px", "RetinaNet, depth 34, 128 px",
        "control: RetinaNet, depth 18, 128 px",
    ]  # fmt: skip
    assert shown["ms per image median"] == ["4.0", "5.0", "7.0", "8.0", "5.0"]
    assert shown["ratio median"] == ["0.800", "1.000", "1.400", "1.600", "1.000"]
    assert shown["quartiles apart (%)"] == ["0.0"] * 5
    assert shown["checkpoint"][0] == "focal-alpha0.25-gamma2-edge88-seed1"


def test_the_note_says_what_was_timed_and_where(folder):
    note = speed.note(folder.load())
    assert "10 rounds of 2 images after 5 to warm up" in note
    assert "on Example CPU, 1 thread" in note
    assert "A control, the same checkpoint in another process, takes 1.000" in note
    assert "busy" not in note and "do not rely" not in note


def test_scales_that_are_padded_alike_are_named(folder):
    results = folder.load()
    assert "padded" not in speed.note(results), "88 px to 96 px, and 128 px"
    timed = results.speed
    entries = {
        name: msgspec.structs.replace(entry, axes=entry.axes | {"scale": 104})
        if entry.axes.get("scale") == 88
        else entry
        for name, entry in timed.entries.items()
    }
    changed = replace(results, speed=msgspec.structs.replace(timed, entries=entries))
    assert "multiples of 32 px, 104 and 128 px to 128 px, so" in speed.note(changed)


def test_a_busy_machine_is_named_and_its_times_are_still_drawn(folder):
    folder.time(busy(0.2))
    results = folder.load()
    assert "quartiles of the rounds are up to 20 % of the median apart" in speed.note(results)
    assert texts(results)["ms per image median"][2:4] == ["8.0", "8.0"]
    assert speed.hidden_names(results) == []


def test_other_work_on_the_machine_is_named(folder):
    folder.time(busy(0.0))
    made = folder.load().speed
    assert made.busy_cpus == 0.1 and "Other processes" not in speed.note(folder.load())
    (calm,) = made.attempts
    samples = {
        name: [msgspec.structs.replace(one, busy_cpus=1.25) for one in of]
        for name, of in calm.samples.items()
    }
    folder.time(busy(0.0), attempts=[msgspec.structs.replace(calm, samples=samples)])
    assert "Other processes used 1.2 processors meanwhile" in speed.note(folder.load())


def test_times_that_do_not_agree_are_marked_and_not_drawn(folder):
    folder.time(busy(0.3))
    results = folder.load()
    (grid,) = results.study.grids
    table = grid_table(results, grid)
    assert texts(results)["ms per image median"][2:4] == ["8.0‡", "8.0‡"]
    (ours,) = [c for c in table.table.columns if c.name == "ms per image ours"]
    assert [cell.text for cell in ours.cells] == ["5.0", "5.0", "8.0‡", "8.0‡"]
    assert "‡ marks times with more than 25 %" in under_table(results, grid, table)
    ((_, curve),) = curves(grid, table)
    assert list(curve.x) == [5.0, 5.0], "depth 34 has no point"
    note = speed_figure(results, [(grid, table)]).note
    assert "Not drawn, because the machine was too busy: RetinaNet, depth 34, 128 px and " in note


def test_a_control_that_differs_is_a_warning(folder):
    folder.time(busy(0.0))
    made = folder.load().speed
    rounds = {name: made.attempts[0].medians(name) for name in made.entries}
    rounds["control"] = [5.3] * 10
    measured = attempt(rounds)
    folder.time(busy(0.0), attempts=[measured], times=speeds.times(measured, made.reference))
    note = speed.note(folder.load())
    assert (
        "takes 1.060 times as long (95 % CI 1.060 to 1.060). This is more than 3 % from 1" in note
    )


def test_without_a_measurement_the_column_is_empty_and_the_note_says_how(folder):
    for path in folder.layout.speed.iterdir():
        path.unlink()
    results = folder.load()
    (grid,) = results.study.grids
    table = grid_table(results, grid)
    assert list(table.texts["ms_per_image"]) == [""] * 4
    assert "has not been measured; `make speed` measures it" in under_table(results, grid, table)
    assert speed.architectures(results).table is None
    assert ap_over_ms_figure(grid, table) is None


def test_a_file_that_cannot_be_used_is_named_and_stops_nothing(folder):
    (folder.layout.speed / "other.json").write_text("[]")
    results = folder.load()
    assert results.complete and results.speed is not None
    assert "other.json: a JSON object is expected" in speed.architectures(results).note
    page, *_ = write_report(results)
    assert "other.json" in page.read_text("utf-8")


def test_candidates_stand_beside_the_time(make_folder):
    grid = replace(speed_grid(), metrics=("AP", "ms_per_image", "candidates_per_image"))
    made = make_folder(1, (grid,))
    cell = made.cell(0, 0)
    made.add(cell, 20.0)
    result = made.load().records[cell.id].result | {"candidates_per_image": 123.25}
    made.add(cell, 20.0, result=result)
    columns = {c.name: c.cells for c in grid_table(made.load(), grid).table.columns}
    assert [cell.text for cell in columns["candidates per image ours"]] == ["123.2", "–", "–", "–"]
