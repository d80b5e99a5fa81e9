"""``python -m reports``: renders a study's report from its records only."""

import argparse
import sys
from pathlib import Path

from ablations.records.record import DONE
from ablations.storage.layout import Layout
from ablations.storage.reading import PlanError
from ablations.study.asked_seeds import asked_seeds
from ablations.study.default import default_study
from ablations.study.study import schedule_of
from reports.follow import follow
from reports.page.render import write_report
from reports.results.load import ReportError, Results, find_study, load
from reports.text.sentences import counted


def main(argv: list[str] | None = None) -> int:
    """Render a report.

    Returns:
        0 if every cell of the study is done or diverged; 1 if cells are missing, running, stale
        or failed or records were refused (the report marks them); 2 if no report could be made.
        With ``--every`` always 0.
    """
    options = _parser().parse_args(argv)
    name = options.study or default_study(options.output, options.dataset)[0]
    layout = Layout.of(options.output, name, options.dataset)

    def read() -> Results:
        study = find_study(
            layout, name, (options.grids or "").split(), options.seeds, options.schedule
        )
        return load(layout, study)

    if options.every:
        follow(read, options.every, options.beside)
        return 0
    try:
        results = read()
        page = write_report(results)[0]
    except (PlanError, ReportError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    counts = results.counts
    parts = [f"{counts[DONE]} of {sum(counts.values())} cells done"]
    parts += [f"{number} {state}" for state, number in counts.items() if number and state != DONE]
    if results.refused:
        parts.append(f"{counted(len(results.refused), 'record')} refused")
    print(f"report: {page} ({', '.join(parts)})")
    return 0 if results.complete else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    parser.add_argument("--study", default="", help="a file of ablations/studies")
    parser.add_argument(
        "--grids", help="names of grids, separated by spaces (default: those that ran)"
    )
    parser.add_argument(
        "--seeds",
        type=asked_seeds,
        help="number of seeds, for example 3 or 'alpha=3 gamma=3' (default: those that ran)",
    )
    parser.add_argument(
        "--schedule",
        type=schedule_of,
        help="length of the training runs, for example 1x (default: that of the last run)",
    )
    parser.add_argument("--dataset", type=Path, help="folder of your own data")
    parser.add_argument("--output", type=Path, default=Path("output"), help="(default: output)")
    parser.add_argument(
        "--every",
        type=_seconds,
        metavar="SECONDS",
        help="check for changes at this interval, or a longer one if rendering is slow, and render "
        "without output if there are any; stop when the process that started this one ends",
    )
    parser.add_argument(
        "--beside", type=int, metavar="PID", help="with --every: the process that started this one"
    )
    return parser


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive, finite number of seconds")
    return number


if __name__ == "__main__":
    sys.exit(main())
