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
    best_of_each = best_of_losses(results)
    if not best_of_each:
        return Tabled(None, "No cell has a result yet.")
    settings = [setting_text(best.setting.as_dict()) for best in best_of_each]
    intervals = interval_cells([interval(results, best.runs) for best in best_of_each])
    columns = [
        Column("", "loss", AXIS, [loss_label(best.loss).short for best in best_of_each]),
        Column("", "setting", TEXT, shown(settings)),
        Column("", MAIN_METRIC, NUMBER, [_mean(best) for best in best_of_each]),
        Column("", CI, NUMBER, shown(intervals)),
        Column("", "seeds", NUMBER, [_seeds(best) for best in best_of_each]),
        Column("", "settings tried", NUMBER, [str(best.tried) for best in best_of_each]),
    ]
    known = [column for column in columns if any(cell.text != NOTHING for cell in column.cells)]
    return Tabled(Table(known), SELECTION_BIAS + (FEWER_SEEDS if seeds_differ(results) else ""))


def _mean(best: Best) -> str:
    values = best.runs[MAIN_METRIC].dropna()
    return with_spread(one_decimal(values.mean()), one_decimal(values.std(ddof=1)))


def _seeds(best: Best) -> str:
    """For example ``2 of 3, 1 diverged``."""
    ended = best.runs[MAIN_METRIC].notna().sum()
    diverged = (best.runs["state"] == DIVERGED).sum()
    return f"{ended} of {len(best.runs)}" + (f", {diverged} diverged" if diverged else "")
