"""Two studies of the table alpha of the mini study, made up record by record."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ablations.records import record as records
from ablations.storage.json_files import write_json
from ablations.study.asked_seeds import ALL
from ablations.study.study import load_study
from reports.compare.__main__ import main, read
from reports.compare.page import Compared, table_of_rows
from reports.compare.rows import SAME, UNDECIDED, WORSE
from reports.statistics import inference
from reports.statistics.inference import Runs, holm
from tests.reports.analyses import analysis
from tests.reports.conftest import StudyFolder

ROOT = Path(__file__).parents[3]
SEEDS = 4
SPREAD = (0.0, 0.4, -0.3, 0.1)
MOVED, OTHER = 2, 4
"""The numbers of two rows."""


def folder_of(root: Path, seeds: int = SEEDS, grids: tuple[str, ...] = ("alpha",)) -> StudyFolder:
    folder = StudyFolder(root, load_study("mini", list(grids), {ALL: seeds}))
    folder.describe()
    asked = json.loads(folder.layout.study.read_text())
    write_json(folder.layout.study, asked | {"study": "mini", "schedule": folder.study.schedule})
    return folder


def fill(folder, shift=None, noise=0.0, **changes):
    """A record per row and seed; ``shift``: row -> AP that its runs have more than in ``AP``."""
    for row in range(len(folder.study.grids[0].rows)):
        for seed in folder.study.seeds:
            add(folder, row, seed, (shift or {}).get(row, 0.0) + noise * (seed - 2), **changes)


def add(folder, row, seed, shift=0.0, **changes):
    ap = 20.0 + row + SPREAD[seed - 1] + shift
    folder.add(folder.cell(0, row, seed), ap, analysis=analysis(ap, seed=seed), **changes)


@pytest.fixture
def pair(tmp_path):
    """Two empty folders of the same study."""
    return folder_of(tmp_path / "a" / "mini"), folder_of(tmp_path / "b" / "mini")


@pytest.fixture
def compared(pair, tmp_path, capsys):
    """A function that compares the folders: exit code, comparison, Markdown page, what was said."""

    def run(*arguments):
        roots = [folder.layout.root for folder in pair]
        code = main([*map(str, roots), "--output", str(tmp_path / "page"), *arguments])
        page = tmp_path / "page" / "compare.md"
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        said = capsys.readouterr()
        found = Compared.of(*map(read, roots)) if all(map(Path.is_dir, roots)) else None
        return code, found, text, said.out + said.err

    return run


def test_an_equal_copy_has_not_moved(pair, compared):
    for folder in pair:
        fill(folder)
    code, found, page, said = compared()
    assert code == 0 and {row.verdict for row in found.rows} == {SAME}
    assert len(found.rows) == len(pair[0].study.grids[0].rows)
    assert "0 rows worse, 0 better, 7 the same, 0 undecided" in said
    assert "Nothing else differs" in page and not found.others


def test_the_row_that_became_worse_is_the_only_one_and_exits_1(pair, compared):
    fill(pair[0])
    fill(pair[1], {MOVED: -6.0}, noise=0.02)
    code, found, page, said = compared()
    verdicts = [row.verdict for row in found.rows]
    assert code == 1 and verdicts.count(WORSE) == 1 and verdicts[MOVED] == WORSE
    assert "1 row worse" in said
    assert f"{found.rows[MOVED].label}: worse, −6.0 AP" in page
    # The others differ by 0.02 AP per seed, well within the margin of 1 AP.
    assert set(verdicts) - {WORSE} <= {SAME, UNDECIDED}


def test_p_values_are_sorted_as_numbers(pair, compared, tmp_path):
    fill(pair[0])
    fill(pair[1], {MOVED: -6.0, OTHER: 0.3}, noise=0.02)
    table = table_of_rows(compared()[1], tmp_path)
    (cells,) = [column.cells for column in table.columns if column.header == "p (Holm)"]
    assert cells[0].text == "< 0.001" and 0 <= float(cells[0].sort_key) < 0.001


def test_a_row_that_became_better_exits_0(pair, compared):
    fill(pair[0])
    fill(pair[1], {MOVED: 6.0})
    code, found, page, _ = compared()
    assert code == 0
    assert [row.verdict for row in found.rows].count("better") == 1
    assert f"{found.rows[MOVED].label}: better, +6.0 AP" in page


def test_pairs_of_seeds_and_of_resamples_are_compared(pair, compared):
    shift = {MOVED: -1.5, OTHER: 0.5}
    fill(pair[0])
    fill(pair[1], shift, noise=0.1)
    found = compared()[1]
    row = found.rows[MOVED]
    assert row.pairs == SEEDS
    before = [20.0 + MOVED + spread for spread in SPREAD]
    after = [ap - 1.5 + 0.1 * (seed - 2) for seed, ap in enumerate(before, start=1)]

    def resamples(values):
        pairs = enumerate(values, start=1)
        return np.array([analysis(ap, seed=seed)["bootstrap"]["AP"] for seed, ap in pairs])

    differences = Runs(np.array(after) - before, resamples(after) - resamples(before), 40)
    expected = inference.mean(differences)
    assert row.comparison.difference == pytest.approx(-1.5 + 0.05)
    assert row.comparison.difference_low == pytest.approx(float(expected.low))
    assert row.comparison.p_value == pytest.approx(float(expected.p_value))
    assert [one.comparison.p_holm for one in found.rows] == pytest.approx(
        holm([one.comparison.p_value for one in found.rows])
    )


def test_pairs_cancel_what_both_runs_share():
    # Runs 10, 20, 30 that each moved by about 1: unpaired, their spread hides it.
    a = Runs(np.array([10.0, 20.0, 30.0]))
    b = Runs(np.array([11.0, 21.1, 30.9]))
    paired, apart = inference.paired_difference(b, a), inference.difference(b, a)
    assert paired.value == pytest.approx(1.0) and apart.value == pytest.approx(1.0)
    # Differences 1, 1.1, 0.9: s = 0.1, error 0.1 / sqrt(3) = 0.0577; t of 2 degrees: 4.3027.
    assert paired.high - paired.value == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
    assert apart.low < 0 < paired.low


def test_runs_without_common_seeds_are_compared_without_pairs(pair, compared):
    fill(pair[0])
    fill(pair[1], {MOVED: -6.0})
    for folder, dropped in zip(pair, ((3, 4), (1, 2)), strict=True):
        for seed in dropped:
            folder.layout.record(folder.cell(0, MOVED, seed).id).unlink()
    row = compared()[1].rows[MOVED]
    assert row.pairs == 0 and set(row.a.seeds).isdisjoint(row.b.seeds)
    expected = inference.difference(row.b.runs, row.a.runs)
    assert row.comparison.difference_low == pytest.approx(float(expected.low))


def test_seeds_of_only_one_study_are_left_out_of_the_pairs(pair, compared):
    for folder in pair:
        fill(folder)
    pair[1].layout.record(pair[1].cell(0, MOVED, 4).id).unlink()
    code, found, page, _ = compared()
    row = found.rows[MOVED]
    assert (code, row.pairs, row.verdict) == (0, SEEDS - 1, SAME)
    assert row.comparison.mean == pytest.approx(20 + MOVED + np.mean(SPREAD[:3]))
    assert "3 pairs (A 4, B 4 runs)" in page


def test_one_seed_cannot_be_told_but_identical_runs_can(tmp_path, capsys):
    folders = [folder_of(tmp_path / name / "mini", seeds=1) for name in "ab"]
    fill(folders[0])
    fill(folders[1], {MOVED: -6.0})
    found = Compared.of(*(read(folder.layout.root) for folder in folders))
    verdicts = [row.verdict for row in found.rows]
    assert verdicts[MOVED] == UNDECIDED and verdicts.count(SAME) == len(verdicts) - 1
    roots = [str(folder.layout.root) for folder in folders]
    assert main([*roots, "--output", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "compare.md").read_text(encoding="utf-8")
    assert "1 row with one seed could not be tested." in page
    assert "The noise floor is unknown" in page


def test_other_data_are_refused_and_named(pair, compared):
    fill(pair[0])
    other = replace(pair[1].prepared, dataset=pair[1].prepared.dataset | {"sha256": "9a" * 32})
    pair[1].prepared = other
    fill(pair[1], dataset=other.dataset)
    code, found, page, said = compared()
    assert code == 2 and "not comparable: the data sets differ" in said
    assert {row.verdict for row in found.rows} == {UNDECIDED}
    assert not any(row.comparison.tested for row in found.rows)
    assert "Not comparable: the data sets differ." in page
    assert "| data set" in page and "5f5f5f5f5f5f" in page and "9a9a9a9a9a9a" in page


def test_studies_without_a_common_row_are_refused(tmp_path, capsys):
    a = folder_of(tmp_path / "a" / "mini")
    b = folder_of(tmp_path / "b" / "mini", grids=("anchors",))
    fill(a)
    fill(b)
    roots = [str(one.layout.root) for one in (a, b)]
    assert main([*roots, "--output", str(tmp_path / "page")]) == 2
    assert "no row is in both studies" in capsys.readouterr().err
    page = (tmp_path / "page" / "compare.md").read_text(encoding="utf-8")
    assert "Only in A: CE, α = 0.1" in page and "Only in B: FL" in page


def test_a_row_of_only_one_study_is_listed_with_its_value(tmp_path):
    a = folder_of(tmp_path / "a" / "mini", grids=("alpha", "gamma"))
    b = folder_of(tmp_path / "b" / "mini")
    fill(a)
    fill(b)
    found = Compared.of(*(read(one.layout.root) for one in (a, b)))
    assert len(found.rows) == len(b.study.grids[0].rows) and not found.only_b
    assert {row.tables for row in found.only_a} == {("gamma",)}
    roots = [str(one.layout.root) for one in (a, b)]
    assert main([*roots, "--output", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "compare.md").read_text(encoding="utf-8")
    assert "(gamma): missing" in page


def test_what_else_differs_is_named_with_its_rows(pair, compared):
    fill(pair[0])
    environment = {"cpu": "Another CPU", "num_threads": 1, "torch": "2.16.0"}
    for row in range(len(pair[1].study.grids[0].rows)):
        for seed in pair[1].study.seeds:
            cell = pair[1].cell(0, row, seed)
            add(pair[1], row, seed)
            record = records.load(pair[1].layout.record(cell.id))
            values = record.run["config"]["values"] | {"SOLVER.MOMENTUM": 0.8, "OUTPUT_DIR": "x"}
            run = record.run | {
                "commit": "fedcba9876543210",
                "environment": environment,
                "config": {"values": values, "follows": {}},
            }
            identity = record.identity | {"loss": "ab" * 32, "numerics": 99}
            changed = msgspec.structs.replace(record, run=run, identity=identity)
            records.save(changed, pair[1].layout.record(cell.id))
    code, found, page, _ = compared()
    named = {one.what: (one.a, one.b, one.rows) for one in found.others}
    assert code == 0  # what else differs is named; the runs are identical
    numerics = str(records.load(pair[0].layout.record(pair[0].cell(0, 0).id)).identity["numerics"])
    assert named["numerics"] == (numerics, "99", 7)
    assert named["code of the loss"][1] == "ab" * 6
    assert named["torch"] == ("2.15.0", "2.16.0", 7)
    assert named["cpu"] == ("Example CPU", "Another CPU", 7)
    assert named["config key SOLVER.MOMENTUM"] == ("its default", "0.8", 7)
    assert named["commit"] == ("0123456789ab", "fedcba987654", 7)
    assert not any("OUTPUT_DIR" in what for what in named)  # it changes no result
    assert "Nothing else differs" not in page and "7 of 7" in page


def test_numbers_of_seeds_are_named(tmp_path):
    a, b = folder_of(tmp_path / "a" / "mini"), folder_of(tmp_path / "b" / "mini", seeds=2)
    fill(a)
    fill(b)
    found = Compared.of(*(read(one.layout.root) for one in (a, b)))
    assert [(one.what, one.a, one.b) for one in found.others] == [
        ("seeds", "4 seeds per setting", "2 seeds per setting")
    ]
    assert {row.verdict for row in found.rows} == {SAME} and found.rows[0].pairs == 2


def test_a_row_that_diverges_in_b_is_worse(pair, compared):
    fill(pair[0])
    fill(pair[1])
    for seed in pair[1].study.seeds:
        pair[1].add(pair[1].cell(0, MOVED, seed), status="diverged")
    pair[1].add(pair[1].cell(0, OTHER, 1), status="diverged")
    code, found, page, _ = compared()
    assert code == 1 and found.rows[MOVED].verdict == WORSE
    assert "every run diverged in B only" in page
    # One of four runs may be chance.
    assert found.rows[OTHER].verdict == UNDECIDED
    assert "B: seed 1 diverged at iteration 37" in page


def test_a_row_that_diverges_in_both_is_the_same(pair, compared):
    for folder in pair:
        fill(folder)
        for seed in folder.study.seeds:
            folder.add(folder.cell(0, MOVED, seed), status="diverged")
    code, found, _, _ = compared()
    assert code == 0 and found.rows[MOVED].verdict == SAME


def test_broken_missing_and_failed_records_are_marked(pair, compared):
    for folder in pair:
        fill(folder)
    for seed in pair[1].study.seeds:
        pair[1].layout.record(pair[1].cell(0, MOVED, seed).id).write_text("[]", encoding="utf-8")
        pair[1].add(pair[1].cell(0, OTHER, seed), status="failed", error="boom")
    code, found, page, _ = compared()
    assert code == 0
    assert found.rows[MOVED].verdict == found.rows[OTHER].verdict == UNDECIDED
    assert "undecided (no value; B: missing)" in page
    assert "undecided (no value; B: failed)" in page
    assert page.count("B: records/") == SEEDS and "a record is a JSON object" in page


def test_records_without_resamples_are_not_tested(pair, compared):
    for folder, shift in zip(pair, (0.0, -6.0), strict=True):
        for row in range(len(folder.study.grids[0].rows)):
            for seed in folder.study.seeds:
                folder.add(folder.cell(0, row, seed), 20.0 + SPREAD[seed - 1] + shift * seed)
    code, found, page, _ = compared()
    assert code == 0 and {row.verdict for row in found.rows} == {UNDECIDED}
    assert "no resampled images" in page and "(seeds only)" in page


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda layout: layout.study.unlink(), "does not name a study"),
        (lambda layout: layout.study.write_text("[]"), "does not name a study"),
        (lambda layout: layout.study.write_text('{"study": "unknown"}'), "unknown"),
        (
            lambda layout: layout.study.write_text('{"study": "mini", "seeds": 0}'),
            "seeds: '0' is not",
        ),
        (lambda layout: layout.root.rename(layout.root.with_name("gone")), "there is no folder"),
    ],
)
def test_bad_input_is_named_and_exits_2(pair, tmp_path, capsys, break_it, said):
    break_it(pair[1].layout)
    roots = [str(folder.layout.root) for folder in pair]
    assert main([*roots, "--output", str(tmp_path / "page")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_two_processes_write_the_same_bytes_and_links_lead_to_records(pair, tmp_path):
    fill(pair[0])
    fill(pair[1], {MOVED: -6.0})
    pages = []
    for hash_seed in "12":
        ended = subprocess.run(
            [sys.executable, "-m", "reports.compare", *(one.layout.root for one in pair),
             "--output", tmp_path / "page"],
            cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": hash_seed}, check=False,
        )  # fmt: skip
        assert ended.returncode == 1
        folder = tmp_path / "page"
        pages.append({path: path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert pages[0] == pages[1]
    names = {path.name for path in pages[0]}
    assert {"index.html", "compare.md", "moved.csv", "moved.tex"} <= names
    html = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    links = [part.partition('"')[0] for part in html.split('href="')[1:]]
    targets = [link for link in links if link.endswith(".json")]
    assert len(targets) == 2 * SEEDS * len(pair[0].study.grids[0].rows)
    assert all((tmp_path / "page" / target).is_file() for target in targets)
    assert "default-src 'none'" in html
