"""The AP50 that each type of error costs, by TIDE (arXiv:2008.08115)."""

from dataclasses import replace

import pandas as pd

from reports.results.labels import METRICS, TIDE_ERRORS, TIDE_TOTALS
from reports.results.load import Results
from reports.statistics.contenders import (
    Measured,
    contenders,
    measure,
    number_at,
    with_entry,
)
from reports.tables.measured import (
    measured_column,
    measured_texts,
    seeds_columns,
    seeds_texts,
)
from reports.tables.table import AXIS, PART_RANK, Column, Table, Tabled

_TIDE = ("analysis", "tide")


def error_types(results: Results) -> Tabled:
    """The rise of AP50 if one type of error were fixed, in points of AP."""
    everyone = contenders(results)
    settings = [replace(setting, diverged=0) for setting in with_entry(everyone, *_TIDE)]
    if not any(setting.records for setting in settings):
        return Tabled(None, "No record has its errors split by type.")
    ap50 = METRICS["AP50"].header

    def measured(*keys: str) -> Measured:
        return measure(settings, lambda record: number_at(record, *_TIDE, *keys))

    base = measured("AP50")
    columns = [
        Column("", "setting", AXIS, [setting.name for setting in settings]),
        measured_column(base, "", ap50),
    ]
    texts = {"setting": [setting.name for setting in settings]} | measured_texts(base, "AP50")
    counts = {}
    for name, label in TIDE_ERRORS.items():
        cells = measured("delta_AP50", name)
        rank = PART_RANK if name in TIDE_TOTALS else 0
        columns.append(measured_column(cells, f"Δ{ap50} by error", label, rank))
        texts |= measured_texts(cells, name)
        number = measured("counts", name)
        if number:
            counts[f"{name}_count"] = number.means
    columns += seeds_columns(settings)
    texts |= counts | seeds_texts(settings)
    note = (
        f"TIDE measures by how many points {ap50} would rise if one type of error were fixed. The "
        "types overlap and do not add up. The CSV file has the number of errors."
    )
    if any(setting.diverged for setting in everyone):
        note += " Diverged runs are excluded."
    return Tabled(Table(columns, pd.DataFrame(texts, dtype=object)), note)
