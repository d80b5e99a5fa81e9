import re
from html.parser import HTMLParser

import pytest

from reports.render import write_report


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


def test_all_files_are_there_and_nothing_else(broken_folder, written):
    report = broken_folder.layout.report
    names = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    drawn = [f"{name}{kind}" for name in ("alpha", "star", "speed") for kind in ("", "_training")]
    drawn += ["loss_over_p_t", "speed_speed"]
    assert names == {
        "index.html", "report.md", "tables/alpha.csv", "tables/star.csv", "tables/speed.csv",
        *(f"figures/{name}.{kind}" for name in drawn for kind in ("svg", "png")),
    }  # fmt: skip
    assert set(written) == {report / name for name in names}


def test_rendering_again_gives_the_same_bytes(broken_folder, written):
    before = {path: path.read_bytes() for path in written}
    for path in written:
        path.unlink()
    assert {path: path.read_bytes() for path in write_report(broken_folder.load())} == before


def test_the_page_asks_for_nothing(html, page):
    assert not [
        tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "embed", "img")
    ]
    for tag, attributes in page.tags:
        if tag == "link":
            assert attributes["href"] == "data:,"
        assert "src" not in attributes and "srcset" not in attributes
        if tag != "a":
            assert not re.match(r"(https?:)?//", attributes.get("href", ""))
    assert "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}


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
    assert len(cards) == 8 and all(len(card["aria-label"]) > 40 for card in cards)
    assert html.count("<table") == html.count("<caption>") == 5
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


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
        "7 parameters, among them head.cls_score.bias, head.cls_score.weight",
        "3.png, |",
        "python train_net.py --resume OUTPUT_DIR OUTPUT_DIR",
    ):
        assert text in page.text
    markdown = written[1].read_text(encoding="utf-8")
    assert "- First bad iteration: 37\n" in markdown
    assert "gradient norm is &lt;b&gt;" in markdown and "- Images: 3.png, \\|\n" in markdown


def test_unknown_staleness_is_shown(make_folder, page):
    assert "Whether records are stale is unknown" not in page.text
    folder = make_folder()
    folder.add(folder.cell(0, 0), 1.0)
    for path in write_report(folder.load())[:2]:
        assert "Whether records are stale is unknown" in path.read_text(encoding="utf-8")


def test_no_figure_of_speed_where_nothing_was_timed(make_folder, broken_folder):
    folder = make_folder(grids=broken_folder.study.grids[2:])
    written = write_report(folder.load())
    assert "speed.svg" in {path.name for path in written}
    assert "speed_speed.svg" not in {path.name for path in written}


def test_focal_star_is_told_from_the_appendix_wherever_it_is_explained(page):
    # Under its table and under the losses over p_t.
    assert page.text.count("It is not the function that the appendix of the") == 2


def test_captions_come_from_the_records(page):
    made = (
        "digits_in_scenes · 40 validation images · 60 iterations · Example CPU, 1 thread · "
        "commit 0123456789"
    )
    # The three tables, their figures and training curves, and one of speed.
    assert page.text.count(made) == 10


def test_different_machines_and_commits_are_all_named(make_folder):
    folder = make_folder()
    folder.add(folder.cell(0, 0), 1.0)
    run = {"commit": "f" * 40 + "-dirty", "environment": {"gpu": "Example GPU", "cpu": "x"}}
    folder.add(folder.cell(0, 1), 2.0, run=run)
    text = PageReader(write_report(folder.load())[0].read_text(encoding="utf-8")).text
    assert "Example CPU, 1 thread; Example GPU · commit 0123456789, ffffffffff-dirty" in text


def test_a_study_without_any_record_is_rendered(make_folder):
    page, markdown, *_ = write_report(make_folder(2).load())
    assert "no cell has ended yet" in page.read_text(encoding="utf-8")
    assert "5 missing" not in markdown.read_text(encoding="utf-8"), "two seeds: ten cells"
    assert "10 missing" in markdown.read_text(encoding="utf-8")


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
