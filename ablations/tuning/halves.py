"""AP of trained cells on the selection half of the images and on the reporting half.

A process computes it from the cells' detections, see ``focal_star.evaluation.halves``, and writes
a file per cell. The file is valid for one record (its fingerprint) and one selection seed. Another
selection seed only rewrites the file; nothing is trained again.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from ablations.identity import environment
from ablations.identity.prepared import Prepared
from ablations.identity.snapshot import Code
from ablations.records import earlier
from ablations.records.record import DONE, Number, Record
from ablations.storage.layout import ROOT, Layout, tail
from focal_star.evaluation.metric_names import AP_METRICS

TOOL = ["-m", "focal_star.tools.halves"]

TUNING_RESAMPLES = 200
"""Resamples of the images for cells that only select: enough for a standard error within 5 %."""

DEFAULTS = {"BOOTSTRAP_RESAMPLES": 1000, "DETECTIONS_PER_IMAGE": 100}
"""Values of keys of ``TEST`` that the config does not have."""


class TuningError(RuntimeError):
    """No setting can be chosen, or a cell cannot be judged; the message gives the reason."""


class Half(msgspec.Struct, frozen=True):
    """The results of a cell on one half of the images.

    Attributes:
        images: the number of images.
        metrics, per_class_AP, analysis: as in a record's result; ``analysis`` has only
            ``bootstrap`` unless the cell reports.
    """

    images: int
    metrics: dict[str, Number]
    per_class_AP: dict[str, Number]
    analysis: dict[str, Any]


class Halves(msgspec.Struct, frozen=True):
    """The results of a cell on both halves of the images.

    Attributes:
        cell: the cell's id.
        fingerprint: the fingerprint of its record.
        selection_seed: divides the images.
        whole: whether ``reporting`` has the full analysis.
        selection, reporting: the halves.
    """

    cell: str
    fingerprint: str
    selection_seed: int
    whole: bool
    selection: Half
    reporting: Half
    version: Literal[1] = 1


def load(layout: Layout, record: Record, selection_seed: int, whole: bool = False) -> Halves | None:
    """A cell's file; None if it is missing, broken, or for another record or selection seed.

    Args:
        layout: the study's files.
        record: the cell's record.
        selection_seed: the study's selection seed.
        whole: whether the full analysis is needed.
    """
    try:
        halves = msgspec.json.decode(layout.half(record.cell).read_bytes(), type=Halves)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    fits = (halves.cell, halves.fingerprint, halves.selection_seed) == (
        record.cell,
        record.fingerprint,
        selection_seed,
    )
    complete = all(
        set(AP_METRICS) <= half.metrics.keys() for half in (halves.selection, halves.reporting)
    )
    return halves if fits and complete and halves.whole >= whole else None


def measure(
    layout: Layout,
    records: Sequence[Record],
    selection_seed: int,
    *,
    whole: bool,
    prepared: Prepared,
    code: Code,
    jobs: int = 1,
) -> None:
    """Write the missing files of all cells that are done, for this selection seed.

    Args:
        layout: the study's files.
        records: the records of the cells. Diverged runs have no detections and are left out.
        selection_seed: divides the images.
        whole: whether the full analysis is needed.
        prepared: the prepared data, which names the validation split, and the config.
        code: the code that the process runs.
        jobs: the number of processes.

    Raises:
        TuningError: some cells cannot be evaluated; the files of the others are written.
    """
    missing = [
        record
        for record in records
        if record.status == DONE and load(layout, record, selection_seed, whole) is None
    ]
    if not missing:
        return
    usable = [record for record in missing if _has_detections(layout, record)]
    options = DEFAULTS | prepared.config.get("TEST", {})
    resamples = options["BOOTSTRAP_RESAMPLES"]
    request = {
        "annotations": _annotations(prepared),
        "selection_seed": selection_seed,
        "max_detections": options["DETECTIONS_PER_IMAGE"],
        "cells": [
            {
                "detections": str(layout.cell_detections(record.cell)),
                "resamples": resamples if whole else min(resamples, TUNING_RESAMPLES),
                "whole": whole,
                "output": str(layout.half(record.cell)),
                "about": {
                    "version": 1,
                    "cell": record.cell,
                    "fingerprint": record.fingerprint,
                    "selection_seed": selection_seed,
                    "whole": whole,
                },
            }
            for record in usable
        ],
    }
    layout.halves.mkdir(parents=True, exist_ok=True)
    log = _call(request, layout, code, jobs) if usable else ""
    left = [r.cell for r in missing if load(layout, r, selection_seed, whole) is None]
    lost = [record.cell for record in missing if record not in usable]
    problems = []
    if lost:
        problems.append(
            f"the detections of {_listed(lost)} are gone; delete the records and the folders in "
            f"{layout.root}/cells to train again"
        )
    if others := [cell for cell in left if cell not in lost]:
        problems.append(f"AP on halves of the images failed for {_listed(others)}:\n{tail(log)}")
    if problems:
        raise TuningError("; ".join(problems))


def _has_detections(layout: Layout, record: Record) -> bool:
    """Whether the cell's folder has the detections that its record was made from."""
    mark = earlier.mark_in(layout.cell(record.cell))
    same = mark.get("fingerprint") == record.fingerprint
    return same and (ROOT / layout.cell_detections(record.cell)).is_file()


def _annotations(prepared: Prepared) -> str:
    split = prepared.dataset.get("val")
    path = split.get("annotation_file") if isinstance(split, dict) else None
    if not isinstance(path, str) or not path:
        raise TuningError(
            f"{prepared.dataset.get('name', 'the data set')}: its validation split is not one file "
            "in COCO's format, so its images cannot be divided"
        )
    return path


def _call(request: dict[str, Any], layout: Layout, code: Code, jobs: int) -> str:
    """Run the process; return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, *TOOL, "--request", str(path), "--jobs", str(jobs)]
        with layout.halves_log.open("w", encoding="utf-8") as file:
            subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | environment.threads(1) | code.variables(),
                stdout=file,
                stderr=file,
                check=False,
            )
    return layout.halves_log.read_text(encoding="utf-8", errors="replace")


def _listed(cells: Sequence[str]) -> str:
    more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
    return ", ".join(cells[:3]) + more
