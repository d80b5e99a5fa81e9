"""The project's config keys, with their defaults, and the derivation of the short keys."""

from collections.abc import Sequence

from detectron2.config import CfgNode

# They register what configs name with Detectron2.
import focal_star.modeling.efficientnet_lite  # noqa: F401
import focal_star.modeling.retinanet  # noqa: F401
from focal_star import extensions as _extensions
from focal_star.input_size import LONG_TO_SHORT
from focal_star.modeling.faster_rcnn import RETINANET, add_faster_rcnn_config, derive_faster_rcnn

FULL_MODEL = "full_model"
"""A value of ``SOLVER.CLIP_GRADIENTS.CLIP_TYPE`` beside Detectron2's own "value" and "norm"."""

ASPECT_RATIOS = {1: [1.0], 3: [0.5, 1.0, 2.0]}
"""``NUM_ASPECT_RATIOS`` -> the anchors' ratios of height to width."""

DEPTH = "{depth}"
"""Placeholder of ``MODEL.RESNETS.DEPTH`` in ``MODEL.WEIGHTS``."""


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
    # Implementation of the loss, of focal_star.losses.fused.FORMS: "eager" or "compiled", which
    # takes seconds to compile. If "compiled" is unavailable, "eager" is used, with a warning. They
    # differ in the last bits.
    cfg.MODEL.FOCAL_STAR.KERNEL = "eager"
    # A training with focal_star clips the norm of all gradients together to this value. None for
    # SOLVER.CLIP_GRADIENTS as it is.
    cfg.MODEL.FOCAL_STAR.CLIP_NORM = None
    # If the predicted first loss_cls is above this, a warning is logged before training.
    cfg.MODEL.FOCAL_STAR.FIRST_LOSS_WARNING = 100.0

    # Initial weights of the two subnets, of focal_star.modeling.subnets.INITIALISATIONS: "normal"
    # as Detectron2 and the paper have them, or "he" for heads with far fewer than 256 channels.
    cfg.MODEL.RETINANET.SUBNET_INIT = "normal"

    # Whether code in the file of MODEL.WEIGHTS is run. If not, only tensors and plain values are
    # loaded.
    cfg.MODEL.TRUSTED_WEIGHTS = False

    # Which detector it is, RetinaNet or Faster R-CNN.
    add_faster_rcnn_config(cfg)

    # Online hard example mining (focal_star.modeling.ohem) selects the anchors that enter
    # loss_cls.
    cfg.MODEL.OHEM = CfgNode()
    # None for all, "ohem", or "ohem_1_3" for one positive to three negatives.
    cfg.MODEL.OHEM.METHOD = None
    # Maximum number of selected anchors per image; at least 4 for ohem_1_3.
    cfg.MODEL.OHEM.BATCH_SIZE = 512
    # An anchor is dropped where its IoU with one of higher loss is above this.
    cfg.MODEL.OHEM.NMS_THRESH = 0.7

    # Short keys: a value overrides keys of Detectron2, None leaves them as they are.
    # Scales per octave: SIZES of a level are the smallest one times 2^(i/n), i = 0 .. n-1.
    cfg.MODEL.ANCHOR_GENERATOR.NUM_SCALES = None
    # ASPECT_RATIOS: 1 for 1:1, 3 for 1:2, 1:1 and 2:1.
    cfg.MODEL.ANCHOR_GENERATOR.NUM_ASPECT_RATIOS = None
    # MIN_SIZE_* and MAX_SIZE_*: the short edge, px, in training and testing; the longer edge is at
    # most 5/3 of it.
    cfg.INPUT.SHORT_EDGE = None

    # Number of used bits per value in image files of 16 bits, 8 to 16: 12 for values up to 4095.
    # None for 16. It does not affect files of 8 bits and files that state their depth.
    cfg.INPUT.BIT_DEPTH = None

    # Maximum number of pixels of an image file; None for Pillow's limit (Image.MAX_IMAGE_PIXELS),
    # which protects against files that expand to more than the memory.
    cfg.INPUT.MAX_PIXELS = None

    # The length of a training as a multiple of the config's: .25 for a quarter of MAX_ITER,
    # WARMUP_ITERS, STEPS and periods. The configs of this project are written for 1x.
    cfg.SOLVER.SCHEDULE = 1.0
    # The multiple that the lengths in a config already contain; derive sets it.
    cfg.SOLVER.SCALED_BY = 1.0

    # "SGD" as Detectron2 has it, or "AdamW".
    cfg.SOLVER.OPTIMIZER = "SGD"
    # AdamW's decay of the running means of the gradient and of its square.
    cfg.SOLVER.BETAS = (0.9, 0.999)

    # A folder in one of the layouts of focal_star.data.layouts. It replaces DATASETS.TRAIN and
    # DATASETS.TEST.
    cfg.DATASETS.FOLDER = ""
    # The share of the training images that is used, of a data set that Detectron2 knows by name;
    # the choice is the same on every machine (focal_star.data.subset).
    cfg.DATASETS.SUBSET = 1.0
    # Whether images in it may be links out of the folder.
    cfg.DATASETS.LINKS = False
    # Whether every image and box of such a folder is checked before training.
    cfg.DATASETS.CHECK = True

    # The folder for files that training runs share: converted data sets and caches of extensions.
    cfg.CACHE_DIR = "output/cache"

    # Services that also get what TensorBoard gets (focal_star.training.services): "wandb",
    # "mlflow". Their packages are extras; if one fails, the training continues without it.
    cfg.OUTPUT_WRITERS = []

    # The library that computes COCO's AP: "hotcoco" or "pycocotools".
    cfg.TEST.COCO_EVAL = "hotcoco"
    # Iterations between two measurements of the losses on validation images, which also follow
    # the last iteration; 0 for never.
    cfg.TEST.LOSS_PERIOD = 0
    # Number of images for that, the first ones; 0 for all.
    cfg.TEST.LOSS_IMAGES = 0
    # Whether the distribution of the classification loss over the anchors of validation images is
    # recorded at the end (focal_star.evaluation.loss_distribution), and the number of images; 0 for
    # all.
    cfg.TEST.LOSS_DISTRIBUTION = False
    cfg.TEST.LOSS_DISTRIBUTION_IMAGES = 0
    # Maximum number of images per call of the model in a test. The first images are run one by one,
    # to measure their time.
    cfg.TEST.IMS_PER_BATCH = 1
    # Number of resamples of the test images, for confidence intervals; 0 for none.
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
    """Set the keys of Detectron2 that follow from short keys. It is idempotent."""
    derive_faster_rcnn(cfg.MODEL)
    _scale_schedule(cfg)
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


