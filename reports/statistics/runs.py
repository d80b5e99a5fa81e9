"""The runs of a row of a table, read from the records."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ablations.records.record import DIVERGED, Record
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results, part
from reports.statistics.inference import Runs


@dataclass(frozen=True)
class RowRuns:
    """A row's runs.

    Attributes:
        setting: the setting's id.
        seeds: the seeds of the runs that have a value.
        runs: these runs, in the order of ``seeds``.
        resampled: the key of the resampled images, None without resamples; equal keys pair up.
        differs: whether the row's runs were resampled from different images.
        diverged: whether a run diverged.
    """

    setting: str
    seeds: tuple[int, ...]
    runs: Runs
    resampled: tuple[Any, ...] | None
    differs: bool
    diverged: bool


def runs_of(results: Results, frame: pd.DataFrame) -> RowRuns:
    """The runs of one row.

    Args:
        results: the study with its records.
        frame: the lines of ``results.frame`` of this row.
    """
    ended = frame[frame[MAIN_METRIC].notna()]
    resamples = [_resampled(results.records[cell]) for cell in ended["cell"]]
    images = {key for key, _ in resamples}
    values, setting = ended[MAIN_METRIC].to_numpy(float), frame["setting"].iloc[0]
    seeds = tuple(map(int, ended["seed"]))
    diverged = bool((ended["state"] == DIVERGED).any())
    of_images = images.pop() if len(images) == 1 else None
    if of_images is None:
        differs = not diverged and len(images) > 1 and None not in images
        return RowRuns(setting, seeds, Runs(values), None, differs, diverged)
    replicates = np.array([replicates for _, replicates in resamples])
    runs = Runs(values, replicates, of_images[0])
    return RowRuns(setting, seeds, runs, of_images, False, diverged)


def _resampled(record: Record) -> tuple[tuple[Any, ...] | None, np.ndarray | None]:
    """The key of the resampled images and AP of each resample; None twice without usable ones."""
    bootstrap = part(record.result, "analysis", "bootstrap")
    images, values = bootstrap.get("images"), bootstrap.get("AP")
    try:
        replicates = np.array(values, dtype=float)  # null, of a resample without AP, is NaN
    except (TypeError, ValueError):
        return None, None
    usable = replicates.ndim == 1 and len(replicates) > 1 and np.isfinite(replicates).all()
    if not usable or type(images) is not int or images < 2:
        return None, None
    sha256 = record.dataset.get("sha256")
    return (images, len(replicates), str(bootstrap.get("seed")), str(sha256)), replicates
