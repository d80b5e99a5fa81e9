"""One text frame per grid, and its three renderings: HTML, Markdown and CSV.

Every digit is decided once, in :func:`grid_table`; the renderings only arrange the texts. What is
missing is an empty text in the frame and the CSV, and "–" to a reader.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import markupsafe
import pandas as pd
from markupsafe import Markup
from pandas.io.formats.style import Styler

from ablations.plan import Grid, Row
from ablations.record import DIVERGED, DONE
from reports import markdown
from reports.labels import AXES, MAIN_METRIC, METRICS, TABLE_METRICS, axis_text
from reports.load import Results, published
from reports.statistics import over_seeds

NOTHING = "–"
TEMPLATES = Path(__file__).parent / "templates"

_HtmlStyler = Styler.from_custom_template(str(TEMPLATES), html_table="table.html.tpl")


@dataclass(frozen=True)
class GridTable:
    """A grid's table.

    Attributes:
        axes: the columns that label a row.
        texts: a line per row, all texts, "" where there is none: the axes; ``<metric>``,
            ``<metric>_sd`` and ``<metric>_published`` of each metric and ``AP_difference`` (of
            the printed values); ``seeds_done``, ``seeds_planned`` and ``status``, which is ""
            for a row that is plainly done.
        values: the numbers behind: :func:`statistics.over_seeds` and ``<metric>_published``.
        records: per row, the records' (seed, path from the report's folder).
    """

    axes: tuple[str, ...]
    texts: pd.DataFrame
    values: pd.DataFrame
    records: list[list[tuple[int, str]]]

    @property
    def has_published(self) -> bool:
        """Whether any row has a published value to stand beside."""
        return bool(self.values[f"{MAIN_METRIC}_published"].notna().any())

    @property
    def row_labels(self) -> list[str]:
        """For example ``γ = 2, α = 0.25``."""
        labels = [AXES.get(axis, axis) for axis in self.axes]
        return [
            ", ".join(f"{label} = {text}" for label, text in zip(labels, row, strict=True))
            for row in self.texts[list(self.axes)].itertuples(index=False)
        ]

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
        styler.set_td_classes(
            pd.DataFrame([[column.kind for column in columns]] * len(frame), columns=frame.columns)
        )
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
            columns.append(_Column("", AXES.get(axis, axis), "axis", list(texts[axis])))
        for metric in TABLE_METRICS:
            label = METRICS[metric]
            spread = [
                f"{mean} ± {sd}" if sd else mean
                for mean, sd in zip(texts[metric], texts[f"{metric}_sd"], strict=True)
            ]
            if not self.has_published:
                columns.append(_Column("", label, "number", _shown(spread)))
                continue
            columns.append(_Column(label, "ours", "number", _shown(spread)))
            columns.append(
                _Column(label, "published", "number", _shown(texts[f"{metric}_published"]))
            )
            if metric == MAIN_METRIC:
                difference = texts[f"{metric}_difference"].str.replace("-", "−")
                columns.append(_Column(label, "difference", "number", _shown(difference)))
        if (texts["seeds_planned"] != "1").any():
            done = texts["seeds_done"] + " of " + texts["seeds_planned"]
            columns.append(_Column("", "seeds", "number", list(done)))
        if (texts["status"] != "").any():
            columns.append(_Column("", "status", "text", [s or DONE for s in texts["status"]]))
        columns.append(_Column("", "records", "records", self.records))
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
    frame = results.of_grid(grid)
    values = over_seeds(frame, TABLE_METRICS)
    values = values.join(published(grid)[list(TABLE_METRICS)].add_suffix("_published"))
    texts = {
        axis: [axis_text(axis, _axis_value(row, axis)) for row in grid.rows]
        for axis in grid.columns
    }
    for metric in TABLE_METRICS:
        for column in (metric, f"{metric}_sd", f"{metric}_published"):
            texts[column] = [percent(value) for value in values[column]]
        if metric == MAIN_METRIC:
            pairs = zip(texts[metric], texts[f"{metric}_published"], strict=True)
            texts[f"{metric}_difference"] = [_difference(ours, theirs) for ours, theirs in pairs]
    rows = [row for _, row in frame.groupby("row", sort=True)]
    texts["seeds_done"] = [str(n) for n in values[f"{MAIN_METRIC}_n"]]
    texts["seeds_planned"] = [str(len(row)) for row in rows]
    texts["status"] = [_status(row) for row in rows]
    return GridTable(
        axes=grid.columns,
        texts=pd.DataFrame(texts, dtype=object),
        values=values,
        records=[
            [
                (seed, record_path(cell))
                for seed, cell in zip(row["seed"], row["cell"], strict=True)
                if cell in results.records
            ]
            for row in rows
        ],
    )


def percent(value: float) -> str:
    """With one decimal, as the paper prints it; "" for NaN."""
    return "" if math.isnan(value) else f"{value:.1f}"


def record_path(cell: str) -> str:
    """The record of a cell as linked from a page in the report's folder."""
    return f"../records/{quote(cell)}.json"


def state_text(state: str, error_iteration: float, metric: float) -> str:
    """How one run ended, "" if it is plainly done."""
    if state == DIVERGED and not math.isnan(error_iteration):
        return f"{DIVERGED} at iteration {error_iteration:.0f}"
    if state == DONE:
        return f"{DONE}, {MAIN_METRIC} undefined" if math.isnan(metric) else ""
    return state


def _status(seeds: pd.DataFrame) -> str:
    """How a row's runs ended; the seeds are named unless all ended the same way."""
    endings: dict[str, list[str]] = {}
    for run in seeds.to_dict("records"):
        ending = state_text(run["state"], run["error_iteration"], run[MAIN_METRIC])
        if ending:
            endings.setdefault(ending, []).append(str(run["seed"]))
    if len(endings) == 1 and len(*endings.values()) == len(seeds):
        return next(iter(endings))
    return "; ".join(
        f"seed{'s' if len(which) > 1 else ''} {', '.join(which)} {ending}"
        for ending, which in endings.items()
    )


def _axis_value(row: Row, axis: str) -> Any:
    """As the grid's file says it: the setting of gamma 0 has no gamma, its row does."""
    return row.values.get(axis, row.setting.as_dict().get(axis, ""))


def _difference(ours: str, theirs: str) -> str:
    if not ours or not theirs:
        return ""
    difference = round(float(ours) - float(theirs), 1)
    return f"{difference:+.1f}" if difference else "0.0"


def _shown(texts: Sequence[str]) -> list[str]:
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
