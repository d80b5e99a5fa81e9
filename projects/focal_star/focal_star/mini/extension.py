"""What a config gets by ``EXTENSIONS: [mini]``: keys, models, backbones, data set and trainer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

# Detectron2's registries know the models and backbones once these modules are imported.
from focal_star.cached import models
from focal_star.extensions import Extension, Rule
from focal_star.mini import backbone, digits_in_scenes, pretraining
from focal_star.mini.trainer import MiniTrainer
from focal_star.training.trainer import Trainer

MAX_PX = 100_000


class Mini(Extension):
    """The embedded study's extension."""

    detectron2_names = models.DETECTRON2_NAMES | backbone.DETECTRON2_NAMES

    def add_keys(self, cfg: CfgNode) -> None:
        # Whether convolutions run on channels-last tensors, which is faster on a CPU and on recent
        # GPUs.
        cfg.MODEL.CHANNELS_LAST = False
        # Whether the features of a narrow ResNet's frozen part are cached in CACHE_DIR for all
        # training runs (focal_star.mini.feature_cache). They are only if the model accepts them,
        # nothing in the mapping of the images is random, and all images have one size.
        cfg.MODEL.BACKBONE.STORE_FROZEN = False

        # A short classification training of the backbone on the data set's own objects, for data
        # sets and backbones that ImageNet's weights do not fit. It replaces MODEL.WEIGHTS.
        cfg.PRETRAINING = CfgNode()
        cfg.PRETRAINING.ENABLED = False
        cfg.PRETRAINING.MAX_ITER = 2000
        cfg.PRETRAINING.IMS_PER_BATCH = 64
        cfg.PRETRAINING.BASE_LR = 0.01
        # Of the images that the crops are cut from, px. It is not the detector's key, so that one
        # pretraining serves detectors of every input scale.
        cfg.PRETRAINING.SHORT_EDGE = 128
        cfg.PRETRAINING.CROP_SIZE = 48  # px
        cfg.PRETRAINING.SEED = 0

    def rules(self) -> Mapping[str, Rule]:
        return {
            "PRETRAINING.MAX_ITER": (_is_count, "a whole number of iterations >= 1"),
            "PRETRAINING.IMS_PER_BATCH": (_is_count, "a whole number of crops >= 1"),
            **{
                f"PRETRAINING.{name}": (
                    lambda value: _is_count(value) and value <= MAX_PX,
                    f"a whole number of px <= {MAX_PX} and >= 1",
                )
                for name in ("SHORT_EDGE", "CROP_SIZE")
            },
        }

    def trainer_class(self, trainer: type) -> type[Trainer]:
        return MiniTrainer

    def dataset_folder(self, cfg: CfgNode, create: bool) -> Path | None:
        if not any(name.startswith(digits_in_scenes.NAME) for name in cfg.DATASETS.TRAIN):
            return None
        folder = Path(cfg.CACHE_DIR) / digits_in_scenes.NAME
        if create:
            digits_in_scenes.write(folder)
        return folder

    def makes_weights(self, cfg: CfgNode) -> bool:
        return cfg.PRETRAINING.ENABLED and not cfg.MODEL.WEIGHTS

    def initial_weights(self, cfg: CfgNode, dataset_sha256: str) -> Path:
        return pretraining.pretrained_weights(cfg, dataset_sha256)

    def missing_weights(self, cfg: CfgNode, dataset_sha256: str) -> Path | None:
        return pretraining.missing_weights(cfg, dataset_sha256)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


EXTENSION = Mini()
