import base64
import gc
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from reports.page import contents
from reports.page.render import write_report


class PageReader(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.text += data

    def values(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]


POLICY = "Content-Security-Policy"


@pytest.fixture(scope="module")
def written(broken_folder):
    return write_report(broken_folder.load())


@pytest.fixture(scope="module")
def html(written):
    return written[0].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return PageReader(html)


def test_markdown_is_the_golden_one(written, fixtures):
    """After a change that is meant, copy the written report.md over the golden file."""
    golden = (fixtures / "broken_study.md").read_text(encoding="utf-8")
    assert written[1].read_text(encoding="utf-8") == golden


def test_all_files_are_there_and_nothing_else(broken_folder, written, page):
    report = broken_folder.layout.report
    names = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    assert set(written) == {report / name for name in names}
    drawn = ["alpha", "star", "speed", "loss_over_p_t", "ap_over_speed", "training_ce"]
    assert names >= {
        "index.html", "report.md", "tables/runs.csv",
        *(f"tables/{name}.{kind}" for name in ("best", "alpha", "star", "speed")
          for kind in ("csv", "tex")),
        *(f"figures/{name}.{kind}" for name in drawn for kind in ("svg", "png")),
    }  # fmt: skip
    linked = {target for target in page.values("href") if re.match("(figures|tables)/", target)}
    assert linked == names - {"index.html", "report.md"}, "each file is found from the page"


def test_rendering_again_gives_the_same_bytes(broken_folder, written):
    before = {path: path.read_bytes() for path in written}
    for path in written:
        path.unlink()
    assert {path: path.read_bytes() for path in write_report(broken_folder.load())} == before


def test_exactly_the_links_to_other_files_are_marked(page):
    links = [attributes for tag, attributes in page.tags if tag == "a" and "href" in attributes]
    marked = {one["href"] for one in links if "beside" in one.get("class", "").split()}
    others = {one["href"] for one in links} - marked
    assert {target.split("/")[0] for target in marked} == {"..", "figures", "tables"}
    assert {re.match("#|https:", target)[0] for target in others} == {"#", "https:"}


def test_the_page_asks_for_nothing(html, page):
    assert not [tag for tag, _ in page.tags if tag in ("iframe", "object", "embed")]
    for tag, attributes in page.tags:
        if tag == "link":
            assert attributes["href"] == "data:,"
        if tag == "img":
            assert attributes["src"].startswith("data:image/")
        else:
            assert "src" not in attributes
        assert "srcset" not in attributes
        if tag != "a":
            assert not re.match(r"(https?:)?//", attributes.get("href", ""))
    assert "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}


def test_only_the_page_s_own_scripts_may_run(html, page):
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == POLICY]
    assert len(scripts) == 7
    assert f"script-src {hashes};" in policy and "default-src 'none'" in policy
    data = [a for tag, a in page.tags if tag == "script" and a]
    assert {one["type"] for one in data} == {"application/json", "application/octet-stream"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_names_from_a_data_set_are_text(page, written):
    assert "0, <script>|" in page.text
    assert "&lt;script&gt;\\|" in written[1].read_text(encoding="utf-8")
    assert "```<b>&" in page.text


def test_links_inside_the_page_and_to_records_lead_somewhere(broken_folder, page):
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    inside = [target[1:] for target in page.values("href") if target.startswith("#")]
    assert inside and set(inside) <= set(ids)
    targets = [target for target in page.values("href") if target.endswith(".json")]
    assert len(set(targets)) == len(broken_folder.load().records)
    for target in (t for t in page.values("href") if re.match(r"[.\w]+/", t)):
        if not target.endswith("process.log"):
            assert (broken_folder.layout.report / target).is_file(), target


def test_figures_tables_and_headers_are_described(html, page):
    cards = [attributes for _, attributes in page.tags if attributes.get("role") == "img"]
    assert len(cards) >= 8 and all(len(card["aria-label"]) > 40 for card in cards)
    assert html.count("<table") == html.count("<caption>") >= 5
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    regions = [a["aria-label"] for _, a in page.tags if a.get("role") == "region"]
    assert len(regions) == len(set(regions)) == html.count("<table")


def test_every_number_leads_to_its_run(broken_folder, page, html):
    """From a table to what the page says of the run: its record, its config, its command."""
    entries = {name for name in page.values("id") if name.startswith("run-")}
    assert entries == {f"run-{cell}" for cell in broken_folder.load().records}
    assert {unquote(t[1:]) for t in page.values("href") if t.startswith("#run-")} == entries
    entry = html[html.index('id="run-ce-alpha0.25-seed1"') :].partition("</details>")[0]
    assert 'href="../records/ce-alpha0.25-seed1.json"' in entry
    assert "<pre>python train_net.py</pre>" in entry
    assert "configs/mini/retinanet_R_18_FPN.yaml with MODEL.FOCAL_STAR.LOSS ce" in entry


def test_the_files_of_a_cell_are_linked_where_they_are_there(make_folder):
    folder = make_folder()
    cell = folder.cell(0, 0)
    folder.add(cell, 1.0)
    for path in (folder.layout.cell_config(cell.id), folder.layout.cell_log(cell.id)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    html = write_report(folder.load())[0].read_text(encoding="utf-8")
    entry = html[html.index(f'id="run-{cell.id}"') :].partition("</details>")[0]
    assert f'href="../cells/{cell.id}/config.yaml"' in entry
    assert f'href="../cells/{cell.id}/process.log"' in entry
    assert "retinanet_R_18_FPN.yaml with" not in entry


def test_every_row_is_marked(page):
    for text in (
        "failed", "missing", "running", "stale: config and data set changed",
        "diverged at iteration 37", "FloatingPointError: diverged",
    ):  # fmt: skip
        assert text in page.text
    assert (
        "records/focal_star-alpha0.25-gamma0.5-seed1.json: a record is a JSON object" in page.text
    )


def test_a_divergence_is_explained(page, written):
    for text in (
        "loss_cls is nan; gradient norm is <b>",
        "7 parameters, including head.cls_score.bias, head.cls_score.weight",
        "3.png, |",
        "python train_net.py --resume OUTPUT_DIR OUTPUT_DIR",
    ):
        assert text in page.text
    markdown = written[1].read_text(encoding="utf-8")
    assert "- First bad iteration: 37\n" in markdown
    assert "gradient norm is &lt;b&gt;" in markdown and "- Images: 3.png, \\|\n" in markdown


def test_unknown_staleness_is_shown(make_folder, page):
    assert "It is unknown whether records are stale" not in page.text
    folder = make_folder()
    folder.add(folder.cell(0, 0), 1.0)
    for path in write_report(folder.load())[:2]:
        assert "It is unknown whether records are stale" in path.read_text(encoding="utf-8")


def test_no_figure_of_speed_where_nothing_was_timed(make_folder, broken_folder):
    folder = make_folder(grids=broken_folder.study.grids[2:])
    written = write_report(folder.load())
    assert "speed.svg" in {path.name for path in written}
    assert "ap_over_speed.svg" not in {path.name for path in written}


def test_no_figure_is_shown_twice(written):
    """A table's figure of speed is that of the study unless several tables have speeds."""
    drawings = [path.read_bytes() for path in written if path.suffix == ".svg"]
    assert len(drawings) > 4 and len(set(drawings)) == len(drawings)
    assert "speed_speed.svg" not in {path.name for path in written}


def test_what_a_study_does_not_ask_for_is_not_missed(make_folder, broken_folder):
    """A table of speed that has no number yet says so; a study without such a table is silent."""
    said = {}
    for name, grids in {"asked": broken_folder.study.grids, "not asked": ()}.items():
        page, *_ = write_report(make_folder(grids=grids).load())
        said[name] = page.read_text("utf-8")
    assert "No table has both AP and speed yet" in said["asked"]
    assert "No table has both" not in said["not asked"]
    assert "varies the input scale" not in said["not asked"]


def test_results_on_coco_are_not_shown_in_a_study_of_own_data(make_folder):
    folder = make_folder(1)
    folder.add(folder.cell(0, 0), 4.0)
    of_study = {section.anchor for section in contents.report(folder.load()).sections}
    folder.study = replace(folder.study, dataset="")
    of_own_data = {section.anchor for section in contents.report(folder.load()).sections}
    assert of_study - of_own_data == {"references"}


def test_focal_star_is_told_from_the_appendix_wherever_it_is_explained(page):
    # Under its table and under the losses over p_t.
    assert page.text.count("defines another function that it also writes") == 2


def test_captions_come_from_the_records(page):
    made = (
        "digits_in_scenes · 40 validation images · 1x, 60 iterations · Example CPU, 1 thread · "
        "commit 0123456789"
    )
    # The three tables, the dots of the two with published values and the map, the training curves
    # of two losses; three of the study.
    assert page.text.count(made) == 11


def test_different_machines_and_commits_are_all_named(make_folder):
    folder = make_folder()
    folder.add(folder.cell(0, 0), 1.0)
    run = {"commit": "f" * 40 + "-dirty", "environment": {"gpu": "Example GPU", "cpu": "x"}}
    folder.add(folder.cell(0, 1), 2.0, run=run)
    text = PageReader(write_report(folder.load())[0].read_text(encoding="utf-8")).text
    assert "Example CPU, 1 thread; Example GPU · commit 0123456789, ffffffffff-dirty" in text


def test_only_a_study_that_is_being_run_loads_itself_again(make_folder):
    def is_live(**options) -> bool:
        page, twin = (
            path.read_text("utf-8") for path in write_report(folder.load(), **options)[:2]
        )
        live = '<html lang="en" data-refresh="60">' in page
        assert live == ('http-equiv="refresh" content="60"' in page)
        assert live == ("This study is running: " in page) == ("is running: " in twin)
        return live

    folder = make_folder()
    cells = folder.study.cells()
    for cell in cells[1:]:
        folder.add(cell, 1.0)
    assert not is_live()
    assert is_live(at_work=True)
    folder.hold(cells[0])
    assert is_live()
    folder.add(cells[0], 1.0)
    assert not is_live(at_work=True)


def test_a_study_without_any_record_is_rendered(make_folder):
    page, markdown, *_ = write_report(make_folder(2).load())
    assert "no cell has a result yet" in page.read_text(encoding="utf-8")
    assert "5 missing" not in markdown.read_text(encoding="utf-8"), "two seeds: ten cells"
    assert "10 missing" in markdown.read_text(encoding="utf-8")


def test_records_are_not_traversed_for_garbage_during_a_rendering(make_folder, monkeypatch):
    collected, report = [], contents.report

    def watched(results):
        collected.append(gc.isenabled())
        return report(results)

    monkeypatch.setattr(contents, "report", watched)
    write_report(make_folder(1).load())
    assert collected == [False] and gc.isenabled()


def test_a_failed_rendering_leaves_the_old_report(make_folder, monkeypatch):
    folder = make_folder()
    folder.add(folder.cell(0, 0), 1.0)
    files = write_report(folder.load())
    before = {path: path.read_bytes() for path in files}
    folder.add(folder.cell(0, 0), 2.0)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_report(folder.load())
    present = {path for path in folder.layout.report.rglob("*") if path.is_file()}
    assert {path: path.read_bytes() for path in present} == before
