"""Writes a study's report: the page, its Markdown twin, the tables and the figures."""

import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from ablations.plan import Grid
from ablations.record import DIVERGED, FAILED, Record
from reports import illustrations, markdown, provenance, sentences
from reports.illustrations import Illustration
from reports.labels import LOSSES, MAIN_METRIC, PROPOSAL_FIGURE_4
from reports.load import Results
from reports.statistics import Agreement, kendall
from reports.tables import TEMPLATES, GridTable, grid_table, record_path, state_text


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
        curves: figure of the training curves.
        about_focal_star: whether FL* is in it, whose name another function shares.
    """

    grid: Grid
    table: GridTable
    caption: str
    note: str
    agreement: Agreement | None
    dots: Illustration
    dots_caption: str
    curves: Illustration
    about_focal_star: bool

    @property
    def agreement_text(self) -> str:
        return sentences.agreement(self.agreement) if self.agreement else ""


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
    for drawn in [losses, *(d for section in sections for d in (section.dots, section.curves))]:
        contents[folder / "figures" / f"{drawn.name}.svg"] = drawn.svg.encode()
        contents[folder / "figures" / f"{drawn.name}.png"] = drawn.png
    for path, content in contents.items():
        _write(path, content)
    return list(contents)


def published_agreement(table: GridTable) -> Agreement | None:
    """How far the rows' order by AP is the published one; None where nothing is published."""
    if not table.has_published:
        return None
    values = table.values
    return kendall(values[MAIN_METRIC], values[f"{MAIN_METRIC}_published"])


def _section(results: Results, grid: Grid) -> Section:
    table, frame = grid_table(results, grid), results.of_grid(grid)
    return Section(
        grid=grid,
        table=table,
        caption=provenance.caption(results, results.records_of(frame)),
        note=sentences.under_table(frame, grid.setup if table.has_published else ""),
        agreement=published_agreement(table),
        dots=illustrations.ap_over_rows(results, grid, table),
        dots_caption=sentences.dots_caption(frame, table.has_published),
        curves=illustrations.training_curves(results, grid, table),
        about_focal_star="focal_star" in set(frame["loss"]),
    )


def _context(results: Results, sections: Sequence[Section], losses: Illustration) -> dict[str, Any]:
    """All that the templates show."""
    records = results.records_of(results.frame)
    return {
        "title": sentences.title(results),
        "summary": sentences.summary(results),
        "orders": sentences.orders({s.grid.name: s.agreement for s in sections if s.agreement}),
        "warning": sentences.seeds_warning(results),
        "best": sentences.best_settings(results),
        "main_metric": MAIN_METRIC,
        "sections": sections,
        "losses": losses,
        "drawn_losses": [LOSSES[name] for name in dict.fromkeys(n for n, *_ in PROPOSAL_FIGURE_4)],
        "dataset": provenance.dataset_card(results),
        "weights": provenance.weights(results),
        "facts": _facts(results, records),
        "versions": provenance.versions(records),
        "cells": _runs(results),
        "command": str(results.request.get("command") or ""),
        "failures": [_ending(results, r) for r in records if r.status in (FAILED, DIVERGED)],
        "refused": results.refused,
        "others": len(results.records) - len(records),
    }


def _facts(results: Results, records: Sequence[Record]) -> list[tuple[str, str]]:
    """How the runs were made: names and texts."""
    facts = [
        ("Config", f"projects/focal_star/configs/{results.study.config}"),
        ("Schedule", provenance.schedule(records)),
        ("Hardware", provenance.hardware(records)),
        ("Commit", provenance.commits(records)),
        ("Seeds", ", ".join(str(seed) for seed in results.study.seeds)),
        ("Finished", _span(record.run.get("finished") for record in records)),
    ]
    times = results.cells["wall_seconds"].dropna()
    if len(times):
        total, least, most, middle = map(
            sentences.duration, (times.sum(), times.min(), times.max(), times.median())
        )
        facts.append(
            (
                "Time",
                f"{total} in all over {sentences.counted(len(times), 'cell')}; "
                f"one takes {least} to {most}, median {middle}",
            )
        )
    return [(name, text) for name, text in facts if text]


def _span(moments: Iterable[Any]) -> str:
    """The first and the last of some moments in ISO 8601, which sorts as text."""
    known = sorted(moment for moment in moments if isinstance(moment, str) and moment)
    return " to ".join(dict.fromkeys((known[0], known[-1]))) if known else ""


def _runs(results: Results) -> list[dict[str, str]]:
    """A line per cell for the table of runs, all texts."""
    runs = []
    for cell in results.cells.to_dict("records"):
        record = results.records.get(cell["cell"])
        run = {"cell": cell["cell"], "record": record_path(cell["cell"]) if record else ""}
        run["state"] = (
            state_text(cell["state"], cell["error_iteration"], cell[MAIN_METRIC]) or cell["state"]
        )
        for column, digits in (
            ("iterations", ".0f"),
            ("predicted_loss", ".3g"),
            ("measured_loss", ".3g"),
            ("train_seconds", ".1f"),
            ("eval_seconds", ".1f"),
            ("wall_seconds", ".1f"),
        ):
            run[column] = "" if math.isnan(cell[column]) else format(cell[column], digits)
        run["finished"] = str((record.run.get("finished") if record else "") or "")
        runs.append(run)
    return runs


def _ending(results: Results, record: Record) -> dict[str, str]:
    """What a run that did not end well left behind."""
    log = results.layout.cell_log(record.cell).relative_to(results.layout.root).as_posix()
    return {
        "cell": record.cell,
        "status": record.status,
        "record": record_path(record.cell),
        "error": record.error.strip() or "No error is recorded.",
        "log": log,
        "log_path": f"../{quote(log)}",
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


def _write(path: Path, content: bytes) -> None:
    """Put a file in place whole: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
