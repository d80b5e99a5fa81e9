"""AP and miss rate per category of the data set."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from ablations.records.record import Record
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results
from reports.statistics.contenders import (
    Contender,
    categories,
    contenders,
    measure,
    number_at,
    with_entry,
)
from reports.tables.table import AXIS, NUMBER, Column, Table, Tabled, shown
from reports.text.sentences import counted

AP_ENTRY = ("per_class_AP",)
MISS_RATE_ENTRY = ("analysis", "miss_rate", "lamr_per_class")


def per_class_ap(results: Results) -> Tabled:
    """AP per category: a row per category, a column per setting."""
    return _per_class(results, AP_ENTRY, f"{MAIN_METRIC} (%) ↑", MAIN_METRIC, diverged=0.0)


def per_class_miss_rate(results: Results) -> Tabled:
    """The log-average miss rate per category, in percent."""
    name = "log-average miss rate"
    return _per_class(results, MISS_RATE_ENTRY, f"{name} (%) ↓", name, diverged=1.0, scale=100.0)


def _per_class(
    results: Results,
    entry: tuple[str, ...],
    group: str,
    what: str,
    *,
    diverged: float,
    scale: float = 1.0,
) -> Tabled:
    settings = with_entry(contenders(results), *entry)
    if not any(setting.records for setting in settings):
        return Tabled(None, f"No record has the {what} per category.")
    named = categories(
        results, [record for setting in settings for record in setting.records], *entry
    )
    columns = [Column("", "category", AXIS, named)]
    texts = {"category": named}
    for split, counts in _instances(results, named).items():
        columns.append(Column("objects", split, NUMBER, shown(counts)))
        texts[f"{split}_instances"] = counts
    for setting in settings:
        cells = [
            measure([setting], _entry_of(entry, category), diverged=diverged, scale=scale)
            for category in named
        ]
        means = [text for cell in cells for text in cell.means]
        columns.append(Column(group, setting.name, NUMBER, shown(means)))
        texts[f"{what}: {setting.name}"] = means
        texts[f"{what}, sd: {setting.name}"] = [text for cell in cells for text in cell.sds]
    return Tabled(
        Table(columns, pd.DataFrame(texts, dtype=object)), _note(results, settings, what, diverged)
    )


def _entry_of(entry: tuple[str, ...], category: str) -> Callable[[Record], float]:
    return lambda record: number_at(record, *entry, category)


def _instances(results: Results, categories: Sequence[str]) -> dict[str, list[str]]:
    """Split -> the number of objects of each category, if known."""
    prepared: Mapping[str, Any] = results.prepared.dataset if results.prepared else {}
    counts = {}
    for split in ("train", "val"):
        about = prepared.get(split)
        known = about.get("per_category") if isinstance(about, Mapping) else None
        if isinstance(known, Mapping):
            counts[split] = [str(known.get(category, "")) for category in categories]
    return counts


def _note(results: Results, settings: Sequence[Contender], what: str, diverged: float) -> str:
    seeds = max(setting.planned for setting in settings)
    text = f"The {what} of each category comes from one run."
    if seeds > 1:
        text = (
            f"The {what} of each category is a mean over up to {counted(seeds, 'seed')}. The CSV "
            "file has the standard deviations."
        )
    if any(setting.diverged for setting in settings):
        text += f" A run that diverged counts as {100 * diverged:.1f}."
    judged = {cell.id for cell in results.study.judged}
    if any(record.cell in judged for setting in settings for record in setting.records):
        text += (
            f" The {what} is measured on the reporting half of the validation images; their "
            "objects are counted on both halves."
        )
    return text
