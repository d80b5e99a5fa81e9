"""Reads a study and computes its status, for several numbers of cells."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ablations.status.status import status
from ablations.storage.layout import Layout
from ablations.study.study import load_study
from benchmarks.harness import Case, Side

TITLE = "Planning a study, over its number of cells"


def cases(on_gpu: bool) -> list[dict[str, Any]]:
    return [{"num_cells": number, "threads": 1} for number in (100, 1_000, 10_000)]


def build(num_cells: int, threads: int) -> Case:
    """One grid with this number of settings, none of which has a record."""
    held = tempfile.TemporaryDirectory()  # until the case is forgotten
    folder = Path(held.name)
    for name in ("studies", "grids"):
        (folder / name).mkdir()
    rows = [{"alpha": (n + 1) / (num_cells + 1)} for n in range(num_cells)]
    grid = {"title": "many", "columns": ["alpha"], "common": {"loss": "ce"}, "rows": rows}
    study = {
        "title": "many",
        "config": "mini/retinanet_R_18_FPN.yaml",
        "dataset": "digits_in_scenes",
        "grids": ["many"],
        "seeds": 1,
    }
    (folder / "grids" / "many.yaml").write_text(yaml.safe_dump(grid), "utf-8")
    (folder / "studies" / "many.yaml").write_text(yaml.safe_dump(study), "utf-8")
    return Case(
        title=f"{num_cells:,} cells",
        sides=[Side("this project", partial(_plan, held, num_cells))],
        baseline=None,
        rounds=5,
        budget_seconds=15,
        warmup=1,
    )


def _plan(held: tempfile.TemporaryDirectory, num_cells: int) -> None:
    folder = Path(held.name)
    study_status = status(load_study("many", folder=folder), Layout(folder / "out"), None)
    assert len(study_status.to_run) == num_cells, (len(study_status.to_run), num_cells)
