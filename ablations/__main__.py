"""``python -m ablations [run|speed|plan|doctor|status]``: runs a study, or shows its state.

``run`` trains the cells that have no result yet. ``speed`` measures the time per image of the
architectures of the cells that are done, with nothing else running. ``plan`` counts the cells by
state and estimates time and disk space; it trains nothing. ``doctor`` checks that this machine has
what the cells need, see ``python -m focal_star.tools.doctor``. ``status`` shows the state of the
study, also while it runs, on this machine or on another with the same disk.
"""

import argparse
import gc
import os
import sys
from pathlib import Path

from ablations.identity import prepared as preparing
from ablations.identity.prepared import Prepared, PrepareError
from ablations.identity.snapshot import Code
from ablations.runner.doctor import doctor
from ablations.runner.gpus import TooFewGpus, default_jobs
from ablations.runner.request import OUTPUT, RETRIES, Request, RunError
from ablations.runner.run import run
from ablations.runner.speed import measure
from ablations.status import budget as spending
from ablations.status import costs, fitted, overview, running_cells, today
from ablations.status.cards import REFERENCE
from ablations.status.status import status
from ablations.storage.layout import ROOT, Layout
from ablations.storage.reading import PlanError
from ablations.study.asked_seeds import ALL, asked_seeds
from ablations.study.default import EMBEDDED, OWN_DATA, default_study
from ablations.study.last_run import LastRun, last_run, other_studies
from ablations.study.study import load_study, schedule_of
from ablations.tuning import selection
from focal_star.io.pipes import until_pipe_closes

INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run a study, or show its state.

    Returns:
        0 if every cell has a result; 1 if some failed, or a tuned row has no setting or no AP on
        the reporting half (``status``: or cells are still to be run; ``speed``: an architecture has
        no time); 2 if nothing could be run, 130 if it was interrupted. ``plan`` always returns 0,
        and ``doctor`` 1 if something is missing.
    """
    options = _parser().parse_args(argv)
    # Like the cells' processes, this process works in the repository's root: a path means the same
    # in both, and a record's command can be repeated from there.
    output = _from_root(options.output)
    dataset = _from_root(options.dataset) if options.dataset else None
    os.chdir(ROOT)
    try:
        name, reason = options.study, ""
        if not name:
            name, reason = default_study(output, dataset)
        if reason and options.what != "speed":
            print(f"Study: {reason}", flush=True)
        layout = Layout.of(output, name, dataset)
        last = LastRun()
        if options.what == "status":
            last = last_run(layout.study, today.asked(layout))
        grids = (options.grids or "").split()
        study = load_study(name, *last.unless_given(grids, options.seeds, options.schedule))
        names = [grid.name for grid in study.grids]
        if others := [grid for grid in options.seeds or () if grid not in (ALL, *names)]:
            raise PlanError(
                f"--seeds names {', '.join(others)}, which this command does not run; it runs: "
                f"{', '.join(names)}"
            )
        if not study.dataset and not dataset:
            raise PlanError(f"study {name} has no data of its own: DATASET=path/to/folder")
        gpus = options.gpus
        if gpus is None:
            gpus = study.gpus
        request = Request(
            study=study,
            layout=layout,
            dataset=dataset,
            jobs=options.jobs or default_jobs(gpus),
            cache=output / "cache",
            engine=options.engine,
            retries=options.retries,
            gpus=gpus,
            weights=_from_root(options.weights) if options.weights else None,
            keys=tuple(options.keys.split()),
        )
        if options.jobs and options.engine == "slurm" and options.what != "speed":
            limit = f"array_parallelism in studies/{study.name}.yaml"
            print(f"JOBS does not limit the cells on the cluster: {limit} does", flush=True)
        if options.what == "run":
            return run(request)
        if options.what == "speed":
            return measure(request, again=not options.if_needed)
        # The last run, whose status is shown, may have had another number of GPUs.
        as_asked = options.what != "status" or options.gpus is not None
        processes = request.processes if as_asked else today.processes(layout, study)

        def show() -> int:
            ended = _show(request, options.what, processes, options.gpu, options.budget)
            if options.what == "status" and not (options.study or options.dataset):
                overview.print_others(
                    other_studies(layout), "" if output == OUTPUT else str(output)
                )
            return ended

        return until_pipe_closes(show)
    except (PlanError, PrepareError, RunError, TooFewGpus, OSError) as error:
        print(f"ablations: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ablations: interrupted; the same command resumes from here", file=sys.stderr)
        return INTERRUPTED


def _show(request: Request, what: str, processes: int, card: str, budget: float | None) -> int:
    """Print the plan or the status of a study, or start the process that checks this machine.

    Nothing is written into the study's folder, which may be another person's, or in use.
    """
    study, layout = request.study, request.layout
    prepared, code = preparing.load(layout), today.code(layout)
    identities = None
    if prepared:
        prepared = _resolved(request, what, prepared, code)
        study, identities = selection.resolve(study, layout, prepared, processes, code)
    gc.disable()  # everything that is read is kept; this halves the time for 10,000 records
    try:
        study_status = status(study, layout, identities)
    finally:
        gc.freeze()
        gc.enable()
    if what == "status":
        overview.print_status(study_status, layout)
        return 0 if study_status.is_complete else 1
    config, test_images = fitted.config_and_images(study, prepared, request.dataset, request.keys)
    gpus = request.gpus_per_cell
    left = costs.estimate(
        study_status,
        config,
        gpus,
        test_images,
        use_published=not request.dataset,
        card=card,
        iteration_times=running_cells.iteration_times(study_status, layout),
    )
    side_by_side = request.side_by_side(left.cells)
    if what == "plan":
        each = None
        if left.seconds is None:
            each = fitted.training_seconds(study, request.dataset, request.keys)
        overview.print_plan(study_status, left, side_by_side, gpus, card, each)
        if budget:
            tables = spending.items(study_status.study, left, budget, gpus)
            overview.print_budget(tables, budget, gpus)
        return 0
    return doctor(
        study,
        request.data_overrides(),
        output=layout.root,
        disk_bytes=(left.disk_bytes or 0) + side_by_side * left.running_bytes,
        gpus=max(1, request.gpus) if request.engine == "local" else 0,
    )


def _resolved(request: Request, what: str, prepared: Prepared, code: Code) -> Prepared:
    """What was prepared, with the config as it resolves now, if anything in it has changed."""
    study, overrides = request.study, request.data_overrides()
    if what == "status" and not (request.keys or request.weights):
        overrides = prepared.overrides or overrides  # of the last run, whose status is shown
    if not preparing.is_current(prepared, study, code):
        changed = "The config's files have"
    elif prepared.overrides != overrides:
        changed = "KEYS, WEIGHTS or the folder of the data have"
    else:
        return prepared
    print(f"{changed} changed since the last run: resolving the config", flush=True)
    return preparing.prepare(study, request.layout, overrides, code=code, resolve_only=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ablations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what", nargs="?", default="run", choices=("run", "speed", "plan", "doctor", "status")
    )
    parser.add_argument(
        "--study",
        default="",
        help=f"the name of a file in ablations/studies (default: {EMBEDDED}; with --dataset "
        f"{OWN_DATA})",
    )
    parser.add_argument(
        "--grids",
        help="names of grids, separated by spaces (default: the study's; status: the last run's)",
    )
    parser.add_argument(
        "--seeds",
        type=asked_seeds,
        help="number of seeds, for example 3 or 'alpha=3 gamma=3' (default: the study's)",
    )
    parser.add_argument(
        "--schedule",
        type=schedule_of,
        help="length of the training runs, for example 0.3x or 1x (default: the study's)",
    )
    parser.add_argument("--dataset", type=Path, help="a folder of your data to train on")
    parser.add_argument(
        "--weights", type=Path, help="a file of initial weights (default: the config's)"
    )
    parser.add_argument(
        "--keys", default="", help="KEY VALUE pairs of the config for all cells, in one text"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"(default: {OUTPUT})")
    parser.add_argument(
        "--jobs",
        type=_positive,
        help="cells side by side (default: one per core, or as many as there are GPUs for)",
    )
    parser.add_argument(
        "--engine",
        default="local",
        choices=("local", "slurm"),
        help="processes here, or tasks of a SLURM cluster (default: local)",
    )
    parser.add_argument(
        "--retries",
        type=_not_negative,
        default=RETRIES,
        help=f"restarts of a cell whose process died (default: {RETRIES})",
    )
    parser.add_argument(
        "--gpus",
        type=_not_negative,
        help="GPUs per cell (default: the study's)",
    )
    parser.add_argument(
        "--gpu",
        default=REFERENCE,
        help=f"plan: the GPU whose published speed is used, such as A100 (default: {REFERENCE})",
    )
    parser.add_argument(
        "--budget",
        type=spending.hours_of,
        help="plan: show which tables fit into so many GPU-hours, such as 100h or 4d",
    )
    parser.add_argument(
        "--if-needed",
        action="store_true",
        help="speed: use the times of this machine if they are there and current",
    )
    return parser


def _from_root(path: Path) -> Path:
    return Path(os.path.relpath(path, ROOT))


def _positive(text: str) -> int:
    return _number(text, minimum=1)


def _not_negative(text: str) -> int:
    return _number(text, minimum=0)


def _number(text: str, minimum: int) -> int:
    if not text.isdecimal() or int(text) < minimum:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {minimum}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
