from dataclasses import replace

import pytest
import yaml

from ablations.storage.layout import Layout
from ablations.storage.reading import PlanError
from ablations.study.asked_seeds import ALL
from ablations.study.cell import Cell, Setting
from ablations.study.choice import Candidate, Choice, ranked, settings_of
from ablations.study.study import load_study
from ablations.tuning import selection

TUNING = ("tune_ce", "tune_fl", "tune_fl_star", "tune_fl_star_capped", "tune_appendix")


def choice(*settings, diverged=0, seeds=(1,)):
    found = tuple(Candidate(one.id, 30.0 - n, 29.0, diverged) for n, one in enumerate(settings))
    return Choice(found, seeds, 0, {})


@pytest.fixture
def write(tmp_path):
    """A function that writes a study of a tuned grid and two tuning grids, some keys replaced."""

    def make(rows=None, alphas=((0.25, 0.5), (0.5, 0.75)), **study):
        words = ("one", "two")
        grids = {
            "best": {
                "title": "the best",
                "columns": ["method", "alpha", "gamma"],
                "rows": rows or [{"method": word, "tune": f"tune_{word}"} for word in words],
            },
            **{
                f"tune_{word}": {
                    "title": f"tuning {word}",
                    "columns": ["alpha"],
                    "common": {"loss": "focal", "gamma": 1.0 + n},
                    "rows": [{"alpha": alpha} for alpha in alphas[n]],
                }
                for n, word in enumerate(words)
            },
        }
        content = {
            "title": "a study", "config": "tiny.yaml", "dataset": "digits", "grids": ["best"],
            "seeds": 2,
        } | study  # fmt: skip
        for folder, files in (("grids", grids), ("studies", {"small": content})):
            (tmp_path / folder).mkdir(exist_ok=True)
            for name, text in files.items():
                (tmp_path / folder / f"{name}.yaml").write_text(yaml.safe_dump(text))
        return tmp_path

    return make


def test_each_loss_is_tuned_over_nine_settings():
    study = load_study("mini", ["losses"])
    assert tuple(grid.name for grid in study.tuning) == TUNING
    assert [len(settings_of(grid)) for grid in study.tuning] == [9] * len(TUNING)


def test_tuning_uses_the_settings_of_the_tables():
    def settings(*names):
        study = load_study("mini", list(names), schedule=1)
        return {row.setting for grid in study.grids for row in grid.rows}

    assert settings("alpha") < settings("tune_ce")
    neutral = Setting.of(loss="ce", alpha=0.75)
    assert settings("gamma") - {neutral} < settings("tune_fl")
    assert settings("gamma_star") - {neutral} < settings("tune_fl_star")
    assert settings("tune_fl_star") < settings("gamma_star", "alpha_gamma_star")
    capped = {one for one in settings("weight_cap_star") if "weight_cap" in one.as_dict()}
    assert capped < settings("tune_fl_star_capped")
    assert settings("appendix") < settings("tune_appendix")


def test_a_tuned_grid_brings_its_tuning_grids(write):
    study = load_study("small", folder=write())
    assert [grid.name for grid in study.grids] == ["best", "tune_one", "tune_two"]
    assert study.tuning == study.grids[1:]
    cells = study.cells()
    assert len(cells) == 2 * 4 + 2 * 5, "the number of cells is known before the choice"
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert cells[-1] == Cell(Setting((("loss", "focal"), ("gamma", 2.0)), "tune_two"), 1005)
    assert cells[-1].id == "tune_two-chosen-seed1005"


def test_a_choice_makes_the_row_one_of_its_grid(write):
    study = load_study("small", folder=write())
    best, one, two = study.grids
    made = study.with_choices({"tune_one": choice(one.rows[1].setting, one.rows[0].setting)})
    assert made.grids[0].rows[0].setting == one.rows[1].setting
    assert made.grids[0].rows[0].values == {"method": "one", "alpha": 0.5, "gamma": 1.0}
    assert made.grids[0].rows[1] == best.rows[1], "that of the other loss is still pending"
    assert len(made.cells()) == len(study.cells())
    assert made.grids[1:] == (one, two)
    again = made.with_choices({"tune_one": choice(*settings_of(one))})
    assert again.grids[0].rows[0].values["alpha"] == 0.25
    assert again.with_choices({}).grids == study.grids


def test_nothing_is_chosen_if_every_run_diverged(write):
    study = load_study("small", folder=write())
    setting = study.grids[1].rows[0].setting
    assert choice(setting, diverged=2, seeds=(1, 2)).best is None
    assert choice(setting, diverged=1, seeds=(1, 2)).best.setting == setting.id
    made = study.with_choices({"tune_one": choice(setting, diverged=1)})
    assert made.grids[0].rows[0].setting.pending == "tune_one"


