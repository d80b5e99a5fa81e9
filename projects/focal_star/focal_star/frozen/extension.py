"""What a config gets by ``EXTENSIONS: [frozen]``: a key, a model, weights and a trainer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from focal_star.data.proposal import read_in_training
from focal_star.extensions import Extension, Proposed, Rule
from focal_star.frozen import models, weights
from focal_star.frozen.proposing import proposed
from focal_star.frozen.trainer import StoredViewsTrainer, store_views
from focal_star.training.trainer import Trainer

MAX_VIEWS = 1000


class Frozen(Extension):
    """The extension of training on stored features."""

    weights_source = f"from ImageNet, of the package {weights.PACKAGE}"
    weights_need_folder = False
    detectron2_names = models.DETECTRON2_NAMES

    def add_keys(self, cfg: CfgNode) -> None:
        cfg.VIEWS = CfgNode()
        # Stored random views of each training image, if the backbone is an EfficientNet-Lite0 that
        # is frozen as a whole; 0 to read the images in training.
        cfg.VIEWS.PER_IMAGE = 0

    def rules(self) -> Mapping[str, Rule]:
        return {
            "VIEWS.PER_IMAGE": (
                lambda value: type(value) is int and 0 <= value <= MAX_VIEWS,
                f"a whole number from 0 to {MAX_VIEWS}",
            )
        }

    def trainer_class(self, trainer: type) -> type[Trainer]:
        return StoredViewsTrainer

    def propose(self, cfg: CfgNode, content: dict[str, Any]) -> Proposed:
        read = read_in_training(content, not cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)
        return proposed(read, cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER)

    def store(self, cfg: CfgNode) -> None:
        store_views(cfg)

    def makes_weights(self, cfg: CfgNode) -> bool:
        return not cfg.MODEL.WEIGHTS and "efficientnet_lite0" in cfg.MODEL.BACKBONE.NAME

    def initial_weights(self, cfg: CfgNode, dataset_sha256: str) -> Path:
        return weights.imagenet_weights(Path(cfg.CACHE_DIR))

    def weights_fault(self) -> str:
        return weights.fault()

    def missing_weights(self, cfg: CfgNode, dataset_sha256: str) -> Path | None:
        path = weights.checkpoint_of(Path(cfg.CACHE_DIR))
        return None if path.exists() else path


EXTENSION = Frozen()
