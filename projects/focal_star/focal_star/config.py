"""The project's config keys, and the keys that follow from others."""

from pathlib import Path

import yaml
from detectron2.config import CfgNode, get_cfg

import focal_star.backbone
import focal_star.retinanet  # noqa: F401  a config with these keys names what the two register
from focal_star.losses import LOSSES

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


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
    # A predicted first loss_cls above this is warned of before training.
    cfg.MODEL.FOCAL_STAR.FIRST_LOSS_WARNING = 100.0

    # Whether convolutions run on channels-last tensors: faster on CPU and on recent GPUs.
    cfg.MODEL.CHANNELS_LAST = False

    # "SGD" as Detectron2 has it, or "AdamW".
    cfg.SOLVER.OPTIMIZER = "SGD"

    # A folder with instances_train.json, instances_val.json and images/. Where one is named it
    # takes the place of DATASETS.TRAIN and DATASETS.TEST.
    cfg.DATASETS.FOLDER = ""
    # Whether every image and box of such a folder is looked at before training.
    cfg.DATASETS.CHECK = True

    # Where what several trainings share is kept: the embedded data set, pretrained backbones.
    cfg.CACHE_DIR = "output/cache"

    # What computes COCO's AP: "hotcoco" or "pycocotools".
    cfg.TEST.COCO_EVAL = "hotcoco"

    # A short classification training of the backbone on the data set's own objects, for data sets
    # and backbones that ImageNet's weights do not fit. It takes the place of MODEL.WEIGHTS.
    cfg.PRETRAINING = CfgNode()
    cfg.PRETRAINING.ENABLED = False
    cfg.PRETRAINING.MAX_ITER = 2000
    cfg.PRETRAINING.IMS_PER_BATCH = 64
    cfg.PRETRAINING.BASE_LR = 0.01
    cfg.PRETRAINING.CROP_SIZE = 48  # px
    cfg.PRETRAINING.SEED = 0


def load_config(config_file: str | Path, overrides: list[str] = ()) -> CfgNode:
    """The config of a file and of ``KEY VALUE`` pairs, mutable.

    YAML is loaded safely: a Python tag in a file is refused.

    Raises:
        ConfigError: a file that cannot be read, a key that does not exist, or values that cannot
            be, all of them named.
    """
    cfg = get_cfg()
    add_focal_star_config(cfg)
    try:
        if config_file:
            cfg.merge_from_file(str(config_file), allow_unsafe=False)
    except (AssertionError, KeyError, OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{config_file}: {error}") from error
    try:
        cfg.merge_from_list(list(overrides))
    except (AssertionError, KeyError, ValueError) as error:
        raise ConfigError(f"KEY VALUE pairs: {error}") from error
    check_config(cfg)
    return cfg


def check_config(cfg: CfgNode) -> None:
    """Refuse values that would fail, or train something else than meant, only later.

    Raises:
        ConfigError: lists every key at fault, with what is valid.
    """
    alpha, gamma = cfg.MODEL.RETINANET.FOCAL_LOSS_ALPHA, cfg.MODEL.RETINANET.FOCAL_LOSS_GAMMA
    weights = cfg.MODEL.WEIGHTS
    pi, loss = cfg.MODEL.RETINANET.PRIOR_PROB, cfg.MODEL.FOCAL_STAR.LOSS
    valid = {
        "MODEL.FOCAL_STAR.LOSS": (loss, loss in LOSSES, f"one of {', '.join(LOSSES)}"),
        "MODEL.RETINANET.FOCAL_LOSS_ALPHA": (
            alpha,
            alpha is None or 0 <= alpha <= 1,
            "a number in [0, 1], or None for no weighting",
        ),
        "MODEL.RETINANET.FOCAL_LOSS_GAMMA": (
            gamma,
            gamma > 0 or (gamma == 0 and loss != "focal_appendix"),
            "a number >= 0, and > 0 for focal_appendix",
        ),
        "MODEL.RETINANET.PRIOR_PROB": (pi, 0 < pi < 1, "a number between 0 and 1"),
        "MODEL.WEIGHTS": (
            weights,
            not weights or "://" in weights or Path(weights).is_file(),
            "a file that is there, an address, or empty",
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
    }
    problems = [
        f"{key} is {value!r}; valid: {what}" for key, (value, ok, what) in valid.items() if not ok
    ]
    if problems:
        raise ConfigError("config: " + "; ".join(problems))