def test_of_equal_settings_the_one_that_trained_is_chosen():
    diverged, trained = Candidate("a", 0.0, 0.0, 1), Candidate("b", 0.0, 0.0, 0)
    assert Choice(ranked((diverged, trained)), (1,), 0, {}).best == trained


def test_each_schedule_and_number_of_seeds_keeps_its_choice(write, tmp_path):
    """So that a run at another schedule, in the same folder, loses nothing."""
    folder, layout = write(seeds=1), Layout(tmp_path / "out")
    layout.root.mkdir()
    studies = [
        load_study("small", folder=folder, schedule=schedule, seeds=seeds)
        for schedule, seeds in ((1, None), (0.5, None), (0.5, {ALL: 2}))
    ]
    keys = [selection.key_of(study, "tune_one") for study in studies]
    assert keys == ["tune_one", "tune_one at 0.5x", "tune_one at 0.5x, 2 seeds"]
    for study, key in zip(studies, keys, strict=True):
        seeds = study.seeds_of(study.grids[1])
        found = choice(*settings_of(study.grids[1]), seeds=seeds)
        selection.write(layout, {key: found})
    for study in studies:
        stored = selection.with_stored(study, layout, None).choices["tune_one"]
        assert stored.stale == ()
        assert stored.best.setting == study.grids[1].rows[0].setting.id


def test_selection_seed_changes_no_cell(write):
    first, second = (load_study("small", folder=write(selection_seed=seed)) for seed in (0, 1))
    assert (first.selection_seed, second.selection_seed) == (0, 1)
    assert first.cells() == second.cells()
    assert replace(second, selection_seed=0) == first


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"alphas": ((0.25, 0.5), (0.5,))},
            "grid best: its tuning grids have unequal numbers of settings, so the comparison would "
            "be unfair: tune_one has 2, tune_two has 1",
        ),
        # A setting that stands twice is one try.
        ({"alphas": ((0.25, 0.25), (0.5, 0.75))}, "tune_one has 1, tune_two has 2"),
        (
            {"rows": [{"method": "one", "tune": "tune_on"}]},
            "grid best: tune: unknown grid tune_on; known: best, tune_one, tune_two; did you mean "
            "tune_one?",
        ),
        (
            {"rows": [{"method": "one", "tune": "tune_one", "alpha": 0.5}]},
            "row 1: alpha: a row with tune takes its axes from it",
        ),
        ({"rows": [{"tune": "tune_one"}]}, "row 1: method is a column and has no value"),
        ({"rows": [{"method": "one", "tune": 3}]}, "row 1: tune is 3: expected text"),
        ({"rows": [{"method": "one", "tune": "best"}]}, "grid best: best has tuned rows itself"),
        (
            {"more_seeds": {"tune_one": 3}},
            "more_seeds: grid tune_one tunes a loss; all losses are tuned with equal seeds",
        ),
        ({"fresh_seeds": 0}, "fresh_seeds is 0"),
        ({"selection_seed": -1}, "selection_seed is -1"),
    ],
)
def test_an_unfair_or_impossible_tuning_is_refused(write, changes, words):
    with pytest.raises(PlanError) as caught:
        load_study("small", folder=write(**changes))
    assert words in str(caught.value)


def test_more_seeds_may_be_asked_for(write):
    study = load_study("small", seeds={ALL: 3}, folder=write(fresh_seeds=8))
    assert study.fresh_seeds == (1001, 1002, 1003) and study.same_seeds == {ALL: 3}
    study = load_study("small", folder=write(fresh_seeds=8))
    assert len(study.fresh_seeds) == 8 and study.same_seeds == {}


def test_a_grid_may_have_more_seeds(write):
    folder = write(fresh_seeds=8)
    study = load_study("small", seeds={"best": 3}, folder=folder)
    best, *tuning = study.grids
    assert study.seeds_of(best) == (1001, 1002, 1003) and study.same_seeds == {"best": 3}
    assert {study.seeds_of(grid) for grid in tuning} == {(1, 2)}
    mixed = load_study("small", seeds={ALL: 4, "best": 3}, folder=folder)
    assert mixed.seeds_of(best) == (1001, 1002, 1003)
    assert {mixed.seeds_of(grid) for grid in mixed.grids[1:]} == {(1, 2, 3, 4)}
    with pytest.raises(PlanError, match="seeds: unknown grid bets; .*did you mean best?"):
        load_study("small", seeds={"bets": 3}, folder=folder)
    with pytest.raises(PlanError, match="all losses are tuned with equal seeds"):
        load_study("small", seeds={"tune_one": 3}, folder=folder)
