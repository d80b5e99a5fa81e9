"""The tables of a page as LaTeX and Markdown, for the buttons that copy them (``copy.js``)."""

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from reports.page.blocks import Block, Details, Section, TableBlock
from reports.tables.table import LINKS


@dataclass(frozen=True)
class Copies:
    """The texts of the tables.

    Attributes:
        names: the tables.
        data: JSON, table -> format -> text, compressed by zlib, in base64.
    """

    names: Sequence[str]
    data: Markup


def copies(sections: Sequence[Section]) -> Copies | None:
    """The texts of all tables that are also written as LaTeX; None if there are none.

    The Markdown has no links: they are relative to the page's folder.
    """
    texts = {
        block.name: {
            "LaTeX": block.file("tex")[1].decode(),
            "Markdown": f"**{block.full_title}**\n\n{_without_links(block)}\n",
        }
        for section in sections
        for block in _tables(section.blocks)
        if "tex" in block.suffixes
    }
    if not texts:
        return None
    packed = zlib.compress(json.dumps(texts).encode(), level=9)
    return Copies(list(texts), Markup(base64.b64encode(packed).decode()))


def _tables(blocks: Sequence[Block]) -> Iterator[TableBlock]:
    for block in blocks:
        if isinstance(block, TableBlock):
            yield block
        elif isinstance(block, Details):
            yield from _tables(block.blocks)


def _without_links(block: TableBlock) -> Markup:
    columns = [column for column in block.table.columns if column.kind != LINKS]
    return replace(block.table, columns=columns).to_markdown()
