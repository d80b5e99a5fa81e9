"""Faster R-CNN with a feature pyramid, the two-stage detector that RetinaNet is compared with.

Detectron2's ``GeneralizedRCNN`` (arXiv:1506.01497, arXiv:1612.03144) is used as it is.
``MODEL.DETECTOR: faster_rcnn`` makes any config of this project one of it: what
``MODEL.FASTER_RCNN`` holds takes the place of the keys of the same names in ``MODEL``. Data,
backbone, initial weights, optimizer and schedule stay what they are for RetinaNet.
"""

from collections.abc import Iterator

from detectron2.config import CfgNode

RETINANET, FASTER_RCNN = "retinanet", "faster_rcnn"
DETECTORS = (RETINANET, FASTER_RCNN)
"""Values of ``MODEL.DETECTOR``."""

META_ARCHITECTURE = "GeneralizedRCNN"

PREFIX = "MODEL.FASTER_RCNN."


def add_faster_rcnn_config(cfg: CfgNode) -> None:
    """Add ``MODEL.DETECTOR`` and ``MODEL.FASTER_RCNN`` to the config.

    The defaults are those of Detectron2's ``configs/Base-RCNN-FPN.yaml``.
    """
    # "retinanet", or "faster_rcnn": MODEL.FASTER_RCNN then takes the place of MODEL's own keys.
    cfg.MODEL.DETECTOR = RETINANET
    cfg.MODEL.FASTER_RCNN = CfgNode(
        {
            "META_ARCHITECTURE": META_ARCHITECTURE,
            "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
            "RESNETS": {"OUT_FEATURES": ["res2", "res3", "res4", "res5"]},
            "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"]},
            "ANCHOR_GENERATOR": {
                # In px, for P2 to P6: one scale a level.
                "SIZES": [[32], [64], [128], [256], [512]],
                "ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
                # RetinaNet's, of which Faster R-CNN has nothing.
                "NUM_SCALES": None,
                "NUM_ASPECT_RATIOS": None,
            },
            "RPN": {
                "IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
                "PRE_NMS_TOPK_TRAIN": 2000,  # a level
                "PRE_NMS_TOPK_TEST": 1000,  # a level
                "POST_NMS_TOPK_TRAIN": 1000,
                "POST_NMS_TOPK_TEST": 1000,
                "BATCH_SIZE_PER_IMAGE": 256,
            },
            "ROI_HEADS": {
                "NAME": "StandardROIHeads",
                "IN_FEATURES": ["p2", "p3", "p4", "p5"],
                "BATCH_SIZE_PER_IMAGE": 512,
            },
            "ROI_BOX_HEAD": {
                "NAME": "FastRCNNConvFCHead",
                "NUM_FC": 2,
                "FC_DIM": 1024,
                "POOLER_RESOLUTION": 7,
            },
        }
    )


def derive_faster_rcnn(model: CfgNode) -> None:
    """Make ``MODEL`` that of Faster R-CNN where ``DETECTOR`` says so.

    Done twice it changes nothing more.
    """
    if model.DETECTOR == FASTER_RCNN:
        model.merge_from_other_cfg(model.FASTER_RCNN)
        model.ROI_HEADS.NUM_CLASSES = model.RETINANET.NUM_CLASSES


def keys_of(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    """Each key that :func:`derive_faster_rcnn` writes over, and the one that it takes it from."""
    yield from ((f"MODEL.{key}", f"{PREFIX}{key}") for key in _flat(cfg.MODEL.FASTER_RCNN))
    yield "MODEL.ROI_HEADS.NUM_CLASSES", "MODEL.RETINANET.NUM_CLASSES"


def _flat(node: CfgNode, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
