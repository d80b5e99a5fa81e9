"""Pretrains the backbone on a classification task: crops of the detector's training split.

This replaces ImageNet where ImageNet's weights are unavailable or do not fit the network. A crop
shows an object, or background as an additional class.

The result depends on the processor, because its maker decides which matrix multiplications MKL
uses. The backbones of the embedded study are therefore part of the package, in ``pretrained/``: its
cells start from the same weights on every machine, so one study can be trained on several.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.layers import ShapeSpec
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from focal_star.data.images import read_image
from focal_star.errors import ConfigError
from focal_star.io.temporary import remove_abandoned
from focal_star.mini.backbone import build_narrow_resnet
from focal_star.training import checkpoints

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).with_name("pretrained")
"""The backbones of the embedded study, in files that are named as in ``CACHE_DIR``."""


def pretrained_weights(cfg: CfgNode, dataset_sha256: str) -> Path:
    """The file of the backbone's weights in ``CACHE_DIR``.

    A missing one is copied from ``SHIPPED``, or trained where it is not there either. The file's
    name is a hash of everything that determines the weights, so a config never uses weights that
    were pretrained for different settings. The file contains the hash too; a broken file, or a file
    with another hash, is created again.
    """
    key, path = _key_and_path(cfg, dataset_sha256)
    remove_abandoned(path.parent)
    fault = _fault(path, key)
    if fault:
        if path.exists():
            logger.warning("%s is not the pretrained backbone (%s); it is made again", path, fault)
        shipped = SHIPPED / path.name
        saved = _train_and_describe(cfg) if _fault(shipped, key) else checkpoints.read(shipped)
        checkpoints.write(path, saved | {"key": key})
    return path


def missing_weights(cfg: CfgNode, dataset_sha256: str) -> Path | None:
    """The file that :func:`pretrained_weights` would have to train; None if there is no need to."""
    key, path = _key_and_path(cfg, dataset_sha256)
    return path if _fault(path, key) and _fault(SHIPPED / path.name, key) else None


def _train_and_describe(cfg: CfgNode) -> dict[str, Any]:
    """The content of the weights' file, without its key."""
    started = time.perf_counter()
    backbone, accuracy = _train(cfg)
    logger.info(
        "Pretrained the backbone in %.0f s; accuracy on held-out crops: %.1f %%",
        time.perf_counter() - started,
        accuracy,
    )
    state = {f"backbone.bottom_up.{k}": v for k, v in backbone.state_dict().items()}
    return {"model": state, "accuracy": accuracy}


def _fault(path: Path, key: str) -> str:
    """The reason why a file does not contain the weights of this key; "" if it does."""
    if not path.exists():
        return "missing"
    try:
        saved = checkpoints.read(path)
    except (ConfigError, OSError) as error:
        return str(error)
    return "" if saved.get("key") == key else "other content"


