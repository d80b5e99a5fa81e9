"""What a config may ask for that is no part of the core: the one module that knows where it is.

``focal_star.mini`` has what makes the embedded study quick, or lets it do without a download. A
config asks for it by name, as for parts of Detectron2, whose registries know models and backbones
from here. A name selects one of these functions and never a module, so that no config can have
other code imported. What a config does not ask for is not imported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY, Backbone
from torch import nn

if TYPE_CHECKING:
    from focal_star.training.trainer import Trainer

DATASET = "digits_in_scenes"
"""Start of the names in ``DATASETS.TRAIN`` that ask for the embedded data set."""


@META_ARCH_REGISTRY.register()
def CachedRetinaNet(cfg: CfgNode) -> nn.Module:
    """:class:`focal_star.mini.models.CachedRetinaNet`."""
    with _asked_by("MODEL.META_ARCHITECTURE CachedRetinaNet"):
        from focal_star.mini import models
    return models.CachedRetinaNet(cfg)


@META_ARCH_REGISTRY.register()
def CachedGeneralizedRCNN(cfg: CfgNode) -> nn.Module:
    """:class:`focal_star.mini.models.CachedGeneralizedRCNN`."""
    with _asked_by("MODEL.META_ARCHITECTURE CachedGeneralizedRCNN"):
        from focal_star.mini import models
    return models.CachedGeneralizedRCNN(cfg)


@BACKBONE_REGISTRY.register()
def build_retinanet_narrow_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """:func:`focal_star.mini.backbone.build_retinanet_backbone`."""
    with _asked_by("MODEL.BACKBONE.NAME build_retinanet_narrow_resnet_fpn_backbone"):
        from focal_star.mini import backbone
    return backbone.build_retinanet_backbone(cfg, input_shape)


@BACKBONE_REGISTRY.register()
def build_narrow_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """:func:`focal_star.mini.backbone.build_faster_rcnn_backbone`."""
    with _asked_by("MODEL.BACKBONE.NAME build_narrow_resnet_fpn_backbone"):
        from focal_star.mini import backbone
    return backbone.build_faster_rcnn_backbone(cfg, input_shape)


def trainer_class(cfg: CfgNode) -> type["Trainer"]:
    """The trainer for a config: one that stores features where it says so.

    Raises:
        ConfigError: it is not installed.
    """
    if cfg.MODEL.BACKBONE.STORE_FROZEN:
        with _asked_by("MODEL.BACKBONE.STORE_FROZEN True"):
            from focal_star.mini.trainer import CachedTrainer

            return CachedTrainer
    from focal_star.training.trainer import Trainer

    return Trainer


def embedded_dataset(cfg: CfgNode, compose: bool = True) -> Path | None:
    """The folder of the embedded data set, in COCO's format; None if a config is on another.

    Args:
        cfg: its ``DATASETS.TRAIN`` and ``CACHE_DIR``.
        compose: whether it is composed where it is not there yet.

    Raises:
        ConfigError: it is not installed.
    """
    if not any(name.startswith(DATASET) for name in cfg.DATASETS.TRAIN):
        return None
    folder = Path(cfg.CACHE_DIR) / DATASET
    if compose:
        with _asked_by(f"DATASETS.TRAIN {', '.join(cfg.DATASETS.TRAIN)}"):
            from focal_star.mini import digits_in_scenes
        digits_in_scenes.write(folder)
    return folder


def pretrained_weights(cfg: CfgNode, dataset_sha256: str) -> Path:
    """:func:`focal_star.mini.pretraining.pretrained_weights`.

    Raises:
        ConfigError: it is not installed.
    """
    with _asked_by("PRETRAINING.ENABLED True"):
        from focal_star.mini import pretraining
    return pretraining.pretrained_weights(cfg, dataset_sha256)


def missing_weights(cfg: CfgNode, dataset_sha256: str) -> Path | None:
    """:func:`focal_star.mini.pretraining.missing_weights`.

    Raises:
        ConfigError: it is not installed.
    """
    with _asked_by("PRETRAINING.ENABLED True"):
        from focal_star.mini import pretraining
    return pretraining.missing_weights(cfg, dataset_sha256)


@contextmanager
def _asked_by(pair: str) -> Iterator[None]:
    """Turn the lack of ``focal_star.mini`` into an error that names the key."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "focal_star.mini":
            raise
        from focal_star.config.checks import ConfigError  # which imports what imports this module

        raise ConfigError(
            f"{pair} needs focal_star.mini, which this installation does not have; use another "
            "value, or install the whole of focal_star"
        ) from error
