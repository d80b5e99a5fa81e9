"""Writes a study's report: the page, its Markdown twin, the tables and the figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from ablations.grid import Grid
from ablations.record import write_whole
from reports import best, captions, illustrations, markdown, provenance, runs, sentences
from reports.illustrations import Illustration
from reports.labels import LOSSES, MAIN_METRIC, PROPOSAL_FIGURE_4
from reports.load import Results
from reports.statistics import Agreement, kendall
from reports.tables import TEMPLATES, GridTable, grid_table


@dataclass(frozen=True)
class Section:
    """What the report says of one grid.

    Attributes:
        grid: the plan.
        table: its numbers.
        caption: what the numbers were made with.
        note: what the seeds allow to say.
        agreement: with the published order, None where nothing is published.
        dots: figure of the table's AP.
        dots_caption: what its marks mean.
        speed: figure of AP over ms per image, None where nothing was timed.
        speed_caption: what it shows.
        curves: figure of the training curves.
        curves_caption: how they are drawn.
        about_focal_star: whether FL* is in it, whose name another function shares.
    """

    grid: Grid
    table: GridTable
    caption: str
    note: str
    agreement: Agreement | None
    dots: Illustration
    dots_caption: str
    speed: Illustration | None
    speed_caption: str
    curves: Illustration
    curves_caption: str
    about_focal_star: bool

    @property
    def agreement_text(self) -> str:
        return sentences.agreement(self.agreement) if self.agreement else ""

    @property
    def figures(self) -> list[Illustration]:
        """All that are drawn, in order."""
        return [drawn for drawn in (self.dots, self.speed, self.curves) if drawn]


def write_report(results: Results) -> list[Path]:
    """Render everything, then write it, each file whole or not at all.

    Returns:
        The files, the page first.
    """
    folder = results.layout.report
    sections = [_section(results, grid) for grid in results.study.grids]
    losses = illustrations.loss_over_p_t()
    context = _context(results, sections, losses)
    page = _environment(autoescape=True).get_template("index.html.j2").render(context)
    # What this template prints is escaped for Markdown, as autoescape does it for HTML.
    twin = _environment(finalize=markdown.escape).get_template("report.md.j2").render(context)
    # JSON can hold half of a surrogate pair, UTF-8 cannot.
    contents = {
        folder / "index.html": page.encode(errors="replace"),
        folder / "report.md": twin.encode(errors="replace"),
    }
    for section in sections:
        contents[folder / "tables" / f"{section.grid.name}.csv"] = section.table.to_csv().encode()
    for drawn in [losses, *(drawn for section in sections for drawn in section.figures)]:
        contents[folder / "figures" / f"{drawn.name}.svg"] = drawn.svg.encode()
        contents[folder / "figures" / f"{drawn.name}.png"] = drawn.png
    for path, content in contents.items():
        write_whole(path, content)
    return list(contents)


def published_agreement(table: GridTable) -> Agreement | None:
    """How far the rows' order by AP is the published one; None where nothing is published."""
    if not table.has_published:
        return None
    values = table.values
    return kendall(values[MAIN_METRIC], values[f"{MAIN_METRIC}_published"])


def _section(results: Results, grid: Grid) -> Section:
    table, frame = grid_table(results, grid), results.of_grid(grid)
    speed = illustrations.ap_over_ms(grid, table)
    curves = illustrations.training_curves(results, grid, table)
    return Section(
        grid=grid,
        table=table,
        caption=provenance.caption(results, results.records_of(frame)),
        note=captions.under_table(results, grid, table),
        agreement=published_agreement(table),
        dots=illustrations.ap_over_rows(results, grid, table),
        dots_caption=captions.dots(frame, table.has_published),
        speed=speed,
        speed_caption=captions.speed(grid, table) if speed else "",
        curves=curves,
        curves_caption=captions.curves(frame, curves.window),
        about_focal_star="focal_star" in set(frame["loss"]),
    )


def _context(results: Results, sections: Sequence[Section], losses: Illustration) -> dict[str, Any]:
    """All that the templates show."""
    records = results.records_of(results.frame)
    return {
        "title": sentences.title(results),
        "summary": sentences.summary(results),
        "staleness": sentences.staleness(results),
        "orders": sentences.orders({s.grid.name: s.agreement for s in sections if s.agreement}),
        "warning": sentences.seeds_warning(results),
        "best": best.best_settings(results),
        "best_compared": best.compared(results.study),
        "main_metric": MAIN_METRIC,
        "sections": sections,
        "losses": losses,
        "drawn_losses": [LOSSES[name] for name in dict.fromkeys(n for n, *_ in PROPOSAL_FIGURE_4)],
        "dataset": provenance.dataset_card(results),
        "weights": provenance.weights(results),
        "facts": runs.facts(results, records),
        "versions": provenance.versions(records),
        "cells": runs.table_of_runs(results),
        "command": str(results.request.get("command") or ""),
        "endings": runs.bad_endings(results),
        "refused": results.refused,
        "others": len(results.records) - len(records),
    }


def _environment(**options: Any) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    environment.filters.update(code_block=markdown.code_block, link=markdown.link)
    return environment
