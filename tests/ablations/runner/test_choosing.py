"""A run tunes, chooses, trains the chosen settings with fresh seeds, and judges them."""

import json
import shutil
from dataclasses import replace

import pytest

from ablations.runner.processes import ForkServer, start_new
from ablations.runner.run import run
from ablations.status.status import MISSING, STALE, UNCHOSEN, UNJUDGED, status
from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from ablations.tuning import halves, selection

LOSSES = ("focal", "focal_star")
ALPHAS = (0.25, 0.5, 0.75)
FRESH = (1001, 1002)


def setting(loss, alpha):
    return Setting.of(loss=loss, alpha=alpha, gamma=1.0)


def name(loss, alpha, seed=1):
    return f"{setting(loss, alpha).id}-seed{seed}"


def grids_of(alphas=ALPHAS):
    tuning = tuple(
        Grid(
            f"tune_{loss}",
            loss,
            ("alpha",),
            tuple(Row({"alpha": alpha, "gamma": 1.0}, setting(loss, alpha)) for alpha in alphas),
        )
        for loss in LOSSES
    )
    rows = tuple(
        Row({"method": loss}, Setting((), f"tune_{loss}"), tune=f"tune_{loss}") for loss in LOSSES
    )
    return (Grid("headline", "the best", ("method", "alpha"), rows), *tuning)


class Tuning:
    """A workplace whose study has two losses, three settings of each, and two fresh seeds."""

    def __init__(self, workplace):
        self.workplace = workplace
        workplace.prepared.dataset["val"] = {"annotation_file": "val.json"}
        self.give({name("focal", 0.5): 30.0, name("focal_star", 0.75): 31.0})

    def give(self, aps):
        (self.workplace.root / "halves.json").write_text(json.dumps(aps), encoding="utf-8")

    def request(self, alphas=ALPHAS, **changes):
        request = self.workplace.request(0.5)
        study = replace(
            request.study, grids=grids_of(alphas), fresh_seeds=FRESH, **changes
        ).with_choices({})
        return replace(request, study=study)

    def status(self, request=None):
        request = request or self.request()
        study, identities = selection.resolve(
            request.study, request.layout, self.workplace.prepared, 1, None
        )
        return status(study, request.layout, identities)

    @property
    def fresh(self):
        return [cell for cell in self.workplace.started() if "-seed100" in cell]

    def judged(self):
        return self.workplace._lines("judged.txt")


@pytest.fixture
def tuning(workplace, monkeypatch):
    # Cells are new interpreters: a server would import torch in each of these tests.
    monkeypatch.setattr(ForkServer, "warm_up", lambda _: None)
    monkeypatch.setattr(ForkServer, "start", lambda _, start: start_new(start))
    return Tuning(workplace)


BEST = {name(loss, alpha, seed) for loss, alpha in (("focal", 0.5), ("focal_star", 0.75))
        for seed in FRESH}  # fmt: skip


def test_the_best_of_each_loss_is_trained_with_fresh_seeds(tuning, capsys):
    request = tuning.request()
    assert run(request) == 0
    assert tuning.workplace.started()[:6] == [name(x, a) for x in LOSSES for a in ALPHAS]
    assert set(tuning.fresh) == BEST and len(tuning.fresh) == 4
    assert set(tuning.judged()) == set(tuning.workplace.records())
    found = tuning.status()
    assert found.is_complete and found.counts["done"] == 10
    out = capsys.readouterr().out
    assert "tiny at 1x: 10 cells, 0 done, 6 to run, 4 chosen after tuning\n" in out
    assert f"tune_focal: chosen {setting('focal', 0.5).id} of 3 settings, AP 30.0 on" in out
    assert "tiny at 1x: 10 cells, 6 done, 4 to run" in out
    choice = selection.read(request.layout)["tune_focal"]
    assert [one.setting for one in choice.ranked] == [
        setting("focal", alpha).id for alpha in (0.5, 0.25, 0.75)
    ]
    assert (choice.ranked[0].selection, choice.ranked[0].reporting) == (30.0, 29.0)
    assert choice.fingerprints == {
        name("focal", alpha): tuning.workplace.records()[name("focal", alpha)].fingerprint
        for alpha in ALPHAS
    }
    cells = [halves.load(request.layout, r, 0, whole=True)
             for r in tuning.workplace.records().values()]  # fmt: skip
    assert sum(cell is not None for cell in cells) == 4, "only fresh cells report"


def test_a_finished_run_does_nothing_again(tuning, capsys):
    run(tuning.request())
    chosen = tuning.request().layout.selection
    before = (tuning.workplace.started(), tuning.judged(), chosen.read_bytes())
    capsys.readouterr()
    assert run(tuning.request()) == 0
    assert (tuning.workplace.started(), tuning.judged(), chosen.read_bytes()) == before
    assert "10 cells, 10 done, 0 to run\n" in capsys.readouterr().out


def test_another_selection_seed_trains_no_tuning_cell(tuning):
    run(tuning.request())
    again = tuning.request(selection_seed=1)
    found = tuning.status(again)
    assert found.counts[STALE] == 4 and set(found.changed) == {
        cell for cell in found.states if cell.seed in FRESH
    }
    assert {reason for why in found.changed.values() for reason in why} == {"selection seed"}
    started = tuning.workplace.started()
    assert run(again) == 0
    new = tuning.workplace.started()[len(started) :]
    # The order of AP is reversed there: the first of the two equal ones is best.
    assert set(new) == {name(loss, 0.25, seed) for loss in LOSSES for seed in FRESH}
    assert len(tuning.workplace.records()) == 14, "nothing is lost"
    assert run(tuning.request()) == 0, "the first seed again"
    assert len(tuning.workplace.started()) == len(started) + 4, "its cells are all there"


