"""Registers data sets with Detectron2, and derives the keys of a config that follow from them."""

import hashlib
import json
import logging
from functools import cache
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json

from focal_star.data import catalog
from focal_star.data.layouts import voc
from focal_star.data.layouts.coco import is_coco
from focal_star.data.validation.checks import (
    DatasetError,
    check_converted,
    require_valid,
    splits_of,
)
from focal_star.data.validation.conversions import conversions
from focal_star.extensions import dataset_folder

_logger = logging.getLogger(__name__)

CACHE = Path("output/cache")
"""Where data sets of VOC are kept as converted, if nothing else is said."""


def register_datasets(cfg: CfgNode) -> Path | None:
    """Make the data sets of ``cfg`` known to Detectron2, and set the keys that depend on them.

    ``DATASETS.FOLDER`` is registered as ``<folder>_train`` and ``<folder>_val``, checked first
    where ``DATASETS.CHECK`` says so; one of VOC is converted into ``CACHE_DIR``.
    The embedded data set is composed on first use. Of data sets that Detectron2 knows by name, it
    is seen that they are there.

    Returns:
        The data set's folder, in COCO's format; None for a data set that Detectron2 knows.

    Raises:
        DatasetError: the data set has problems; the message lists all.
    """
    if cfg.DATASETS.FOLDER:
        folder = in_coco_format(
            cfg.DATASETS.FOLDER, Path(cfg.CACHE_DIR), cfg.DATASETS.CHECK, cfg.INPUT.BIT_DEPTH
        )
    elif (folder := dataset_folder(cfg)) is None:
        if cfg.DATASETS.CHECK:
            catalog.require_there([*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST])
        return None
    train, val = _register(folder)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (train,), (val,)
    annotation_file = splits_of(folder)[0].annotation_file
    categories = json.loads(annotation_file.read_text("utf-8"))["categories"]
    cfg.MODEL.RETINANET.NUM_CLASSES = cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(categories)
    return folder


def register_folder(
    folder: Path | str, cache: Path | str = CACHE, check: bool = True
) -> tuple[str, str]:
    """Make a folder known to Detectron2: for code that has no config of this project.

    Args:
        folder: in COCO's format, or of VOC.
        cache: where one of VOC is kept as converted.
        check: whether every image and box is looked at; one of VOC that was converted before is
            then not looked at again.

    Returns:
        The names of the training and the validation split.

    Raises:
        DatasetError: the data set has problems; the message lists all.
    """
    return _register(in_coco_format(folder, Path(cache), check))


def in_coco_format(
    folder: Path | str, cache: Path, check: bool, bit_depth: int | None = None
) -> Path:
    """The folder itself; for one of VOC, the folder in the cache that it is converted into.

    Where it is checked, a warning says for each kind of image that is converted when it is read how
    many there are.

    Args:
        folder: see :func:`register_folder`, as for the others.
        cache: for what is converted.
        check: whether every image and box is looked at.
        bit_depth: ``INPUT.BIT_DEPTH`` that the images will be read with.
    """
    folder = Path(folder).resolve()
    if is_coco(folder) or not voc.is_voc(folder):
        if check:
            require_valid(folder, bit_depth)
            _warn_of_conversions(folder, bit_depth)
        return folder
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    into = cache / "voc" / place / folder.name  # the last is the data set's name
    if not check and is_coco(into):
        return into
    converted = voc.convert(folder)
    if problems := check_converted(converted, bit_depth) if check else converted.problems:
        raise DatasetError(folder, problems)
    converted.write(into)
    if check:
        _warn_of_conversions(into, bit_depth)
    return into


def _warn_of_conversions(folder: Path, bit_depth: int | None) -> None:
    for split in splits_of(folder):
        images = json.loads(split.annotation_file.read_bytes())["images"]
        names = [image["file_name"] for image in images]
        for line in conversions(split.image_root, names, bit_depth):
            _logger.warning("%s, %s: %s", folder.name, split.name, line)


def _register(folder: Path) -> tuple[str, str]:
    """Register the two splits of a folder in COCO's format; return their names."""
    names = []
    for split in splits_of(folder):
        names.append(name := f"{folder.name}_{split.name}")
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
        _register_split(name, str(split.annotation_file), str(split.image_root))
    return names[0], names[1]


def _register_split(name: str, json_file: str, image_root: str) -> None:
    """As Detectron2's ``register_coco_instances``, but the file is read once for all who ask."""

    @cache
    def records() -> list:
        return load_coco_json(json_file, image_root, name)

    DatasetCatalog.register(name, lambda: list(records()))
    MetadataCatalog.get(name).set(json_file=json_file, image_root=image_root, evaluator_type="coco")
