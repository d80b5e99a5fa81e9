"""A study by this project's runner, against a plain loop that starts Detectron2 once per cell.

This project's side is what ``make ablations`` runs when the data set and the pretrained backbone
are there: cells side by side, one per core, and the frozen layers' features computed once. Its
cells also record what the plain ones do not: losses on validation images, kinds of errors,
calibration, resamples of the images.

The plain side is ``plain_train_net.py``, one process per cell, one after another, with all cores:
the same data, model, initial weights, batches of as many images, iterations and schedule;
Detectron2's SGD without clipping for AdamW. It has no FL*: a cell of FL* is there one of FL with
the same gamma, which computes as much.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ablations.identity import prepared as preparing
from ablations.identity.snapshot import CONFIGS
from ablations.runner.request import Request
from ablations.runner.run import run
from ablations.storage.layout import ROOT, Layout, tail
from ablations.study.asked_seeds import ALL
from ablations.study.cell import Cell
from ablations.study.study import Study, load_study
from benchmarks.harness import Case, Side

TITLE = "A study: from its first process to its last record"

STUDY = "mini"
CACHE = ROOT / "output" / "cache"
PREPARED = ("digits_in_scenes", "pretrained")
"""Parts of the cache that exist before either side begins."""


def cases(on_gpu: bool) -> list[dict[str, Any]]:
    """Two cells with a tenth of the iterations, so fixed costs weigh more."""
    changes = {"SOLVER": {"MAX_ITER": 60}}
    of = {"grids": ["alpha", "gamma"], "rows": 1, "changes": changes, "sample": 0}
    return [of | {"threads": 2}]


def build(
    grids: list[str],
    rows: int,
    changes: dict[str, Any],
    sample: int,
    threads: int,
    dataset: str = "",
) -> Case:
    """
    Args:
        grids: the grids of the mini study.
        rows: the number of rows of each grid, taken from its middle; 0 for all.
        changes: changes to the study's config.
        sample: the number of cells that the plain loop trains, as a sample; 0 for all.
        threads: cores: cells side by side here, threads of a cell there.
        dataset: a folder that takes the place of the study's data set; "" for that.
    """
    held = tempfile.TemporaryDirectory()  # until the case is forgotten
    study = _study(Path(held.name), grids, rows, changes)
    data = ["DATASETS.FOLDER", dataset] if dataset else []
    prepared = preparing.prepare(study, Layout(Path(held.name)), ["CACHE_DIR", str(CACHE), *data])
    plain = Path(held.name) / "plain.yaml"
    weights = prepared.weights.get("", {}).get("path", "")
    plain.write_text(_plain_config(study, weights), "utf-8")
    cells = study.cells()
    trained = _spread(cells, sample or len(cells))
    name = "Detectron2, a process a cell"
    if len(trained) < len(cells):
        name += f": {len(trained)} of the cells, × {len(cells) / len(trained):.3g}"
    given = {"held": held.name, "grids": grids, "rows": rows, "changes": changes,
             "dataset": dataset, "jobs": threads}  # fmt: skip
    folder = Path(dataset) if dataset else CACHE / PREPARED[0]
    iterations = prepared.config["SOLVER"]["MAX_ITER"]
    return Case(
        title=f"{len(cells)} cells of {iterations} iterations, {threads} cores",
        sides=[
            Side("this project", partial(_in_a_process, given, held)),
            Side(name, partial(_plain_loop, plain, folder, trained), len(cells) / len(trained)),
        ],
        baseline=name,
        rounds=1,
        budget_seconds=float("inf"),
        warmup=0,
        measure_memory=False,
    )


def _study(folder: Path, grids: list[str], rows: int, changes: dict[str, Any]) -> Study:
    study = load_study(STUDY, grids, {ALL: 1})
    if rows:
        study = replace(
            study,
            grids=tuple(replace(g, rows=tuple(_spread(g.rows, rows))) for g in study.grids),
        )
    if changes:
        config = folder / "changed.yaml"
        base = str((ROOT / CONFIGS / study.config).resolve())
        config.write_text(yaml.safe_dump({"_BASE_": base} | changes), "utf-8")
        study = replace(study, config=str(config))
    return study


def _spread(of: list | tuple, number: int) -> list:
    """Choose this number of items, evenly spaced."""
    return [of[int((n + 0.5) * len(of) / number)] for n in range(number)]


def _in_a_process(given: dict[str, Any], held: tempfile.TemporaryDirectory) -> None:
    """``python -m ablations`` takes its studies from its own folder; this one may be another."""
    _call([sys.executable, "-W", "ignore", "-m", "benchmarks.study", json.dumps(given)])


def _run_cells(
    held: str, grids: list[str], rows: int, changes: dict[str, Any], dataset: str, jobs: int
) -> int:
    """Run the cells from the beginning; 0 if all have a result."""
    with tempfile.TemporaryDirectory() as folder, _cache(Path(folder)) as cache:
        study = _study(Path(held), grids, rows, changes)
        data = Path(dataset) if dataset else None
        layout = Layout(Path(folder) / study.name)
        return run(Request(study, layout, data, jobs, cache))


@contextmanager
def _cache(folder: Path) -> Iterator[Path]:
    """A cache that has only the parts in ``PREPARED``."""
    cache = folder / "cache"
    cache.mkdir()
    for name in PREPARED:
        if (CACHE / name).exists():
            (cache / name).symlink_to(CACHE / name)
    yield cache


def _plain_config(study: Study, weights: str) -> str:
    """The study's config for Detectron2 itself, as YAML."""
    from detectron2.config import CfgNode, get_cfg

    from focal_star.config import load_config

    def copy(of: CfgNode, to: CfgNode) -> None:
        for key, value in to.items():
            if isinstance(value, CfgNode):
                copy(of[key], value)
            elif key in of:
                to[key] = of[key]

    plain = get_cfg()
    copy(load_config(ROOT / CONFIGS / study.config), plain)
    plain.MODEL.META_ARCHITECTURE, plain.MODEL.WEIGHTS = "RetinaNet", weights
    plain.SOLVER.CLIP_GRADIENTS.ENABLED = False  # by all gradients together is this project's
    plain.SOLVER.CHECKPOINT_PERIOD = get_cfg().SOLVER.CHECKPOINT_PERIOD
    return plain.dump()


def _plain_loop(config: Path, data: Path, cells: list[Cell]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for cell in cells:
            values = cell.setting.as_dict()
            alpha = -1.0 if values.get("alpha") is None else values["alpha"]  # fvcore's for none
            _call(
                [
                    sys.executable, "-W", "ignore", "benchmarks/plain_train_net.py",
                    "--config-file", str(config), "--data", str(data),
                    "SEED", str(cell.seed), "OUTPUT_DIR", f"{folder}/{cell.id}",
                    "MODEL.RETINANET.FOCAL_LOSS_ALPHA", str(alpha),
                    "MODEL.RETINANET.FOCAL_LOSS_GAMMA", str(values.get("gamma", 0.0)),
                ]
            )  # fmt: skip


def _call(command: list[str]) -> None:
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}:\n{tail(done.stdout)}")


if __name__ == "__main__":
    sys.exit(_run_cells(**json.loads(sys.argv[1])))
