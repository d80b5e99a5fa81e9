"""Checks what training with a config needs on this machine: data, initial weights, GPUs, disk.

Each function checks one requirement. Nothing is downloaded or trained, but a data set that must be
created or converted is written.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.data.catalog import Metadata

from focal_star.data.layouts.problems import DatasetError
from focal_star.data.registration import image_options, register_datasets
from focal_star.data.validation.checks import require_valid
from focal_star.errors import ConfigError
from focal_star.extensions import weights_maker
from focal_star.io.addresses import is_address
from focal_star.tools.doctor.anchor_coverage import coverage
from focal_star.tools.doctor.findings import FAULT, OK, WARNING, Finding
from focal_star.tools.doctor.proposal import proposed_for
from focal_star.training.initial_weights import copy_of, fault_of_server, url_of
from focal_star.training.schedule import scaled_to

EXPECTED_IMAGES = {
    "coco_2017_train": 118_287,
    "coco_2017_val": 5_000,
    "voc_2007_2012_train": 16_551,
    "voc_2007_2012_val": 4_952,
}
"""Number of images of published data sets."""

LEARNING_RATE, IMAGES = 0.01, 16
"""SGD's learning rate and its batch size, to which it is proportional (arXiv:1706.02677)."""

GIB_PER_IMAGE, EDGE = 2.6, 800
"""GPU memory per training image at a short edge in px: 5.2 GB for two images, with
ResNet-101 (Detectron2's MODEL_ZOO.md, retinanet_R_101_FPN_3x)."""

COVERED, COUNTED = 0.5, 0.01
"""If less than COVERED of the boxes of a size have an anchor that is not negative, there is a
warning, provided that the size has at least COUNTED of all boxes."""


def data(cfg: CfgNode) -> Iterator[Finding]:
    """Check that the data sets exist and, if the config checks data, that they are valid.

    This registers them.
    """
    try:
        folder = register_datasets(cfg)
    except (DatasetError, OSError) as error:
        yield Finding(FAULT, "data", str(error))
        return
    if folder and cfg.DATASETS.FOLDER and cfg.DATASETS.CHECK:
        cards, _ = require_valid(folder, image_options(cfg))
        for split, card in cards.items():
            for line in (*card["warnings"], *card["conversions"]):
                yield Finding(WARNING, f"data {split}", line)
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        about = MetadataCatalog.get(name)
        content = annotations(name)
        listed = [image["file_name"] for image in content["images"]]
        missing = _not_there(Path(about.image_root), listed)
        expected = EXPECTED_IMAGES.get(name, len(listed))
        text = (
            f"{len(listed):,} images, {len(content['annotations']):,} boxes, "
            f"{len(content['categories'])} categories; {about.json_file}{_part(about)}"
        )
        if missing:
            yield Finding(
                FAULT,
                f"data {name}",
                f"{len(missing):,} of {len(listed):,} images are missing in {about.image_root}, "
                f"for example {missing[0]}; unpack the archive of images again",
            )
        elif len(listed) != expected:
            yield Finding(WARNING, f"data {name}", f"{text}; the published set has {expected:,}")
        else:
            yield Finding(OK, f"data {name}", text)


def _part(about: Metadata) -> str:
    """The part that a split is of another one, and the hash of the list; "" if it is none."""
    subset = about.get("subset")
    if not subset:
        return ""
    return (
        f"; {100 * subset['share']:g} % of the {subset['of']:,} images of {subset['name']}, "
        f"SHA-256 of their ids {subset['image_ids_sha256']}"
    )


def proposal(config_file: str, overrides: Sequence[str]) -> tuple[Finding | None, list[str]]:
    """What is proposed for the data, as a finding and as ``KEY VALUE`` pairs.

    Without usable data nothing is proposed; :func:`data` finds why.

    Raises:
        ConfigError: the config cannot be used.
    """
    try:
        proposed = proposed_for(config_file, overrides)
    except (DatasetError, OSError):
        return None, []
    text = f"{proposed.text}; {proposed.warning}" if proposed.warning else proposed.text
    return Finding(WARNING if proposed.warning else OK, "settings", text), list(proposed.overrides)


def require(cfgs: Sequence[CfgNode], num_gpus: int) -> None:
    """Refuse what would end every training at its start: missing weights or GPUs.

    Args:
        cfgs: the configs of the training runs, which share a data set.
        num_gpus: the number of GPUs that a training needs here; 0 if another machine trains.

    Raises:
        ConfigError: lists every fault, including those of the data.
    """
    findings = list(dict.fromkeys(weights(cfg) for cfg in cfgs))
    findings += [gpus(cfgs[0], num_gpus)] if num_gpus else []
    if any(finding.state == FAULT for finding in findings):
        findings = [*data(cfgs[0]), *findings]
        faults = [finding for finding in findings if finding.state == FAULT]
        raise ConfigError("\n".join(f"{fault.about}: {fault.text}" for fault in faults))


def classes(cfg: CfgNode) -> Finding:
    """Check that the detector has as many classes as the training data, which must exist."""
    (name, *_) = cfg.DATASETS.TRAIN
    in_data, in_config = len(annotations(name)["categories"]), cfg.MODEL.RETINANET.NUM_CLASSES
    if in_data == in_config:
        return Finding(OK, "classes", f"{in_config}, in the config and in {name}")
    return Finding(
        FAULT,
        "classes",
        f"MODEL.RETINANET.NUM_CLASSES is {in_config}, and {name} has {in_data} categories; set it "
        f"to {in_data}",
    )


