"""``python -m reports.publish``: keeps a study's report in the repository; README shows from it.

README.md names what it shows between two comments, ``<!-- report: NAME -->`` and
``<!-- /report -->``. The text between them is generated from the kept records.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ablations.storage.layout import Layout
from ablations.storage.reading import PlanError
from reports.page.contents import published_agreement, table_of_best
from reports.page.render import write_report
from reports.results import provenance
from reports.results.load import ReportError, Results, find_study, load
from reports.statistics.best import best_settings, compared
from reports.tables import markdown
from reports.tables.grids import grid_table
from reports.tables.table import LINKS, Table
from reports.text import sentences
from reports.text.answer import HEADLINE, answer

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "reports" / "published"
README = ROOT / "README.md"

_BLOCK = re.compile(r"(<!-- report: (\w+) -->\n)(.*?)(<!-- /report -->)", re.DOTALL)


def published(study: str) -> Results:
    """The kept records of a study.

    Raises:
        ReportError: none are kept.
    """
    layout = Layout(PUBLISHED / study)
    return load(layout, find_study(layout, study))


def fill(text: str, results: Results) -> str:
    """``text`` with every marked block written anew from the records.

    Raises:
        ReportError: a block of an unknown name.
    """

    def replaced(found: re.Match[str]) -> str:
        opening, name, _, closing = found.groups()
        if name not in BLOCKS:
            raise ReportError(f"README: no block {name}; there are: {', '.join(BLOCKS)}")
        return f"{opening}{BLOCKS[name](results)}\n{closing}"

    return _BLOCK.sub(replaced, text)


def verdict(results: Results) -> str:
    """Whether FL* beats FL, in words."""
    found = answer(results)
    others = "\n".join(f"- {markdown.escape(text)}" for text in found.others)
    return "\n\n".join(
        filter(
            None, (f"**{markdown.escape(found.verdict)}**", others, markdown.escape(found.basis))
        )
    )


def headline(results: Results) -> str:
    """The table that the verdict is from, without its links, which lead elsewhere from README."""
    grid = next(grid for grid in results.study.grids if grid.name == HEADLINE)
    columns = grid_table(results, grid).table.columns
    return Table([column for column in columns if column.kind != LINKS]).to_markdown()


def best(results: Results) -> str:
    """The best setting of each loss, as a Markdown table, and which settings compete."""
    table = table_of_best(best_settings(results)).to_markdown()
    return "\n\n".join(filter(None, (table, markdown.escape(compared(results.study)))))


def order(results: Results) -> str:
    """How far the rows' order is the published one, and what the seeds allow to say."""
    tables = {grid.name: grid_table(results, grid) for grid in results.study.grids}
    found = {name: published_agreement(table) for name, table in tables.items()}
    orders = sentences.orders({name: agreement for name, agreement in found.items() if agreement})
    return "\n".join(filter(None, (sentences.seeds_warning(results), orders)))


def made(results: Results) -> str:
    """What the numbers were made with."""
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
    """Keep a study's records and report in the repository, and write README's blocks anew.

    What was kept before stays until all of the new is there.

    Returns:
        The folder of the kept report.

    Raises:
        ReportError: the study is not complete.
        ablations.storage.reading.PlanError: an unknown study.
    """
    results = load(layout, find_study(layout, study))
    if not results.complete:
        raise ReportError(f"{layout.root} is not complete; only a whole study is published")
    kept = PUBLISHED / study
    PUBLISHED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PUBLISHED, prefix=f".{study}.") as temporary:
        new = Layout(Path(temporary) / study)
        new.records.mkdir(parents=True)
        for cell in results.cells["cell"]:
            shutil.copy(layout.record(cell), new.record(cell))
        shutil.copy(layout.study, new.study)
        shutil.copy(layout.prepared, new.prepared)
        results = load(new, results.study)
        write_report(replace(results, cells_layout=layout))
        text = fill(README.read_text(encoding="utf-8"), results)
        shutil.rmtree(kept, ignore_errors=True)
        new.root.rename(kept)
    README.write_text(text, encoding="utf-8")
    return Layout(kept).report


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 2 where nothing could be published."""
    parser = argparse.ArgumentParser(prog="python -m reports.publish", description=__doc__)
    parser.add_argument("--study", required=True)
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
