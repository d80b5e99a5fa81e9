"""A table whose rows differ in something that it does not name is found."""

from dataclasses import replace

import pytest

from ablations.records.record import load, save
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from reports.page.render import write_report
from reports.results.differences import differences
from reports.tables import captions
from reports.tables.grids import grid_table
from tests.reports.conftest import BASE, grid

GAMMA, MAX_ITER = "MODEL.RETINANET.FOCAL_LOSS_GAMMA", "SOLVER.MAX_ITER"


def found_in(folder):
    results = folder.load()
    (only,) = folder.study.grids
    return differences(results, only, grid_table(results, only).row_labels)


def edit(folder, row, values=None, seed=1, follows=None, **identity):
    """Change the recorded config of a run, and its identity without making it stale."""
    path = folder.layout.record(folder.cell(0, row, seed).id)
    record = load(path)
    record.run["config"]["values"].update(values or {})
    record.run["config"]["follows"].update(follows or {})
    record.identity.update(identity)
    save(record, path)


@pytest.fixture
def filled(make_folder):
    """A function of a table and of the number of seeds: its study, with a record of each run."""

    def fill(table: Grid, seeds: int = 1):
        folder = make_folder(seeds, grids=(table,))
        for number, cell in enumerate(folder.study.cells()):
            folder.add(cell, 10.0 + number)
        return folder

    return fill


@pytest.fixture
def gamma(filled):
    """FL at three gammas, two seeds."""
    rows = [{"gamma": gamma, "alpha": 0.25} for gamma in (0.5, 1.0, 2.0)]
    return filled(grid("gamma", "focal", rows), seeds=2)


def test_a_table_that_differs_only_in_its_columns_is_confirmed(gamma):
    found = found_in(gamma)
    assert found.confounds == ()
    assert found.named == ("γ",)
    assert captions.compared_configs(found) == (
        "The rows differ in γ, and in nothing else (recorded configs of 6 runs)."
    )
    assert captions.confounds(found) == ""


def test_the_loss_follows_where_gamma_makes_it_the_cross_entropy(filled):
    rows = tuple(
        Row({"loss": "focal", **row}, Setting.of(BASE, loss="focal", **row))
        for row in ({"gamma": 0.0, "alpha": 0.75}, {"gamma": 2.0, "alpha": 0.75})
    )
    found = found_in(filled(Grid("gamma", "gamma", ("gamma", "alpha"), rows)))
    assert (found.following, found.confounds) == (("loss",), ())


def test_a_key_that_no_column_names_is_a_confound(gamma):
    edit(gamma, 2, {MAX_ITER: 900})
    edit(gamma, 2, {MAX_ITER: 900}, seed=2)
    found = found_in(gamma)
    assert found.confounds == (
        "SOLVER.MAX_ITER: its default in γ = 0.5, α = 0.25 (seed 1) and γ = 0.5, α = 0.25 (seed 2) "
        "and γ = 1, α = 0.25 (seed 1) and γ = 1, α = 0.25 (seed 2), "
        "900.0 in γ = 2, α = 0.25 (seed 1) and γ = 2, α = 0.25 (seed 2)",
    )
    assert "and in nothing else" not in captions.compared_configs(found)
    assert MAX_ITER in captions.confounds(found)


def test_a_single_seed_that_was_trained_otherwise_is_a_confound(gamma):
    edit(gamma, 1, {MAX_ITER: 900}, seed=2)
    (text,) = found_in(gamma).confounds
    assert text.endswith("900.0 in γ = 1, α = 0.25 (seed 2)")


def test_an_axis_that_rows_vary_and_no_column_shows_is_a_confound(filled):
    rows = tuple(
        Row(values, Setting.of(BASE, loss="focal", **values))
        for values in ({"gamma": 1.0, "alpha": 0.25}, {"gamma": 2.0, "alpha": 0.5})
    )
    table = Grid("gamma", "gamma", ("gamma",), rows)
    (text,) = found_in(filled(table)).confounds
    assert text.startswith("MODEL.RETINANET.FOCAL_LOSS_ALPHA: 0.25 in γ = 1 (seed 1), 0.5 in γ = 2")
    shown = replace(table, columns=("gamma", "alpha"))
    assert found_in(filled(shown)).confounds == ()


