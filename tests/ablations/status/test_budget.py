import argparse

import pytest

from ablations.status import overview
from ablations.status.budget import Item, hours_of, items
from ablations.status.costs import Estimate
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from ablations.study.study import Study


def row(alpha, **changes):
    return Row({}, Setting.of(loss="ce", alpha=alpha), **changes)


def pending(alpha):
    return Row({}, Setting((("loss", "ce"), ("alpha", alpha)), "tune"), tune="tune")


@pytest.fixture
def study():
    """Tables of 2 and 3 cells that share one, a tuned one of 2 fresh cells, its tuning of 2."""
    grids = (
        Grid("two", "", (), (row(0.1), row(0.2))),
        Grid("three", "", (), (row(0.2), row(0.3), row(0.4))),
        Grid("tuned", "", (), (pending(0.9),)),
        Grid("tune", "", (), (row(0.5), row(0.6))),
    )
    return Study("tiny", "", "tiny.yaml", "", grids, (1,), fresh_seeds=(1001, 1002))


def cost(study, hours=1.0, **of_cells):
    known = dict.fromkeys(study.cells(), hours * 3600) | of_cells
    return Estimate(len(known), 0.0, None, None, 0, 0, (), zoo=False, of_cells=known)


@pytest.mark.parametrize(
    ("text", "hours"), [("100h", 100), ("4d", 96), ("1.5 h".replace(" ", ""), 1.5), ("12", 12)]
)
def test_budgets(text, hours):
    assert hours_of(text) == hours


@pytest.mark.parametrize("text", ["", "h", "0h", "-3h", "3w", "1e9h", "nan", "1h2h"])
def test_what_is_no_budget(text):
    with pytest.raises(argparse.ArgumentTypeError, match="such as 100h or 4d"):
        hours_of(text)


def test_the_main_question_comes_first_and_shared_cells_cost_once(study):
    assert items(study, cost(study), 100) == [
        Item(("tuned", "tune"), 4, 4.0, True),
        Item(("two",), 2, 2.0, True),
        Item(("three",), 2, 2.0, True),
    ]


def test_a_table_that_does_not_fit_leaves_room_for_a_cheaper_one(study):
    # 5 h: the main question takes 4, and two cells of table "two" would take 2.
    assert [item.fits for item in items(study, cost(study), 5)] == [True, False, False]
    # 3 h: not the main question. Of table "three", the cell that it shares is paid by "two".
    found = items(study, cost(study), 4 - 1e-9)
    assert [(item.hours, item.fits) for item in found] == [(4.0, False), (2.0, True), (2.0, False)]
    found = items(study, cost(study), 1.9)
    assert [item.hours for item in found] == [4.0, 2.0, 3.0], "nothing is paid yet"


def test_hours_are_of_all_gpus_of_a_cell(study):
    assert items(study, cost(study), 100, gpus=4)[0].hours == 16.0


def test_unknown_costs_do_not_fit(study):
    cells = study.cells()
    found = cost(study).of_cells | {cells[0]: None}
    estimate = Estimate(len(found), None, None, None, 0, 0, (), zoo=False, of_cells=found)
    fits = {item.grids[0]: (item.hours, item.fits) for item in items(study, estimate, 100)}
    assert fits["two"] == (None, False)
    assert fits["tuned"] == (4.0, True)


def test_done_cells_cost_nothing(study):
    left = dict.fromkeys(study.cells()[2:], 3600.0)
    estimate = Estimate(len(left), 0.0, None, None, 0, 0, (), zoo=False, of_cells=left)
    assert [i.cells for i in items(study, estimate, 100) if i.grids == ("two",)] == [0]


def test_the_printed_budget(study, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def printed(*arguments):
        overview.print_budget(*arguments)
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    assert printed(items(study, cost(study), 6), 6.0, 1) == [
        "A budget of 6 GPU-hours:",
        "table further cells GPU-hours sum fits",
        "tuned and its tuning 4 4.0 4.0 yes",
        "two 2 2.0 6.0 yes",
        "three 2 2.0 no",
        'What fits: make ablations ... GRIDS="tuned two"',
    ]
    assert printed(items(study, cost(study), 1), 1.0)[-1].startswith("No table fits")
