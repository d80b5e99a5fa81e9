"""One text frame per grid, and its three renderings: HTML, Markdown and CSV.

Every digit is decided once, in :func:`grid_table`; the renderings only arrange the texts. What is
missing is an empty text in the frame and the CSV, and "–" to a reader. What a stale record says is
shown with a † and counts nowhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import markupsafe
import pandas as pd
from markupsafe import Markup
from pandas.io.formats.style import Styler

from ablations.grid import Grid
from ablations.record import DONE
from ablations.status import STALE
from reports import markdown, states
from reports.labels import MAIN_METRIC, METRICS, SPEED, axis_label, one_decimal, published_text
from reports.load import Results, published
from reports.rows import paper_text, row_label, value_text, with_paper
from reports.statistics import over_seeds

NOTHING = "–"
STALE_MARK = "†"
MOST_COMPARED = 4
"""A table of more metrics has published values beside ``MAIN_METRIC`` and the speed alone."""

TEMPLATES = Path(__file__).parent / "templates"

_HtmlStyler = Styler.from_custom_template(str(TEMPLATES), html_table="table.html.tpl")


@dataclass(frozen=True)
class GridTable:
    """A grid's table.

    Attributes:
        axes: the columns that label a row.
        metrics: the columns of results.
        row_labels: for example ``γ = 2, α = 0.25``.
        texts: a line per row, all texts, "" where there is none: the axes, and ``<axis>_paper``
            of those whose values the study translates; ``<metric>``, ``<metric>_sd`` and
            ``<metric>_published`` of each metric and ``AP_difference`` (of the printed values);
            ``seeds_done``, ``seeds_planned`` and ``status``, which is "" for a row that is
            plainly done.
        values: the numbers behind: :func:`statistics.over_seeds`, also of ``<metric>_stale``, and
            ``<metric>_published``.
        stale: per row, whether its texts are those of stale records, as it has no others.
        records: per row, the records' (seed, path from the report's folder).
    """

    axes: tuple[str, ...]
    metrics: tuple[str, ...]
    row_labels: list[str]
    texts: pd.DataFrame
    values: pd.DataFrame
    stale: list[bool]
    records: list[list[tuple[int, str]]]

    @property
    def has_published(self) -> bool:
        """Whether any row has a published value to stand beside."""
        return bool(self.values[f"{MAIN_METRIC}_published"].notna().any())

    @property
    def compared(self) -> tuple[str, ...]:
        """The metrics that have their published values beside them."""
        if not self.has_published:
            return ()
        if len(self.metrics) <= MOST_COMPARED:
            return self.metrics
        return tuple(metric for metric in self.metrics if metric in (MAIN_METRIC, SPEED))

    def to_csv(self) -> str:
        """All columns, the same ones whatever the rows' states."""
        return self.texts.to_csv(index=False, lineterminator="\n")

    def to_html(self, caption: Markup) -> Markup:
        """A ``<table>`` with scopes on its headers; the caption is taken as HTML."""
        columns = self._columns()
        frame = pd.DataFrame({column.key: column.values for column in columns})
        if not self.has_published:
            frame.columns = [column.name for column in columns]
        styler = _HtmlStyler(frame, cell_ids=False).hide(axis="index")
        styler.format(
            {
                label: _html_links if column.kind == "records" else markupsafe.escape
                for label, column in zip(frame.columns, columns, strict=True)
            }
        )
        styler.format_index(markupsafe.escape, axis="columns")
        kinds = [
            [
                ("stale " if str(c.values[row]).endswith(STALE_MARK) else "") + c.kind
                for c in columns
            ]
            for row in range(len(frame))
        ]
        styler.set_td_classes(pd.DataFrame(kinds, columns=frame.columns))
        styler.set_caption(str(caption))
        return Markup(styler.to_html(exclude_styles=True))

    def to_markdown(self) -> Markup:
        """A pipe table, as GitHub shows it."""
        columns = self._columns()
        frame = pd.DataFrame(
            {
                str(markdown.escape(column.name)): [
                    _markdown_links(value) if column.kind == "records" else markdown.escape(value)
                    for value in column.values
                ]
                for column in columns
            }
        )
        return Markup(
            frame.to_markdown(
                index=False,
                tablefmt="pipe",
                disable_numparse=True,
                colalign=["right" if column.kind == "number" else "left" for column in columns],
            )
        )

    def _columns(self) -> list["_Column"]:
        """The columns that a reader sees, in order."""
        texts, columns = self.texts, []
        for axis in self.axes:
            papers = texts.get(f"{axis}_paper", [""] * len(texts))
            values = map(with_paper, texts[axis], papers)
            columns.append(_Column("", axis_label(axis).header, "axis", _shown(values)))
        for metric in self.metrics:
            columns += self._columns_of(metric)
        if (texts["seeds_planned"] != "1").any():
            done = texts["seeds_done"] + " of " + texts["seeds_planned"]
            columns.append(_Column("", "seeds", "number", list(done)))
        if (texts["status"] != "").any():
            columns.append(_Column("", "status", "text", [s or DONE for s in texts["status"]]))
        columns.append(_Column("", "records", "records", self.records))
        return columns

    def _columns_of(self, metric: str) -> list["_Column"]:
        """Our values and, where they are compared, the published and the difference."""
        texts, header = self.texts, METRICS[metric].header
        ours = _shown(
            (f"{mean} ± {sd}" if sd else mean) + (STALE_MARK if stale and mean else "")
            for mean, sd, stale in zip(
                texts[metric], texts[f"{metric}_sd"], self.stale, strict=True
            )
        )
        if metric not in self.compared:
            return [_Column("ours" if self.compared else "", header, "number", ours)]
        columns = [
            _Column(header, "ours", "number", ours),
            _Column(header, "published", "number", _shown(texts[f"{metric}_published"])),
        ]
        if metric == MAIN_METRIC:
            difference = texts[f"{metric}_difference"].str.replace("-", "−")
            columns.append(_Column(header, "difference", "number", _shown(difference)))
        return columns


