import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ablations.records.record import Record, save
from ablations.storage.layout import Layout
from ablations.study.asked_seeds import ALL
from ablations.study.study import load_study
from reports.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def output(tmp_path):
    """The alpha table of the mini study with all cells done."""
    folder = tmp_path / "output"
    fill(Layout.of(folder, "mini"))
    return folder


def fill(layout):
    for number, cell in enumerate(load_study("mini", ["alpha"], {ALL: 1}).cells()):
        save(
            Record(
                cell=cell.id, fingerprint="a1", identity={}, setting=cell.setting.as_dict(),
                seed=cell.seed, status="done", command="",
                result={"metrics": {"AP": float(number)}},
            ),
            layout.record(cell.id),
        )  # fmt: skip


def test_a_complete_study_exits_0_and_says_where_the_page_is(output, capsys):
    assert (
        main(["--study", "mini", "--grids", "alpha", "--seeds", "1", "--output", str(output)]) == 0
    )
    said = capsys.readouterr().out
    assert "7 of 7 cells done" in said and said.count("\n") == 1
    page = output / "mini" / "report" / "index.html"
    assert str(page) in said and page.is_file()


def test_two_processes_write_the_same_bytes(output):
    def render(seed: str) -> dict[str, bytes]:
        command = [sys.executable, "-m", "reports", "--study", "mini", "--grids", "alpha"]
        subprocess.run(
            [*command, "--seeds", "1", "--output", output], cwd=ROOT, check=True,
            stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONHASHSEED": seed},
        )  # fmt: skip
        report = output / "mini" / "report"
        files = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
        shutil.rmtree(report)
        return files

    first = render("1")
    assert len(first) > 10 and first == render("2")


@pytest.mark.parametrize("wrong", [["--every", "0"], ["--every", "nan"], ["--every", "inf"]])
def test_seconds_must_be_a_number_to_wait(wrong, capsys):
    with pytest.raises(SystemExit):
        main(["--study", "mini", *wrong])
    assert f"{wrong[1]} is not a positive, finite number of seconds" in capsys.readouterr().err


def test_missing_cells_are_marked_said_and_exit_1(output, capsys):
    assert (
        main(["--study", "mini", "--grids", "alpha gamma", "--seeds", "1", "--output", str(output)])
        == 1
    )
    # 7 + 7 rows, of which one cell is shared.
    assert "7 of 13 cells done, 6 missing" in capsys.readouterr().out
    table = (output / "mini" / "report" / "tables" / "gamma.csv").read_text(encoding="utf-8")
    assert table.count("missing") == 6


def test_a_refused_record_exits_1(output, capsys):
    (output / "mini" / "records" / "other.json").write_text("{}", encoding="utf-8")
    assert (
        main(["--study", "mini", "--grids", "alpha", "--seeds", "1", "--output", str(output)]) == 1
    )
    assert "1 record refused" in capsys.readouterr().out


def test_stale_records_exit_1(tmp_path, make_folder, monkeypatch, capsys):
    folder = make_folder()
    monkeypatch.setattr("reports.__main__.find_study", lambda *_: folder.study)
    arguments = ["--study", "small", "--output", str(folder.layout.root.parent)]
    for cell in folder.study.cells():
        folder.add(cell, 5.0)
    folder.describe()
    assert main(arguments) == 0
    folder.add(folder.cell(0, 0), 5.0, stale=("numerics",))
    assert main(arguments) == 1
    assert "4 of 5 cells done, 1 stale" in capsys.readouterr().out


def test_own_data_have_a_folder_of_their_own(tmp_path, capsys):
    data = tmp_path / "bccd"
    data.mkdir()
    fill(Layout.of(tmp_path, "mini", data))
    arguments = ["--study", "mini", "--grids", "alpha", "--seeds", "1", "--output", str(tmp_path)]
    assert main([*arguments, "--dataset", str(data)]) == 0
    assert (tmp_path / "mini-bccd" / "report" / "index.html").is_file()
    assert main(arguments) == 2
    assert "there is no" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--study", "nonsense"], "nonsense"),
        (["--study", "mini", "--grids", "nonsense"], "unknown grid nonsense"),
    ],
)
def test_mistakes_exit_2_with_one_line(output, arguments, said, capsys):
    (output / "nonsense").mkdir()
    assert main([*arguments, "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (output / "mini" / "report").exists()


def test_seeds_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        main(["--study", "mini", "--seeds", "0"])
    assert "'0' is not a number of seeds" in capsys.readouterr().err
