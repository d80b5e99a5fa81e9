"""A table of texts and its renderings as HTML, Markdown, LaTeX and CSV.

The renderings only arrange and escape the texts, so they agree to the digit.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import markupsafe
import pandas as pd
from markupsafe import Markup
from pandas.io.formats.style import Styler

from reports.tables import latex, latex_values, markdown, spreadsheets

NOTHING = "–"
"""The text of a missing value; a CSV has an empty field instead."""

AXIS, NUMBER, TEXT, LINKS = "axis", "number", "text", "records"
"""The kinds of columns, which are classes in HTML; ``AXIS`` columns label the rows."""

BOLD, GREY, STALE = "bold", "grey", "stale"
"""The emphasis of a significant difference, of one that is not, and of a stale value."""

MAX_COLUMNS = 9
"""What the page shows of a table at once, if the columns' ranks allow it."""

OURS, PUBLISHED = "ours", "published"
"""The headers of our values and of published ones."""

VERDICT_RANK, SEEDS_RANK, PART_RANK, INTERVAL_RANK = 1, 2, 7, 8
"""Ranks of columns that several tables have."""

MAX_SMALL_COLUMNS = 6
"""A table with at most this number of columns does not fill the page."""

_HtmlStyler = Styler.from_custom_template(str(Path(__file__).parent), html_table="table.html.tpl")

_LEADING_NUMBER = re.compile(r"[+−-]?\d+(\.\d+)?(?![\d.]*[^\W\d_])")


@dataclass(frozen=True)
class Link:
    """A link in a cell: its text, its target (percent-quoted) and what a screen reader says."""

    text: str
    target: str
    spoken: str = ""

    @property
    def style(self) -> str:
        """Its class: whether it leads to a file beside the page."""
        return "" if self.target.startswith(("#", "https:")) else "beside"


@dataclass(frozen=True)
class TableCell:
    """A cell of a table.

    Attributes:
        text: plain text, escaped by the renderings.
        emphasis: "", ``BOLD``, ``GREY`` or ``STALE``.
        sort: the sort key, by default the number that the text begins with.
        links: replace the text.
    """

    text: str
    emphasis: str = ""
    sort: float | None = None
    links: tuple[Link, ...] = ()

    @property
    def sort_key(self) -> str:
        """A number as text; "" if the cell has none."""
        if self.sort is not None:
            return f"{self.sort:.15g}"
        match = _LEADING_NUMBER.match(self.text)
        return f"{float(match.group().replace('−', '-')):.15g}" if match else ""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        group: the header over it and its neighbours of the same group; "" for none.
        header: its own.
        kind: ``AXIS``, ``NUMBER``, ``TEXT`` or ``LINKS``.
        values: a text or a :class:`TableCell` per row; in ``LINKS``, a cell with links.
        rank: 0 if the page always shows it; the other ranks follow, low ones first, each as a
            whole, as long as they fit.
    """

    group: str
    header: str
    kind: str
    values: Sequence[str | TableCell]
    rank: int = 0

    @cached_property
    def cells(self) -> list[TableCell]:
        """A cell per row."""
        return [
            value if isinstance(value, TableCell) else TableCell(value) for value in self.values
        ]

    @property
    def name(self) -> str:
        """The header in one line."""
        return f"{self.group} {self.header}".strip()


@dataclass(frozen=True)
class Table:
    """Columns of one length.

    Attributes:
        columns: what a reader sees, in order.
        texts: what the CSV has: plain texts, a line per row; by default those of the columns.
    """

    columns: Sequence[Column]
    texts: pd.DataFrame | None = None

    def __post_init__(self):
        lengths = {column.name: len(column.values) for column in self.columns}
        assert len(set(lengths.values())) == 1, f"columns differ in length: {lengths}"

    def __len__(self) -> int:
        return len(self.columns[0].values)

    @cached_property
    def _numbers_of_main(self) -> set[int]:
        """The numbers of the columns in ``main``: whole ranks, low ones first, while they fit."""
        numbers: set[int] = set()
        for rank in sorted({column.rank for column in self.columns}):
            of_rank = {number for number, column in enumerate(self.columns) if column.rank == rank}
            if rank and len(numbers) + len(of_rank) > MAX_COLUMNS:
                break
            numbers |= of_rank
        return numbers

    @property
    def main(self) -> "Table":
        """The columns that the page shows at once: at most ``MAX_COLUMNS`` if ranks allow it."""
        return replace(self, columns=[self.columns[n] for n in sorted(self._numbers_of_main)])

    @property
    def details(self) -> "Table | None":
        """The row's labels and the columns that ``main`` leaves out; None if there are none."""
        if len(self._numbers_of_main) == len(self.columns):
            return None
        return replace(
            self,
            columns=[
                column
                for number, column in enumerate(self.columns)
                if column.kind == AXIS or number not in self._numbers_of_main
            ],
        )

    def to_html(self, caption: Markup) -> Markup:
        """A ``<table>`` with scopes on its headers and numbers to sort by in ``data-sort``.

        Args:
            caption: taken as HTML.
        """
        styler = _HtmlStyler(self._frame(self.columns), cell_ids=False).hide(axis="index")
        styler.format(_html)
        self._format_headers(styler, self.columns, markupsafe.escape)
        styler.set_caption(str(caption))
        html = styler.to_html(exclude_styles=True, kinds=[column.kind for column in self.columns])
        if len(self.columns) <= MAX_SMALL_COLUMNS:
            html = html.replace("<table>", '<table class="small">', 1)
        # The templates leave a blank line for each of their own.
        return Markup("\n".join(line for line in html.split("\n") if line.strip()))

    def to_markdown(self) -> Markup:
        """A pipe table, as GitHub shows it."""
        frame = pd.DataFrame(
            [list(map(_markdown, row)) for row in self._rows(self.columns)],
            columns=[
                str(markdown.escape(", ".join(filter(None, (column.group, column.header)))))
                for column in self.columns
            ],
        )
        return Markup(
            frame.to_markdown(
                index=False,
                tablefmt="pipe",
                disable_numparse=True,
                colalign=["right" if column.kind == NUMBER else "left" for column in self.columns]
                if len(self)
                else None,
            )
        )

    def to_latex(self, caption: str, label: str) -> str:
        """A table for a paper, with booktabs, and a macro for each of its numbers; no links.

        Args:
            caption: plain text.
            label: what ``\\ref`` calls it.
        """
        columns = [column for column in self.columns if column.kind != LINKS]
        styler = self._frame(columns).style.hide(axis="index")
        styler.format(_latex)
        self._format_headers(styler, columns, latex.escape)
        text = styler.set_table_styles(latex.TABLE_STYLES).to_latex(
            column_format="".join("r" if column.kind == NUMBER else "l" for column in columns),
            hrules=True,
            multicol_align="c",
            position="htbp",
            position_float="centering",
            caption=latex.escape(caption),
            label=re.sub("[^A-Za-z0-9:_-]", "", label),
        )
        if _is_grouped(columns):
            text = latex.with_cmidrules(text, [column.group for column in columns])
        macros = latex_values.values(
            label.rpartition(":")[2],
            [(c.header, [cell.text for cell in c.cells]) for c in columns if c.kind == AXIS],
            [
                (c.group, c.header, [cell.text for cell in c.cells])
                for c in columns
                if c.kind == NUMBER
            ],
        )
        return "\n".join([f"% needs {latex.PREAMBLE}", *macros, latex.fitted(text)])

    def to_csv(self) -> str:
        """``texts``; nothing in it is a formula to a spreadsheet."""
        columns = [column for column in self.columns if column.kind != LINKS]
        texts = self.texts
        if texts is None:
            # A list, not a dictionary: columns that are named after categories may share a name.
            rows = [[_number_text(cell.text) for cell in row] for row in self._rows(columns)]
            texts = pd.DataFrame(rows, columns=[column.name for column in columns], dtype=object)
        safe = texts.apply(lambda column: column.map(spreadsheets.cell))
        safe.columns = [spreadsheets.cell(name) for name in texts.columns]
        return safe.to_csv(index=False, lineterminator="\n")

    @staticmethod
    def _rows(columns: Sequence[Column]) -> Iterable[tuple[TableCell, ...]]:
        return zip(*(column.cells for column in columns), strict=True)

    def _frame(self, columns: Sequence[Column]) -> pd.DataFrame:
        """The cells; each column is known by its number, since several can have one name."""
        numbers = range(len(columns))
        groups = [column.group for column in columns]
        index = pd.MultiIndex.from_arrays([groups, numbers]) if _is_grouped(columns) else numbers
        frame = pd.DataFrame(list(self._rows(columns)), columns=numbers, dtype=object)
        frame.columns = index
        return frame

    @staticmethod
    def _format_headers(
        styler: Styler, columns: Sequence[Column], escape: Callable[[str], str]
    ) -> None:
        """Let the columns of :meth:`_frame` show the headers of these columns, escaped."""

        def header(number: int) -> str:
            return escape(columns[number].header)

        for level, formatter in enumerate([escape, header] if _is_grouped(columns) else [header]):
            styler.format_index(formatter, axis="columns", level=level)


