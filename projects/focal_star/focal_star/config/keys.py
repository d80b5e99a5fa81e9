"""The project's config keys, with their defaults; and those that are short for Detectron2's."""

from collections.abc import Sequence

from detectron2.config import CfgNode

import focal_star.modeling.retinanet  # noqa: F401  registers the model that these configs name
from focal_star import extensions as _extensions
from focal_star.modeling.faster_rcnn import RETINANET, add_faster_rcnn_config, derive_faster_rcnn

FULL_MODEL = "full_model"
"""A value of ``SOLVER.CLIP_GRADIENTS.CLIP_TYPE`` beside Detectron2's own "value" and "norm"."""

ASPECT_RATIOS = {1: [1.0], 3: [0.5, 1.0, 2.0]}
"""``NUM_ASPECT_RATIOS`` -> height to width of the anchors."""

DEPTH = "{depth}"
"""In ``MODEL.WEIGHTS``, it stands for ``MODEL.RESNETS.DEPTH``."""

LONG_TO_SHORT = 5 / 3
"""The longest edge of an image to its short edge: Detectron2's 1333 px at 800."""


def add_focal_star_config(cfg: CfgNode, extensions: Sequence[str] = ()) -> None:
    """Add the project's keys, with their defaults, to Detectron2's.

    Importing this module registers the project's model with Detectron2.

    Args:
        cfg: Detectron2's config.
        extensions: names of :data:`focal_star.extensions.NAMES` whose keys are added too, and whose
            models and backbones are registered.

    alpha, gamma and the prior pi stay where Detectron2 has them:
    ``MODEL.RETINANET.FOCAL_LOSS_ALPHA`` (None for no weighting), ``.FOCAL_LOSS_GAMMA`` and
    ``.PRIOR_PROB``.
    """
    # Names of focal_star.extensions.NAMES, whose keys, models and data sets the config uses.
    cfg.EXTENSIONS = []

    cfg.MODEL.FOCAL_STAR = CfgNode()
    # A name of focal_star.losses.LOSSES.
    cfg.MODEL.FOCAL_STAR.LOSS = "focal_star"
    # Largest modulating factor ((1 - p_t) / p_t)^gamma of focal_star; None for no cap.
    cfg.MODEL.FOCAL_STAR.WEIGHT_CAP = None
    # Shift of focal_appendix, in logits.
    cfg.MODEL.FOCAL_STAR.BETA = 0.0
    # What computes the loss, of focal_star.losses.fused.FORMS: "eager" or "compiled" (torch.compile; for
    # trainings that are long against the seconds it takes). Where "compiled" is unavailable, it
    # falls back to "eager", with a warning. They differ in the last bits.
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

    # Online hard example mining (focal_star.modeling.ohem): which anchors of an image count in loss_cls.
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

    # How many of the 16 bits per value of image files are in use, 8 to 16: 12 for values up to
    # 4095. None for 16. Files of 8 bits, and those that state their depth, are read as ever.
    cfg.INPUT.BIT_DEPTH = None

    # "SGD" as Detectron2 has it, or "AdamW".
    cfg.SOLVER.OPTIMIZER = "SGD"
    # AdamW's decay of the running means of the gradient and of its square.
    cfg.SOLVER.BETAS = (0.9, 0.999)

    # A folder in COCO's format (focal_star.data.layouts.coco) or of Pascal VOC (focal_star.data.layouts.voc).
    # Where one is named it takes the place of DATASETS.TRAIN and DATASETS.TEST.
    cfg.DATASETS.FOLDER = ""
    # Whether every image and box of such a folder is looked at before training.
    cfg.DATASETS.CHECK = True

    # The folder of what several trainings share: converted data sets, and what extensions cache.
    cfg.CACHE_DIR = "output/cache"

    # Services that also get what TensorBoard gets (focal_star.training.services): "wandb",
    # "mlflow". Their packages are extras; if one fails, the training continues without it.
    cfg.OUTPUT_WRITERS = []

    # What computes COCO's AP: "hotcoco" or "pycocotools".
    cfg.TEST.COCO_EVAL = "hotcoco"
    # While it trains, the losses on validation images are noted every so many iterations, and
    # after the last; 0 for never.
    cfg.TEST.LOSS_PERIOD = 0
    # On the first so many images; 0 for all.
    cfg.TEST.LOSS_IMAGES = 0
    # Whether the classification loss's distribution over the anchors of validation images is
    # recorded at the end (focal_star.evaluation.loss_distribution), and of how many; 0 for all.
    cfg.TEST.LOSS_DISTRIBUTION = False
    cfg.TEST.LOSS_DISTRIBUTION_IMAGES = 0
    # Images that a test has the model look at in one call, at most, but for the first ones, whose
    # time is taken one by one.
    cfg.TEST.IMS_PER_BATCH = 1
    # Resamples of the test images, whose APs are recorded for confidence intervals; 0 for none.
    cfg.TEST.BOOTSTRAP_RESAMPLES = 1000

    add_extension_keys(cfg, extensions)


def add_extension_keys(cfg: CfgNode, names: Sequence[str]) -> None:
    """Add the keys of extensions, except of those that the config already has.

    Raises:
        ConfigError: as :func:`focal_star.extensions.load`.
    """
    for name, extension in zip(names, _extensions.load(names), strict=True):
        if name not in cfg.EXTENSIONS:
            extension.add_keys(cfg)
            cfg.EXTENSIONS = [*cfg.EXTENSIONS, name]


def derive(cfg: CfgNode) -> None:
    """Set the keys of Detectron2 that one key of this project stands for, if it is given.

    Done twice it changes nothing more.
    """
    derive_faster_rcnn(cfg.MODEL)
    cfg.MODEL.WEIGHTS = cfg.MODEL.WEIGHTS.replace(DEPTH, str(cfg.MODEL.RESNETS.DEPTH))
    if clips_by_loss(cfg):
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


def clips_by_loss(cfg: CfgNode) -> bool:
    """Whether ``MODEL.FOCAL_STAR.CLIP_NORM`` takes the place of ``SOLVER.CLIP_GRADIENTS``."""
    options = cfg.MODEL.FOCAL_STAR
    return options.CLIP_NORM is not None and (cfg.MODEL.DETECTOR, options.LOSS) == (
        RETINANET,
        "focal_star",
    )
