"""Registers the data sets that a config names, and derives the keys that follow from them."""

import json
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances

from focal_star.data import digits_in_scenes
from focal_star.data.checks import require_valid


def register_datasets(cfg: CfgNode) -> Path | None:
    """Make the data sets of ``cfg`` known to Detectron2, and set the keys that depend on them.

    ``DATASETS.FOLDER`` is registered as ``<folder>_train`` and ``<folder>_val``, checked first
    where ``DATASETS.CHECK`` says so. ``digits_in_scenes`` is composed on first use. Data sets that
    Detectron2 knows already are left alone.

    Returns:
        The data set's folder; None for a data set that Detectron2 knows.

    Raises:
        DatasetError: ``DATASETS.FOLDER`` has problems; the message lists all.
    """
    if cfg.DATASETS.FOLDER:
        folder = Path(cfg.DATASETS.FOLDER).resolve()
        if cfg.DATASETS.CHECK:
            require_valid(folder)
    elif any(name.startswith(digits_in_scenes.NAME) for name in cfg.DATASETS.TRAIN):
        folder = Path(cfg.CACHE_DIR) / digits_in_scenes.NAME
        digits_in_scenes.write(folder)
    else:
        return None
    names = {split: f"{folder.name}_{split}" for split in ("train", "val")}
    for split, name in names.items():
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
        annotations = folder / f"instances_{split}.json"
        register_coco_instances(name, {}, str(annotations), str(folder / "images"))
    categories = json.loads((folder / "instances_train.json").read_text("utf-8"))["categories"]
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (names["train"],), (names["val"],)
    cfg.MODEL.RETINANET.NUM_CLASSES = len(categories)
    return folder
