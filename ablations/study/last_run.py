"""The last run of a study, from the ``study.json`` in its output folder."""

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.storage.json_files import read_object
from ablations.storage.layout import Layout
from ablations.storage.reading import PlanError
from ablations.study.asked_seeds import asked_seeds
from ablations.study.study import MAX_SCHEDULE


@dataclass(frozen=True)
class LastRun:
    """What the last run of a study asked for.

    Attributes:
        grids: names of grids; None for the study's.
        seeds: grid -> number of seeds; empty for the study's.
        schedule: length of the training runs; None for the study's.
    """

    grids: list[str] | None = None
    seeds: Mapping[str, int] = field(default_factory=dict)
    schedule: float | None = None

    def unless_given(
        self,
        grids: list[str] | None,
        seeds: Mapping[str, int] | None,
        schedule: float | None,
    ) -> tuple[list[str] | None, Mapping[str, int] | None, float | None]:
        """The grids, seeds and schedule to show: what is given, else those of the last run.

        Its seeds count only for its own grids: other grids have seeds of their own.
        """
        return (
            grids or self.grids,
            self.seeds if seeds is None and not grids else seeds,
            self.schedule if schedule is None else schedule,
        )


def last_run(path: Path, content: Mapping[str, Any]) -> LastRun:
    """What ``study.json`` says.

    Args:
        path: the file, for messages.
        content: its content; empty if there was no run.

    Raises:
        PlanError: a value is not valid; the message lists all of these.
    """
    grids, seeds, schedule = (content.get(key) for key in ("grids", "seeds", "schedule"))
    same_seeds: Mapping[str, int] = {}
    problems = []
    if grids is not None and not (
        isinstance(grids, list) and all(isinstance(grid, str) for grid in grids)
    ):
        problems.append(f"grids is {grids!r}, not a list of names")
    if seeds not in (None, ""):
        try:
            same_seeds = asked_seeds(str(seeds))
        except argparse.ArgumentTypeError as error:
            problems.append(f"seeds: {error}")
    if schedule is not None and (
        type(schedule) not in (int, float) or not 0 < schedule <= MAX_SCHEDULE
    ):
        problems.append(f"schedule is {schedule!r}, not a number above 0")
    if problems:
        raise PlanError(f"{path}: " + "; ".join(problems))
    return LastRun(grids, same_seeds, schedule)


def other_studies(layout: Layout) -> list[str]:
    """The arguments of ``make`` for each other study in the same output folder."""
    arguments = []
    for path in sorted(layout.root.parent.glob("*/study.json")):
        content = read_object(path)
        name, dataset = content.get("study"), content.get("dataset")
        if path.parent == layout.root or not isinstance(name, str) or not isinstance(dataset, str):
            continue
        if (name + dataset).isprintable():
            data = f" DATASET={shlex.quote(dataset)}" if dataset else ""
            arguments.append(f"STUDY={shlex.quote(name)}{data}")
    return arguments
