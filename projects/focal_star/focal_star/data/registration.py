"""Registers data sets with Detectron2, and derives the keys of a config that follow from them."""

import hashlib
import json
import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json

from focal_star.data import catalog, subset, voc_2007_2012
from focal_star.data.layouts.coco import is_coco, splits_of
from focal_star.data.layouts.dataset import Dataset
from focal_star.data.layouts.problems import DatasetError, Problem, holds
from focal_star.data.layouts.reading import read
from focal_star.data.validation.checks import require_valid
from focal_star.data.validation.images import CACHE, ImageOptions
from focal_star.errors import ConfigError
from focal_star.extensions import dataset_folder
from focal_star.io.image_files import allow_pixels

_logger = logging.getLogger(__name__)

CACHED = ImageOptions(cache=CACHE)


def register_datasets(cfg: CfgNode) -> Path | None:
    """Register the data sets of ``cfg`` with Detectron2, and set the keys that depend on them.

    ``DATASETS.FOLDER`` is registered as ``<folder>_train`` and ``<folder>_val``, checked first
    where ``DATASETS.CHECK`` says so; one in another format than COCO's plain one is converted into
    ``CACHE_DIR``. ``DATASETS.SUBSET`` replaces the training split of a data set that Detectron2
    knows by a part.
    The embedded data set is composed on first use. The files of data sets that Detectron2 knows by
    name must exist.

    Returns:
        The data set's folder, in COCO's format; None for a data set that Detectron2 knows.

    Raises:
        ConfigError: ``DATASETS.SUBSET`` of a data set of which no part can be chosen.
        DatasetError: the data set has problems; the message lists all.
    """
    folder: Path | None
    allow_pixels(cfg.INPUT.MAX_PIXELS)
    published = None if cfg.DATASETS.FOLDER else voc_2007_2012.folder_of(cfg.DATASETS.TRAIN)
    if cfg.DATASETS.FOLDER or published:
        folder = in_coco_format(
            published or cfg.DATASETS.FOLDER,
            image_options(cfg),
            cfg.DATASETS.CHECK,
            voc_2007_2012.NAME if published else "",
        )
    elif (folder := dataset_folder(cfg)) is None:
        if cfg.DATASETS.CHECK:
            catalog.require_there([*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST])
        _register_subset(cfg)
        return None
    if cfg.DATASETS.SUBSET != 1:
        raise ConfigError(
            f"DATASETS.SUBSET is {cfg.DATASETS.SUBSET:g}, and a part is chosen only of data sets "
            f"that Detectron2 knows by name, not of {folder}; add: DATASETS.SUBSET 1.0"
        )
    train, val = _register(folder)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (train,), (val,)
    annotation_file = splits_of(folder)[0].annotation_file
    categories = json.loads(annotation_file.read_text("utf-8"))["categories"]
    cfg.MODEL.RETINANET.NUM_CLASSES = cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(categories)
    return folder


def training_records(cfg: CfgNode) -> list[dict[str, Any]]:
    """The records of the images that training reads, in Detectron2's format, before augmentation.

    Args:
        cfg: a config whose data sets are registered. Images without objects are left out unless
            ``DATALOADER.FILTER_EMPTY_ANNOTATIONS`` is False.
    """
    records = [record for name in cfg.DATASETS.TRAIN for record in DatasetCatalog.get(name)]
    if not cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        return records
    return [
        record
        for record in records
        if any(not annotation.get("iscrowd", 0) for annotation in record["annotations"])
    ]


def register_folder(folder: Path | str, options: ImageOptions = CACHED) -> tuple[str, str]:
    """Register a folder with Detectron2, for code without a config of this project.

    Args:
        folder: in one of the layouts of :mod:`focal_star.data.layouts.reading`.
        options: how its images are read; its ``cache`` is also the folder for a conversion.

    Returns:
        The names of the training and the validation split.

    Raises:
        DatasetError: the data set has problems; the message lists all.
    """
    return _register(in_coco_format(folder, options))


