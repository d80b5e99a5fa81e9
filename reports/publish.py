"""``python -m reports.publish``: puts a study's records and report into the repository.

It also generates the blocks of README.md between the comments ``<!-- report: NAME -->`` and
``<!-- /report -->``. Publishing the same study again changes nothing.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ablations.records import speed as speeds
from ablations.storage.layout import Layout
from ablations.storage.reading import PlanError
from ablations.study.default import EMBEDDED
from reports.page.contents import published_agreement, table_of_best
from reports.page.render import write_report
from reports.results import provenance
from reports.results.labels import HEADLINE
from reports.results.load import ReportError, Results, find_study, load
from reports.statistics.best import best_settings, compared
from reports.tables import markdown
from reports.tables.grids import grid_table
from reports.tables.table import LINKS, Table
from reports.text import sentences, training_length
from reports.text.answer import answer

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "reports" / "published"
README = ROOT / "README.md"

FORMATS = ("png",)
"""The formats of the files beside the published pages, which report.md and README.md show."""

_BLOCK = re.compile(r"(<!-- report: (\w+) -->\n)(.*?)(<!-- /report -->)", re.DOTALL)


def published(study: str) -> Results:
    """The published records of a study.

    Raises:
        ReportError: the study is not published.
    """
    layout = Layout(PUBLISHED / study)
    return load(layout, find_study(layout, study))


def fill(text: str, results: Results) -> str:
    """``text`` with every block generated from the records.

    Raises:
        ReportError: a block has an unknown name.
    """

    def replaced(found: re.Match[str]) -> str:
        opening, name, _, closing = found.groups()
        if name not in BLOCKS:
            raise ReportError(f"README: unknown block {name}; known blocks: {', '.join(BLOCKS)}")
        return f"{opening}{BLOCKS[name](results)}\n{closing}"

    return _BLOCK.sub(replaced, text)


def verdict(results: Results) -> str:
    """The comparison of FL* with FL in words."""
    found = answer(results)
    others = "\n".join(f"- {markdown.escape(text)}" for text in found.others)
    parts = (f"**{markdown.escape(found.verdict)}**", others, markdown.escape(found.basis))
    return "\n\n".join(filter(None, parts))


def headline(results: Results) -> str:
    """The headline table without its links, which are relative to the report."""
    grid = next(grid for grid in results.study.grids if grid.name == HEADLINE)
    columns = grid_table(results, grid).table.columns
    return Table([column for column in columns if column.kind != LINKS]).to_markdown()


def best(results: Results) -> str:
    """The best setting of each loss as a table, and the conditions of the comparison."""
    table = table_of_best(best_settings(results)).to_markdown()
    return "\n\n".join(filter(None, (table, markdown.escape(compared(results.study)))))


def order(results: Results) -> str:
    """The limits of the numbers of seeds, and the order of the rows: published, over schedules."""
    tables = {grid.name: grid_table(results, grid) for grid in results.study.grids}
    found = {name: published_agreement(table) for name, table in tables.items()}
    orders = sentences.orders({name: agreement for name, agreement in found.items() if agreement})
    lengths = training_length.settled(results)
    return "\n".join(filter(None, (sentences.seeds_warning(results), orders, *lengths)))


def made(results: Results) -> str:
    """Data set, schedule, hardware and commit."""
    return markdown.escape(provenance.caption(results, results.records_of(results.frame)))


BLOCKS: dict[str, Callable[[Results], str]] = {
    "answer": verdict,
    "headline": headline,
    "best": best,
    "order": order,
    "made": made,
}
"""Name of a block of README -> its text."""


def publish(layout: Layout, study: str) -> Path:
    """Publish a study's records and report, and update the blocks of README.

    The previous version is replaced only when the new one is complete.

    Returns:
        The folder of the published report.

    Raises:
        ReportError: the study is not complete.
        ablations.storage.reading.PlanError: an unknown study.
    """
    results = load(layout, find_study(layout, study))
    if not results.complete:
        raise ReportError(f"{layout.root} is not complete; only a complete study can be published")
    kept = PUBLISHED / study
    PUBLISHED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PUBLISHED, prefix=f".{study}.") as temporary:
        new = Layout(Path(temporary) / study)
        new.records.mkdir(parents=True)
        for cell in results.cells["cell"]:
            if cell in results.records:  # a loss whose tuning diverged has none
                shutil.copy(layout.record(cell), new.record(cell))
            if layout.half(cell).is_file():
                new.halves.mkdir(exist_ok=True)
                shutil.copy(layout.half(cell), new.half(cell))
        if results.study.choices:
            shutil.copy(layout.selection, new.selection)
        if results.speed:
            speeds.save(results.speed, new.speed)
        shutil.copy(layout.study, new.study)
        shutil.copy(layout.prepared, new.prepared)
        results = load(new, results.study)
        # The page is that of the records' commit, whatever the config files are today.
        write_report(replace(results, cells_layout=layout, unchecked=""), formats=FORMATS)
        text = fill(README.read_text(encoding="utf-8"), results)
        shutil.rmtree(kept, ignore_errors=True)
        new.root.rename(kept)
    README.write_text(text, encoding="utf-8")
    return Layout(kept).report


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 2 if nothing could be published."""
    parser = argparse.ArgumentParser(prog="python -m reports.publish", description=__doc__)
    parser.add_argument("--study", default=EMBEDDED)
    parser.add_argument("--output", type=Path, default=Path("output"), help="(default: output)")
    options = parser.parse_args(argv)
    try:
        kept = publish(Layout.of(options.output, options.study), options.study)
    except (PlanError, ReportError, OSError) as error:
        print(f"publish: {error}", file=sys.stderr)
        return 2
    print(f"publish: {kept.relative_to(ROOT)} and README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
