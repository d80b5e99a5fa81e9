"""Refuses configs that would fail later, or train something other than intended."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from detectron2.config import CfgNode, get_cfg

from focal_star import extensions
from focal_star.config.keys import (
    ASPECT_RATIOS,
    SCHEDULE_KEYS,
    add_focal_star_config,
    clips_by_loss,
)
from focal_star.errors import ConfigError
from focal_star.extensions import Rule
from focal_star.io.addresses import is_address, leaves_cache
from focal_star.io.image_files import MAX_BITS, MIN_BITS
from focal_star.io.quoting import shown
from focal_star.losses import LOSSES
from focal_star.losses.fused import FORMS
from focal_star.modeling.faster_rcnn import DETECTORS, FASTER_RCNN, META_ARCHITECTURE
from focal_star.modeling.ohem import METHODS
from focal_star.modeling.subnets import INITIALISATIONS

SERVICES = ("wandb", "mlflow")
"""Values of ``OUTPUT_WRITERS``."""

MAX_SCALES, MAX_PX = 100, 100_000
"""Larger values of ``NUM_SCALES`` and ``SHORT_EDGE`` would take all memory."""

MIN_SCHEDULE, MAX_SCHEDULE = 0.001, 1000

_SIZES = [f"INPUT.{limit}_SIZE_{phase}" for limit in ("MIN", "MAX") for phase in ("TRAIN", "TEST")]

_ALSO = {list: tuple, tuple: list, float: int}
"""Type of a default -> another one that Python code may give, as in ``cfg.SOLVER.STEPS = []``."""


def check_config(cfg: CfgNode) -> None:
    """Refuse values of another type than their default's, or out of their range.

    Raises:
        ConfigError: lists every invalid key, with its valid values.
    """
    values, types = dict(leaves(cfg)), _types(tuple(cfg.EXTENSIONS))
    _refuse(
        f"{key} is {shown(value)}; valid: a {kind.__name__}, as its default"
        for key, value in values.items()
        if (kind := types.get(key)) and not isinstance(value, (kind, _ALSO.get(kind, kind)))
    )
    _refuse(
        f"{key} is {shown(values[key])}; valid: {words}"
        for key, (is_valid, words) in _rules(cfg).items()
        if not is_valid(values[key])
    )


def _refuse(problems: Iterable[str], where: str = "config") -> None:
    if problems := list(problems):
        raise ConfigError(f"{where}: " + "; ".join(problems))


def _rules(cfg: CfgNode) -> dict[str, Rule]:
    """Key -> its rule."""
    rules = {
        **_model_rules(),
        **_loss_rules(cfg),
        **_ohem_rules(cfg),
        **_anchor_rules(cfg),
        **_data_rules(),
        **_solver_rules(cfg),
        **_test_and_output_rules(),
    }
    for extension in extensions.load(cfg.EXTENSIONS):
        rules |= extension.rules()
    return rules


def _model_rules() -> dict[str, Rule]:
    """The detector, its initial weights, and proposals."""
    return {
        "MODEL.DETECTOR": _one_of(DETECTORS),
        "MODEL.WEIGHTS": (_is_weights, "a file that is there, an address without .., or empty"),
        # Detectron2 unpickles proposals, which runs the code in them, and no detector of this
        # project looks at them.
        "MODEL.LOAD_PROPOSALS": (lambda value: value is False, "False"),
        **{
            f"DATASETS.PROPOSAL_FILES_{phase}": (lambda files: not files, "()")
            for phase in ("TRAIN", "TEST")
        },
    }


def _loss_rules(cfg: CfgNode) -> dict[str, Rule]:
    """RetinaNet's classification loss and initial state."""
    loss = cfg.MODEL.FOCAL_STAR.LOSS
    return {
        "MODEL.FOCAL_STAR.LOSS": _one_of(LOSSES),
        "MODEL.FOCAL_STAR.KERNEL": _one_of(FORMS),
        "MODEL.RETINANET.FOCAL_LOSS_ALPHA": _or_none(
            lambda alpha: _is_number(alpha) and 0 <= alpha <= 1,
            "a number in [0, 1], or None for no weighting",
        ),
        "MODEL.RETINANET.FOCAL_LOSS_GAMMA": (
            lambda gamma: (
                _is_number(gamma) and (gamma > 0 or (gamma == 0 and loss != "focal_appendix"))
            ),
            "a number >= 0, and > 0 for focal_appendix",
        ),
        "MODEL.RETINANET.PRIOR_PROB": (
            lambda pi: _is_number(pi) and 0 < pi < 1,
            "a number between 0 and 1",
        ),
        "MODEL.RETINANET.SUBNET_INIT": _one_of(INITIALISATIONS),
        "MODEL.FOCAL_STAR.CLIP_NORM": _or_none(
            _is_above_0, "a number > 0, or None for SOLVER.CLIP_GRADIENTS as it is"
        ),
        "MODEL.FOCAL_STAR.WEIGHT_CAP": _or_none(_is_above_0, "a number > 0, or None for no cap"),
        "MODEL.FOCAL_STAR.BETA": (_is_number, "a number"),
    }


