"""The project's config keys, and the keys that follow from others."""

import math
import os
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode, get_cfg

import focal_star.backbone
import focal_star.retinanet  # noqa: F401  a config with these keys names what the two register
from focal_star.faster_rcnn import (
    DETECTORS,
    FASTER_RCNN,
    META_ARCHITECTURE,
    RETINANET,
    add_faster_rcnn_config,
    derive_faster_rcnn,
    keys_of,
)
from focal_star.kernels import FORMS
from focal_star.losses import LOSSES
from focal_star.ohem import METHODS
from focal_star.optimizer import FULL_MODEL
from focal_star.writers import SERVICES
from focal_star.yaml_files import LookedAt

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

ASPECT_RATIOS = {1: [1.0], 3: [0.5, 1.0, 2.0]}
"""``NUM_ASPECT_RATIOS`` -> height to width of the anchors."""

DEPTH = "{depth}"
"""In ``MODEL.WEIGHTS``, it stands for ``MODEL.RESNETS.DEPTH``."""

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120

LONG_TO_SHORT = 5 / 3
"""The longest edge of an image to its short edge: Detectron2's 1333 px at 800."""


MOST_SCALES, MOST_PX = 100, 100_000
"""More is a slip, and would take all memory: ``NUM_SCALES``, ``SHORT_EDGE``."""

MOST_SHOWN = 1000
"""Characters of what a library says of a config."""


class ConfigError(ValueError):
    """A config that cannot be used; the message says where and what is valid."""


