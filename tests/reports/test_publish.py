"""What README shows is what the kept records say."""

import re
import shutil

import pytest

from ablations.records import speed as speeds
from ablations.study.study import load_study
from reports.figures import illustration
from reports.page.contents import published_agreement
from reports.publish import BLOCKS, PUBLISHED, README, fill, main, published_results
from reports.results.load import ReportError
from reports.tables.grids import grid_table
from tests.ablations.speeds import speed_of


def test_readme_shows_the_kept_records():
    text = README.read_text(encoding="utf-8")
    assert fill(text, published_results("mini")) == text
    shown = set(re.findall(r"<!-- report: (\w+) -->", text))
    assert shown == BLOCKS.keys()


def test_readme_is_short_and_answers_first():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    order = ["report: answer", "figures/forest.png", "report: gamma", "figures/gamma.png",
             "AP, published"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text[: places[0]].count("\n") <= 40, "one screen of text"


def test_an_edited_number_is_seen():
    text = README.read_text(encoding="utf-8")
    number = re.search(r"<!-- report: gamma -->.*?(\d+\.\d)", text, re.DOTALL)
    edited = text[: number.start(1)] + "99.9" + text[number.end(1) :]
    assert fill(edited, published_results("mini")) == text


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A README and a folder of kept reports that a test may write, and a whole study."""
    monkeypatch.setattr("reports.publish.ROOT", tmp_path)
    monkeypatch.setattr("reports.publish.PUBLISHED", tmp_path / "published")
    monkeypatch.setattr("reports.publish.README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("<!-- report: gamma -->\nold\n<!-- /report -->\n")
    shutil.copytree(PUBLISHED / "mini", tmp_path / "output" / "mini")
    return tmp_path


def test_publishing_keeps_the_study_alone_and_fills_readme(elsewhere):
    records = elsewhere / "output" / "mini" / "records"
    (records / "other.json").write_text((records / "ce-alpha0.5-seed1.json").read_text())
    assert main(["--study", "mini", "--output", str(elsewhere / "output")]) == 2  # a refused record
    (records / "other.json").unlink()
    assert main(["--study", "mini", "--output", str(elsewhere / "output")]) == 0
    kept = elsewhere / "published" / "mini"
    assert (kept / "report" / "index.html").is_file()
    assert len(list((kept / "records").iterdir())) == len(published_results("mini").cells)
    assert "old" not in (elsewhere / "README.md").read_text()
    assert [path.name for path in kept.parent.iterdir()] == ["mini"]


def test_publishing_copies_the_last_times(elsewhere):
    settings = [row.setting for grid in load_study("mini").grids for row in grid.rows]
    folder = elsewhere / "output" / "mini" / "speed"
    shutil.rmtree(folder)
    last = speed_of(settings, lambda _: [5.0] * 10)
    earlier = speed_of(settings, lambda _: [7.0] * 10, machine={}, finished="2020-01-01T00:00:00")
    for speed in (last, earlier):
        speeds.save(speed, folder)
    assert main(["--study", "mini", "--output", str(elsewhere / "output")]) == 0
    assert published_results("mini").speed == last
    kept = elsewhere / "published" / "mini"
    assert len(list((kept / "speed").iterdir())) == 1
    assert "| control: RetinaNet, " in (kept / "report" / "report.md").read_text("utf-8")


def test_publishing_twice_changes_no_byte_and_writes_only_what_the_pages_show(
    elsewhere, monkeypatch
):
    def publish(moment):
        monkeypatch.setattr(illustration, "_KNOWN", {})  # figures are drawn anew
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(moment))
        assert main(["--study", "mini", "--output", str(elsewhere / "output")]) == 0
        readme, kept = elsewhere / "README.md", elsewhere / "published" / "mini"
        paths = [path for path in kept.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in (readme, *paths)}

    first = publish(0)
    assert first == publish(10**9)
    report = elsewhere / "published" / "mini" / "report"
    beside = {path.relative_to(report).as_posix() for path in first if report in path.parents}
    text = (report / "report.md").read_text()
    page = (report / "index.html").read_text()
    shown = set(re.findall(r"\]\((figures/[^)]+)\)", text))
    assert shown and beside == shown | {"report.md", "index.html"}
    assert set(re.findall(r'href="((?:figures|tables)/[^"]+)"', page)) == shown
    assert "tables/" not in text and "without the other formats" in text


def test_a_failed_publishing_loses_nothing(elsewhere, capsys):
    arguments = ["--study", "mini", "--output", str(elsewhere / "output")]
    assert main(arguments) == 0
    record = next((elsewhere / "output" / "mini" / "records").iterdir())
    record.unlink()
    readme = (elsewhere / "README.md").read_text()
    assert main(arguments) == 2
    assert "not complete" in capsys.readouterr().err
    assert (elsewhere / "published" / "mini" / "records" / record.name).is_file()
    assert (elsewhere / "README.md").read_text() == readme
    assert main(["--study", "none", "--output", str(elsewhere / "output")]) == 2


def test_a_disk_that_fills_up_leaves_what_was_kept(elsewhere, monkeypatch):
    arguments = ["--study", "mini", "--output", str(elsewhere / "output")]
    assert main(arguments) == 0

    def full(results, **options):
        raise OSError("no space left on device")

    monkeypatch.setattr("reports.publish.write_report", full)
    assert main(arguments) == 2
    assert (elsewhere / "published" / "mini" / "report" / "index.html").is_file()
    assert [path.name for path in (elsewhere / "published").iterdir()] == ["mini"]


def test_an_unknown_block_is_named():
    text = "<!-- report: nothing -->\n<!-- /report -->"
    with pytest.raises(ReportError, match="block nothing; known blocks: answer, effect"):
        fill(text, published_results("mini"))


def test_the_kept_study_is_whole_and_its_pictures_are_there():
    results = published_results("mini")
    assert results.complete
    text = README.read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert pictures
    for picture in pictures:
        assert (README.parent / picture).is_file(), picture


def test_the_kept_study_is_one_to_learn_from():
    """Detectors that have learnt, and effects of anchors and scales like the paper's.

    Table (c) has three seeds: its significant effects are compared. The order of the rows from two
    scales on is within the noise, so that tau depends on the seeds. Table (e) has one seed.
    """
    results = published_results("mini")
    cells = results.cells
    focal = cells[cells["setting"] == "focal-alpha0.25-gamma2"]
    assert focal["AP"].mean() >= 18
    grids = {grid.name: grid for grid in results.study.grids}
    anchors = grid_table(results, grids["anchors"])
    assert {one.seeds for one in anchors.comparisons} == {3}
    effects = zip(anchors.comparisons, anchors.published_effects, strict=True)
    significant = [(ours, theirs) for ours, theirs in effects if ours.survives]
    assert len(significant) >= 4
    assert all(ours.difference * theirs > 0 for ours, theirs in significant)
    assert published_agreement(grid_table(results, grids["depth_scale"])).tau >= 0.8


def test_nothing_kept_names_a_place_of_one_machine():
    for path in PUBLISHED.rglob("*"):
        if path.suffix in (".json", ".md", ".html", ".csv"):
            assert not re.search(r"/(home|root|work|tmp|Users)/", path.read_text(encoding="utf-8"))
