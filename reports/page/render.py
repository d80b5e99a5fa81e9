"""Writes a study's report: HTML page, Markdown page, tables and figures."""

import base64
import gc
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ablations.status.status import RUNNING
from focal_star.io.writing import write_whole
from reports.page import blocks, contents, copies, groups
from reports.plots import svg
from reports.results.load import Results
from reports.tables import markdown

TEMPLATES = Path(__file__).parent / "templates"

REFRESH_SECONDS = 60
"""The reload interval of the page while its study is running."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector, which would traverse all records many times per figure."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@uncollected()
def write_report(
    results: Results, at_work: bool = False, formats: Sequence[str] = blocks.FORMATS
) -> list[Path]:
    """Render everything, then write every file atomically.

    Args:
        results: the study with its records.
        at_work: whether a run is active, even if no cell is running at the moment. The page of a
            running study reloads itself.
        formats: the file formats of tables and figures, from ``blocks.FORMATS``; the Markdown page
            shows the figures as ``png``.

    Returns:
        The files, the page first.
    """
    incomplete = not results.status.is_complete
    running = incomplete and (at_work or results.counts[RUNNING])
    cells = len(results.status.states)
    return write_page(
        contents.report(results),
        results.layout.report,
        formats,
        refresh=REFRESH_SECONDS if running else 0,
        ended=cells - len(results.status.to_run),
        cells=cells,
    )


def write_page(
    report: contents.Report,
    folder: Path,
    formats: Sequence[str] = blocks.FORMATS,
    *,
    markdown_name: str = "report.md",
    refresh: int = 0,
    ended: int = 0,
    cells: int = 0,
) -> list[Path]:
    """Render a page and its Markdown twin, then write every file atomically.

    Args:
        report: the content.
        folder: where to write.
        formats: see :func:`write_report`.
        markdown_name: the name of the twin.
        refresh: the reload interval of the page in seconds, 0 for none.
        ended: the number of cells that have a result.
        cells: the number of cells.

    Returns:
        The files, the page first.
    """
    context = {
        "report": report,
        "groups": groups.grouped(report.sections),
        "colours": svg.variables(),
        "formats": formats,
        "refresh": refresh,
        "ended": ended,
        "cells": cells,
    }
    kinds = {block.kind for section in report.sections for block in section.blocks}
    copied = copies.copies(report.sections)
    names = ["theme.js"]
    names += ["map.js"] if blocks.MapBlock.kind in kinds else []  # names the rows of tables
    names += ["page.js"]
    interactive = [kind for kind in blocks.INTERACTIVE if kind in kinds]
    names += ["elements.js"] if interactive else []
    names += [f"{kind}.js" for kind in interactive]
    names += ["copy.js"] if copied else []
    theme, *scripts = (_Script((TEMPLATES / name).read_text(encoding="utf-8")) for name in names)
    page = _environment(autoescape=True).get_template("index.html.j2")
    # ``finalize`` escapes the output for Markdown, as autoescape does for HTML.
    twin = _environment(finalize=markdown.escape).get_template("report.md.j2")
    texts = {
        "index.html": page.render(context, theme=theme, scripts=scripts, copies=copied),
        markdown_name: twin.render(context),
    }
    # JSON can hold a lone surrogate, UTF-8 cannot.
    written = {name: text.encode(errors="replace") for name, text in texts.items()}
    written |= blocks.files(
        [
            *filter(None, [report.opening.forest]),
            *(block for section in report.sections for block in section.blocks),
        ],
        formats,
    )
    for name, content in written.items():
        write_whole(folder / name, content)
    return [folder / name for name in written]


@dataclass(frozen=True)
class _Script:
    """A script inside the page."""

    text: str

    @property
    def hash(self) -> str:
        """Its source expression in a content security policy."""
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"sha256-{base64.b64encode(digest).decode()}"


def _environment(**options: Any) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    environment.filters.update(
        code_block=markdown.code_block, link=markdown.link, piece=_markdown_piece
    )
    return environment


def _markdown_piece(text: str) -> Markup:
    """A part of a paragraph with its outer spaces."""
    before, after = " " * text.startswith(" "), " " * text.endswith(" ")
    return Markup(before) + markdown.escape(text) + Markup(after)