def image_options(cfg: CfgNode) -> ImageOptions:
    """How a config reads images."""
    return ImageOptions(
        bit_depth=cfg.INPUT.BIT_DEPTH,
        max_pixels=cfg.INPUT.MAX_PIXELS,
        links=cfg.DATASETS.LINKS,
        cache=Path(cfg.CACHE_DIR),
    )


def in_coco_format(
    folder: Path | str, options: ImageOptions, check: bool = True, name: str = ""
) -> Path:
    """The folder itself, or the one in the cache that it is converted into.

    With ``check``, logs what is doubtful.

    Args:
        folder: see :func:`register_folder`.
        options: see :func:`register_folder`.
        check: whether every image and box is checked. Without it, a data set that was converted
            before is not read again.
        name: the data set's name, where it is converted; "" for that of the folder.
    """
    folder = Path(folder).resolve()
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    cache = options.cache or CACHE
    # The last part of the path is the data set's name.
    into = cache / "converted" / place / (name or folder.name)
    if not check and is_coco(into):
        return into
    if not check and is_coco(folder):
        return folder
    if check:
        cards, dataset = require_valid(folder, options)
        _warn(folder, cards)
    else:
        dataset = _read_unchecked(folder, options)
    if dataset is None:
        _forget(into)
        return folder
    dataset.write(into)
    return into


def _register_subset(cfg: CfgNode) -> None:
    """Replace ``DATASETS.TRAIN`` by its share of ``DATASETS.SUBSET``, named after it."""
    share = cfg.DATASETS.SUBSET
    if share == 1:
        return
    suffix = f"_{100 * share:g}pct_train"
    # A config that a training has written names the part itself.
    names = [re.sub(f"{re.escape(suffix)}$", "_train", name) for name in cfg.DATASETS.TRAIN]
    split = catalog.split_of(names[0]) if len(names) == 1 else None
    if split is None:
        raise ConfigError(
            f"DATASETS.SUBSET is {share:g}, and DATASETS.TRAIN is {list(cfg.DATASETS.TRAIN)}; "
            "valid with it: one data set in COCO's format that Detectron2 knows by name"
        )
    (whole,) = names
    try:
        written, about = subset.write(split.annotation_file, share, Path(cfg.CACHE_DIR))
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = f"{split.annotation_file} cannot be read: {error}"
        raise DatasetError(whole, [Problem("train", "missing-file", text)]) from error
    name = whole.removesuffix("_train") + suffix
    _unregister(name)
    _register_split(name, str(written), str(split.image_root))
    MetadataCatalog.get(name).set(subset={"name": whole} | about)
    cfg.DATASETS.TRAIN = (name,)


def _read_unchecked(folder: Path, options: ImageOptions) -> Dataset | None:
    """What is to be converted; None where the folder's own annotation files can be used."""
    dataset = read(folder, options.links) if holds(folder.is_dir) else None
    if dataset is None or not dataset.is_converted:
        return None
    if dataset.problems:
        raise DatasetError(folder, dataset.problems, dataset.layout)
    return dataset


def _forget(into: Path) -> None:
    """Remove the annotation files of a conversion that the data set needs no longer."""
    for split in splits_of(into):
        split.annotation_file.unlink(missing_ok=True)


def _warn(folder: Path, descriptions: dict[str, dict[str, Any]]) -> None:
    for split, description in descriptions.items():
        for line in (*description["warnings"], *description["conversions"]):
            _logger.warning("%s, %s: %s", folder.name, split, line)


def _register(folder: Path) -> tuple[str, str]:
    """Register the two splits of a folder in COCO's format; return their names."""
    names = []
    for split in splits_of(folder):
        names.append(name := f"{folder.name}_{split.name}")
        _unregister(name)
        _register_split(name, str(split.annotation_file), str(split.image_root))
    return names[0], names[1]


def _unregister(name: str) -> None:
    if name in DatasetCatalog:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def _register_split(name: str, json_file: str, image_root: str) -> None:
    """Register a split as Detectron2 does, but read its file only once per process."""

    @cache
    def records() -> list:
        return load_coco_json(json_file, image_root, name)

    DatasetCatalog.register(name, lambda: list(records()))
    MetadataCatalog.get(name).set(json_file=json_file, image_root=image_root, evaluator_type="coco")
