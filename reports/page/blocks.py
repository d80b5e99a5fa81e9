"""What a report consists of: sections of blocks. The templates show each kind of block.

All texts are plain and escaped where they are shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from markupsafe import Markup

from reports.detections.gallery import Picture
from reports.figures import Illustration
from reports.page.runs import Run, entry_of
from reports.tables.table import LINKS, Column, Link, Table

MOST_COLUMNS = 9
"""Of a table on upright paper."""


@dataclass(frozen=True)
class Block:
    """One thing under another in a section.

    Attributes:
        kind: which part of the templates shows it.
    """

    kind: ClassVar[str]

    def files(self) -> dict[str, bytes]:
        """The files that stand beside the page: path from its folder -> content."""
        return {}


@dataclass(frozen=True, init=False)
class Text(Block):
    """A paragraph of texts and links, one after another.

    Attributes:
        style: "" or a class of the style sheet.
    """

    kind: ClassVar[str] = "text"
    style: ClassVar[str] = ""
    parts: tuple[str | Link, ...]

    def __init__(self, *parts: str | Link):
        object.__setattr__(self, "parts", parts)

    @property
    def pieces(self) -> list[str | Link]:
        """The parts that are not empty."""
        return [part for part in self.parts if part]


class Lede(Text):
    """What is to be read first."""

    style = "lede"


class Note(Text):
    """What a reader may want to know of the block above."""

    style = "note"


class Warning(Text):
    """What a reader must know."""

    style = "warning"


@dataclass(frozen=True)
class Heading(Block):
    """A heading inside a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Formula(Block):
    """A formula in a line of its own; the templates have each by its name."""

    kind: ClassVar[str] = "formula"
    name: str


@dataclass(frozen=True)
class TableBlock(Block):
    """A table, also as CSV and LaTeX beside the page.

    Attributes:
        name: the stem of its files and its anchor.
        table: what it shows.
        title: what it is of.
        caption: how it came about.
        subject: what it is about, where only the heading over it says so.
        formats: of its files.
    """

    kind: ClassVar[str] = "table"
    name: str
    table: Table
    title: str
    caption: str = ""
    subject: str = ""
    formats: tuple[str, ...] = ("csv", "tex")

    @staticmethod
    def format_name(suffix: str) -> str:
        """For example ``CSV``."""
        return {"tex": "LaTeX"}.get(suffix, suffix.upper())

    @property
    def full_title(self) -> str:
        """The title for where no heading is over it."""
        return ": ".join(filter(None, (self.subject, self.title)))

    @property
    def is_wide(self) -> bool:
        """Whether it needs paper on its side."""
        return len(self.table.columns) > MOST_COLUMNS

    def to_html(self, caption: Markup) -> Markup:
        """The table; its links to records lead to what the page itself says of those runs."""
        return replace(self.table, columns=list(map(_to_entries, self.table.columns))).to_html(
            caption
        )

    def files(self) -> dict[str, bytes]:
        made = {
            "csv": lambda: self.table.to_csv(),
            "tex": lambda: self.table.to_latex(
                f"{self.full_title}. {self.caption}".strip(), f"tab:{self.name}"
            ),
        }
        return {
            f"tables/{self.name}.{suffix}": made[suffix]().encode(errors="replace")
            for suffix in self.formats
        }


@dataclass(frozen=True)
class FigureBlock(Block):
    """A drawn figure, also as files beside the page.

    Attributes:
        figure: what was drawn.
        caption: what it shows, with what it was made from.
    """

    kind: ClassVar[str] = "figure"
    figure: Illustration
    caption: str

    @property
    def name(self) -> str:
        return self.figure.name

    @property
    def suffixes(self) -> list[str]:
        """Of its files, the one that a Markdown page shows first."""
        return ["png", "svg"] + (["pdf"] if getattr(self.figure, "pdf", b"") else [])

    def files(self) -> dict[str, bytes]:
        contents = {suffix: getattr(self.figure, suffix) for suffix in self.suffixes}
        return {
            f"figures/{self.name}.{suffix}": content.encode()
            if isinstance(content, str)
            else content
            for suffix, content in contents.items()
        }


@dataclass(frozen=True)
class PictureBlock(Block):
    """Photographs with boxes."""

    kind: ClassVar[str] = "picture"
    picture: Picture

    @property
    def name(self) -> str:
        return self.picture.name

    @property
    def caption(self) -> str:
        return self.picture.caption

    @property
    def suffixes(self) -> list[str]:
        return ["png"]

    def files(self) -> dict[str, bytes]:
        return {f"figures/{self.name}.png": self.picture.png}


@dataclass(frozen=True)
class Definitions(Block):
    """Names and what they are: a text or several, a line each."""

    kind: ClassVar[str] = "definitions"
    pairs: Sequence[tuple[str, str | Sequence[str]]]

    def lines(self) -> Iterator[tuple[str, Sequence[str]]]:
        for name, texts in self.pairs:
            yield name, [texts] if isinstance(texts, str) else texts


@dataclass(frozen=True)
class Code(Block):
    """A command or what a program printed."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Bullets(Block):
    """Lines that have nothing to do with one another."""

    kind: ClassVar[str] = "bullets"
    lines: Sequence[str]


@dataclass(frozen=True)
class Details(Block):
    """Blocks that are folded until a reader asks for them."""

    kind: ClassVar[str] = "details"
    summary: str
    blocks: Sequence[Block]

    def files(self) -> dict[str, bytes]:
        return files(self.blocks)


@dataclass(frozen=True)
class RunsBlock(Block):
    """An entry for each run, which the tables' links lead to. The Markdown page has none."""

    kind: ClassVar[str] = "runs"
    runs: Sequence[Run]


@dataclass(frozen=True)
class Section:
    """A part of the report that the contents name.

    Attributes:
        anchor: what a link calls it.
        title: of it.
        blocks: in order.
    """

    anchor: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)


def files(blocks: Sequence[Block]) -> dict[str, bytes]:
    """The files of several blocks.

    Two blocks may not write one file: that is a mistake of this package's own.
    """
    found: dict[str, bytes] = {}
    for block in blocks:
        for path, content in block.files().items():
            assert path not in found, f"two blocks write {path}"
            found[path] = content
    return found


def _to_entries(column: Column) -> Column:
    if column.kind != LINKS:
        return column
    return replace(
        column,
        values=[
            [replace(link, target=entry_of(link.target)) for link in links]
            for links in column.values
        ],
    )
