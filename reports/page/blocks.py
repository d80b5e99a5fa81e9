"""The blocks of a report's sections: what the page shows, in order.

The templates ``block.html.j2`` and ``block.md.j2`` render each kind of block. All texts are plain
and escaped by them. A block can also have files beside the page, one per suffix.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from markupsafe import Markup

from reports.detections.gallery import Picture
from reports.figures.ablation_map import AblationMap
from reports.figures.illustration import Illustration
from reports.page.gamma_slider import GammaSlider
from reports.page.runs import Run, entry_of
from reports.tables.table import (
    AXIS,
    LINKS,
    MAX_COLUMNS,
    OURS,
    PUBLISHED,
    Column,
    Link,
    Table,
    linked,
)
from reports.text.sentences import CI, listed

FIGURE_FORMATS, TABLE_FORMATS = ("png", "svg", "pdf"), ("csv", "tex")
FORMATS = FIGURE_FORMATS + TABLE_FORMATS
"""The formats of the files beside a page."""

MAX_ROWS = 40
"""A table with more rows does not fit on a page of paper."""


@dataclass(frozen=True)
class Block:
    """A part of a section.

    Attributes:
        kind: the name of the block in the templates.
    """

    kind: ClassVar[str]

    @property
    def suffixes(self) -> Sequence[str]:
        """The formats of its files, such as ``png``."""
        return ()

    def file(self, suffix: str) -> tuple[str, bytes]:
        """The path of the file of this format, from the page's folder, and its content."""
        raise NotImplementedError


@dataclass(frozen=True, init=False)
class Text(Block):
    """A paragraph of texts and links.

    Attributes:
        style: "" or a class of the style sheet.
    """

    kind: ClassVar[str] = "text"
    style: ClassVar[str] = ""
    parts: tuple[str | Link, ...]

    def __init__(self, *parts: str | Link):
        object.__setattr__(self, "parts", tuple(part for part in parts if part))


class Lede(Text):
    """The main result."""

    style = "lede"


class Note(Text):
    """Details of the block above."""

    style = "note"


class Warning(Text):
    """A limitation that every reader must know."""

    style = "warning"


@dataclass(frozen=True)
class Heading(Block):
    """A heading inside a section; no two of a page have the same text."""

    kind: ClassVar[str] = "heading"
    text: str

    @property
    def anchor(self) -> str:
        """Its text as an id: letters, digits and hyphens."""
        words = self.text.lower().replace("*", " star")
        return "at-" + re.sub(r"[^\w.]+", "-", words).strip("-")


@dataclass(frozen=True)
class Formula(Block):
    """A displayed formula; the templates have one per name."""

    kind: ClassVar[str] = "formula"
    name: str


@dataclass(frozen=True)
class TableBlock(Block):
    """A table.

    Attributes:
        name: the stem of its files and its anchor.
        table: the table's content.
        title: shown above it.
        caption: the origin of its numbers.
        subject: its topic, which only the heading of the section states.
        suffixes: the formats of its files.
        has_entries: whether the page has an entry for each run, which its links to records lead to.
    """

    kind: ClassVar[str] = "table"
    name: str
    table: Table
    title: str
    caption: str = ""
    subject: str = ""
    suffixes: Sequence[str] = TABLE_FORMATS
    has_entries: bool = True

    @property
    def full_title(self) -> str:
        """The title with its topic."""
        return ": ".join(filter(None, (self.subject, self.title)))

    @property
    def style(self) -> str:
        """Its classes of the style sheet, each after a space."""
        return " wide" * self.is_wide + " long" * self.is_long

    @property
    def is_wide(self) -> bool:
        """Whether it needs a small font to fit on a screen."""
        return len(self.table.main.columns) > MAX_COLUMNS

    @property
    def is_long(self) -> bool:
        """Whether it may be cut between two pages of paper."""
        return len(self.table) > MAX_ROWS

    def to_html(self, table: Table, caption: Markup) -> Markup:
        """A part of the table; its links to records lead to the runs' entries if the page has them.

        Args:
            table: its main columns or its details.
            caption: taken as HTML.
        """
        if self.has_entries:
            table = replace(table, columns=list(map(_to_entries, table.columns)))
        return table.to_html(caption)

    @property
    def detail_names(self) -> str:
        """The columns in the details, for example ``AP (95 % CI), AP75 and records``."""
        details = self.table.details
        columns = [column for column in details.columns if column.kind != AXIS] if details else []
        names: dict[str, list[str]] = {}
        for column in columns:
            # Without their group, these headers say too little.
            if column.group and column.header in (CI, OURS, PUBLISHED):
                names.setdefault(column.group, []).append(column.header)
            else:
                names[column.header] = []
        return listed(
            [f"{name} ({listed(headers)})" if headers else name for name, headers in names.items()]
        )

    def file(self, suffix: str) -> tuple[str, bytes]:
        if suffix == "csv":
            text = self.table.to_csv()
        else:
            caption = f"{self.full_title}. {self.caption}".strip()
            text = self.table.to_latex(caption, f"tab:{self.name}")
        return f"tables/{self.name}.{suffix}", text.encode(errors="replace")


