"""Reading a study's records and writing its report, over the number of records.

The records are made up, each with all that an evaluation leaves: those of the tests.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Case, Side
from reports.page.render import write_report
from reports.results.load import load
from tests.reports.conftest import StudyFolder
from tests.reports.thousand_records import fill

TITLE = "Rendering a report, over its number of records"


def cases(on_gpu: bool) -> list[dict[str, Any]]:
    return [{"num_records": number, "threads": 1} for number in (10, 100, 1_000)]


def build(num_records: int, threads: int) -> Case:
    """The mini study with as many seeds as it takes, of which so many cells have a record."""
    held = tempfile.TemporaryDirectory()  # until the case is forgotten
    folder = fill(Path(held.name), num_records)
    return Case(
        title=f"{num_records:,} records, {len(folder.study.grids)} grids",
        sides=[Side("this project", partial(_render, held, folder, num_records))],
        baseline=None,
        rounds=3,
        budget_seconds=20,
        warmup=1,
    )


def _render(held: tempfile.TemporaryDirectory, folder: StudyFolder, num_records: int) -> None:
    results = load(folder.layout, folder.study)
    assert len(results.records) == num_records, (len(results.records), num_records)
    assert write_report(results)
