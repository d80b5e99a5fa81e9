"""``python -m reports.compare A B``: says which rows of study folder B moved against those of A.

    python -m reports.compare output/mini other/mini --output output/compare

A and B are output folders, such as the same study before and after a change of code, or on two
machines. The page (``index.html``, ``compare.md``, tables as CSV and LaTeX) says which rows are
better, worse or the same beyond the noise, and what else the two studies differ in.

Exit codes: 0 if no row is worse, 1 if some row is significantly worse, 2 if a folder cannot be read
or the studies cannot be compared: no row is in both, or the data sets differ. In the last case the
page is written as well, and names what differs.
"""

import argparse
import sys
from pathlib import Path

from ablations.storage.json_files import read_object
from ablations.storage.layout import Layout
from ablations.storage.reading import PlanError
from reports.compare.page import Compared, report
from reports.compare.rows import WORSE
from reports.page.render import uncollected, write_page
from reports.results.load import ReportError, Results, find_study, load

OK, MOVED, UNUSABLE = 0, 1, 2

MARKDOWN = "compare.md"


def main(argv: list[str] | None = None) -> int:
    """Compare two folders, write the page and print a line; return the exit code."""
    options = _parser().parse_args(argv)
    try:
        a, b = (read(folder, options.study) for folder in (options.a, options.b))
        studies = Compared.of(a, b)
        with uncollected():
            content = report(studies, options.output)
            page = write_page(content, options.output, markdown_name=MARKDOWN)[0]
    except (PlanError, ReportError, OSError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return UNUSABLE
    if studies.why_not:
        print(f"compare: not comparable: {studies.why_not}; see {page}", file=sys.stderr)
        return UNUSABLE
    print(f"compare: {page} ({studies.summary})")
    return MOVED if studies.of_verdict(WORSE) else OK


def read(folder: Path, study: str = "") -> Results:
    """The records of a study's output folder, whichever code they come from.

    Args:
        folder: with ``study.json`` and ``records/``.
        study: the study's name; by default the one in ``study.json``.

    Raises:
        ReportError: there is no such folder, or it does not say which study it has.
        ablations.storage.reading.PlanError: the study or one of its grids is unknown.
    """
    layout = Layout(folder)
    if not folder.is_dir():
        raise ReportError(f"there is no folder {folder}")
    name = study or read_object(layout.study).get("study")
    if not isinstance(name, str) or not name:
        raise ReportError(
            f"{layout.study} does not name a study: {folder} is no output folder of a study, such "
            "as output/mini, or name the study with --study"
        )
    return load(layout, find_study(layout, name), check=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", type=Path, metavar="A", help="the output folder of the first study")
    parser.add_argument("b", type=Path, metavar="B", help="that of the second")
    parser.add_argument("--study", default="", help="(default: the one in study.json)")
    parser.add_argument(
        "--output", type=Path, default=Path("output/compare"), help="(default: output/compare)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
