"""The stored views: what a frozen backbone gives for random views of the training images.

They lie in ``CACHE_DIR/views`` under a hash of all that determines them: images, boxes, recipe,
network, versions. Training runs with the same hash share them. The folder takes up to
``MAX_BYTES``; the least recently used stores are removed first.
"""

import copy
import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from detectron2.config import CfgNode
from detectron2.structures import BoxMode
from PIL import Image
from torch import Tensor

from focal_star.cached.anchor_labels import cached_labels
from focal_star.cached.objects import CachedObjects, save_objects
from focal_star.config.checks import leaves
from focal_star.data.images import read_image
from focal_star.errors import ConfigError
from focal_star.frozen.settings import MAX_IMAGES
from focal_star.frozen.views import Recipe, view
from focal_star.io.kept_folders import forget_oldest, lock_of
from focal_star.io.temporary import locked, temporary_folder
from focal_star.modeling.efficientnet_lite import OUTPUTS, EfficientNetLite0
from focal_star.modeling.retinanet import FocalStarRetinaNet

logger = logging.getLogger(__name__)

FEATURES = "stored_views"
"""Key of a mapped image whose value replaces its pixels: a row of the store, float16."""

MAX_BYTES = 4 * 2**30

PIXEL_MEAN, PIXEL_STD = 127, 128
"""The normalisation of the pixels of a view, which are RGB."""

FIXED = {
    "INPUT.FORMAT": "RGB",
    "INPUT.RANDOM_FLIP": "none",
    "INPUT.CROP.ENABLED": False,
    "MODEL.PIXEL_MEAN": [PIXEL_MEAN] * 3,
    "MODEL.PIXEL_STD": [PIXEL_STD] * 3,
}
"""Keys of the config that do not change the views -> their only valid values with stored views.

With another value, the images in the evaluation would differ from the views in training, or a key
would have no effect.
"""

Record = dict[str, Any]
"""Detectron2's record of an image."""


class StoredViews:
    """Maps Detectron2's record of an image to one of its stored views, drawn at random."""

    def __init__(self, folder: Path, per_image: int):
        self.folder, self.objects = folder, CachedObjects(folder)
        self._anchors: np.ndarray | None = None
        self._features = np.load(folder / "features.npy", mmap_mode="r")
        names = json.loads((folder / "images.json").read_text("utf-8"))
        self._images = {name: row for row, name in enumerate(names)}
        self._per_image = per_image
        self._pixels = torch.zeros(()).expand(3, *self.objects.size)

    def __len__(self) -> int:
        return len(self._features)

    def __call__(self, record: Record) -> Record:
        image = self._images.get(record["file_name"])
        if image is None:  # one of more images than are stored
            image = np.random.randint(len(self._images))
        return self.view(record, image * self._per_image + np.random.randint(self._per_image))

    def view(self, record: Record, row: int) -> Record:
        """The record with the view of a row of the store."""
        anchors = None if self._anchors is None else np.array(self._anchors[row])
        instances = self.objects.instances(row, anchors)
        fields = {key: value for key, value in record.items() if key != "annotations"}
        features = torch.from_numpy(np.array(self._features[row]))
        return fields | {"image": self._pixels, FEATURES: features, "instances": instances}

    def label_anchors(self, model: FocalStarRetinaNet) -> None:
        """Add the labels of the model's anchors to all views; they are stored as well."""
        with locked(lock_of(self.folder)):
            objects = map(self.objects.instances, range(len(self)))
            path = cached_labels(self.folder, model, objects, self.objects.size)
        self._anchors = np.load(path, mmap_mode="r")