def test_a_column_of_words_stands_for_the_axes_that_its_rows_vary(filled):
    rows = [
        {"method": "CE", "loss": "ce", "alpha": 0.5},
        {"method": "FL", "loss": "focal", "alpha": 0.25, "gamma": 2.0},
    ]
    table = Grid("methods", "methods", ("method",), tuple(
        Row(row, Setting.of(BASE, **{k: v for k, v in row.items() if k != "method"}))
        for row in rows
    ))  # fmt: skip
    found = found_in(filled(table))
    assert (found.by_word, found.confounds) == (("loss", "α"), ())
    assert "what the row names imply (loss and α)" in captions.compared_configs(found)


def test_a_row_that_was_trained_with_another_value_than_its_own_is_a_confound(gamma):
    edit(gamma, 2, {GAMMA: 5.0}, seed=1)
    edit(gamma, 2, {GAMMA: 5.0}, seed=2)
    assert any(text.startswith(f"{GAMMA}: 5.0 in γ = 2") for text in found_in(gamma).confounds)


def test_two_values_that_were_both_trained_with_the_default_are_a_confound(gamma):
    for row in (1, 2):
        for seed in (1, 2):
            path = gamma.layout.record(gamma.cell(0, row, seed).id)
            record = load(path)
            del record.run["config"]["values"][GAMMA]
            save(record, path)
    assert any(text.startswith(f"{GAMMA}: its default") for text in found_in(gamma).confounds)


EDGE, SIZE = "INPUT.SHORT_EDGE", "INPUT.MIN_SIZE_TEST"


def scales(filled):
    rows = tuple(
        Row({"scale": edge}, Setting.of(BASE, loss="ce", alpha=0.5, scale=edge))
        for edge in (88, 104)
    )
    return filled(Grid("scale", "scale", ("scale",), rows))


def test_a_derived_key_follows_from_its_source(filled):
    folder = scales(filled)
    for row, edge in enumerate((88, 104)):
        edit(folder, row, {SIZE: edge}, follows={SIZE: [EDGE]})
    found = found_in(folder)
    assert (found.following, found.confounds) == ((SIZE,), ())
    assert f"what is derived from these ({SIZE})" in captions.compared_configs(found)


def test_a_derived_key_that_differs_while_its_sources_are_equal_is_a_confound(gamma):
    for row, edge in enumerate((88, 104, 104)):
        for seed in (1, 2):
            edit(gamma, row, {SIZE: edge}, seed, follows={SIZE: [EDGE]})
    assert any(text.startswith(f"{SIZE}: 88.0 in ") for text in found_in(gamma).confounds)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("dataset", "data set"),
        ("numerics", "numerics"),
        ("processes", "number of processes"),
        ("weights", "initial weights"),
        ("loss", "code of the loss"),
    ],
)
def test_another_part_of_the_identity_is_a_confound(gamma, part, name):
    edit(gamma, 2, **{part: 7 if part in ("numerics", "processes") else "ab" * 32})
    assert any(text.startswith(f"{name}: ") for text in found_in(gamma).confounds)


def test_a_change_of_the_config_at_a_resume_is_named(gamma):
    path = gamma.layout.record(gamma.cell(0, 0).id)
    record = load(path)
    change = {"iteration": 20, "key": "TEST.IMS_PER_BATCH", "old": 1, "new": 16}
    record.run["config_changes"] = [change, change | {"key": "CACHE_DIR"}]
    save(record, path)
    assert found_in(gamma).confounds == (
        "TEST.IMS_PER_BATCH: from 1 to 16 at iteration 20 of γ = 0.5, α = 0.25 (seed 1)",
    )


def test_keys_without_effect_may_differ(gamma):
    edit(gamma, 1, {"OUTPUT_DIR": "elsewhere", "SEED": 9})
    assert found_in(gamma).confounds == ()


def test_a_record_without_its_config_is_counted(gamma):
    for cell in gamma.study.cells():
        path = gamma.layout.record(cell.id)
        record = load(path)
        if cell.seed == 1:
            del record.run["config"]
        save(record, path)
    found = found_in(gamma)
    assert captions.compared_configs(found).endswith("(recorded configs of 3 of 6 runs).")
    for cell in gamma.study.cells():
        gamma.add(cell, 10.0, run={})
    assert "no record contains the config" in captions.compared_configs(found_in(gamma))


def test_the_report_warns_at_the_top_and_below_the_table(gamma):
    gamma.describe()
    write_report(gamma.load())
    page = gamma.layout.report / "report.md"
    assert "Confounded" not in page.read_text()
    edit(gamma, 2, {MAX_ITER: 900})
    write_report(gamma.load())
    text = page.read_text()
    assert "The rows of table gamma also differ in keys that the table does not name" in text
    assert text.count("Confounded: ") == 1
    assert MAX_ITER in text[text.index("Confounded: ") :]
