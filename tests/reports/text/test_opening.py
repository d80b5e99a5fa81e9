"""The texts of the first screen, for every outcome and for any study."""

from dataclasses import replace

import msgspec
import pytest

from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from reports.page.opening import opening as screen
from reports.results import provenance
from reports.results.question import question
from reports.statistics.comparisons import compare
from reports.text import opening
from reports.text.answer import answer
from tests.reports.text.test_answer import CE, FL, FL_RUNS, FLOORED, HEADLINE, STAR, folder, row

__all__ = ["folder"]

ASKED = "Does the modified focal loss FL* improve on the focal loss FL in a RetinaNet? "


def shown(study):
    results = study.load()
    found = answer(results)
    return opening.question_text(results, found), opening.verdict(results, found)


def test_worse(folder):
    study = folder(3, {STAR: [25.0, 25.4, 25.5], FL: FL_RUNS})
    one = compare(study.load(), HEADLINE)[STAR]
    title, verdict = shown(study)
    assert title == f"{ASKED}Not here: it is worse."
    assert (verdict.pair, verdict.effect) == ("FL* against FL", "−5.0 AP")
    low, high = (
        f"{bound:+.1f}".replace("-", "−") for bound in (one.difference_low, one.difference_high)
    )
    assert verdict.interval == f"95 % CI {low} to {high}"
    assert verdict.result.startswith("significantly worse than FL, p ")
    assert (verdict.values, verdict.data) == ("25.3 against 30.3 AP", "3 seeds × 40 images")


def test_better(folder):
    title, verdict = shown(folder(3, {STAR: [35.0, 35.4, 35.5], FL: FL_RUNS}))
    assert title == f"{ASKED}Yes, here." and verdict.effect == "+5.0 AP"
    assert verdict.result.startswith("significantly better than FL")


def test_equivalent(folder):
    runs = {STAR: [30.1, 30.5, 30.3, 30.4], FL: [30.3, 30.2, 30.5, 30.45]}
    title, verdict = shown(folder(4, runs))
    assert title == f"{ASKED}Not here: it is equivalent." and verdict.effect == "0.0 AP"
    assert verdict.result.startswith("equivalent to FL within ±1 AP, p ")


def test_undecided(folder):
    study = folder(3, {STAR: [30.1, 31.4, 30.9], FL: FL_RUNS})
    title, verdict = shown(study)
    assert title == f"{ASKED}Undecided."
    needed = compare(study.load(), HEADLINE)[STAR].needed.seeds
    assert verdict.result.endswith(f"; {needed} seeds per row would decide")


def test_one_seed(folder):
    title, verdict = shown(folder(1, {STAR: [35.0], FL: [30.0]}))
    assert title == f"{ASKED}Not tested."
    assert verdict.interval.endswith(", images only") and verdict.data == "1 seed × 40 images"
    assert verdict.result == "not tested: one seed"


def test_unequal_seeds(folder):
    _, verdict = shown(folder(3, {STAR: [35.0, 35.1], FL: FL_RUNS}))
    assert verdict.data == "2 and 3 seeds × 40 images"


def test_not_learnt(folder):
    title, verdict = shown(folder(3, FLOORED))
    assert title == f"{ASKED}Unknown: no loss has learnt enough."
    assert verdict.effect == "not learnt" and not verdict.interval and not verdict.result


def test_unfinished(folder):
    title, verdict = shown(folder(2, {FL: FL_RUNS[:2]}))
    assert title == f"{ASKED}No result yet."
    assert (verdict.effect, verdict.values) == ("no result", "")


def test_a_loss_of_a_user(folder):
    mine = replace(row("Mine", loss="ce", alpha=0.5))
    setting = replace(mine.setting, values=(("loss", "mine"), ("alpha", 0.5)))
    rows = (replace(mine, setting=setting), *HEADLINE.rows[1::2])
    grid = replace(HEADLINE, rows=rows, references=(1, 1, 1))
    study = folder(3, {0: [35.0, 35.4, 35.5], 1: FL_RUNS}, grid)
    title, verdict = shown(study)
    assert title == "Does the loss Mine improve on the focal loss FL in a RetinaNet? Yes, here."
    assert verdict.pair == "Mine against FL"
    results = study.load()
    found = screen(results, answer(results))
    assert found.formulas == ("focal",), "only losses whose formula is known"
    assert "CE: cross entropy." in found.terms and "FL* also" not in found.terms


def test_the_candidate_that_a_table_names(folder):
    title, verdict = shown(
        folder(3, {CE: [20.0, 20.4, 20.5], FL: FL_RUNS}, replace(HEADLINE, candidate=CE))
    )
    asked = "Does the cross entropy CE improve on the focal loss FL in a RetinaNet? "
    assert title == f"{asked}Not here: it is worse."
    assert verdict.pair == "CE against FL"


def test_a_table_that_names_its_candidate_comes_before_the_headline(folder):
    own = replace(HEADLINE, name="own", candidate=CE)
    study = replace(folder(1, {FL: FL_RUNS[:1]}).study, grids=(HEADLINE, own))
    asked = question(study)
    assert (asked.grid.name, asked.candidate) == ("own", CE)


