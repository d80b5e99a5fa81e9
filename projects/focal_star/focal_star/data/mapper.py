"""Detectron2's dataset mapper, remembering what it would otherwise make again."""

import copy
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetMapper

CACHE_BYTES = 2**30


def build_train_mapper(cfg: CfgNode) -> DatasetMapper:
    """Detectron2's mapper, or :class:`CachingMapper` where nothing in the mapping is random."""
    deterministic = (
        cfg.INPUT.RANDOM_FLIP == "none"
        and len(set(cfg.INPUT.MIN_SIZE_TRAIN)) == 1
        and not cfg.INPUT.CROP.ENABLED
    )
    return (CachingMapper if deterministic else DatasetMapper)(cfg, is_train=True)


class CachingMapper(DatasetMapper):
    """Keeps each image decoded and its boxes mapped, up to ``CACHE_BYTES`` of pixels."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._mapped: dict[str, dict[str, Any]] = {}
        self._bytes = 0

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        key = dataset_dict["file_name"]
        if key not in self._mapped:
            mapped = super().__call__(dataset_dict)
            size = mapped["image"].numel() * mapped["image"].element_size()
            if self._bytes + size > CACHE_BYTES:
                return mapped
            self._mapped[key] = mapped
            self._bytes += size
        return copy.copy(self._mapped[key])


def build_validation_mapper(cfg: CfgNode, cached: bool) -> DatasetMapper:
    """Detectron2's mapper of testing, which keeps the boxes; :class:`CachingMapper` if cached."""
    mapper = (CachingMapper if cached else DatasetMapper)(cfg, is_train=False)
    mapper.is_train = True  # all that it still has to do with is that boxes are kept
    return mapper
