"""The best setting of each loss at the study's own model and data."""

from dataclasses import dataclass

import pandas as pd

from ablations.study.axes import MODEL_AXES
from ablations.study.cell import Setting
from ablations.study.study import Study
from reports.results.labels import MAIN_METRIC, axis_text, labelled
from reports.results.load import Results


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
    best = []
    for loss, of_loss in competing(results).groupby("loss", sort=False):
        means = of_loss.groupby("setting", sort=False)[MAIN_METRIC].mean().dropna()
        if not means.empty:
            top = str(means.idxmax())
            runs = of_loss[of_loss["setting"] == top]
            best.append(Best(str(loss), results.study.settings[top], runs, len(means)))
    return best


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
    values = [
        labelled(axis, None if base[axis] is None else axis_text(axis, base[axis]))
        for axis in varied
        if axis in base
    ]
    return f"All compared settings use {', '.join(values)}."