def _ohem_rules(cfg: CfgNode) -> dict[str, Rule]:
    """Online hard example mining."""
    mines_1_3 = cfg.MODEL.OHEM.METHOD == "ohem_1_3"
    return {
        "MODEL.OHEM.METHOD": _one_of(METHODS, none="no mining"),
        "MODEL.OHEM.BATCH_SIZE": (
            lambda size: _is_count(size) and (size >= 4 or not mines_1_3),
            "a whole number >= 1, and >= 4 for ohem_1_3",
        ),
        "MODEL.OHEM.NMS_THRESH": (
            lambda iou: _is_number(iou) and 0 <= iou <= 1,
            "a number in [0, 1]",
        ),
    }


def _anchor_rules(cfg: CfgNode) -> dict[str, Rule]:
    """The anchors."""
    has_scales = cfg.MODEL.ANCHOR_GENERATOR.NUM_SCALES is not None
    return {
        "MODEL.ANCHOR_GENERATOR.NUM_SCALES": _or_none(
            lambda number: _is_count(number, MAX_SCALES),
            f"a whole number <= {MAX_SCALES} and >= 1, or None for SIZES as they are",
        ),
        "MODEL.ANCHOR_GENERATOR.SIZES": (
            lambda sizes: not has_scales or _are_sizes(sizes),
            "with NUM_SCALES, a list of at least one size for each level",
        ),
        "MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS": _one_of(
            ASPECT_RATIOS, none="ASPECT_RATIOS as they are"
        ),
    }


def _data_rules() -> dict[str, Rule]:
    """The data sets, the network's input, and the processes that load it."""
    return {
        "INPUT.SHORT_EDGE": _or_none(
            lambda value: _is_count(value, MAX_PX),
            f"a whole number of px <= {MAX_PX} and >= 1, or None for MIN_SIZE_* and MAX_SIZE_* as "
            "they are",
        ),
        "INPUT.BIT_DEPTH": _or_none(
            lambda bits: type(bits) is int and MIN_BITS <= bits <= MAX_BITS,
            f"a whole number of bits from {MIN_BITS} to {MAX_BITS}, or None for {MAX_BITS}",
        ),
        "DATASETS.SUBSET": (
            lambda share: _is_number(share) and 0 < share <= 1,
            "a number above 0, at most 1",
        ),
        "INPUT.MAX_PIXELS": _or_none(_is_count, "a whole number of px >= 1, or None"),
        "DATALOADER.NUM_WORKERS": _count_or_0("processes", "none"),
    }


def _solver_rules(cfg: CfgNode) -> dict[str, Rule]:
    """The schedule and the optimizer."""
    return {
        "SOLVER.IMS_PER_BATCH": (_is_count, "a whole number of images >= 1"),
        "SOLVER.CHECKPOINT_PERIOD": (_is_count, "a whole number of iterations >= 1"),
        "SOLVER.STEPS": (
            lambda steps: cfg.SOLVER.MAX_ITER not in steps,
            f"iterations other than the last, {cfg.SOLVER.MAX_ITER}",
        ),
        "SOLVER.SCHEDULE": (
            lambda factor: _is_number(factor) and MIN_SCHEDULE <= factor <= MAX_SCHEDULE,
            f"a number from {MIN_SCHEDULE} to {MAX_SCHEDULE}",
        ),
        "SOLVER.SCALED_BY": (_is_above_0, "a number > 0"),
        "SOLVER.OPTIMIZER": _one_of(("SGD", "AdamW")),
        "SOLVER.BETAS": (
            lambda betas: len(betas) == 2 and all(_is_number(b) and 0 <= b < 1 for b in betas),
            "two numbers >= 0 and < 1",
        ),
    }


