"""The slider for gamma: its data, and its losses in a browser against those of the training."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from reports.detections.gallery import TRUTH_PANEL, Gallery, Picture, render
from reports.detections.photographs import Photograph, photographs
from reports.figures.losses import HARDEST
from reports.page.gamma_slider import STEP, gamma_slider
from reports.page.render import write_report
from reports.plots import formulas
from tests.reports.analyses import loss_distribution
from tests.reports.conftest import StudyFolder, grid
from tests.reports.page.conftest import NARROW

GAMMAS = (0.0, 0.125, 0.5, 1.0, 2.0, 5.0)
S = (-745.0, -200.0, -75.0, -30.0, -2.2, 0.0, 2.2, 30.0, 75.0, 200.0, 745.0)
"""Logits of p_t from where it is 0 to all digits to where it is 1."""

FL, STAR, CE = 0, 1, 2


def with_gammas(root, make_study) -> StudyFolder:
    """A finished study of FL at three settings, FL* at one, CE at one; CE diverged once."""
    grids = (
        grid("fl", "focal", [
            {"gamma": 0.5, "alpha": 0.25}, {"gamma": 2.0, "alpha": 0.25},
            {"gamma": 2.0, "alpha": 0.5},
        ]),
        grid("star", "focal_star", [{"gamma": 0.5, "alpha": 0.25}]),
        grid("ce", "ce", [{"alpha": 0.75}]),
    )  # fmt: skip
    folder = StudyFolder(root, replace(make_study(2), grids=grids))
    folder.describe()
    for number, aps in ((0, (9.0, 10.0)), (1, (12.0, 13.0)), (2, (14.0, 15.0))):
        for seed, ap in enumerate(aps, 1):
            result = {"metrics": {"AP": ap}, "loss_distribution": loss_distribution()}
            folder.add(folder.cell(FL, number, seed), ap, result=result)
    for seed in (1, 2):
        folder.add(folder.cell(STAR, 0, seed), 7.0)
    folder.add(folder.cell(CE, 0, 1), 6.0)
    folder.add(folder.cell(CE, 0, 2), status="diverged")
    return folder


@pytest.fixture
def folder(tmp_path, make_study):
    return with_gammas(tmp_path / "small", make_study)


@pytest.fixture(scope="module")
def written(tmp_path_factory, make_study):
    """The page of that study, with a picture of one of its cells."""
    folder = with_gammas(tmp_path_factory.mktemp("slider"), make_study)
    photo = Photograph(np.zeros((8, 8, 3), np.uint8), (0, 0, 8, 8), (), "a", "b")
    panels = [TRUTH_PANEL, folder.cell(STAR, 0, 2).id]
    drawn = partial(photographs, [[photo] * 2], ())
    picture = render(drawn, "photo", "Best images", "caption", "alternative", panels)
    with pytest.MonkeyPatch.context() as patch:
        pictures = "reports.page.contents.side_by_side.pictures"
        patch.setattr(pictures, lambda _: Gallery((picture,)))
        return write_report(folder.load())[0]


def move(page, gamma: float) -> None:
    page.locator("#chosen-gamma").fill(str(gamma))


# The data.


def test_each_gamma_has_its_best_alpha(folder):
    found = json.loads(gamma_slider(folder.load(), Gallery()).data)["trained"]
    # FL at gamma 2: the mean of alpha 0.5 is 14.5, of alpha 0.25 12.5. CE: (6 + 0) / 2.
    assert [(cell["gamma"], cell["name"], cell["ap"]) for cell in found["focal"]] == [
        (0.0, "CE (α = 0.75)", "3.0 AP"),
        (0.5, "FL (α = 0.25, γ = 0.5)", "9.5 AP"),
        (2.0, "FL (α = 0.5, γ = 2)", "14.5 AP"),
    ]
    assert [cell["alphas"] for cell in found["focal"]] == [1, 1, 2]
    assert found["focal"][2]["runs"] == [
        [1, "focal-alpha0.5-gamma2-seed1"], [2, "focal-alpha0.5-gamma2-seed2"],
    ]  # fmt: skip
    assert "seed 2 diverged" in found["focal"][0]["state"]
    assert [cell["gamma"] for cell in found["focal_star"]] == [0.0, 0.5]


def test_the_slider_ends_at_the_largest_gamma_and_names_the_model(folder):
    found = gamma_slider(folder.load(), Gallery())
    assert (found.start, found.highest, found.step) == (2.0, 2.0, STEP)
    assert found.model == "FL (α = 0.5, γ = 2), seed 1"
    counted = loss_distribution()["background"]
    assert found.num_examples == sum(counted["counts"])
    examples = json.loads(found.data)["examples"]
    assert sum(examples["counts"]) == found.num_examples
    # The first bin of 0.05 from -20 on that has an example, at its middle.
    assert examples["first"] == pytest.approx(-20 + 0.05 * (counted["bins"][0] + 0.5))
    assert examples["step"] == pytest.approx(0.05)


def test_a_picture_belongs_to_every_seed_of_its_setting(folder):
    places = {folder.cell(STAR, 0, 2).id: [(0.1, 0.2, 0.3, 0.4)], TRUTH_PANEL: [(0, 0, 1, 1)]}
    picture = Picture("best", "Best images", "", "", b"", "", "", (), places)
    found = json.loads(gamma_slider(folder.load(), Gallery((picture,))).data)["trained"]
    assert found["focal_star"][1]["crop"] == {
        "figure": "best", "title": "Best images", "place": [0.1, 0.2, 0.3, 0.4], "seed": 2,
    }  # fmt: skip
    assert [cell["crop"] for cell in found["focal"]] == [None] * 3


def test_without_records_there_are_only_the_formulas(make_folder):
    found = gamma_slider(make_folder(1).load(), Gallery())
    content = json.loads(found.data)
    assert not found.model and not found.has_trained
    assert content["examples"] is None and content["trained"] == {}


def test_no_title_ends_the_script(folder):
    places = {folder.cell(STAR, 0, 2).id: [(0.1, 0.2, 0.3, 0.4)]}
    picture = Picture("best", "</script><script>alert(1)", "", "", b"", "", "", (), places)
    assert "<" not in gamma_slider(folder.load(), Gallery((picture,))).data


# In a browser.


@pytest.mark.parametrize("loss", formulas.OF_LOGIT)
def test_the_script_s_losses_are_those_that_are_trained_with(visit, written, loss):
    torch = pytest.importorskip("torch")
    losses = pytest.importorskip("focal_star.losses")
    page = visit(written)
    s = torch.tensor(S)
    for gamma in GAMMAS:
        asked = f"([s, gamma, end]) => s.map((one) => lossOfLogit.{loss}(one, gamma, end))"
        ours = page.evaluate(asked, [S, gamma, formulas.SATURATES_AT])
        assert np.isfinite(ours).all()
        trained = losses.LOSSES[loss](s, torch.ones(len(S)), gamma=gamma)
        np.testing.assert_allclose(ours, trained.numpy(), rtol=2e-5, atol=1e-37)
        np.testing.assert_allclose(ours, formulas.OF_LOGIT[loss](np.array(S), gamma), rtol=1e-9)


@pytest.mark.parametrize("loss", formulas.OF_LOGIT)
def test_the_script_s_shares_are_those_of_the_figures(visit, written, loss):
    page = visit(written)
    entry = loss_distribution()["background"]
    s = -20 + 0.05 * (np.array(entry["bins"]) + 0.5)
    for gamma in GAMMAS:
        of_logit = partial(formulas.OF_LOGIT[loss], gamma=gamma)
        expected = formulas.cumulative_shares(s, np.array(entry["counts"]), of_logit)
        points = page.evaluate(
            """([name, gamma]) => {
              const text = document.getElementById("gamma-slider-data").textContent;
              const { examples, saturates_at } = JSON.parse(text);
              return sharesOfLoss(examples, (s) => lossOfLogit[name](s, gamma, saturates_at));
            }""",
            [loss, gamma],
        )
        np.testing.assert_allclose(np.transpose(points), expected, rtol=1e-6, atol=1e-12)


def test_no_loss_has_no_shares(visit, written):
    page = visit(written)
    nothing = "sharesOfLoss({ first: 0, step: 1, counts: [1, 2] }, () => 0)"
    assert page.evaluate(nothing) == []
    assert page.evaluate(f"Number.isNaN(shareAt({nothing}, 0.8))")


def test_the_keyboard_moves_the_slider_and_the_text_says_what_it_did(visit, written):
    page = visit(written)
    assert page.locator("#gamma-slider :is(input, [tabindex])").count() == 1
    slider, said = page.get_by_label("γ", exact=True), page.locator("#gamma-slider output")
    assert said.get_attribute("aria-live") == "polite"
    before = page.locator("polyline.focal_star").first.get_attribute("points")
    move(page, 0.475)
    slider.press("ArrowRight")
    assert slider.input_value() == "0.5"
    # (0.9 / 0.1)^0.5 log 10 = 6.91; 0.9^0.5 log 10 = 2.18; both at 1/2: 0.693 (FL 0.5^0.5 of it).
    text = said.text_content()
    assert "γ = 0.5; at pₜ = 0.1: FL 2.18, FL* 6.91; at pₜ = 0.5: FL 0.49, FL* 0.693;" in text
    entry = loss_distribution()["background"]
    s = -20 + 0.05 * (np.array(entry["bins"]) + 0.5)
    for loss, short in (("focal", "FL"), ("focal_star", "FL*")):
        of_logit = partial(formulas.OF_LOGIT[loss], gamma=0.5)
        x, y = formulas.cumulative_shares(s, np.array(entry["counts"]), of_logit)
        assert f"{100 * (1 - np.interp(1 - HARDEST, x, y)):.1f} % of {short}" in text
    assert page.locator("polyline.focal_star").first.get_attribute("points") != before


@pytest.mark.parametrize("gamma", [0, 2])
def test_the_view_ends_and_the_lines_stay_finite(visit, written, gamma):
    page = visit(written)
    move(page, gamma)
    lines = page.locator("#gamma-slider polyline").all()
    assert len(lines) == 5
    for line in lines:
        points = np.array([one.split(",") for one in line.get_attribute("points").split()], float)
        assert len(points) > 20 and np.isfinite(points).all()
    assert "view ends at 5; unbounded" in page.locator(".over-p-t").inner_text()
    assert page.events == [written.as_uri()], "no word in the console"


def test_the_nearest_trained_cells_are_named_ringed_and_shown(visit, written):
    page = visit(written)
    nearest, rings = page.locator("#gamma-slider .nearest"), page.locator(".ring:not(.halo)")
    assert rings.count() == 0, "a ring has no meaning before the slider is moved"
    move(page, 1.2)
    # 1.2 is 0.7 from 0.5 and 0.8 from 2.
    assert "Nearest trained FL: FL (α = 0.25, γ = 0.5): 9.5 AP" in nearest.inner_text()
    assert rings.count() == 4, "in two maps, each drawn for two widths"
    move(page, 2)
    assert "FL (α = 0.5, γ = 2), the best of 2 α: 14.5 AP" in nearest.inner_text()
    assert rings.count() == 4
    marked = page.locator('[id="alpha_gamma-mark-focal-2-0.5"] > path').get_attribute("d")
    assert marked in [ring.get_attribute("d") for ring in rings.all()]
    assert "nearest to γ = 2" in page.locator("#figure-alpha_gamma figcaption").inner_text()
    assert nearest.get_by_role("img", name="Detections, FL* (α = 0.25, γ = 0.5), seed 2").count()
    nearest.get_by_role("link", name="seed 2").first.click()
    assert page.locator('[id="run-focal-alpha0.5-gamma2-seed2"]').is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_overflows_and_the_colours_are_those_of_the_losses(
    visit, written, scheme
):
    page = visit(written, NARROW, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    drawn = page.locator("#gamma-slider svg").first.bounding_box()
    assert drawn["width"] <= NARROW
    for name, style in (("focal", "--c-focal"), ("focal_star", "--c-focal-star"), ("ce", "--c-ce")):
        page.evaluate(f"document.body.style.color = 'var({style})'")
        colour = page.evaluate("getComputedStyle(document.body).color")
        line = page.locator(f"#gamma-slider polyline.{name}").first
        assert line.evaluate("line => getComputedStyle(line).stroke") == colour


def test_paper_and_pages_without_scripts_have_only_the_static_figure(visit, written):
    page = visit(written)
    move(page, 0.5)
    page.emulate_media(media="print")
    assert not page.locator("#gamma-slider").is_visible()
    assert not any(ring.is_visible() for ring in page.locator(".ring").all())
    assert page.locator("#figure-loss_over_p_t").is_visible()
    page = visit(written, unfolded=False, java_script_enabled=False)
    page.locator("#losses summary").click()
    assert not page.locator("#gamma-slider").is_visible()
    assert page.locator("#figure-loss_over_p_t").is_visible()