def weights(cfg: CfgNode) -> Finding:
    """Check that the initial weights are here or can be downloaded."""
    address = cfg.MODEL.WEIGHTS
    if not address:
        maker = weights_maker(cfg)
        if maker and (fault := maker.weights_fault()):
            return Finding(FAULT, "weights", fault)
        source = maker.weights_source if maker else "none: random initialisation"
        return Finding(OK, "weights", source)
    if not is_address(address):
        return Finding(OK, "weights", address)
    copy = copy_of(address)
    if copy.is_file():
        return Finding(OK, "weights", f"{address}, copied to {copy}")
    fault = fault_of_server(address)
    if not fault:
        return Finding(OK, "weights", f"{address}, to be downloaded from {url_of(address)}")
    return Finding(
        FAULT,
        "weights",
        f"{url_of(address)} does not answer ({fault}), and there is no copy; put one at {copy}",
    )


def gpus(cfg: CfgNode, number: int) -> Finding:
    """Check that a training has its GPUs, with enough memory for its images.

    Args:
        cfg: the config.
        number: the number of GPUs of one training.
    """
    if not str(cfg.MODEL.DEVICE).startswith("cuda"):
        return Finding(OK, "GPUs", f"not needed: MODEL.DEVICE is {cfg.MODEL.DEVICE}")
    available = torch.cuda.device_count()
    if available < number:
        built = "" if torch.version.cuda else f"; torch {torch.__version__} is built without CUDA"
        return Finding(
            FAULT,
            "GPUs",
            f"a training needs {number}, and torch finds {available}{built}; set GPUS, or use "
            "another machine",
        )
    batch = scaled_to(cfg, number).SOLVER.IMS_PER_BATCH
    if batch % number:
        text = f"SOLVER.IMS_PER_BATCH is {batch}, no multiple of {number} GPUs; set GPUS"
        return Finding(FAULT, "GPUs", text)
    memory = [torch.cuda.get_device_properties(i).total_memory / 2**30 for i in range(available)]
    area = max(cfg.INPUT.MIN_SIZE_TRAIN) ** 2 / EDGE**2
    need = GIB_PER_IMAGE * area * batch / number
    text = f"{available} x {torch.cuda.get_device_name(0)}, {min(memory):.0f} GiB each"
    if min(memory) < need:
        text += f"; {batch // number} images per GPU need about {need:.0f} GiB: set GPUS to more"
        return Finding(WARNING, "GPUs", text)
    return Finding(OK, "GPUs", text)


def disk(folder: Path, need: int) -> Finding:
    """Check that the disk of a folder has ``need`` bytes left; 0 if the number is unknown."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free for {folder}, "
    text += f"about {need / 1e9:.1f} GB needed" if need else "and the needed space is unknown"
    if free < need:
        missing = math.ceil((need - free) / 1e8) / 10
        text += f"; free {missing:.1f} GB, or set OUTPUT to another disk"
        return Finding(FAULT, "disk", text)
    return Finding(OK, "disk", text)


def learning_rate(cfg: CfgNode, number: int = 0) -> Finding:
    """Check that SGD's learning rate fits the batch size, by linear scaling.

    Args:
        cfg: the config.
        number: the number of GPUs of one training; 0 if it is not known.
    """
    solver = scaled_to(cfg, number or cfg.SOLVER.REFERENCE_WORLD_SIZE).SOLVER
    text = f"{solver.BASE_LR:g} for {solver.IMS_PER_BATCH} images, {solver.MAX_ITER:,} iterations"
    if solver.OPTIMIZER != "SGD":
        return Finding(OK, "learning rate", f"{text}, {solver.OPTIMIZER}; the rule is for SGD")
    wanted = LEARNING_RATE * solver.IMS_PER_BATCH / IMAGES
    if abs(solver.BASE_LR / wanted - 1) < 0.01:
        return Finding(OK, "learning rate", f"{text}, scaled from {LEARNING_RATE:g} for {IMAGES}")
    return Finding(
        WARNING,
        "learning rate",
        f"{text}; linear scaling of {LEARNING_RATE:g} for {IMAGES} gives {wanted:g}: set "
        f"SOLVER.BASE_LR to it, and scale SOLVER.MAX_ITER and STEPS inversely",
    )


def anchors(cfg: CfgNode) -> Finding:
    """Check which share of the training boxes has a good anchor; the data must exist."""
    (name, *_) = cfg.DATASETS.TRAIN
    shares, poor = [], []
    low, high = cfg.MODEL.RETINANET.IOU_THRESHOLDS
    ious = coverage(annotations(name), cfg)
    least = COUNTED * sum(map(len, ious.values()))
    for size, best in ious.items():
        if not len(best):
            continue
        good, fair = np.mean(best >= high), np.mean(best >= low)
        shares.append(f"{size} {100 * good:.1f} % ({100 * fair:.1f} %) of {len(best):,}")
        if fair < COVERED and len(best) >= least:
            poor.append(size)
    text = f"boxes with an anchor of IoU {high:g} (of {low:g}) or more: {', '.join(shares)}"
    if not poor:
        return Finding(OK, "anchors", text)
    return Finding(
        WARNING,
        "anchors",
        f"{text}; many {' and '.join(poor)} boxes have only an anchor of low IoU: try another "
        "INPUT.SHORT_EDGE or another smallest size in MODEL.ANCHOR_GENERATOR.SIZES",
    )


def annotations(name: str) -> dict[str, Any]:
    """The content of a registered data set's annotation file."""
    return _read(MetadataCatalog.get(name).json_file)


@lru_cache(maxsize=2)
def _read(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text(encoding="utf-8"))  # a large file takes seconds


def _not_there(folder: Path, names: list[str]) -> list[str]:
    """The files that are missing in a folder."""
    names_there = {entry.name for entry in os.scandir(folder)}
    return [name for name in names if name not in names_there and not (folder / name).is_file()]
