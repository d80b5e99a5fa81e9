"""The config values that a cost estimate needs, before anything is prepared.

A study that asks for proposals has its input scale and its length of training from the data. They
are in ``prepared.json``; before there is one, the annotations are read for them.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.identity.fingerprint import flat
from ablations.identity.prepared import Prepared, written_config
from ablations.storage.layout import ROOT
from ablations.study.study import Study

EXTENSION, STORED_EXTENSION = "fitted", "frozen"
"""The extensions whose module ``settings`` prints what a plan needs of their proposals."""

SKIPS_EMPTY = "DATALOADER.FILTER_EMPTY_ANNOTATIONS"
"""The key that says whether training skips images without objects."""

PROPOSED = ("SOLVER.MAX_ITER", "SOLVER.SCALED_BY", "INPUT.SHORT_EDGE")
"""The keys that a proposal can set and that change the cost of a cell."""


def config_and_images(
    study: Study,
    prepared: Prepared | None = None,
    dataset: Path | None = None,
    keys: Sequence[str] = (),
) -> tuple[dict[str, Any], int]:
    """The known keys of the config, and the number of validation images; 0 if it is unknown.

    Args:
        study: the study.
        prepared: what was prepared; None if nothing was.
        dataset: folder of a user's data; None for the study's data set.
        keys: ``KEY VALUE`` pairs of the config that all cells have.
    """
    config = written_config(study)
    if prepared and prepared.dataset:
        resolved = dict(flat(prepared.config))
        proposed = {key: resolved[key] for key in PROPOSED if study.propose and key in resolved}
        return config | proposed, prepared.dataset.get("val", {}).get("num_images", 0)
    if not (dataset and study.propose and EXTENSION in config.get("EXTENSIONS", ())):
        return config, 0
    proposal = _proposal(EXTENSION, config, dataset, _pairs(keys))
    if not proposal:
        return config | {"SOLVER.MAX_ITER": 0}, 0
    iterations = proposal["image_views"] / config["SOLVER.IMS_PER_BATCH"]
    proposed = {"SOLVER.MAX_ITER": iterations}
    if proposal["short_edge"]:
        proposed["INPUT.SHORT_EDGE"] = proposal["short_edge"]
    return config | proposed, proposal["test_images"]


def training_seconds(study: Study, dataset: Path | None, keys: Sequence[str] = ()) -> float | None:
    """The estimated training time of a cell at 1x on one core, by what is proposed for the data.

    Args:
        study: the study.
        dataset: folder of a user's data; None for the study's data set.
        keys: ``KEY VALUE`` pairs of the config that all cells have.

    Returns:
        None for a study whose proposals have no estimate, data that cannot be read, or keys that
        replace what is proposed.
    """
    config = written_config(study)
    if not (dataset and study.propose and STORED_EXTENSION in config.get("EXTENSIONS", ())):
        return None
    given = _pairs(keys)
    if not given.keys().isdisjoint((*PROPOSED, "SOLVER.IMS_PER_BATCH")):
        return None
    batch = ["--images-per-batch", str(config["SOLVER.IMS_PER_BATCH"])]
    return _proposal(STORED_EXTENSION, config, dataset, given, *batch).get("training_seconds")


def _pairs(keys: Sequence[str]) -> dict[str, str]:
    return dict(zip(keys[::2], keys[1::2], strict=False))


def _proposal(
    extension: str,
    config: Mapping[str, Any],
    dataset: Path,
    given: Mapping[str, str],
    *options: str,
) -> dict[str, Any]:
    """What an extension's module ``settings`` prints of a folder; empty if it cannot read it."""
    command = [sys.executable, "-m", f"focal_star.{extension}.settings", str(dataset), *options]
    if given.get(SKIPS_EMPTY, str(config.get(SKIPS_EMPTY))) == "False":
        command.append("--with-empty")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # make check explains what is wrong with a folder.
    return {} if ended.returncode else json.loads(ended.stdout)
