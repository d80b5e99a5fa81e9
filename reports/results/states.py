"""The states of runs as text."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ablations.records.record import DIVERGED, DONE, FAILED
from ablations.status.status import MISSING, RUNNING, STALE, UNCHOSEN, UNJUDGED
from ablations.study.choice import CHOSEN_LATER
from reports.results.labels import MAIN_METRIC

PARTS = {
    "dataset": "data set",
    "loss": "code of the loss",
    "processes": "number of processes",
    "weights": "initial weights",
}
"""Part of a cell's identity -> its name in the report, if that differs."""


_OF_STATE = [
    "seed", "state", "pending", "recorded", "changed", "error_iteration", MAIN_METRIC
]  # fmt: skip
"""The columns of ``Results.frame`` that :func:`row_text` reads."""


def changed_text(parts: list[str]) -> str:
    """For example ``config and data set changed``."""
    return " and ".join(PARTS.get(part, part) for part in parts or ["fingerprint"]) + " changed"


def state_text(run: Mapping[str, Any]) -> str:
    """The state of a run; "" for a run that is done and has a value.

    Args:
        run: a line of ``Results.frame``.
    """
    state, iteration = run["state"], run["error_iteration"]
    if run.get("pending") and state == MISSING:
        return CHOSEN_LATER
    if state == UNCHOSEN:
        return f"{UNCHOSEN}: every run of the tuning grid diverged"
    if state == STALE:
        ended = f" ({run['recorded']})" if run["recorded"] != DONE else ""
        return f"{STALE}{ended}: {run['changed']}"
    if state == DIVERGED and not math.isnan(iteration):
        return f"{DIVERGED} at iteration {iteration:.0f}"
    if state == DONE:
        return f"{DONE}, {MAIN_METRIC} undefined" if math.isnan(run[MAIN_METRIC]) else ""
    return state


def row_text(seeds: pd.DataFrame) -> str:
    """The states of a row's runs; the seeds are named unless all have the same state."""
    seeds_by_text: dict[str, list[str]] = {}
    for run in seeds[_OF_STATE].to_dict("records"):
        text = state_text(run)
        if text:
            seeds_by_text.setdefault(text, []).append(str(run["seed"]))
    if len(seeds_by_text) == 1 and len(*seeds_by_text.values()) == len(seeds):
        return next(iter(seeds_by_text))
    return "; ".join(
        f"seed{'s' if len(which) > 1 else ''} {', '.join(which)} {text}"
        for text, which in seeds_by_text.items()
    )


def absence(states: set[str]) -> str:
    """Why nothing is drawn for a row."""
    return next(
        (state for state in (FAILED, UNCHOSEN, UNJUDGED, RUNNING, MISSING) if state in states),
        "undefined",
    )