def add_focal_star_config(cfg: CfgNode) -> None:
    """Add the project's keys, with their defaults, to Detectron2's.

    ``FocalStarRetinaNet`` and the narrow ResNets are registered with Detectron2 when this module
    is imported, so that ``build_model(cfg)`` knows them.

    alpha, gamma and the prior pi stay where Detectron2 has them:
    ``MODEL.RETINANET.FOCAL_LOSS_ALPHA`` (None for no weighting), ``.FOCAL_LOSS_GAMMA`` and
    ``.PRIOR_PROB``.
    """
    cfg.MODEL.FOCAL_STAR = CfgNode()
    # A name of focal_star.losses.LOSSES.
    cfg.MODEL.FOCAL_STAR.LOSS = "focal_star"
    # Largest modulating factor ((1 - p_t) / p_t)^gamma of focal_star; None for no cap.
    cfg.MODEL.FOCAL_STAR.WEIGHT_CAP = None
    # Shift of focal_appendix, in logits.
    cfg.MODEL.FOCAL_STAR.BETA = 0.0
    # What computes the loss, of focal_star.kernels.FORMS: "eager", "compiled" (torch.compile; for
    # trainings that are long against the seconds it takes) or "triton" (a GPU). One that cannot
    # run gives way to "eager", with a warning. They differ in the last bits.
    cfg.MODEL.FOCAL_STAR.KERNEL = "eager"
    # A training with focal_star clips all gradients together to this norm, in place of what
    # SOLVER.CLIP_GRADIENTS says; None for that.
    cfg.MODEL.FOCAL_STAR.CLIP_NORM = None
    # A predicted first loss_cls above this is warned of before training.
    cfg.MODEL.FOCAL_STAR.FIRST_LOSS_WARNING = 100.0

    # Whether code that the file of MODEL.WEIGHTS holds is run; if not, it may have tensors and
    # plain values alone.
    cfg.MODEL.TRUSTED_WEIGHTS = False

    # Which detector it is, RetinaNet or Faster R-CNN.
    add_faster_rcnn_config(cfg)

    # Online hard example mining (focal_star.ohem): which anchors of an image count in loss_cls.
    cfg.MODEL.OHEM = CfgNode()
    # None for all, "ohem", or "ohem_1_3" for one positive to three negatives.
    cfg.MODEL.OHEM.METHOD = None
    # Most anchors that count, an image; at least 4 for ohem_1_3.
    cfg.MODEL.OHEM.BATCH_SIZE = 512
    # An anchor is dropped where its IoU with one of higher loss is above this.
    cfg.MODEL.OHEM.NMS_THRESH = 0.7

    # Short for keys of Detectron2: a value writes over those, None leaves them as they are.
    # Scales an octave: SIZES of a level are the smallest one times 2^(i/n), i = 0 .. n-1.
    cfg.MODEL.ANCHOR_GENERATOR.NUM_SCALES = None
    # ASPECT_RATIOS: 1 for 1:1, 3 for 1:2, 1:1 and 2:1.
    cfg.MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS = None
    # The one short edge, px, in training and testing; the longer edge may have 5/3 of it. Stands
    # for MIN_SIZE_* and MAX_SIZE_*.
    cfg.INPUT.SHORT_EDGE = None

    # Whether convolutions run on channels-last tensors: faster on CPU and on recent GPUs.
    cfg.MODEL.CHANNELS_LAST = False
    # Whether what the frozen part of a narrow ResNet makes of the training images is kept in
    # CACHE_DIR for all trainings (focal_star.frozen). It is only where nothing in their mapping is
    # random and all are of one size.
    cfg.MODEL.BACKBONE.STORE_FROZEN = False

    # "SGD" as Detectron2 has it, or "AdamW".
    cfg.SOLVER.OPTIMIZER = "SGD"
    # AdamW's decay of the running means of the gradient and of its square.
    cfg.SOLVER.BETAS = (0.9, 0.999)

    # A folder in COCO's format (focal_star.data.layouts) or of Pascal VOC (focal_star.data.voc).
    # Where one is named it takes the place of DATASETS.TRAIN and DATASETS.TEST.
    cfg.DATASETS.FOLDER = ""
    # Whether every image and box of such a folder is looked at before training.
    cfg.DATASETS.CHECK = True

    # Where what several trainings share is kept: the embedded data set, pretrained backbones.
    cfg.CACHE_DIR = "output/cache"

    # Services that a training's metrics also go to, of focal_star.writers: "wandb", "mlflow". Their
    # packages are extras; where one fails, the training goes on without it.
    cfg.OUTPUT_WRITERS = []

    # What computes COCO's AP: "hotcoco" or "pycocotools".
    cfg.TEST.COCO_EVAL = "hotcoco"
    # While it trains, the losses on validation images are noted every so many iterations, and
    # after the last; 0 for never.
    cfg.TEST.LOSS_PERIOD = 0
    # On the first so many images; 0 for all.
    cfg.TEST.LOSS_IMAGES = 0
    # Whether the classification loss's distribution over the anchors of validation images is
    # recorded at the end (focal_star.loss_distribution), and of how many; 0 for all.
    cfg.TEST.LOSS_DISTRIBUTION = False
    cfg.TEST.LOSS_DISTRIBUTION_IMAGES = 0
    # Images that a test has the model look at in one call, at most, but for the first ones, whose
    # time is taken one by one.
    cfg.TEST.IMS_PER_BATCH = 1
    # Resamples of the test images, whose APs are recorded for confidence intervals; 0 for none.
    cfg.TEST.BOOTSTRAP_RESAMPLES = 1000

    # A short classification training of the backbone on the data set's own objects, for data sets
    # and backbones that ImageNet's weights do not fit. It takes the place of MODEL.WEIGHTS.
    cfg.PRETRAINING = CfgNode()
    cfg.PRETRAINING.ENABLED = False
    cfg.PRETRAINING.MAX_ITER = 2000
    cfg.PRETRAINING.IMS_PER_BATCH = 64
    cfg.PRETRAINING.BASE_LR = 0.01
    # Of the images that the crops are cut from, px. Not the detector's, so that one pretraining
    # serves detectors of every input scale.
    cfg.PRETRAINING.SHORT_EDGE = 128
    cfg.PRETRAINING.CROP_SIZE = 48  # px
    cfg.PRETRAINING.SEED = 0