def stored_views(cfg: CfgNode, net: EfficientNetLite0, records: Sequence[Record]) -> StoredViews:
    """The views of these images, which are computed if they are not stored yet.

    If several processes need the same ones, one of them computes and the others wait.

    Args:
        cfg: ``INPUT.SHORT_EDGE`` is the size of a view, ``VIEWS`` has their number.
        net: the backbone, with its weights.
        records: the records of the training images; of more than ``MAX_IMAGES``, evenly spaced
            ones are used.

    Raises:
        ConfigError: the size is no multiple of the network's largest stride, or a key of ``FIXED``
            has another value.
    """
    _check(cfg, net)
    if len(records) > MAX_IMAGES:
        logger.warning("Of %d images, %d are used", len(records), MAX_IMAGES)
        records = [records[i * len(records) // MAX_IMAGES] for i in range(MAX_IMAGES)]
    recipe, per_image = Recipe(cfg.INPUT.SHORT_EDGE), cfg.VIEWS.PER_IMAGE
    folder = Path(cfg.CACHE_DIR) / "views" / _key(cfg, recipe, per_image, net, records)
    with locked(lock_of(folder)):
        if not folder.is_dir():
            _write(folder, net, recipe, per_image, cfg.INPUT.BIT_DEPTH, records)
        views = StoredViews(folder, per_image)
        with suppress(OSError):  # another user's folder, or another process removes as well
            os.utime(folder)
            forget_oldest(folder.parent, MAX_BYTES, keep=folder)
    return views


def _check(cfg: CfgNode, net: EfficientNetLite0) -> None:
    values = dict(leaves(cfg))
    valid = {key: str(value) for key, value in FIXED.items() if values[key] != value}
    if cfg.INPUT.SHORT_EDGE is None or cfg.INPUT.SHORT_EDGE % net.size_divisibility:
        valid["INPUT.SHORT_EDGE"] = f"a multiple of {net.size_divisibility}"
    if valid:
        raise ConfigError(
            "; ".join(
                f"{key} is {values[key]}; valid with VIEWS.PER_IMAGE: {words}"
                for key, words in valid.items()
            )
        )


def row_length(size: int) -> int:
    """The number of values that a view of this size takes."""
    return sum(shape.channels * (size // shape.stride) ** 2 for shape in OUTPUTS.values())


def maps_of(rows: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """Name -> (N, C, H, W) float32 maps, from (N, L) rows of the store."""
    maps, start = {}, 0
    for name, shape in OUTPUTS.items():
        height, width = (edge // shape.stride for edge in size)
        end = start + shape.channels * height * width
        part = rows[:, start:end].float().reshape(-1, height, width, shape.channels)
        maps[name], start = part.permute(0, 3, 1, 2), end
    return maps


def _key(
    cfg: CfgNode,
    recipe: Recipe,
    per_image: int,
    net: EfficientNetLite0,
    records: Sequence[Record],
) -> str:
    """A hash of all that the views depend on."""
    about = {
        "recipe": asdict(recipe),
        "per_image": per_image,
        "bit_depth": cfg.INPUT.BIT_DEPTH,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "versions": [torch.__version__, PIL.__version__],
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in net.state_dict().items():
        if name.startswith("norms."):
            continue  # they normalise the stored maps
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    for record in records:
        stat = os.stat(record["file_name"])
        seen = [
            record["file_name"],
            stat.st_size,
            stat.st_mtime_ns,
            *(part.tolist() for part in _objects(record)),
        ]
        digest.update(json.dumps(seen).encode())
    return digest.hexdigest()[:32]


def _objects(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """The (M, 4) boxes of an image, x1 y1 x2 y2, and their (M,) classes; without crowds."""
    objects = [a for a in record["annotations"] if not a.get("iscrowd", 0)]
    boxes = [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in objects]
    classes = [a["category_id"] for a in objects]
    return np.array(boxes, float).reshape(-1, 4), np.array(classes, np.int64)


def _write(
    folder: Path,
    net: EfficientNetLite0,
    recipe: Recipe,
    per_image: int,
    bit_depth: int | None,
    records: Sequence[Record],
) -> None:
    """Compute and write, whole or not at all, on all cores."""
    number, cores = len(records) * per_image, len(os.sched_getaffinity(0))
    length = row_length(recipe.size)
    logger.info("Computing %d views of %d images on %d cores", number, len(records), cores)
    net, threads = copy.deepcopy(net).cpu(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with temporary_folder(folder) as temporary:
            path = temporary / "features.npy"
            _reserve(path, (number, length))
            rows = np.load(path, mmap_mode="r+")

            def compute(index: int) -> list[tuple[np.ndarray, np.ndarray]]:
                return _views_of(
                    net, recipe, bit_depth, records[index], rows[index * per_image :][:per_image]
                )

            with ThreadPoolExecutor(cores) as pool:
                objects = [one for image in pool.map(compute, range(len(records))) for one in image]
            rows.flush()
            boxes = [boxes.astype(np.float32) for boxes, _ in objects]
            classes = [classes for _, classes in objects]
            save_objects(temporary, boxes, classes, (recipe.size, recipe.size))
            names = [record["file_name"] for record in records]
            (temporary / "images.json").write_text(json.dumps(names), "utf-8")
            temporary.rename(folder)
    finally:
        torch.set_num_threads(threads)


def _reserve(path: Path, shape: tuple[int, int]) -> None:
    """Write an array of zeros, so that a full disk is an OSError now."""
    with path.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        os.posix_fallocate(file.fileno(), file.tell(), 2 * shape[0] * shape[1])


def _views_of(
    net: EfficientNetLite0, recipe: Recipe, bit_depth: int | None, record: Record, rows: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fill the rows of one image; return the boxes and classes of each view."""
    image = Image.fromarray(read_image(record["file_name"], bit_depth=bit_depth))
    boxes, classes = _objects(record)
    name = hashlib.sha256(Path(record["file_name"]).name.encode()).digest()
    random = np.random.default_rng(list(name))
    objects = []
    for row in rows:
        seen, moved, visible = view(image, boxes, recipe, random)
        pixels = torch.from_numpy(np.array(seen, np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            pixels = (pixels - PIXEL_MEAN) / PIXEL_STD
            maps = net.maps(pixels.contiguous(memory_format=torch.channels_last))
        row[:] = np.concatenate([_flat(maps[name]) for name in OUTPUTS])
        objects.append((moved, classes[visible]))
    return objects


def _flat(feature_map: Tensor) -> np.ndarray:
    return feature_map[0].permute(1, 2, 0).reshape(-1).numpy().astype(np.float16)
