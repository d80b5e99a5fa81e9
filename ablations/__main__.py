"""``python -m ablations``: runs what is missing of a study."""

import argparse
import os
import sys
from pathlib import Path

from ablations.cell import Layout
from ablations.plan import PlanError, load_study
from ablations.run import ROOT, Request, RunError, run

INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run a study.

    Returns:
        0 if every cell is done or diverged, 1 if some failed, 2 if nothing could be run,
        130 if it was interrupted.
    """
    options = _parser().parse_args(argv)
    # The cells' processes work in the repository's root, and so does this one: a path means the
    # same in both, and a record's command can be repeated from there.
    output = _from_root(options.output)
    dataset = _from_root(options.dataset) if options.dataset else None
    os.chdir(ROOT)
    try:
        study = load_study(options.study, (options.grids or "").split(), options.seeds)
        layout = Layout.of(output, study.name, dataset)
        return run(Request(study, layout, dataset, options.jobs, output / "cache"))
    except (PlanError, RunError, OSError) as error:
        print(f"ablations: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ablations: interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ablations", description=__doc__)
    parser.add_argument("--study", required=True, help="a file of ablations/studies")
    parser.add_argument("--grids", help="names of grids, spaces between (default: the study's)")
    parser.add_argument("--seeds", type=_positive, help="number of seeds (default: the study's)")
    parser.add_argument("--dataset", type=Path, help="a folder of own data to train on")
    parser.add_argument("--output", type=Path, default=Path("output"), help="(default: output)")
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=len(os.sched_getaffinity(0)),
        help="cells side by side (default: one a core)",
    )
    return parser


def _from_root(path: Path) -> Path:
    return Path(os.path.relpath(path, ROOT))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
