"""The page in a browser: quiet, asking for nothing, sortable, and usable by everybody."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from reports.detections.gallery import TRUTH_PANEL, Gallery, render
from reports.detections.photographs import Photograph, photographs
from reports.page.render import write_report
from tests.reports import analyses
from tests.reports.conftest import StudyFolder
from tests.reports.page.conftest import NARROW, WIDE
from tests.reports.test_follow import until

AXE = "axe_playwright_python"
"""The package that carries axe-core."""

if not find_spec(AXE):
    pytest.skip("axe is not installed: pip install -e .[test]", allow_module_level=True)

HOSTILE = "<img src=x onerror=alert(1)>_%&|"


@pytest.fixture(scope="module")
def broken(broken_folder):
    """The page of a study of which runs failed, diverged, are running, stale and missing."""
    return write_report(broken_folder.load())[0]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, make_study):
    """The page of a finished study in which every name is called like an attack."""
    folder = StudyFolder(tmp_path_factory.mktemp("hostile"), make_study(2))
    folder.describe(categories=(HOSTILE, "1"))
    for number, cell in enumerate(folder.study.cells()):
        analysis = analyses.analysis(10.0 + number, (HOSTILE, "1"), cell.seed)
        folder.add(cell, 10.0 + number, analysis=analysis, error=HOSTILE, command=HOSTILE)
    photo = Photograph(np.zeros((8, 8, 3), np.uint8), (0, 0, 8, 8), (), HOSTILE, HOSTILE)
    cells = [cell.id for cell in folder.study.cells() if cell.seed == 1]
    drawn = partial(photographs, [[photo] * 4], ())
    picture = render(drawn, "photo", HOSTILE, HOSTILE, HOSTILE, [TRUTH_PANEL, *cells[:3]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "reports.page.contents.side_by_side.pictures",
            lambda _: Gallery((picture,), HOSTILE),
        )
        return write_report(folder.load())[0]


def texts(page, table: str, column: int) -> list[str]:
    rows = page.locator(f"#table-{table} > .scroll tbody tr")
    return [row.locator("th, td").nth(column).inner_text() for row in rows.all()]


def violations(page) -> list[str]:
    """What axe-core finds that is serious or critical."""
    path = Path(find_spec(AXE).origin).with_name("axe.min.js")
    page.evaluate(path.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["broken", "hostile"])
def test_it_is_quiet_and_for_everybody(visit, request, name, width, scheme):
    path = request.getfixturevalue(name)
    page = visit(path, width, scheme)
    assert page.events == [path.as_uri()], "no word, no question, no request but for the page"
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SMALLEST_TEXT) >= 12


SMALLEST_TEXT = """Math.min(...[...document.querySelectorAll('.card svg text')]
  .filter((text) => text.checkVisibility())
  .map((text) => {
    const svg = text.ownerSVGElement;
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    return scale * text.getAttribute('font-size');
  }))"""
"""In px, of the drawings that are shown."""


def test_the_keyboard_needs_few_steps_where_all_is_folded(visit, broken):
    page = visit(broken, unfolded=False)
    page.evaluate("for (const one of document.querySelectorAll('.fold')) one.open = false;")
    stops = "[...document.querySelectorAll('a[href], button, summary, [tabindex=\"0\"]')]"
    assert page.evaluate(f"{stops}.filter((one) => one.checkVisibility()).length") <= 150


def test_the_contents_mark_where_the_reader_is(visit, broken):
    page = visit(broken, width=1280)
    page.locator("nav").get_by_role("link", name="Provenance").click()
    page.wait_for_timeout(300)
    assert page.locator("nav [aria-current]").inner_text() == "Provenance"
    assert page.locator("nav [aria-current]").is_visible()


def test_the_theme_is_kept_over_a_reload(visit, broken):
    page = visit(broken)
    page.get_by_role("button", name="Dark").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_link_unfolds_its_section(visit, broken):
    page = visit(broken, unfolded=False)
    assert not page.locator("#table-alpha").is_visible()
    page.locator('nav a[href="#alpha"]').click()
    assert page.locator("#table-alpha").is_visible()


def test_a_table_that_scrolls_says_so_and_can_be_scrolled_with_the_keyboard(visit, broken):
    page = visit(broken, width=NARROW)
    scroller = page.locator("#table-alpha .scroll")
    assert scroller.get_attribute("tabindex") == "0"
    assert page.locator("#table-alpha .more").is_visible()
    assert not visit(broken).locator("#table-best .more").is_visible()


def test_what_is_not_for_everybody_is_seen(visit, broken):
    page = visit(broken)
    page.evaluate("document.querySelector('h1').style.color = '#eee'")
    page.evaluate("document.querySelector('.card').removeAttribute('aria-label')")
    found = {violation.partition(":")[0] for violation in violations(page)}
    assert found == {"color-contrast", "role-img-alt"}


def test_a_name_that_is_an_attack_is_text(visit, hostile):
    page = visit(hostile)
    assert page.events == [hostile.as_uri()]
    assert page.locator("img[src=x]").count() == 0
    assert HOSTILE in page.locator("#making").inner_text()
    assert HOSTILE in page.locator("#table-missed_objects").inner_text()
    card = page.locator("#figure-photo .card")
    assert card.get_attribute("aria-label") == HOSTILE
    page.locator("#figure-photo").get_by_role("button", name="Enlarge").click()
    assert page.get_by_role("dialog").get_attribute("aria-label") == HOSTILE
    twin = hostile.with_name("report.md").read_text(encoding="utf-8")
    assert "<img" not in twin and "&lt;img src=x onerror=alert(1)&gt;\\_%&amp;\\|" in twin


def test_nothing_but_the_page_s_own_script_may_run(visit, broken):
    """What would be executed if a name ever got through as HTML."""
    page = visit(broken)
    page.evaluate("document.querySelector('main').innerHTML = '<img src=x onerror=alert(1)>'")
    page.wait_for_timeout(200)
    assert not [event for event in page.events if event in ("1", "alert")]
    assert any("Content Security Policy" in event for event in page.events)


def test_tables_sort_by_click_and_key_and_back(visit, broken):
    page = visit(broken)
    before = texts(page, "alpha", 1)
    assert before == ["4.3", "–", "13.0"]
    header = page.locator("#table-alpha thead tr:last-child th").nth(1)
    button = header.locator("button")
    button.click()
    assert texts(page, "alpha", 1) == ["4.3", "13.0", "–"]
    assert header.get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    assert texts(page, "alpha", 1) == ["13.0", "4.3", "–"], "what is unknown stays last"
    assert header.get_attribute("aria-sort") == "descending"
    button.press(" ")
    assert texts(page, "alpha", 1) == before
    assert header.get_attribute("aria-sort") is None


def test_only_one_column_is_the_sorted_one(visit, broken):
    page = visit(broken)
    headers = page.locator("#table-alpha thead tr:last-child th")
    headers.nth(1).locator("button").click()
    headers.nth(0).locator("button").click()
    assert page.locator("#table-alpha [aria-sort]").count() == 1
    assert headers.last.locator("button").count() == 0, "links have no order"


def test_numbers_sort_by_their_value(visit, broken):
    page = visit(broken)
    header = page.locator("#table-speed > .scroll thead tr:last-child th", has_text="scale")
    header.locator("button").click()
    # As text, 128 comes before 88.
    assert texts(page, "speed", 1) == ["88 (400)", "88 (400)", "128 (600)", "128 (600)"]


def test_a_table_has_nine_columns_at_most_and_unfolds_the_others(visit, broken):
    page = visit(broken)
    heads = page.locator(".table > .scroll thead tr:last-child")
    counts = [head.locator("th, td").count() for head in heads.all()]
    assert len(counts) > 5 and max(counts) == 9
    details = page.locator("#table-speed > details")
    left = details.locator("thead tr:last-child th").all_text_contents()
    assert any("95 % CI" in text for text in left)
    assert not details.locator("table").is_visible()
    details.locator("summary").click()
    assert details.locator("table").is_visible()


def test_figures_enlarge_and_come_back(visit, broken):
    page = visit(broken)
    button = page.locator("#figure-alpha_gamma").get_by_role("button", name="Enlarge")
    small = page.locator("#figure-alpha_gamma svg.wide").bounding_box()
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible() and "α = 0.25: 4.3" in dialog.get_attribute("aria-label")
    assert dialog.locator("svg.wide").bounding_box()["width"] > small["width"]
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.locator("#figure-alpha_gamma svg.wide").bounding_box()["width"] == small["width"]
    assert button.evaluate("button => button === document.activeElement")
    page.locator("#figure-alpha_gamma .card").click()
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible() and page.locator("#figure-alpha_gamma svg.wide").count() == 1


def test_the_keyboard_reaches_every_row_of_the_map(visit, broken):
    page = visit(broken, unfolded=False)
    stops = '.map :is(a[href], button:not([tabindex="-1"]))'
    panels = page.locator(".map .panel").count()
    assert page.locator(stops).count() <= 2 * panels + 3, "a table's link and one stop for its rows"
    plot = page.locator('.map [data-table="alpha"]')
    rows, tip = plot.get_by_role("button"), plot.locator(".tip")
    assert rows.count() == 3 and not tip.is_visible()
    rows.first.focus()
    assert "α = 0.25: 4.3 AP" in tip.inner_text()
    page.keyboard.press("ArrowDown")
    assert "α = 0.5: no value, failed" in tip.inner_text()
    page.keyboard.press("End")
    assert "α = 0.75: 13.0 AP" in tip.inner_text()
    assert page.locator(stops).count() <= 2 * panels + 3 + tip.locator("a").count()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Row in the table"
    assert violations(page) == []
    page.keyboard.press("Enter")
    row = page.locator("#row-alpha-2")
    assert row.is_visible() and row.locator("td.number").first.inner_text() == "13.0"


def test_a_row_of_the_map_leads_to_its_record(visit, broken):
    page = visit(broken, unfolded=False)
    plot = page.locator('.map [data-table="alpha"]')
    plot.get_by_role("button").first.hover()
    tip = plot.locator(".tip")
    assert tip.is_visible()
    plot.get_by_role("button").first.click()
    tip.get_by_role("link", name="record of seed 1").click()
    assert page.locator("#run-ce-alpha0\\.25-seed1").is_visible()
    page.keyboard.press("Escape")


def test_a_row_of_the_map_has_its_record_from_the_columns_that_unfold(visit, broken):
    page = visit(broken)
    # As in a table that has no room for its records.
    page.evaluate("""() => {
        const rows = (part) => document.querySelectorAll(`#table-speed > ${part} tbody tr`);
        rows(".scroll").forEach((row, number) => {
            rows("details")[number].append(row.querySelector(".records"));
        });
    }""")
    plot = page.locator('.map [data-table="speed"]')
    plot.get_by_role("button").first.hover()
    link = plot.locator(".tip").get_by_role("link", name="record of seed 1")
    assert link.get_attribute("href").startswith("#run-")


def test_a_tap_shows_a_row_of_the_map(visit, broken):
    page = visit(broken, width=NARROW, unfolded=False, has_touch=True)
    assert page.evaluate(SMALLEST_TEXT.replace(".card", ".map")) >= 12
    lefts = {one.bounding_box()["x"] for one in page.locator(".map .panel").all()}
    assert len(lefts) == 1, "one table in a row"
    plot = page.locator('.map [data-table="star"]')
    plot.get_by_role("button").last.tap()
    assert "0.0 AP, diverged" in plot.locator(".tip").inner_text()
    page.keyboard.press("Escape")
    assert not plot.locator(".tip").is_visible()


@pytest.mark.parametrize("width", [1280, WIDE])
def test_the_map_has_three_tables_in_a_row(visit, broken, width):
    page = visit(broken, width=width, unfolded=False)
    parts = [one.bounding_box() for one in page.locator(".map > div").all()]
    assert len({part["y"] for part in parts[:3]}) == 1 and parts[3]["y"] > parts[0]["y"]
    assert page.evaluate(SMALLEST_TEXT.replace(".card", ".map")) >= 12
    middles = "button => button.getBoundingClientRect().height"
    assert page.locator(".map .marks button").first.evaluate(middles) >= 24


def test_the_map_is_complete_without_javascript(visit, broken):
    page = visit(broken, unfolded=False, java_script_enabled=False)
    plot = page.locator('.map [data-table="alpha"]')
    shown = plot.locator("svg text").all_text_contents()
    assert {"0.25", "0.5", "0.75", "4.3", "–", "13.0", "failed"} <= set(shown)
    assert "α = 0.25: 4.3 AP" in plot.locator("svg title").first.text_content()
    assert page.locator('.map a[href="#alpha"]').is_visible()


def test_light_and_dark_are_a_button_away(visit, broken):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page = visit(broken)
    light = paper(page)
    page.get_by_role("button", name="Dark").click()
    dark = paper(page)
    assert dark != light and dark == paper(visit(broken, scheme="dark"))
    assert violations(page) == []
    page.get_by_role("button", name="Light").click()
    assert paper(page) == light


def test_a_number_is_one_click_from_its_run(visit, broken):
    page = visit(broken)
    entry = page.locator('[id="run-ce-alpha0.25-seed1"]')
    assert not entry.is_visible()
    page.locator("#table-alpha").get_by_role("link", name="record of seed 1").first.click()
    assert entry.is_visible() and entry.locator("pre").text_content() == "python train_net.py"
    assert (
        visit(broken, anchor="#run-ce-alpha0.25-seed1")
        .locator('[id="run-ce-alpha0.25-seed1"]')
        .is_visible()
    )


def test_the_keyboard_reaches_the_report_past_the_contents(visit, broken):
    page = visit(broken)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.parametrize("denied", [False, True])
def test_a_table_is_copied_as_latex_and_as_markdown(visit, broken, denied):
    page = visit(broken)
    if denied:
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
        page.evaluate(
            "document.addEventListener('copy', ({ target }) => { window.copied = target.value; })"
        )
    else:
        page.evaluate(
            "() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }"
        )
    latex = page.get_by_role("button", name="Copy LaTeX of Table: Table alpha")
    latex.focus()
    page.keyboard.press("Enter")
    # Playwright's own waiting evaluates texts in the page, which the page's policy forbids.
    until(lambda: page.evaluate("window.copied"))
    written = (broken.parent / "tables" / "alpha.tex").read_text(encoding="utf-8")
    assert page.evaluate("window.copied").strip() == written.strip()
    assert "copied as LaTeX" in page.locator("body > p[role=status]").inner_text()
    assert latex.evaluate("button => button === document.activeElement")
    page.evaluate("window.copied = null")
    page.get_by_role("button", name="Copy Markdown of Table: Table alpha").click()
    until(lambda: page.evaluate("window.copied"))
    text = page.evaluate("window.copied")
    assert text.startswith("**Table alpha: AP in percent") and "| 0.25 |" in text
    assert "](" not in text, "no links: they lead from the page's folder"


def test_any_two_rows_stand_side_by_side(visit, broken):
    page = visit(broken)
    found = page.locator("#two-rows .found")
    first, second = page.get_by_label("First row"), page.get_by_label("Second row")
    first.focus()
    assert page.evaluate("document.activeElement.className") == "first-row"
    first.select_option("α = 0.25")
    second.select_option("depth 18 (50), 88 (400) px")
    said = page.locator("#two-rows .said").inner_text()
    assert "CE, α = 0.25: AP 4.3, 1 of 1 seeds" in said and "88 px: AP 20.0" in said
    settings = found.locator("table", has_text="Settings that differ").inner_text()
    assert "loss\tCE\tFL" in settings and "γ\t–\t2" in settings and "α" not in settings
    # The differences are of the values that are shown: 20.0 - 4.3, 40.1 - 8.5.
    sizes = found.locator("table", has_text="AP by size").inner_text()
    assert "AP\t4.3\t20.0\t+15.7" in sizes and "AP₅₀\t8.5\t40.1\t+31.6" in sizes
    link = found.get_by_role("link", name="seed 1").first
    assert link.get_attribute("href") == "#run-ce-alpha0.25-seed1"
    second.select_option("α = 0.25")
    assert "The settings are the same." in found.inner_text()


def test_two_rows_show_curves_errors_categories_and_crops(visit, hostile):
    page = visit(hostile)
    found = page.locator("#two-rows .found")
    curves = found.get_by_role("img", name="Precision–recall curves at IoU 0.50")
    assert curves.locator("polyline").count() == 2
    assert found.locator("table", has_text="Error types").locator("tbody tr").count() == 8
    assert HOSTILE not in found.inner_html(), "a category's name is text"
    assert page.locator("#two-rows img[src=x]").count() == 0
    crops = found.locator(".crop")
    assert crops.count() == 3
    box = crops.nth(1).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(1, rel=0.02), "as the photograph is"
    corner = "svg => { const v = svg.viewBox.baseVal; return [v.x, v.y, v.width, v.height]; }"
    parts = [crops.nth(number).locator("svg").evaluate(corner) for number in range(3)]
    whole = page.locator("#figure-photo svg.wide").evaluate(corner)
    assert parts[0][0] < parts[1][0] < parts[2][0] < whole[2], "the panels from left to right"
    assert {tuple(part[1:]) for part in parts} == {tuple(parts[0][1:])}
    assert parts[0][0] + parts[0][2] <= parts[1][0], "a crop has one panel"


def test_two_rows_are_hidden_without_scripts(visit, broken):
    page = visit(broken, java_script_enabled=False)
    assert not page.locator("#two_rows").is_visible()
    assert not page.locator("nav a[href='#two_rows']").is_visible()


def test_without_scripts_all_is_there_to_read(visit, broken):
    page = visit(broken, unfolded=False, java_script_enabled=False)
    assert page.locator("button").count() == 0
    assert page.locator("nav a").first.is_visible()
    page.locator("#alpha > details > summary").click()
    assert page.locator("#table-alpha").is_visible()
    page.locator("#runs > details > summary").click()
    page.locator(".runs summary").first.click()
    assert page.locator(".runs pre").first.is_visible()


def test_on_paper_nothing_is_cut(visit, broken):
    """At the pixels between the margins of A4."""
    width = 703
    page = visit(broken, width=width)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    selected = page.locator(".table > .scroll table")
    assert selected.count() and all(t.bounding_box()["width"] <= width for t in selected.all())
    assert not page.locator("nav").is_visible() and page.locator("#table-runs").is_visible()
    assert not page.locator(".runs").is_visible(), "on paper, runs are one table"
    assert not any(b.is_visible() for b in page.locator("button:not(.sort)").all())


def test_it_prints(visit, broken):
    assert visit(broken).pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_a_running_study_s_page_loads_itself_again_unless_it_is_paused(browser, broken, hostile):
    def reloaded(path, pause=False, enlarge=False) -> bool:
        page = browser.new_page()
        page.clock.install()
        page.goto(path.as_uri())
        if pause:
            page.get_by_role("button", name="Pause").click()
        if enlarge:
            page.evaluate("for (const one of document.querySelectorAll('.fold')) one.open = true;")
            page.get_by_role("button", name="Enlarge").first.click()
        page.evaluate("window.mark = true")
        page.clock.run_for(61_000)
        page.wait_for_timeout(300)
        again = not page.evaluate("window.mark === true")
        page.close()
        return again

    assert reloaded(broken)
    assert not reloaded(broken, pause=True)
    assert not reloaded(broken, enlarge=True)
    assert not reloaded(hostile), "a study that is complete stays as it is"
