"""Writes a study's report: HTML page, Markdown page, tables and figures."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ablations.status.status import RUNNING
from focal_star.io.writing import write_whole
from reports.page import blocks, contents, groups
from reports.plots import svg
from reports.results.load import Results
from reports.tables import markdown

TEMPLATES = Path(__file__).parent / "templates"

REFRESH_SECONDS = 60
"""The reload interval of the page while its study is running."""


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
    report = contents.report(results)
    incomplete = not results.status.is_complete
    context = {
        "report": report,
        "groups": groups.grouped(report.sections),
        "colours": svg.variables(),
        "formats": formats,
        "refresh": REFRESH_SECONDS if incomplete and (at_work or results.counts[RUNNING]) else 0,
        "ended": len(results.status.states) - len(results.status.to_run),
        "cells": len(results.status.states),
    }
    script, theme = (
        (TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.js", "theme.js")
    )
    scripts = {"script": script, "theme": theme, "hashes": [_sha256(script), _sha256(theme)]}
    page = _environment(autoescape=True).get_template("index.html.j2")
    # ``finalize`` escapes the output for Markdown, as autoescape does for HTML.
    twin = _environment(finalize=markdown.escape).get_template("report.md.j2")
    texts = {
        "index.html": page.render(context, **scripts),
        "report.md": twin.render(context),
    }
    # JSON can hold a lone surrogate, UTF-8 cannot.
    written = {name: text.encode(errors="replace") for name, text in texts.items()}
    written |= blocks.files(
        [block for section in report.sections for block in section.blocks], formats
    )
    folder = results.layout.report
    for name, content in written.items():
        write_whole(folder / name, content)
    return [folder / name for name in written]


def _sha256(script: str) -> str:
    """The source expression of the script in a content security policy."""
    digest = hashlib.sha256(script.encode()).digest()
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
