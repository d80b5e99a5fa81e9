"""The best setting of each loss at the study's own model and data."""

from dataclasses import dataclass

import pandas as pd

from ablations.records.record import DIVERGED
from ablations.study.axes import MODEL_AXES
from ablations.study.cell import Setting
from ablations.study.study import Study
from reports.results.labels import (
    MAIN_METRIC,
    axis_text,
    labelled,
    loss_label,
    one_decimal,
    setting_text,
    with_spread,
)
from reports.results.load import Results
from reports.statistics.comparisons import SEEDS_AND_IMAGES, Interval, interval


def competing(results: Results) -> pd.DataFrame:
    """The cells with the study's own model and data, judged on all validation images."""
    cells = results.cells
    cells = cells[~cells["judged"]]
    return cells[cells[list(MODEL_AXES)].isna().all(axis=1)]


@dataclass(frozen=True)
class Best:
    """The setting of a loss with the highest mean AP over all tables.

    Attributes:
        loss: the loss's name in configs.
        setting: the setting.
        runs: its lines of ``Results.frame``.
        tried: the number of the loss's competing settings that have a result.
    """

    loss: str
    setting: Setting
    runs: pd.DataFrame
    tried: int


def best_of_losses(results: Results) -> list[Best]:
    """The best setting of each loss that has a result.

    Settings with another model or input size do not compete: larger images or a deeper backbone
    improve any loss.
    """
    found = []
    for loss, of_loss in competing(results).groupby("loss", sort=False):
        means = of_loss.groupby("setting", sort=False)[MAIN_METRIC].mean().dropna()
        if not means.empty:
            top = str(means.idxmax())
            runs = of_loss[of_loss["setting"] == top]
            found.append(Best(str(loss), results.study.settings[top], runs, len(means)))
    return found


def best_settings(results: Results) -> list[dict[str, str]]:
    """The texts of :func:`best_of_losses`.

    Returns:
        A dictionary per loss: ``loss``, ``setting``, ``AP`` (± spread if there are several
        seeds), ``interval`` (95 % CI if there are several seeds), ``seeds`` (n of m, and the
        number that diverged) and ``settings`` (the number with a result).
    """
    texts = []
    for one in best_of_losses(results):
        values = one.runs[MAIN_METRIC].dropna()
        diverged = (one.runs["state"] == DIVERGED).sum()
        texts.append(
            {
                "loss": loss_label(one.loss).short,
                "setting": setting_text(one.setting.as_dict()),
                "AP": with_spread(one_decimal(values.mean()), one_decimal(values.std(ddof=1))),
                "interval": _interval_text(interval(results, one.runs)),
                "seeds": f"{len(values)} of {len(one.runs)}"
                + (f", {diverged} diverged" if diverged else ""),
                "settings": str(one.tried),
            }
        )
    return texts


def seeds_differ(results: Results) -> bool:
    """Whether some of the competing settings have a mean over more runs than others."""
    runs = competing(results).groupby("setting")[MAIN_METRIC].count()
    return runs[runs > 0].nunique() > 1


def compared(study: Study) -> str:
    """The model and data of the competing settings; "" if all settings of the study compete."""
    settings = [row.setting.as_dict() for grid in study.grids for row in grid.rows]
    varied = [axis for axis in MODEL_AXES if any(axis in setting for setting in settings)]
    if not varied:
        return ""
    base = study.known_axes | {"schedule": study.schedule}
    own = [
        labelled(axis, None if base[axis] is None else axis_text(axis, base[axis]))
        for axis in varied
        if axis in base
    ]
    return f"All compared settings use {', '.join(own)}."


def _interval_text(found: Interval) -> str:
    """For example ``30.1 to 32.0``; "" for one seed."""
    if found.seeds < 2 or not found.over:
        return ""
    over = "" if found.over == SEEDS_AND_IMAGES else f" ({found.over})"
    return f"{one_decimal(found.low)} to {one_decimal(found.high)}{over}"