@dataclass(frozen=True)
class FigureBlock(Block):
    """A figure, or photographs with boxes, with its caption."""

    kind: ClassVar[str] = "figure"
    figure: Illustration | Picture
    caption: str

    @property
    def name(self) -> str:
        return self.figure.name

    @property
    def suffixes(self) -> list[str]:
        """The formats that the figure has; photographs have only ``png``."""
        return [suffix for suffix in FIGURE_FORMATS if hasattr(self.figure, suffix)]

    def file(self, suffix: str) -> tuple[str, bytes]:
        content = getattr(self.figure, suffix)
        content = content.encode() if isinstance(content, str) else content
        return f"figures/{self.name}.{suffix}", content


@dataclass(frozen=True)
class FigureFile(FigureBlock):
    """A figure that is only linked: the page shows its numbers elsewhere."""

    kind: ClassVar[str] = "figure_file"


@dataclass(frozen=True)
class MapBlock(FigureBlock):
    """The map of the ablations: a drawing per table; the Markdown page shows them as one figure."""

    kind: ClassVar[str] = "map"
    map: AblationMap


@dataclass(frozen=True)
class Definitions(Block):
    """Names and their values: a text or several, a line each."""

    kind: ClassVar[str] = "definitions"
    pairs: Sequence[tuple[str, str | Sequence[str]]]

    def lines(self) -> Iterator[tuple[str, Sequence[str]]]:
        for name, texts in self.pairs:
            yield name, [texts] if isinstance(texts, str) else texts


@dataclass(frozen=True)
class Code(Block):
    """A command or the output of a program."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Bullets(Block):
    """A list."""

    kind: ClassVar[str] = "bullets"
    lines: Sequence[str]


@dataclass(frozen=True)
class Details(Block):
    """Blocks that a reader can unfold."""

    kind: ClassVar[str] = "details"
    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class RunsBlock(Block):
    """An entry per run, the target of the tables' links. The Markdown page has none."""

    kind: ClassVar[str] = "runs"
    runs: Sequence[Run]


@dataclass(frozen=True)
class TwoRowsBlock(Block):
    """Any two rows side by side, drawn by ``two_rows.js``; the Markdown page has only a sentence.

    Attributes:
        data: see :func:`reports.page.two_rows.data`.
    """

    kind: ClassVar[str] = "two_rows"
    data: Markup


@dataclass(frozen=True)
class GammaBlock(Block):
    """A slider for gamma, drawn by ``gamma_slider.js``; the Markdown page has only a sentence."""

    kind: ClassVar[str] = "gamma_slider"
    slider: GammaSlider


INTERACTIVE = (TwoRowsBlock.kind, GammaBlock.kind)
"""The kinds that a script of the same name draws."""


@dataclass(frozen=True)
class Section:
    """A section of the report: the target of a link, its title and its blocks."""

    anchor: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)


def files(blocks: Sequence[Block], formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """The files of several blocks in these formats: path from the page's folder -> content."""
    contents: dict[str, bytes] = {}
    for block in blocks:
        if isinstance(block, Details):
            of_block = files(block.blocks, formats)
        else:
            of_block = dict(block.file(suffix) for suffix in block.suffixes if suffix in formats)
        twice = of_block.keys() & contents.keys()
        assert not twice, f"two blocks write {twice}"
        contents |= of_block
    return contents


def _to_entries(column: Column) -> Column:
    if column.kind != LINKS:
        return column
    links = [
        [replace(link, target=entry_of(link.target)) for link in cell.links]
        for cell in column.cells
    ]
    return replace(column, values=linked(links))
