"""The last run of a study, from the ``study.json`` in its output folder."""

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablations.storage.json_files import read_object
from ablations.storage.layout import Layout
from ablations.storage.reading import PlanError
from ablations.study.asked_seeds import asked_seeds
from ablations.study.study import MAX_SCHEDULE, Study, load_study


def study_of_last_run(
    path: Path,
    content: Mapping[str, Any],
    name: str,
    grids: list[str] | None = None,
    seeds: Mapping[str, int] | None = None,
    schedule: float | None = None,
) -> Study:
    """The study with the grids, seeds and schedule of its last run, as far as no others are given.

    Args:
        path: ``study.json``, for messages.
        content: its content; empty if there was no run.
        name: the study.
        grids: grids to use instead.
        seeds: seeds to use instead.
        schedule: schedule to use instead.

    Raises:
        PlanError: a value in ``study.json`` is not valid, or an unknown study or grid.
    """
    asked_grids, same_seeds, problems = content.get("grids"), {}, []
    if asked_grids is not None and not (
        isinstance(asked_grids, list) and all(isinstance(grid, str) for grid in asked_grids)
    ):
        problems.append(f"grids is {asked_grids!r}, not a list of names")
    asked = content.get("seeds")
    if asked not in (None, ""):
        try:
            same_seeds = asked_seeds(str(asked))
        except argparse.ArgumentTypeError as error:
            problems.append(f"seeds: {error}")
    asked_schedule = content.get("schedule")
    if asked_schedule is not None and (
        type(asked_schedule) not in (int, float) or not 0 < asked_schedule <= MAX_SCHEDULE
    ):
        problems.append(f"schedule is {asked_schedule!r}, not a number above 0")
    if problems:
        raise PlanError(f"{path}: " + "; ".join(problems))
    return load_study(
        name,
        grids or asked_grids,
        same_seeds if seeds is None else seeds,
        asked_schedule if schedule is None else schedule,
    )


def other_studies(layout: Layout) -> list[str]:
    """The arguments of ``make`` for each other study in the same output folder."""
    arguments = []
    for path in sorted(layout.root.parent.glob("*/study.json")):
        content = read_object(path)
        name, dataset = content.get("study"), content.get("dataset")
        if path.parent != layout.root and isinstance(name, str) and isinstance(dataset, str):
            data = f" DATASET={shlex.quote(dataset)}" if dataset else ""
            arguments.append(f"STUDY={shlex.quote(name)}{data}")
    return arguments