def test_a_changed_tuning_cell_invalidates_the_choice(tuning):
    run(tuning.request())
    tuning.workplace.prepared.config["SOLVER"]["BASE_LR"] = 0.1
    (tuning.workplace.root / "config.json").write_text(json.dumps(tuning.workplace.prepared.config))
    found = tuning.status()
    assert found.counts[STALE] == 10
    fresh = [why for cell, why in found.changed.items() if cell.seed in FRESH]
    assert fresh == [["tuning runs", "config"]] * 4
    tuning.give({name("focal", 0.25): 30.0, name("focal_star", 0.75): 31.0})
    assert run(tuning.request()) == 0
    assert tuning.status().is_complete
    assert {name("focal", 0.25, seed) for seed in FRESH} <= set(tuning.fresh)


def test_another_tuning_grid_invalidates_the_choice(tuning):
    run(tuning.request())
    more = tuning.request(alphas=(*ALPHAS, 0.9))
    found = tuning.status(more)
    assert found.counts[STALE] == 4 and found.counts[MISSING] == 2
    assert next(iter(found.changed.values())) == ["tuning grid"]
    # Another number of seeds has a choice of its own, which is still to be made.
    found = tuning.status(tuning.request(seeds=(1, 2)))
    assert not found.changed and any(cell.setting.pending for cell in found.states)


def test_a_run_resumes_after_the_choice(tuning, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ablations.runner.choosing.choose", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tuning.request())
    assert tuning.status().counts[MISSING] == 4 and not tuning.fresh
    with monkeypatch.context() as patched:
        patched.setattr("ablations.runner.choosing.judge", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tuning.request())
    found = tuning.status()
    assert found.counts[UNJUDGED] == 4 and not found.is_complete
    started = tuning.workplace.started()
    assert run(tuning.request()) == 0
    assert tuning.workplace.started() == started and tuning.status().is_complete


def test_a_loss_whose_runs_all_diverged_has_a_marked_row(tuning, capsys):
    tuning.workplace.act({name("focal", alpha): "diverged" for alpha in ALPHAS})
    assert run(tuning.request()) == 0
    found = tuning.status()
    assert found.is_complete and found.counts[UNCHOSEN] == 2
    assert set(tuning.fresh) == {name("focal_star", 0.75, seed) for seed in FRESH}
    assert "tune_focal: no setting can be chosen: every run of its 3 settings diverged" in (
        capsys.readouterr().out
    )
    assert selection.read(tuning.request().layout)["tune_focal"].best is None


def test_a_diverged_run_counts_as_0(tuning):
    tuning.workplace.act({name("focal", 0.5): "diverged"})
    assert run(tuning.request()) == 0
    ranked = selection.read(tuning.request().layout)["tune_focal"].ranked
    assert ranked[-1].setting == setting("focal", 0.5).id
    assert (ranked[-1].selection, ranked[-1].diverged) == (0.0, 1)


def test_a_failed_tuning_cell_delays_only_its_loss(tuning, capsys):
    tuning.workplace.act({name("focal", 0.25): "unusable"})
    assert run(tuning.request()) == 1
    assert set(tuning.fresh) == {name("focal_star", 0.75, seed) for seed in FRESH}
    assert "tune_focal: 2 of 3 cells have a result; no setting is chosen" in capsys.readouterr().out
    assert tuning.workplace.started().count(name("focal", 0.25)) == 1, "before the choice"
    assert tuning.status().counts[MISSING] == 2
    tuning.workplace.act({})
    assert run(tuning.request()) == 0
    assert set(tuning.fresh) == BEST


@pytest.mark.parametrize(
    ("ap", "words"),
    [
        ("broken", "AP on halves of the images failed for focal-alpha0.25-gamma1-seed1:"),
        (None, "is undefined on one half of the validation images, which has no objects"),
    ],
)
def test_a_cell_without_ap_on_a_half_prevents_only_its_choice(tuning, capsys, ap, words):
    tuning.give({name("focal", 0.25): ap, name("focal_star", 0.75): 31.0})
    assert run(tuning.request()) == 1
    assert words in capsys.readouterr().out
    assert set(selection.read(tuning.request().layout)) == {"tune_focal_star"}


def test_lost_detections_are_named(tuning, capsys):
    run(tuning.request())
    layout = tuning.request().layout
    layout.half(name("focal", 0.5)).unlink()
    layout.selection.write_text("{", encoding="utf-8")
    layout.cell_detections(name("focal", 0.5)).unlink()
    assert run(tuning.request()) == 1
    out = capsys.readouterr().out
    assert "the detections of focal-alpha0.5-gamma1-seed1 are gone; delete the records" in out
    layout.record(name("focal", 0.5)).unlink()
    shutil.rmtree(layout.cell(name("focal", 0.5)))
    assert run(tuning.request()) == 0, "it is trained again"


def test_a_data_set_that_cannot_be_divided_is_named(tuning, capsys):
    tuning.workplace.prepared.dataset.pop("val")
    assert run(tuning.request()) == 1
    assert "its validation split is not one file in COCO's format" in capsys.readouterr().out
