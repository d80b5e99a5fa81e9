import shutil
import string
import subprocess

import pytest

from reports.tables import latex
from reports.tables.table import AXIS, BOLD, GREY, NUMBER, Column, Table, TableCell
from tests.reports.tables.test_table import NAMES

STRANGE = [
    *NAMES,
    "AP₅₀ APₛ APₘ APₗ x² m³ ₊",
    "αβγδεζηθικλμνξοπρςστυφχψω ΓΔΘΛΞΠΣΥΦΨΩ ΑΒ",
    "± − × · ≤ ≥ → ↑ ↓ – — † … ’",
    "é ü ñ Å č ç ā ż ő ß ø æ œ đ þ ł",
    "中文 Привет 日本語 한국어 مرحبا 😀 ∑ ½ ™",
    "two\nlines\tand\x00control\x7f half \ud800 \u200b\ufeff\u202e e\u0301",
    "[bracket", "*star", "-- --- `` '' ,,", "", " ", string.printable,
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b%c&d#e$f{g}", r"a\_b\%c\&d\#e\$f\{g\}"),
        ("\\^~", r"\textbackslash{}\textasciicircum{}\textasciitilde{}"),
        ("<|>", r"\textless{}\textbar{}\textgreater{}"),
        ("AP₅₀", r"AP\textsubscript{5}\textsubscript{0}"),
        ("96² px²", r"96\textsuperscript{2} px\textsuperscript{2}"),
        ("±2 −1", r"\ensuremath{\pm}2 \ensuremath{-}1"),
        ("γ", r"\ensuremath{\gamma}"),
        ("Zoë", r"Zo\"{e}"),
        ("Привет", "Privet"),
        ("中", "Zhong"),
        ("a--b", "a-{}-b"),
        ("[2.9, 5.5]", "{}[2.9, 5.5]"),
        ("*", "{}*"),
        ("\ud800", "?"),
        ("\ue000", ""),
        ("a\n b", "a b"),
        (3, "3"),
    ],
)
def test_text_is_shown_as_it_is(text, escaped):
    assert latex.escape(text) == escaped


@pytest.mark.parametrize("text", STRANGE)
def test_the_output_is_ascii_on_one_line(text):
    escaped = latex.escape(text)
    assert escaped.isascii() and escaped.isprintable()


def test_cmidrules_stand_under_the_groups():
    tabular = "\\toprule\nh1 \\\\\nh2 \\\\\n\\midrule\n"
    groups = ["", "a", "a", "b", "", "c", "c"]
    assert latex.with_cmidrules(tabular, groups).splitlines()[2] == (
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-4} \cmidrule(lr){6-7}"
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_tables_compile(tmp_path):
    grouped = Table(
        [
            Column("", "name", AXIS, STRANGE),
            Column("AP₅₀", "ours", NUMBER, ["13.0 ± 3.6"] * len(STRANGE)),
            *(Column(name, name, NUMBER, ["1"] * len(STRANGE)) for name in NAMES),
        ]
    )
    marked = Table(
        [
            Column("", "[first", AXIS, ["[2.9, 5.5]", "*"]),
            Column(
                "", "d", NUMBER, [TableCell(f"+4.2 {NAMES[0]}", BOLD), TableCell(NAMES[1], GREY)]
            ),
        ]
    )
    empty = Table([Column("", "a", AXIS, [])])
    tables = [table.to_latex(" ".join(STRANGE), NAMES[0]) for table in (grouped, marked, empty)]
    compiled(document(tables), tmp_path)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_what_is_not_escaped_does_not_compile(tmp_path):
    """The test above can fail."""
    broken = document([Table([Column("", "a", AXIS, ["x"])]).to_latex("c", "l")])
    with pytest.raises(AssertionError):
        compiled(broken.replace("\nx ", "\nx_% "), tmp_path)


def document(tables):
    head = rf"\documentclass{{article}} \usepackage[margin=1cm]{{geometry}} {latex.PREAMBLE}"
    return "\n".join([head, r"\begin{document}", *tables, r"\end{document}", ""])


def compiled(text, folder):
    (folder / "tables.tex").write_text(text, encoding="ascii")
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"],
        cwd=folder, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout.decode(errors="replace")[-2000:]
    assert (folder / "tables.pdf").stat().st_size