def load_config(config_file: str | Path, overrides: list[str] = ()) -> CfgNode:
    """The config to train with, mutable: :func:`resolve_config` and :func:`derive`.

    Raises:
        ConfigError: as :func:`resolve_config` does.
    """
    cfg = resolve_config(config_file, overrides)
    derive(cfg)
    return cfg


def resolve_config(config_file: str | Path, overrides: list[str] = ()) -> CfgNode:
    """The config of a file and of ``KEY VALUE`` pairs, merged and checked, mutable.

    Keys that others stand for are as they were written; :func:`derive` sets them.

    YAML is loaded safely: a Python tag in a file is refused.

    Raises:
        ConfigError: a file that cannot be read, a key that does not exist, or values that cannot
            be, all of them named.
    """
    cfg = get_cfg()
    add_focal_star_config(cfg)
    if config_file:
        with _refusing(str(config_file)):
            LookedAt.load_yaml_with_base(str(config_file))
            cfg.merge_from_file(str(config_file), allow_unsafe=False)
    merge_overrides(cfg, overrides)
    return cfg


def merge_overrides(cfg: CfgNode, overrides: list[str]) -> None:
    """Merge ``KEY VALUE`` pairs into a config, and check the whole.

    Raises:
        ConfigError: as :func:`resolve_config` does.
    """
    with _refusing("KEY VALUE pairs"):
        cfg.merge_from_list(list(overrides))
    _check_types(cfg)
    check_config(cfg)
    _check_no_conflict(cfg, overrides)


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Turn what Detectron2, yacs and YAML raise on a config that is none into a ConfigError."""
    try:
        yield
    except (AttributeError, TypeError) as error:  # theirs speak of their own code
        raise ConfigError(
            f"{where}: a config has names as keys, mappings where Detectron2 has them, and "
            f"numbers, texts, lists and None as values ({_short(error)})"
        ) from error
    except (MemoryError, RecursionError) as error:
        raise ConfigError(f"{where}: nested too deeply, or its own _BASE_") from error
    except (AssertionError, KeyError, OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{where}: {_short(error)}") from error


def _short(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]} ..."


def _check_types(cfg: CfgNode) -> None:
    """Refuse values of other types than the defaults'; yacs lets None through, and any after it."""
    problems = [
        f"{key} is {_REPR.repr(value)}; valid: a {kind.__name__}, as its default"
        for key, value in _leaves(cfg)
        if (kind := _types().get(key)) and not isinstance(value, kind)
    ]
    if problems:
        raise ConfigError("config: " + "; ".join(problems))


@lru_cache(maxsize=1)
def _types() -> dict[str, type]:
    """Key -> the type of its default; without the keys that may be None."""
    cfg = get_cfg()
    add_focal_star_config(cfg)
    types = {key: type(value) for key, value in _leaves(cfg) if value is not None}
    del types["MODEL.RETINANET.FOCAL_LOSS_ALPHA"]
    return types


def _leaves(node: CfgNode, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, CfgNode):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def derive(cfg: CfgNode) -> None:
    """Set the keys of Detectron2 that one key of this project stands for, if it is given.

    Done twice it changes nothing more.
    """
    derive_faster_rcnn(cfg.MODEL)
    cfg.MODEL.WEIGHTS = cfg.MODEL.WEIGHTS.replace(DEPTH, str(cfg.MODEL.RESNETS.DEPTH))
    if _clips_by_loss(cfg):
        clip = cfg.SOLVER.CLIP_GRADIENTS
        clip.ENABLED, clip.CLIP_TYPE = True, FULL_MODEL
        clip.CLIP_VALUE = float(cfg.MODEL.FOCAL_STAR.CLIP_NORM)
    anchors, image = cfg.MODEL.ANCHOR_GENERATOR, cfg.INPUT
    if anchors.NUM_SCALES is not None:
        steps = [2 ** (i / anchors.NUM_SCALES) for i in range(anchors.NUM_SCALES)]
        anchors.SIZES = [[min(level) * step for step in steps] for level in anchors.SIZES]
    if anchors.NUM_ASPECT_RATIOS is not None:
        anchors.ASPECT_RATIOS = [ASPECT_RATIOS[anchors.NUM_ASPECT_RATIOS]]
    if image.SHORT_EDGE is not None:
        image.MIN_SIZE_TRAIN, image.MIN_SIZE_TEST = (image.SHORT_EDGE,), image.SHORT_EDGE
        image.MAX_SIZE_TRAIN = image.MAX_SIZE_TEST = round(image.SHORT_EDGE * LONG_TO_SHORT)