def _key_and_path(cfg: CfgNode, dataset_sha256: str) -> tuple[str, Path]:
    resnets = cfg.MODEL.RESNETS.clone()
    resnets.defrost()
    resnets.OUT_FEATURES = ["res3", "res4", "res5"]  # this affects no weight
    model = cfg.MODEL
    content = [cfg.PRETRAINING, model.CHANNELS_LAST, resnets, model.PIXEL_MEAN, model.PIXEL_STD]
    if cfg.INPUT.BIT_DEPTH is not None:
        content.append(cfg.INPUT.BIT_DEPTH)
    text = json.dumps([dataset_sha256, [str(part) for part in content]])
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return key, Path(cfg.CACHE_DIR) / "pretrained" / f"{key}.pth"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: crops are small, and the weights must not depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
def _train(cfg: CfgNode) -> tuple[nn.Module, float]:
    """Train the backbone; return it and its accuracy on crops of the validation split, percent."""
    options = cfg.PRETRAINING
    random = np.random.default_rng(options.SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.SEED)
        narrow = cfg.clone()
        narrow.defrost()
        narrow.MODEL.RESNETS.NORM = "BN"
        narrow.MODEL.BACKBONE.FREEZE_AT = 0
        backbone = build_narrow_resnet(narrow, ShapeSpec(channels=3))
        train, val = _Crops(cfg, "train"), _Crops(cfg, "val")
        classifier = nn.Linear(backbone.output_shape()["res5"].channels, train.num_classes)
    model = nn.ModuleDict({"backbone": backbone, "classifier": classifier})

    def logits(images: Tensor) -> Tensor:
        return classifier(backbone(images)["res5"].mean(dim=(2, 3)))

    optimizer = torch.optim.AdamW(model.parameters(), lr=options.BASE_LR, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.BASE_LR, total_steps=options.MAX_ITER
    )
    layout = torch.channels_last if cfg.MODEL.CHANNELS_LAST else torch.contiguous_format
    model.train().to(memory_format=layout)
    for _ in range(options.MAX_ITER):
        images, labels = train.batch(options.IMS_PER_BATCH, random)
        loss = F.cross_entropy(logits(images.to(memory_format=layout)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        images, labels = val.batch(min(4 * options.IMS_PER_BATCH, 512), random)
        accuracy = 100 * (logits(images).argmax(dim=1) == labels).float().mean().item()
    return backbone, accuracy


class _Crops:
    """Draws labelled crops from a split of the data set."""

    BACKGROUND = 0.1  # share of crops that show no object
    CACHED_IMAGES = 8192
    OBJECT_SHARE = (0.4, 0.9)  # ratio of the object's longer side to the crop's side

    def __init__(self, cfg: CfgNode, split: str):
        (name,) = cfg.DATASETS.TRAIN if split == "train" else cfg.DATASETS.TEST
        self.records = DatasetCatalog.get(name)
        self.short_edge = cfg.PRETRAINING.SHORT_EDGE
        self.bit_depth = cfg.INPUT.BIT_DEPTH
        self.objects = [
            (i, a["bbox"], a["category_id"])
            for i, record in enumerate(self.records)
            for a in record["annotations"]
            if not a.get("iscrowd", 0)
        ]
        self.num_classes = cfg.MODEL.RETINANET.NUM_CLASSES + 1
        self.size = cfg.PRETRAINING.CROP_SIZE
        self.mean = np.array(cfg.MODEL.PIXEL_MEAN)
        self.std = np.array(cfg.MODEL.PIXEL_STD)
        self._image = lru_cache(self.CACHED_IMAGES)(self._image_at_scale)

    def batch(self, size: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(size, 3, crop, crop) normalised BGR images and their (size,) labels."""
        crops, labels = [], []
        for _ in range(size):
            if random.random() < self.BACKGROUND:
                index = int(random.integers(len(self.records)))
                crops.append(self._background(index, random))
                labels.append(self.num_classes - 1)
            else:
                index, box, label = self.objects[random.integers(len(self.objects))]
                crops.append(self._object(index, box, random))
                labels.append(label)
        pixels = (np.stack(crops)[..., ::-1] - self.mean) / self.std
        images = torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32))
        return images, torch.tensor(labels)

    def _image_at_scale(self, index: int) -> tuple[Image.Image, float]:
        """The image resized to the short edge of the pretraining, and the scale factor."""
        path = self.records[index]["file_name"]
        image = Image.fromarray(read_image(path, bit_depth=self.bit_depth))
        scale = self.short_edge / min(image.size)
        if scale != 1:
            width, height = (round(extent * scale) for extent in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return image, scale

    def _object(self, index: int, box: list[float], random: np.random.Generator) -> np.ndarray:
        """A crop around an object, with a small random shift."""
        image, scale = self._image(index)
        x, y, w, h = (value * scale for value in box)
        share = np.exp(random.uniform(*np.log(self.OBJECT_SHARE)))
        side = max(w, h) / share
        shift = side / 8
        left = x + w / 2 - side / 2 + random.uniform(-shift, shift)
        top = y + h / 2 - side / 2 + random.uniform(-shift, shift)
        return self._cut(image, left, top, side)

    def _background(self, index: int, random: np.random.Generator) -> np.ndarray:
        """A crop whose centre is in no box, if ten tries find one."""
        image, scale = self._image(index)
        boxes = [a["bbox"] for a in self.records[index]["annotations"]]
        for _ in range(10):
            x, y = random.uniform(0, image.size[0]), random.uniform(0, image.size[1])
            if not any(
                b[0] <= x / scale <= b[0] + b[2] and b[1] <= y / scale <= b[1] + b[3] for b in boxes
            ):
                break
        side = self.size * random.uniform(0.8, 1.25)
        return self._cut(image, x - side / 2, y - side / 2, side)

    def _cut(self, image: Image.Image, left: float, top: float, side: float) -> np.ndarray:
        size, scale = (self.size, self.size), side / self.size
        transform = (scale, 0, left, 0, scale, top)
        crop = image.transform(size, Image.Transform.AFFINE, transform, Image.Resampling.BILINEAR)
        return np.asarray(crop)
