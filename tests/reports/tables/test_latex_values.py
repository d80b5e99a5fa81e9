import re
import shutil
import subprocess

import pytest

from reports.publish import published_results
from reports.tables import latex
from reports.tables.grids import grid_table
from reports.tables.latex_values import name_of, values
from reports.tables.table import AXIS, LINKS, NUMBER, TEXT, Column, Link, Table, linked
from tests.docs.pages import ROOT, blocks
from tests.reports.tables.test_table import NAMES


def pairs(lines):
    found = [re.fullmatch(r"\\setreportvalue\{(.*?)\}\{(.*)\}", line) for line in lines]
    return {one[1]: one[2] for one in found if one}


def test_a_text_of_several_numbers_has_a_value_for_each():
    columns = [
        ("AP", "ours", ["12.4 ± 1.0"]),
        ("AP", "95 % CI", ["10.5 to 14.3"]),
        ("effect on AP vs reference", "difference [95 % CI]", ["−2.8 [−4.2, −1.3]"]),
        ("effect on AP vs reference", "verdict", ["worse"]),
        ("", "seeds", ["5 of 8"]),
        ("", "place", ["1 of 9"]),
        ("", "p", ["–"]),
    ]
    minus = r"\ensuremath{-}"
    assert pairs(values("headline", [("method", ["FL*"])], columns)) == {
        "headline/FL*/AP ours": r"12.4 \ensuremath{\pm} 1.0",
        "headline/FL*/AP ours/mean": "12.4",
        "headline/FL*/AP ours/sd": "1.0",
        "headline/FL*/AP 95 CI": "10.5 to 14.3",
        "headline/FL*/AP 95 CI/low": "10.5",
        "headline/FL*/AP 95 CI/high": "14.3",
        "headline/FL*/effect difference": f"{minus}2.8 [{minus}4.2, {minus}1.3]",
        "headline/FL*/effect difference/value": f"{minus}2.8",
        "headline/FL*/effect difference/low": f"{minus}4.2",
        "headline/FL*/effect difference/high": f"{minus}1.3",
        "headline/FL*/seeds": "5 of 8",
        "headline/FL*/seeds/number": "5",
        "headline/FL*/seeds/total": "8",
        "headline/FL*/place": "1 of 9",
        "headline/FL*/place/number": "1",
        "headline/FL*/place/total": "9",
    }


@pytest.mark.parametrize(
    ("axes", "names"),
    [
        ([("γ", ["0", "0.5"]), ("α", ["0.75", "0.5"])], ["gamma 0", "gamma 0.5"]),
        (
            [("γ", ["2", "2"]), ("α", ["0.25", "0.5"])],
            ["gamma 2, alpha 0.25", "gamma 2, alpha 0.5"],
        ),
        ([("depth", ["18 (50)", "34 (101)"])], ["depth 18", "depth 34"]),
        ([("method", ["FL", "FL"])], ["FL", "FL 2"]),
        ([("category", ["\\evil{", "%#&~^_$"])], ["evil", ""]),
    ],
)
def test_rows_are_named_by_what_tells_them_apart(axes, names):
    found = pairs(values("t", axes, [("", "AP", ["1", "2"])]))
    assert list(found) == ["/".join(filter(None, ("t", name, "AP"))) for name in names]


def test_columns_of_equal_names_have_their_whole_headers():
    columns = [("AP of ours", "mean", ["1"]), ("AP of theirs", "mean", ["2"]), ("", "n", ["3"])]
    found = pairs(values("t", [("method", ["FL"])], columns))
    assert list(found) == ["t/FL/AP of ours mean", "t/FL/AP of theirs mean", "t/FL/n"]


def test_names_are_safe_in_latex():
    for text in (*NAMES, "AP₅₀ α \\x{y}% & # ~ ^ $ _ \n"):
        assert re.fullmatch(r"[A-Za-z0-9.,*+ -]*", name_of(text))
    assert name_of("AP₅₀ of α (95 %)") == "AP50 of alpha"


def test_a_table_without_numbers_sets_no_value():
    table = Table([Column("", "name", AXIS, ["a"]), Column("", "said", TEXT, ["1"])])
    assert "reportvalue" not in table.to_latex("caption", "tab:t")


def test_the_example_of_the_documentation_quotes_the_published_headline():
    results = published_results("mini")
    grid = next(grid for grid in results.study.grids if grid.name == "headline")
    text = grid_table(results, grid).table.to_latex("caption", f"tab:{grid.name}")
    (example,) = blocks(ROOT / "docs" / "report.md", "latex")
    quoted = re.findall(r"\\reportvalue\{(.*?)\}", example.text)
    assert quoted and set(quoted) <= set(pairs(text.splitlines()))


TABLE = Table(
    [
        Column("", "method", AXIS, ["CE", "FL*"]),
        Column("", "γ", AXIS, ["–", "0.125"]),
        Column("AP", "ours", NUMBER, ["12.4 ± 1.0", "9.6 ± 0.9"]),
        Column("effect on AP", "difference [95 % CI]", NUMBER, ["–", "−2.8 [−4.2, −1.3]"]),
        Column("", "records", LINKS, linked([[Link("1", "x")], [Link("1", "y")]])),
    ]
)


def compiled(folder, text):
    """The output of LaTeX on a document with the table and this text."""
    table = TABLE.to_latex("A caption with 5 %", "tab:headline")
    document = "\n".join(
        [rf"\documentclass{{article}} {latex.PREAMBLE}", r"\begin{document}", table, text,
         r"\end{document}", ""]
    )  # fmt: skip
    (folder / "paper.tex").write_text(document, encoding="ascii")
    return subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder, capture_output=True, timeout=120, check=False, text=True, errors="replace",
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_a_pasted_table_compiles_and_its_values_can_be_quoted(tmp_path):
    quoted = r"\reportvalue{headline/FL*/AP ours/mean} \reportvalue{headline/CE/AP ours/sd}"
    said = rf"\typeout{{QUOTED {quoted}}}"
    run = compiled(tmp_path, rf"Table~\ref{{tab:headline}}: {quoted} {said}")
    assert run.returncode == 0, run.stdout[-2000:]
    assert "QUOTED 9.6 1.0" in run.stdout
    assert (tmp_path / "paper.pdf").stat().st_size


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_a_table_that_is_too_wide_is_scaled_down(tmp_path):
    wide = Table([Column("", f"column {n}", NUMBER, ["12.4 ± 1.0"]) for n in range(20)])
    assert "Overfull" not in compiled(tmp_path, wide.to_latex("Wide", "tab:wide")).stdout
    unscaled = wide.to_latex("Wide", "tab:wide").replace(r"\resizebox", "%")
    unscaled = unscaled.replace(r"\end{tabular}}", r"\end{tabular}")
    assert "Overfull" in compiled(tmp_path, unscaled).stdout


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_a_value_that_does_not_exist_is_an_error_of_latex(tmp_path):
    run = compiled(tmp_path, r"\reportvalue{headline/FL*/AP theirs}")
    assert run.returncode != 0
    assert "There is no report value headline/FL*/AP theirs" in run.stdout.replace("\n", "")