def _clips_by_loss(cfg: CfgNode) -> bool:
    """Whether ``MODEL.FOCAL_STAR.CLIP_NORM`` takes the place of ``SOLVER.CLIP_GRADIENTS``."""
    options = cfg.MODEL.FOCAL_STAR
    return options.CLIP_NORM is not None and (cfg.MODEL.DETECTOR, options.LOSS) == (
        RETINANET,
        "focal_star",
    )


def _check_no_conflict(cfg: CfgNode, overrides: list[str]) -> None:
    """Refuse a ``KEY VALUE`` pair that :func:`derive` would write over."""
    sizes = [
        f"INPUT.{limit}_SIZE_{phase}" for limit in ("MIN", "MAX") for phase in ("TRAIN", "TEST")
    ]
    anchors, ratios = "MODEL.ANCHOR_GENERATOR.", cfg.MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS
    problems = [
        f"{key} follows from {short} {value}; to give it, add: {short} None"
        for short, value, keys in (
            ("INPUT.SHORT_EDGE", cfg.INPUT.SHORT_EDGE, sizes),
            (f"{anchors}NUM_ASPECT_RATIOS", ratios, [f"{anchors}ASPECT_RATIOS"]),
        )
        for key in keys
        if value is not None and key in overrides[::2]
    ]
    if cfg.MODEL.DETECTOR == FASTER_RCNN:
        problems += [
            f"{key} follows from {source} where MODEL.DETECTOR is {FASTER_RCNN}; give that one"
            for key, source in keys_of(cfg)
            if key in overrides[::2]
        ]
    elif "MODEL.DETECTOR" in overrides[::2] and cfg.MODEL.META_ARCHITECTURE == META_ARCHITECTURE:
        problems.append(
            f"MODEL.DETECTOR is {cfg.MODEL.DETECTOR}, and the config is of a {META_ARCHITECTURE}; "
            "start from a config of RetinaNet"
        )
    if _clips_by_loss(cfg):
        norm = cfg.MODEL.FOCAL_STAR.CLIP_NORM
        problems += [
            f"{key} follows from MODEL.FOCAL_STAR.CLIP_NORM {norm}; to give it, add: "
            "MODEL.FOCAL_STAR.CLIP_NORM None"
            for key in overrides[::2]
            if key.startswith("SOLVER.CLIP_GRADIENTS.")
        ]
    if problems:
        raise ConfigError("KEY VALUE pairs: " + "; ".join(problems))