@dataclass(frozen=True)
class _Column:
    """A shown column: its group's header, its own, how it is set, and a value per row."""

    group: str
    header: str
    kind: str
    values: list[Any]

    @property
    def key(self) -> tuple[str, str]:
        return self.group, self.header

    @property
    def name(self) -> str:
        return f"{self.group} {self.header}".strip()


def grid_table(results: Results, grid: Grid) -> GridTable:
    """Average over the seeds, put the published values beside, and decide every digit."""
    frame, metrics = results.of_grid(grid), grid.metrics
    if MAIN_METRIC not in metrics:
        metrics = (MAIN_METRIC, *metrics)
    values = over_seeds(frame, [*metrics, *(f"{metric}_stale" for metric in metrics)])
    values = values.join(published(grid)[list(metrics)].add_suffix("_published"))
    rows = [row for _, row in frame.groupby("row", sort=True)]
    stale = [
        STALE in set(row["state"]) and counted == 0
        for row, counted in zip(rows, values[f"{MAIN_METRIC}_n"], strict=True)
    ]
    texts = {}
    for axis in grid.columns:
        texts[axis] = [value_text(row, axis) for row in grid.rows]
        if any(papers := [paper_text(row, axis) for row in grid.rows]):
            texts[f"{axis}_paper"] = papers
    for metric in metrics:
        shown = values[metric].mask(stale, values[f"{metric}_stale"])
        spread = values[f"{metric}_sd"].mask(stale, values[f"{metric}_stale_sd"])
        theirs = [published_text(metric, value) for value in values[f"{metric}_published"]]
        texts[metric] = [one_decimal(value) for value in shown]
        texts[f"{metric}_sd"] = [one_decimal(value) for value in spread]
        texts[f"{metric}_published"] = theirs
        if metric == MAIN_METRIC:
            ours = [one_decimal(value) for value in values[metric]]
            texts[f"{metric}_difference"] = list(map(_difference, ours, theirs))
    texts["seeds_done"] = [str(n) for n in values[f"{MAIN_METRIC}_n"]]
    texts["seeds_planned"] = [str(len(row)) for row in rows]
    texts["status"] = [states.row_text(row) for row in rows]
    return GridTable(
        axes=grid.columns,
        metrics=metrics,
        row_labels=[row_label(row, grid.columns) for row in grid.rows],
        texts=pd.DataFrame(texts, dtype=object),
        values=values,
        stale=stale,
        records=[
            [
                (seed, record_path(cell))
                for seed, cell in zip(row["seed"], row["cell"], strict=True)
                if cell in results.records
            ]
            for row in rows
        ],
    )


def record_path(cell: str) -> str:
    """The record of a cell as linked from a page in the report's folder."""
    return f"../records/{quote(cell)}.json"


def _difference(ours: str, theirs: str) -> str:
    if not ours or not theirs:
        return ""
    difference = round(float(ours) - float(theirs), 1)
    return f"{difference:+.1f}" if difference else "0.0"


def _shown(texts: Iterable[str]) -> list[str]:
    return [text or NOTHING for text in texts]


def _link_text(seed: int, records: list[tuple[int, str]]) -> str:
    return str(seed) if len(records) > 1 else f"seed {seed}"


def _html_links(records: list[tuple[int, str]]) -> Markup:
    links = [
        Markup('<a href="{}" aria-label="record of seed {}">{}</a>').format(path, seed, seed)
        for seed, path in records
    ]
    return Markup(", ").join(links) or Markup(NOTHING)


def _markdown_links(records: list[tuple[int, str]]) -> Markup:
    links = [markdown.link(_link_text(seed, records), path) for seed, path in records]
    return Markup(", ").join(links) or Markup(NOTHING)