def test_a_study_that_compares_no_losses_shows_its_first_table(make_folder):
    folder = make_folder(1)
    study = folder.study
    first, second = study.grids
    folder.study = replace(study, grids=(replace(first, references=(2, 2, 2)), second))
    folder.add(folder.cell(0, 0), 4.0)
    folder.add(folder.cell(0, 2), 13.0)
    results = folder.load()
    found = screen(results, answer(results))
    assert (found.title, found.kicker, found.verdict) == ("A small study", "", None)
    assert "The best row is α = 0.75 with 13.0 AP, the reference row" in found.finding
    assert found.forest and found.table == "alpha" and found.formulas == ("ce",)
    alternative = found.forest.figure.alternative
    assert "α = 0.25: −9.0, not tested" in alternative.replace("CE (α = 0.25)", "α = 0.25")


def test_a_study_without_a_reference_row_has_a_title_and_a_scope_alone(make_folder):
    results = make_folder(1).load()
    found = screen(results, answer(results))
    assert found.title == "A small study" and not found.forest and not found.formulas
    assert found.scope == ("digits_in_scenes, toy data", "128 px", "1x", "not COCO")
    assert found.cost == ""


def test_the_scope_names_the_clipping_of_gradients(make_folder):
    study = make_folder(1)
    study.prepared.config["SOLVER"] = {"CLIP_GRADIENTS": {"ENABLED": True, "CLIP_VALUE": 10.0}}
    study.describe()
    assert "gradients clipped to norm 10" in opening.scope(study.load(), None)
    study.prepared.config["SOLVER"]["CLIP_GRADIENTS"]["ENABLED"] = False
    study.describe()
    assert "clipped" not in str(opening.scope(study.load(), None))


def test_the_scope_of_the_published_data(folder):
    study = folder(1, {STAR: [35.0], FL: [30.0]})
    for changes, last in (
        ({"as_published": True}, "the paper's set-up"),
        ({"as_published": True, "schedule": 0.5}, "1x, 60 iterations"),
        ({}, "not COCO"),
    ):
        study.study = replace(study.study, **{"as_published": False, "schedule": 1.0} | changes)
        assert opening.scope(study.load(), None)[-1] == last


def test_the_scope_names_the_schedule_of_the_answer_alone(make_folder):
    longer = tuple(
        Row({"schedule": at}, Setting.of(loss="focal", alpha=0.25, gamma=1.0, schedule=at))
        for at in (0.3, 2.0)
    )
    study = make_folder(1, (HEADLINE, Grid("longer", "Training length", ("schedule",), longer)))
    for grid, number in ((0, STAR), (0, FL), (1, 0), (1, 1)):
        study.add(study.cell(grid, number), 30.0)
    results = study.load()
    assert "0.3x" in provenance.schedule(results.records_of(results.frame))
    assert screen(results, answer(results)).scope[2] == "1x, 60 iterations"


def test_the_forest_names_every_number(folder):
    study = folder(3, {STAR: [25.0, 25.4, 25.5], FL: FL_RUNS, CE: [29.0, 29.9, 29.6]})
    results = study.load()
    found = screen(results, answer(results))
    one = compare(results, HEADLINE)[STAR]
    low, high = (
        f"{bound:+.1f}".replace("-", "−") for bound in (one.difference_low, one.difference_high)
    )
    text = found.forest.figure.alternative
    # Each seed minus the mean of FL, 30.3.
    assert (
        f"FL* (α = 0.75, γ = 0.125): −5.0, worse (95 % CI {low} to {high} over seeds and images), "
        "seeds −5.3, −4.9 and −4.8; "
    ) in text
    assert (
        "FL, γ" not in text and "FL (α = 0.25, γ = 1): 30.3 AP, seeds −0.3, +0.2 and +0.1" in text
    )
    assert "Margin of equivalence: ±1 AP. Noise: two rows of 3 seeds each" in text


@pytest.mark.parametrize("losses", [("focal", "focal_star"), ("ce",)])
def test_a_terms_line_explains_only_what_is_shown(folder, losses):
    results = folder(1, {}).load()
    text = opening.terms(results, answer(results).asked, losses)
    raises = "FL* also raises the weight of hard ones." in opening.gist(losses)
    assert raises == ("focal_star" in losses)
    assert "AP: average precision in percent" in text


@pytest.mark.parametrize(
    ("images", "empty", "skips_empty", "schedule", "unit"),
    [
        (40, 0, True, 1.0, "1x: the 12 epochs of the focal loss paper."),
        (40, 0, True, 0.25, "1x: 48 epochs of the training images."),
        (10, 0, True, 1.0, "1x: 48 epochs of the training images."),
        (40, 30, True, 1.0, "1x: 48 epochs of the training images with objects."),
        (40, 30, False, 1.0, "1x: the 12 epochs of the focal loss paper."),
        (None, 0, True, 1.0, "over IoU 0.5 to 0.95."),
    ],
)
def test_the_unit_of_schedules_follows_from_the_runs(
    folder, monkeypatch, images, empty, skips_empty, schedule, unit
):
    results = folder(1, {FL: [30.0]}).load()
    train = {"num_images": images, "num_without_objects": empty}
    for name, record in results.records.items():
        setting = {**record.setting, "schedule": schedule}
        dataset = {**record.dataset, "train": train}
        results.records[name] = msgspec.structs.replace(record, setting=setting, dataset=dataset)
    # 60 iterations of 8 are 12 times 40 images.
    config = {"SOLVER.IMS_PER_BATCH": 8, "DATALOADER.FILTER_EMPTY_ANNOTATIONS": skips_empty}
    monkeypatch.setattr(type(results), "config", config)
    assert opening.terms(results, answer(results).asked, ()).endswith(unit)
