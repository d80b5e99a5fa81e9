"""Read a table back from each of its renderings: lists of rows of texts, headers first."""

import csv
import html
import io
import re
from html.parser import HTMLParser


class TableReader(HTMLParser):
    """The cells of an HTML table as lists of [tag, attributes, text]; ``tags`` are all in it."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.tags = [], set()
        self.feed(str(page))

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append([tag, dict(attributes), ""])

    def handle_data(self, data):
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1][2] += data

    def texts(self):
        return [[text.strip() for _, _, text in row] for row in self.rows]


def html_rows(table):
    """The rows below the headers."""
    reader = TableReader(table.to_html("caption"))
    return [
        texts
        for row, texts in zip(reader.rows, reader.texts(), strict=True)
        if not any(attributes.get("scope", "").startswith("col") for _, attributes, _ in row)
    ]


def markdown_rows(table):
    """The rows below the headers, as GitHub shows their texts."""
    lines = str(table.to_markdown()).splitlines()[2:]
    cells = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines]
    return [[_markdown_text(cell) for cell in row] for row in cells]


def csv_rows(table):
    """All rows."""
    return list(csv.reader(io.StringIO(table.to_csv())))


def latex_rows(table):
    """The rows between \\midrule and \\bottomrule, as they are set."""
    body = table.to_latex("caption", "tab:label").partition("\\midrule\n")[2]
    lines = body.partition("\\bottomrule")[0].strip().splitlines()
    rows = [re.split(r"(?<!\\)&", line.removesuffix("\\\\")) for line in lines]
    return [[latex_text(cell) for cell in row] for row in rows]


def latex_text(text):
    """What a reader sees of escaped LaTeX."""
    for macro, shown in _MACROS.items():
        text = text.replace(macro, shown)
    for macro in (r"\\textbf", r"\\textcolor\{gray\}"):
        text = re.sub(macro + r"\{(.*)\}", r"\1", text)
    text = re.sub(r"\\textsubscript\{(\d+)\}", lambda found: found[1].translate(_LOWERED), text)
    text = re.sub(r"\\textsuperscript\{(\d+)\}", lambda found: found[1].translate(_RAISED), text)
    text = re.sub(r"\\([{}#$%&_])", r"\1", text.replace("{}", ""))
    return text.strip()


def numbers(text):
    """Every number in a text, as it is printed."""
    return re.findall(r"[+-]?\d+(?:\.\d+)?", text.replace("−", "-"))


_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

_MACROS = {
    r"\ensuremath{\pm}": "±",
    r"\ensuremath{-}": "−",
    r"\ensuremath{\geq}": "≥",
    r"\ensuremath{\dagger}": "†",
    r"\ensuremath{\alpha}": "α",
    r"\ensuremath{\downarrow}": "↓",
    r"\textendash{}": "–",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textbackslash{}": "\\",
    r"\textasciicircum{}": "^",
    r"\textasciitilde{}": "~",
    r"\textquotedblright{}": '"',
}


def _markdown_text(cell):
    text = re.sub(r"^\*\*(.*)\*\*$", r"\1", cell.strip())
    return html.unescape(re.sub(r"\\(.)", r"\1", text))