def check_config(cfg: CfgNode) -> None:
    """Refuse values that would fail, or train something else than meant, only later.

    Raises:
        ConfigError: lists every key at fault, with what is valid.
    """
    alpha, gamma = cfg.MODEL.RETINANET.FOCAL_LOSS_ALPHA, cfg.MODEL.RETINANET.FOCAL_LOSS_GAMMA
    weights = cfg.MODEL.WEIGHTS
    own = cfg.MODEL.FOCAL_STAR
    pi, loss = cfg.MODEL.RETINANET.PRIOR_PROB, own.LOSS
    ohem, anchors = cfg.MODEL.OHEM, cfg.MODEL.ANCHOR_GENERATOR
    detector = cfg.MODEL.DETECTOR
    valid = {
        "MODEL.DETECTOR": (detector, detector in DETECTORS, f"one of {', '.join(DETECTORS)}"),
        "MODEL.FOCAL_STAR.LOSS": (loss, loss in LOSSES, f"one of {', '.join(LOSSES)}"),
        "MODEL.FOCAL_STAR.KERNEL": (
            cfg.MODEL.FOCAL_STAR.KERNEL,
            cfg.MODEL.FOCAL_STAR.KERNEL in FORMS,
            f"one of {', '.join(FORMS)}",
        ),
        "MODEL.RETINANET.FOCAL_LOSS_ALPHA": (
            alpha,
            alpha is None or (_is_number(alpha) and 0 <= alpha <= 1),
            "a number in [0, 1], or None for no weighting",
        ),
        "MODEL.RETINANET.FOCAL_LOSS_GAMMA": (
            gamma,
            _is_number(gamma) and (gamma > 0 or (gamma == 0 and loss != "focal_appendix")),
            "a number >= 0, and > 0 for focal_appendix",
        ),
        "MODEL.FOCAL_STAR.CLIP_NORM": (
            own.CLIP_NORM,
            own.CLIP_NORM is None or (_is_number(own.CLIP_NORM) and own.CLIP_NORM > 0),
            "a number > 0, or None for SOLVER.CLIP_GRADIENTS as it is",
        ),
        "MODEL.RETINANET.PRIOR_PROB": (
            pi,
            _is_number(pi) and 0 < pi < 1,
            "a number between 0 and 1",
        ),
        "MODEL.FOCAL_STAR.WEIGHT_CAP": (
            own.WEIGHT_CAP,
            own.WEIGHT_CAP is None or (_is_number(own.WEIGHT_CAP) and own.WEIGHT_CAP > 0),
            "a number > 0, or None for no cap",
        ),
        "MODEL.FOCAL_STAR.BETA": (own.BETA, _is_number(own.BETA), "a number"),
        "MODEL.WEIGHTS": (
            weights,
            not weights or "://" in weights or os.path.isfile(weights),
            "a file that is there, an address, or empty",
        ),
        "MODEL.OHEM.METHOD": (
            ohem.METHOD,
            ohem.METHOD is None or ohem.METHOD in METHODS,
            f"one of {', '.join(METHODS)}, or None for no mining",
        ),
        "MODEL.OHEM.BATCH_SIZE": (
            ohem.BATCH_SIZE,
            _is_count(ohem.BATCH_SIZE) and (ohem.BATCH_SIZE >= 4 or ohem.METHOD != "ohem_1_3"),
            "a whole number >= 1, and >= 4 for ohem_1_3",
        ),
        "MODEL.OHEM.NMS_THRESH": (
            ohem.NMS_THRESH,
            _is_number(ohem.NMS_THRESH) and 0 <= ohem.NMS_THRESH <= 1,
            "a number in [0, 1]",
        ),
        "MODEL.ANCHOR_GENERATOR.NUM_SCALES": (
            anchors.NUM_SCALES,
            anchors.NUM_SCALES is None or _is_count(anchors.NUM_SCALES, MOST_SCALES),
            f"a whole number <= {MOST_SCALES} and >= 1, or None for SIZES as they are",
        ),
        "MODEL.ANCHOR_GENERATOR.SIZES": (
            anchors.SIZES,
            anchors.NUM_SCALES is None
            or (
                isinstance(anchors.SIZES, list | tuple)
                and all(
                    isinstance(level, list | tuple) and level and all(map(_is_number, level))
                    for level in anchors.SIZES
                )
            ),
            "with NUM_SCALES, a list of at least one size for each level",
        ),
        "MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS": (
            anchors.NUM_ASPECT_RATIOS,
            anchors.NUM_ASPECT_RATIOS in (None, *ASPECT_RATIOS),
            f"one of {', '.join(map(str, ASPECT_RATIOS))}, or None for ASPECT_RATIOS as they are",
        ),
        "INPUT.SHORT_EDGE": (
            cfg.INPUT.SHORT_EDGE,
            cfg.INPUT.SHORT_EDGE is None or _is_count(cfg.INPUT.SHORT_EDGE, MOST_PX),
            f"a whole number of px <= {MOST_PX} and >= 1, or None for MIN_SIZE_* and MAX_SIZE_* as "
            "they are",
        ),
        "PRETRAINING.SHORT_EDGE": (
            cfg.PRETRAINING.SHORT_EDGE,
            _is_count(cfg.PRETRAINING.SHORT_EDGE, MOST_PX),
            f"a whole number of px <= {MOST_PX} and >= 1",
        ),
        "SOLVER.OPTIMIZER": (
            cfg.SOLVER.OPTIMIZER,
            cfg.SOLVER.OPTIMIZER in ("SGD", "AdamW"),
            "one of SGD, AdamW",
        ),
        "TEST.COCO_EVAL": (
            cfg.TEST.COCO_EVAL,
            cfg.TEST.COCO_EVAL in ("hotcoco", "pycocotools"),
            "one of hotcoco, pycocotools",
        ),
        "TEST.LOSS_PERIOD": (
            cfg.TEST.LOSS_PERIOD,
            cfg.TEST.LOSS_PERIOD == 0 or _is_count(cfg.TEST.LOSS_PERIOD),
            "a whole number of iterations >= 1, or 0 for never",
        ),
        "TEST.LOSS_DISTRIBUTION_IMAGES": (
            cfg.TEST.LOSS_DISTRIBUTION_IMAGES,
            cfg.TEST.LOSS_DISTRIBUTION_IMAGES == 0 or _is_count(cfg.TEST.LOSS_DISTRIBUTION_IMAGES),
            "a whole number of images >= 1, or 0 for all",
        ),
        "TEST.IMS_PER_BATCH": (
            cfg.TEST.IMS_PER_BATCH,
            _is_count(cfg.TEST.IMS_PER_BATCH),
            "a whole number of images >= 1",
        ),
        "TEST.LOSS_IMAGES": (
            cfg.TEST.LOSS_IMAGES,
            cfg.TEST.LOSS_IMAGES == 0 or _is_count(cfg.TEST.LOSS_IMAGES),
            "a whole number of images >= 1, or 0 for all",
        ),
        "TEST.BOOTSTRAP_RESAMPLES": (
            cfg.TEST.BOOTSTRAP_RESAMPLES,
            cfg.TEST.BOOTSTRAP_RESAMPLES == 0 or _is_count(cfg.TEST.BOOTSTRAP_RESAMPLES),
            "a whole number of resamples >= 1, or 0 for none",
        ),
        "OUTPUT_WRITERS": (
            cfg.OUTPUT_WRITERS,
            isinstance(cfg.OUTPUT_WRITERS, list | tuple)
            and all(writer in tuple(SERVICES) for writer in cfg.OUTPUT_WRITERS),
            f"a list of {', '.join(SERVICES)}, or []",
        ),
    }
    problems = [
        f"{key} is {_REPR.repr(value)}; valid: {what}"
        for key, (value, ok, what) in valid.items()
        if not ok
    ]
    if problems:
        raise ConfigError("config: " + "; ".join(problems))


def check_device(cfg: CfgNode) -> None:
    """Refuse a GPU that is not there.

    Raises:
        ConfigError: says how to do without.
    """
    if str(cfg.MODEL.DEVICE).startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError("MODEL.DEVICE is cuda, and there is no GPU; add: MODEL.DEVICE cpu")


def _is_count(value: object, most: float = math.inf) -> bool:
    """Whether it is a whole number above 0 and at most this; a bool is none."""
    return type(value) is int and 1 <= value <= most


def _is_number(value: object) -> bool:
    """Whether it is a number that a float can hold; a bool is none."""
    return type(value) in (int, float) and -1e300 < value < 1e300