SCHEDULE_KEYS = (
    "SOLVER.MAX_ITER",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.CHECKPOINT_PERIOD",
    "TEST.EVAL_PERIOD",
    "TEST.LOSS_PERIOD",
)
"""The numbers of iterations that ``SOLVER.SCHEDULE`` multiplies, besides ``SOLVER.STEPS``."""


def _scale_schedule(cfg: CfgNode) -> None:
    """Multiply the lengths of a training by ``SOLVER.SCHEDULE``; 0 stays 0."""
    factor = cfg.SOLVER.SCHEDULE / cfg.SOLVER.SCALED_BY
    if factor == 1:
        return
    for key in SCHEDULE_KEYS:
        section, name = key.split(".")
        if iterations := cfg[section][name]:
            cfg[section][name] = max(1, round(iterations * factor))
    cfg.SOLVER.STEPS = tuple(max(1, round(step * factor)) for step in cfg.SOLVER.STEPS)
    cfg.SOLVER.SCALED_BY = cfg.SOLVER.SCHEDULE


def clips_by_loss(cfg: CfgNode) -> bool:
    """Whether ``MODEL.FOCAL_STAR.CLIP_NORM`` replaces ``SOLVER.CLIP_GRADIENTS``."""
    options = cfg.MODEL.FOCAL_STAR
    return options.CLIP_NORM is not None and (cfg.MODEL.DETECTOR, options.LOSS) == (
        RETINANET,
        "focal_star",
    )
