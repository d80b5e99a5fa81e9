"""The best setting of each loss at the study's own model and data."""

import pandas as pd

from ablations.records.record import DIVERGED
from ablations.study.axes import AXES
from ablations.study.study import Study
from reports.results.labels import (
    MAIN_METRIC,
    MODEL_AXES,
    axis_text,
    labelled,
    loss_label,
    one_decimal,
    setting_text,
)
from reports.results.load import Results
from reports.statistics.comparisons import SEEDS_AND_IMAGES, Interval, interval


def competing(results: Results) -> pd.DataFrame:
    """The cells with the study's own model and data, judged on all validation images."""
    cells = results.cells
    cells = cells[~cells["judged"]]
    return cells[cells[list(MODEL_AXES)].isna().all(axis=1)]


def best_settings(results: Results) -> list[dict[str, str]]:
    """The setting of highest mean AP of each loss over all tables.

    Settings with another model or input size do not compete: larger images or a deeper backbone
    improve any loss.

    Returns:
        A dictionary per loss: ``loss``, ``setting``, ``AP`` (± spread if there are several
        seeds), ``interval`` (95 % CI if there are several seeds), ``seeds`` (n of m, and the
        number that diverged) and ``settings`` (the number with a result).
    """
    settings = {row.setting.id: row.setting for grid in results.study.grids for row in grid.rows}
    cells, best = competing(results), []
    for loss, of_loss in cells.groupby("loss", sort=False):
        groups = of_loss.groupby("setting", sort=False)
        found = groups[MAIN_METRIC].agg(["mean", "std", "count", "size"])
        found["diverged"] = groups["state"].agg(lambda states: (states == DIVERGED).sum())
        found = found.dropna(subset="mean")
        if found.empty:
            continue
        top = found.loc[found["mean"].idxmax()]
        spread = one_decimal(top["std"])
        best.append(
            {
                "loss": loss_label(loss).short,
                "setting": setting_text(settings[top.name].as_dict()),
                "AP": one_decimal(top["mean"]) + (f" ± {spread}" if spread else ""),
                "interval": _interval_text(interval(results, groups.get_group(top.name))),
                "seeds": f"{top['count']:.0f} of {top['size']:.0f}"
                + (f", {top['diverged']:.0f} diverged" if top["diverged"] else ""),
                "settings": str(len(found)),
            }
        )
    return best


def tried(results: Results) -> dict[str, int]:
    """Loss -> the number of its competing settings that have a result."""
    ended = competing(results).dropna(subset=MAIN_METRIC)
    return ended.groupby("loss", sort=False)["setting"].nunique().to_dict()


def compared(study: Study) -> str:
    """The model and data of the competing settings; "" if all settings of the study compete."""
    settings = [row.setting.as_dict() for grid in study.grids for row in grid.rows]
    varied = [axis for axis in MODEL_AXES if any(axis in setting for setting in settings)]
    if not varied:
        return ""
    base = {axis: about.base for axis, about in AXES.items() if about.base is not ...} | study.base
    base["schedule"] = study.schedule
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
