"""The table of the best setting of each loss."""

from ablations.records.record import DIVERGED
from reports.results.labels import (
    MAIN_METRIC,
    loss_label,
    one_decimal,
    setting_text,
    with_spread,
)
from reports.results.load import Results
from reports.statistics.best import Best, best_of_losses, seeds_differ
from reports.statistics.comparisons import interval
from reports.tables.against_reference import interval_cells
from reports.tables.table import AXIS, NOTHING, NUMBER, TEXT, Column, Table, Tabled, shown
from reports.text.sentences import CI

SELECTION_BIAS = (
    "The AP of the best of several settings is biased upwards by the selection, and the more so "
    "the more settings were tried."
)

FEWER_SEEDS = (
    " A mean over fewer seeds varies more, so a setting with fewer seeds than the others has the "
    "highest mean more often than it should."
)


def best_settings(results: Results) -> Tabled:
    """The setting of highest mean AP of each loss, and the number of settings tried."""
    found = best_of_losses(results)
    if not found:
        return Tabled(None, "No cell has a result yet.")
    settings = [setting_text(one.setting.as_dict()) for one in found]
    intervals = interval_cells([interval(results, one.runs) for one in found])
    columns = [
        Column("", "loss", AXIS, [loss_label(one.loss).short for one in found]),
        Column("", "setting", TEXT, shown(settings)),
        Column("", MAIN_METRIC, NUMBER, [_mean(one) for one in found]),
        Column("", CI, NUMBER, shown(intervals)),
        Column("", "seeds", NUMBER, [_seeds(one) for one in found]),
        Column("", "settings tried", NUMBER, [str(one.tried) for one in found]),
    ]
    known = [column for column in columns if any(cell.text != NOTHING for cell in column.cells)]
    return Tabled(Table(known), SELECTION_BIAS + (FEWER_SEEDS if seeds_differ(results) else ""))


def _mean(one: Best) -> str:
    values = one.runs[MAIN_METRIC].dropna()
    return with_spread(one_decimal(values.mean()), one_decimal(values.std(ddof=1)))


def _seeds(one: Best) -> str:
    """For example ``2 of 3, 1 diverged``."""
    ended = one.runs[MAIN_METRIC].notna().sum()
    diverged = (one.runs["state"] == DIVERGED).sum()
    return f"{ended} of {len(one.runs)}" + (f", {diverged} diverged" if diverged else "")