@dataclass(frozen=True)
class Tabled:
    """A table and the note under it.

    Attributes:
        table: None if there are no data; the note says why.
        note: plain text.
    """

    table: Table | None
    note: str


def linked(links: Iterable[Iterable[Link]]) -> list[TableCell]:
    """A cell with links per row."""
    return [TableCell("", links=tuple(of_row)) for of_row in links]


def shown(texts: Iterable[str]) -> list[str]:
    """Texts with ``NOTHING`` in place of ""."""
    return [text or NOTHING for text in texts]


def _is_grouped(columns: Sequence[Column]) -> bool:
    return any(column.group for column in columns)


def _number_text(text: str) -> str:
    """A text for a CSV: "" for ``NOTHING``, and an ASCII minus sign."""
    return "" if text == NOTHING else re.sub(r"−(?=\d)", "-", text)


def _html(cell: TableCell) -> Markup:
    links = [
        Markup('<a{} href="{}" aria-label="{}">{}</a>').format(
            Markup(' class="{}"').format(link.style) if link.style else "",
            link.target,
            link.spoken or link.text,
            link.text,
        )
        for link in cell.links
    ]
    if links:
        return Markup(" ").join(links)
    text = markupsafe.escape(cell.text or NOTHING)
    return Markup("<strong>{}</strong>").format(text) if cell.emphasis == BOLD else text


def _markdown(cell: TableCell) -> Markup:
    if cell.links:
        return Markup(", ").join(markdown.link(link.text, link.target) for link in cell.links)
    text = markdown.escape(cell.text or NOTHING)
    return Markup(f"**{text}**") if cell.emphasis == BOLD else text


def _latex(cell: TableCell) -> str:
    text = latex.escape(cell.text or NOTHING)
    if cell.emphasis == BOLD:
        return latex.strong(text)
    return latex.grey(text) if cell.emphasis in (GREY, STALE) else text