def _test_and_output_rules() -> dict[str, Rule]:
    """Tests, and the services that are written to."""
    return {
        # Only Detectron2's own train_net.py tests with augmentation.
        "TEST.AUG.ENABLED": (lambda value: value is False, "False"),
        "TEST.COCO_EVAL": _one_of(("hotcoco", "pycocotools")),
        "TEST.IMS_PER_BATCH": (_is_count, "a whole number of images >= 1"),
        "TEST.LOSS_PERIOD": _count_or_0("iterations", "never"),
        "TEST.LOSS_IMAGES": _count_or_0("images", "all"),
        "TEST.LOSS_DISTRIBUTION_IMAGES": _count_or_0("images", "all"),
        "TEST.BOOTSTRAP_RESAMPLES": _count_or_0("resamples", "none"),
        "OUTPUT_WRITERS": (
            lambda writers: (
                isinstance(writers, list | tuple) and all(w in SERVICES for w in writers)
            ),
            f"a list of {', '.join(SERVICES)}, or []",
        ),
    }


def _one_of(names: Iterable[Any], none: str = "") -> Rule:
    """``none``: the meaning of None; empty if None is not valid."""
    valid = [*names, *([None] if none else [])]
    words = f"one of {', '.join(map(str, names))}"
    return lambda value: value in valid, f"{words}, or None for {none}" if none else words


def _or_none(is_valid: Callable[[Any], bool], words: str) -> Rule:
    return lambda value: value is None or is_valid(value), words


def _count_or_0(of: str, zero: str) -> Rule:
    words = f"a whole number of {of} >= 1, or 0 for {zero}"
    return lambda value: value == 0 or _is_count(value), words


def _is_count(value: Any, maximum: float = math.inf) -> bool:
    """Whether it is an int, not a bool, from 1 to the maximum."""
    return type(value) is int and 1 <= value <= maximum


def _is_number(value: Any) -> bool:
    """Whether it is a number, not a bool, that a float can hold."""
    return type(value) in (int, float) and -1e300 < value < 1e300


