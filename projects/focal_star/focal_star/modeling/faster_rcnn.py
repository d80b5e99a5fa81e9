"""Faster R-CNN with a feature pyramid, the two-stage detector that RetinaNet is compared with.

Detectron2's ``GeneralizedRCNN`` (arXiv:1506.01497, arXiv:1612.03144) is used as it is.
``MODEL.DETECTOR: faster_rcnn`` turns any config of this project into one of Faster R-CNN: the keys
of ``MODEL.FASTER_RCNN`` override those of the same names in ``MODEL``. Data, backbone, initial
weights, optimizer and schedule stay those of RetinaNet.
"""

from detectron2.config import CfgNode

RETINANET, FASTER_RCNN = "retinanet", "faster_rcnn"
DETECTORS = (RETINANET, FASTER_RCNN)
"""Values of ``MODEL.DETECTOR``."""

META_ARCHITECTURE = "GeneralizedRCNN"


def add_faster_rcnn_config(cfg: CfgNode) -> None:
    """Add ``MODEL.DETECTOR`` and ``MODEL.FASTER_RCNN`` to the config.

    The defaults are those of Detectron2's ``configs/Base-RCNN-FPN.yaml``.
    """
    # "retinanet", or "faster_rcnn": MODEL.FASTER_RCNN then overrides MODEL's own keys.
    cfg.MODEL.DETECTOR = RETINANET
    cfg.MODEL.FASTER_RCNN = CfgNode(
        {
            "META_ARCHITECTURE": META_ARCHITECTURE,
            "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
            "RESNETS": {"OUT_FEATURES": ["res2", "res3", "res4", "res5"]},
            "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"]},
            "ANCHOR_GENERATOR": {
                # In px, for P2 to P6: one scale per level.
                "SIZES": [[32], [64], [128], [256], [512]],
                "ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
                # Short keys of RetinaNet, which Faster R-CNN does not use.
                "NUM_SCALES": None,
                "NUM_ASPECT_RATIOS": None,
            },
            "RPN": {
                "IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
                "PRE_NMS_TOPK_TRAIN": 2000,  # per level
                "PRE_NMS_TOPK_TEST": 1000,  # per level
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
    """Override keys of ``MODEL`` if ``DETECTOR`` is Faster R-CNN. It is idempotent."""
    if model.DETECTOR == FASTER_RCNN:
        model.merge_from_other_cfg(model.FASTER_RCNN)
        model.ROI_HEADS.NUM_CLASSES = model.RETINANET.NUM_CLASSES
