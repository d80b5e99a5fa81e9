"""The rows of a study, each setting once, even if several tables show it."""

from dataclasses import dataclass

import pandas as pd

from ablations.study.cell import Setting
from ablations.study.grid import Grid, Row
from reports.results.labels import short_name, text_of
from reports.results.load import Results

RowKey = tuple[str, ...]


@dataclass(frozen=True)
class StudyRow:
    """A row of a study.

    Attributes:
        label: the loss or detector, and the setting; of a tuned row, its method.
        text: the setting as text, "" if a tuned row has none yet.
        setting: what is trained.
        tables: the tables that show it.
        frame: its lines of ``Results.frame``, each cell once, by seed.
    """

    label: str
    text: str
    setting: Setting
    tables: tuple[str, ...]
    frame: pd.DataFrame


def rows_of(results: Results) -> dict[RowKey, StudyRow]:
    """The rows of a study in its order, by :func:`key_of`."""
    rows: dict[RowKey, StudyRow] = {}
    for grid in results.study.grids:
        frame = results.of_grid(grid)
        for number, row in enumerate(grid.rows):
            key, lines = key_of(grid, row), frame[frame["row"] == number]
            tables: tuple[str, ...] = (grid.name,)
            if key in rows:
                known = rows[key]
                lines = pd.concat([known.frame, lines]).drop_duplicates("cell")
                tables = tuple(dict.fromkeys((*known.tables, grid.name)))
            label, text = _named(results, grid, row)
            rows[key] = StudyRow(label, text, row.setting, tables, lines.sort_values("seed"))
    return rows


def key_of(grid: Grid, row: Row) -> RowKey:
    """What identifies a row in other tables, and in another folder of the study.

    A row is its setting, and whether only the reporting half of the images judges it. A tuned row
    is its table and its tuning grid: each study may choose another setting for it.
    """
    if row.tune:
        return grid.name, row.tune
    return row.setting.id, "on the reporting half" if grid.is_tuned else ""


def _named(results: Results, grid: Grid, row: Row) -> tuple[str, str]:
    """The label of a row, and its setting as text."""
    setting = row.setting
    text = "" if setting.pending else text_of(setting, results.study.schedule)
    if row.tune:
        return f"{row.values.get('method', row.tune)} (tuned)", text
    label = ", ".join(filter(None, (short_name(setting.as_dict()), text)))
    judged = key_of(grid, row)[1]
    return f"{label} ({judged})" if judged else label, text
