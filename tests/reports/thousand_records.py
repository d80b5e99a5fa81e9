"""``python -m tests.reports.thousand_records FOLDER``: how long a report of 1,000 records takes.

Makes up the mini study with so many seeds that it has 1,000 cells, each with all that an
evaluation leaves, renders its report twice, and prints the seconds, where they go and the sizes.
"""

import argparse
import cProfile
import pstats
import random
import time
from dataclasses import replace
from pathlib import Path

from ablations.study.cell import Cell
from ablations.study.study import load_study
from reports.page.render import write_report
from reports.results.load import Results, load
from tests.reports import analyses
from tests.reports.conftest import StudyFolder

RECORDS = 1000
CATEGORIES = tuple("0123456789")


def fill(root: Path, records: int = RECORDS) -> StudyFolder:
    """Write the records of the mini study, seed by seed, until there are so many."""
    study = load_study("mini")
    settings = {row.setting for grid in study.grids for row in grid.rows if not row.tune}
    seeds = tuple(range(1, -(-records // len(settings)) + 1))
    folder = StudyFolder(root, replace(study, seeds=seeds, more_seeds={}))
    folder.describe(CATEGORIES)
    rng = random.Random(0)
    iterations = list(range(20, 521, 20))
    known = [cell for cell in folder.study.cells() if not cell.setting.pending]
    for cell in known[:records]:
        ap = 20.0 + rng.gauss(0, 1)
        folder.add(cell, ap, result=_result(cell, ap, iterations))
    return folder


def _result(cell: Cell, ap: float, iterations: list[int]) -> dict:
    per_class = dict.fromkeys(CATEGORIES, ap)
    metrics = {"AP": ap, "AP50": 1.7 * ap, "AP75": ap, "APs": ap / 2, "APm": ap, "APl": ap}
    return {
        "metrics": metrics,
        "per_class_AP": per_class,
        "iterations": 520,
        "first_loss": {"predicted": 1.13, "measured": 1.2},
        "curves": {"iteration": iterations, "loss_cls": [20 / i for i in iterations]},
        "analysis": analyses.analysis(ap, CATEGORIES, cell.seed),
        "loss_distribution": analyses.loss_distribution(),
        "validation": analyses.validation(iterations[::5]),
    }


def measure(folder: StudyFolder) -> tuple[Results, list[Path], float, float]:
    """The study, its report's files, and the seconds of reading and of rendering."""
    start = time.perf_counter()
    results = load(folder.layout, folder.study)
    read = time.perf_counter()
    files = write_report(results)
    return results, files, read - start, time.perf_counter() - read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the records and the report")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    options = parser.parse_args()
    folder = fill(options.folder, options.records)
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    results, files, reading, rendering = measure(folder)
    profile.disable()
    print(f"{len(results.records)} records: {reading:.1f} s to read, {rendering:.1f} s to render")
    sizes = {path.name: path.stat().st_size / 1e6 for path in files}
    print(", ".join(f"{name} {sizes[name]:.2f} MB" for name in ("index.html", "report.md")))
    before = {path: path.read_bytes() for path in files}
    start = time.perf_counter()
    again = write_report(load(folder.layout, folder.study))
    print(f"again: {time.perf_counter() - start:.1f} s")
    same = before == {path: path.read_bytes() for path in again}
    print(f"{len(files)} files, {'the same bytes' if same else 'OTHER BYTES'} again")
    if options.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
