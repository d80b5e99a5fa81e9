"""What a config may ask for that is no part of the core: the one module that knows where it is.

``focal_star.mini`` has what makes the embedded study quick, or lets it do without a download. A
config asks for it by the names below, as for parts of Detectron2. A name selects one of these
functions and never a module, so that no config can have other code imported. What a config does not
ask for is not imported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from detectron2.config import CfgNode

if TYPE_CHECKING:
    from focal_star.training.trainer import Trainer

DATASET = "digits_in_scenes"
"""Start of the names in ``DATASETS.TRAIN``."""

BACKBONES = ("build_narrow_resnet_fpn_backbone", "build_retinanet_narrow_resnet_fpn_backbone")
"""Values of ``MODEL.BACKBONE.NAME``."""

META_ARCHITECTURES = ("CachedGeneralizedRCNN", "CachedRetinaNet")
"""Values of ``MODEL.META_ARCHITECTURE``."""


def register_parts(cfg: CfgNode) -> None:
    """Have Detectron2's registries know the model and the backbone that a config names.

    Raises:
        ConfigError: they are not installed.
    """
    model = cfg.MODEL
    if model.BACKBONE.NAME in BACKBONES:
        with _asked_by(f"MODEL.BACKBONE.NAME {model.BACKBONE.NAME}"):
            import focal_star.mini.backbone
    if model.META_ARCHITECTURE in META_ARCHITECTURES:
        with _asked_by(f"MODEL.META_ARCHITECTURE {model.META_ARCHITECTURE}"):
            import focal_star.mini.models  # noqa: F401


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
