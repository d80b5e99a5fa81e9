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
from focal_star.io.writing import write_whole
from reports.figures.forest import forest_figure
from reports.figures.grids import ap_over_rows_figure
from reports.figures.illustration import Illustration
from reports.page.render import write_report
from reports.results import provenance
from reports.results.labels import MAIN_METRIC
from reports.results.load import ReportError, Results, find_study, load
from reports.statistics.noise import noise_floor
from reports.tables import markdown
from reports.tables.grids import grid_table
from reports.tables.table import AXIS, Table
from reports.text import opening
from reports.text.answer import answer
from reports.text.findings import finding
from reports.text.sentences import counted

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "reports" / "published"
README = ROOT / "README.md"

FORMATS = ("png",)
"""The formats of the files beside the published pages, which report.md and README.md show."""

GAMMA = "gamma"
"""The grid of the paper's table (b)."""

_BLOCK = re.compile(r"(<!-- report: (\w+) -->\n)(.*?)(<!-- /report -->)", re.DOTALL)


def published_results(study: str) -> Results:
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

    def replaced(match: re.Match[str]) -> str:
        opening, name, _, closing = match.groups()
        if name not in BLOCKS:
            raise ReportError(f"README: unknown block {name}; known blocks: {', '.join(BLOCKS)}")
        return f"{opening}{BLOCKS[name](results)}\n{closing}"

    return _BLOCK.sub(replaced, text)


def verdict(results: Results) -> str:
    """The question, its answer and the verdict in words."""
    answered = answer(results)
    texts = (opening.question_text(results, answered), answered.verdict)
    return "\n\n".join(
        f"**{markdown.escape(text)}**" if number == 0 else markdown.escape(text)
        for number, text in enumerate(texts)
    )


def effect(results: Results) -> str:
    """The forest plot of the published report, and the meaning of its band."""
    answered = answer(results)
    if answered.asked is None or not answered.rows:
        return ""
    drawn = forest_figure(results, answered.asked, answered.rows)
    noise = opening.noise_text(noise_floor(results, answered.asked.grid))
    return "\n\n".join(filter(None, (_picture(results, drawn), markdown.escape(noise))))


def basis(results: Results) -> str:
    """The other losses, and the data and the limits of the verdict."""
    answered = answer(results)
    others = "\n".join(f"- {markdown.escape(text)}" for text in answered.others)
    return "\n\n".join(filter(None, (others, markdown.escape(answered.basis))))


def gamma(results: Results) -> str:
    """Table (b) with its finding and figure: AP and effects, ours and published."""
    grid = next((grid for grid in results.study.grids if grid.name == GAMMA), None)
    if grid is None:
        return ""
    table = grid_table(results, grid)
    columns = [
        column
        for column in table.table.main.columns
        if column.kind == AXIS or MAIN_METRIC in column.group.split()
    ]
    text = finding(results, grid, table.comparisons)
    frame = results.of_grid(grid)
    seeds = counted(frame["seed"].nunique(), "seed")
    about = f"{seeds} per row · {provenance.caption(results, results.ended_records_of(frame))}"
    drawn = ap_over_rows_figure(results, grid, table)
    parts = (
        markdown.escape(text),
        _picture(results, drawn),
        Table(columns).to_markdown(),
        markdown.escape(about),
    )
    return "\n\n".join(parts)


def _picture(results: Results, drawn: Illustration) -> str:
    """A figure of the published report, for README."""
    path = PUBLISHED / results.study.name / "report" / "figures" / f"{drawn.name}.png"
    return f"![{markdown.escape(drawn.alternative)}]({path.relative_to(ROOT).as_posix()})"


def made(results: Results) -> str:
    """Data set, schedule, hardware and commit of the answer."""
    asked = answer(results).asked
    frame = results.of_grid(asked.grid) if asked else results.frame
    return markdown.escape(provenance.caption(results, results.ended_records_of(frame)))


BLOCKS: dict[str, Callable[[Results], str]] = {
    "answer": verdict,
    "effect": effect,
    "basis": basis,
    "gamma": gamma,
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
    target = PUBLISHED / study
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
        if target.exists():
            target.rename(Path(temporary) / "previous")
        new.root.rename(target)
    write_whole(README, text.encode())
    return Layout(target).report


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 2 if nothing could be published."""
    parser = argparse.ArgumentParser(prog="python -m reports.publish", description=__doc__)
    parser.add_argument("--study", default=EMBEDDED)
    parser.add_argument("--output", type=Path, default=Path("output"), help="(default: output)")
    options = parser.parse_args(argv)
    try:
        report = publish(Layout.of(options.output, options.study), options.study)
    except (PlanError, ReportError, OSError) as error:
        print(f"publish: {error}", file=sys.stderr)
        return 2
    print(f"publish: {report.relative_to(ROOT)} and README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