def _is_above_0(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_weights(value: str) -> bool:
    if is_address(value):
        return not leaves_cache(value)
    return not value or os.path.isfile(value)


def _are_sizes(value: object) -> bool:
    """Whether they are the sizes of anchors, at least one on each level."""
    return isinstance(value, list | tuple) and all(
        isinstance(level, list | tuple) and level and all(map(_is_number, level)) for level in value
    )


@lru_cache
def _types(extensions: tuple[str, ...]) -> dict[str, type]:
    """Key -> the type of its default; without the keys that may be None."""
    cfg = get_cfg()
    add_focal_star_config(cfg, extensions)
    types = {key: type(value) for key, value in leaves(cfg) if value is not None}
    del types["MODEL.RETINANET.FOCAL_LOSS_ALPHA"]
    return types


def leaves(node: CfgNode, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each dotted key of a config and its value."""
    for name, value in node.items():
        if isinstance(value, CfgNode):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def faster_rcnn_sources(cfg: CfgNode) -> dict[str, str]:
    """Each key that :func:`derive` overrides for Faster R-CNN, and the key of its value."""
    keys = [key for key, _ in leaves(cfg.MODEL.FASTER_RCNN)]
    sources = {f"MODEL.{key}": f"MODEL.FASTER_RCNN.{key}" for key in keys}
    return sources | {"MODEL.ROI_HEADS.NUM_CLASSES": "MODEL.RETINANET.NUM_CLASSES"}


def sources_of_derived(cfg: CfgNode) -> dict[str, list[str]]:
    """Each key that :func:`focal_star.config.derive` sets -> the keys that it is derived from.

    If one config sets such a key and another one derives it, the key is only in the result for the
    second.
    """
    generator = cfg.MODEL.ANCHOR_GENERATOR
    sources_of: dict[str, list[str]] = {}
    if cfg.INPUT.SHORT_EDGE is not None:
        sources_of |= {key: ["INPUT.SHORT_EDGE"] for key in _SIZES}
    for short, key in (("NUM_SCALES", "SIZES"), ("NUM_ASPECT_RATIOS", "ASPECT_RATIOS")):
        if generator[short] is not None:
            sources_of[f"MODEL.ANCHOR_GENERATOR.{key}"] = [f"MODEL.ANCHOR_GENERATOR.{short}"]
    if cfg.SOLVER.SCHEDULE != 1:
        scaled = (*SCHEDULE_KEYS, "SOLVER.STEPS", "SOLVER.SCALED_BY")
        sources_of |= {key: ["SOLVER.SCHEDULE"] for key in scaled}
    if clips_by_loss(cfg):
        sources = ["MODEL.FOCAL_STAR.CLIP_NORM", "MODEL.FOCAL_STAR.LOSS", "MODEL.DETECTOR"]
        for name in ("ENABLED", "CLIP_TYPE", "CLIP_VALUE"):
            sources_of[f"SOLVER.CLIP_GRADIENTS.{name}"] = sources
    if cfg.MODEL.DETECTOR == FASTER_RCNN:
        for key, source in faster_rcnn_sources(cfg).items():
            sources_of[key] = [*sources_of.get(key, []), "MODEL.DETECTOR", source]
    return sources_of


def check_no_conflict(cfg: CfgNode, overrides: Sequence[str]) -> None:
    """Refuse a ``KEY VALUE`` pair that :func:`focal_star.config.derive` would override.

    Raises:
        ConfigError: says which key to give in its place.
    """
    anchors, ratios = "MODEL.ANCHOR_GENERATOR.", cfg.MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS
    problems = [
        f"{key} follows from {short} {value}; to give it, add: {short} None"
        for short, value, keys in (
            ("INPUT.SHORT_EDGE", cfg.INPUT.SHORT_EDGE, _SIZES),
            (f"{anchors}NUM_ASPECT_RATIOS", ratios, [f"{anchors}ASPECT_RATIOS"]),
        )
        for key in keys
        if value is not None and key in overrides[::2]
    ]
    if cfg.SOLVER.SCHEDULE != cfg.SOLVER.SCALED_BY:
        problems += [
            f"{key} is multiplied by SOLVER.SCHEDULE {cfg.SOLVER.SCHEDULE:g}; to give the number "
            f"itself, add: SOLVER.SCHEDULE {cfg.SOLVER.SCALED_BY}"
            for key in (*SCHEDULE_KEYS, "SOLVER.STEPS")
            if key in overrides[::2]
        ]
    if cfg.MODEL.DETECTOR == FASTER_RCNN:
        problems += [
            f"{key} follows from {source} where MODEL.DETECTOR is {FASTER_RCNN}; give that one"
            for key, source in faster_rcnn_sources(cfg).items()
            if key in overrides[::2]
        ]
    elif "MODEL.DETECTOR" in overrides[::2] and cfg.MODEL.META_ARCHITECTURE in (
        META_ARCHITECTURE,
        cfg.MODEL.FASTER_RCNN.META_ARCHITECTURE,
    ):
        problems.append(
            f"MODEL.DETECTOR is {cfg.MODEL.DETECTOR}, and the config is of a "
            f"{cfg.MODEL.META_ARCHITECTURE}; "
            "start from a config of RetinaNet"
        )
    if clips_by_loss(cfg):
        norm = cfg.MODEL.FOCAL_STAR.CLIP_NORM
        problems += [
            f"{key} follows from MODEL.FOCAL_STAR.CLIP_NORM {norm}; to give it, add: "
            "MODEL.FOCAL_STAR.CLIP_NORM None"
            for key in overrides[::2]
            if key.startswith("SOLVER.CLIP_GRADIENTS.")
        ]
    _refuse(problems, "KEY VALUE pairs")


def check_device(cfg: CfgNode) -> None:
    """Refuse a GPU that is not there.

    Raises:
        ConfigError: says how to train without one.
    """
    if str(cfg.MODEL.DEVICE).startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError("MODEL.DEVICE is cuda, but there is no GPU; add: MODEL.DEVICE cpu")
