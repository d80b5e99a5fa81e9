"""The features of the backbone's frozen part, computed once and cached for all runs.

If the stem and the first stages are frozen and nothing in the mapping of an image is random, its
features never change. They are cached in ``CACHE_DIR/frozen`` under a hash of everything that
determines them. A training that finds them there decodes no image and runs no frozen layer. The
cache takes up to ``MAX_BYTES``, which is enough for a study; the least recently used go first.
"""

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from detectron2.config import CfgNode
from torch import Tensor, nn

from focal_star.cached.anchor_labels import cached_labels
from focal_star.cached.inputs import FEATURES
from focal_star.cached.models import AcceptsCachedFeatures, CachedRetinaNet
from focal_star.cached.objects import CachedObjects, save_objects
from focal_star.compat import out_features
from focal_star.data.mapper import CachingMapper, Mapper
from focal_star.io.kept_folders import forget_oldest, lock_of
from focal_star.io.temporary import locked, temporary_folder
from focal_star.mini.backbone import SplitResNet
from focal_star.random_state import kept_random_state
from focal_star.training.mixed_precision import NARROW_TYPES

logger = logging.getLogger(__name__)

MAX_BYTES = 4 * 2**30

_BATCH = 8


class _Rows:
    """The rows of an array in a file, each read on access.

    Most rows are read once or twice, and mapping them into memory takes longer than reading.
    """

    def __init__(self, path: Path):
        array = np.load(path, mmap_mode="r")
        self._path = path
        self._shape, self._dtype = array.shape[1:], array.dtype
        self._start, self._row_bytes = array.offset, array[0].nbytes
        self._file = path.open("rb")

    def __reduce__(self):
        return _Rows, (self._path,)

    def __getitem__(self, row: int) -> np.ndarray:
        array = np.empty(self._shape, self._dtype)
        read = os.preadv(self._file.fileno(), [array.data], self._start + row * self._row_bytes)
        if read != self._row_bytes:
            raise OSError(f"{self._file.name} ends within row {row}")
        return array


class CachedFeatureMapper:
    """Turns Detectron2's record of an image into the model's input, with features for pixels."""

    def __init__(self, folder: Path, anchors: Path | None):
        """
        Args:
            folder: what :func:`_write` has written.
            anchors: what :func:`focal_star.cached.anchor_labels.cached_labels` has written, if that
                is to be used.
        """
        self._anchors = None if anchors is None else _Rows(anchors)
        self._features = _Rows(folder / "features.npy")
        self.objects = CachedObjects(folder)
        names = json.loads((folder / "images.json").read_text("utf-8"))
        self._rows = {name: row for row, name in enumerate(names)}
        # A model whose anchors are labelled reads no pixel; others ask for the size of the image.
        size = self.objects.size if anchors is None else (1, 1)
        self._pixels = torch.zeros(()).expand(3, *size)

    def __len__(self) -> int:
        return len(self._rows)

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        row = self._rows[record["file_name"]]
        anchors = None if self._anchors is None else self._anchors[row]
        instances = self.objects.instances(row, anchors)
        fields = {key: value for key, value in record.items() if key != "annotations"}
        features = _as_tensor(self._features[row])  # (H, W, C)
        return fields | {"image": self._pixels, FEATURES: features, "instances": instances}


def cached_feature_mapper(
    cfg: CfgNode,
    model: nn.Module,
    mapper: Mapper,
    records: list[dict[str, Any]],
    autocast: bool = False,
) -> Mapper:
    """Return a mapper with cached features, or ``mapper`` if the features cannot be cached.

    Features that are not in the cache yet are computed. If several processes need the same ones,
    one of them computes and the others wait.

    Args:
        cfg: the config.
        model: a model whose weights are loaded.
        mapper: the mapper that loads these images.
        records: Detectron2's, of all images that will be asked for.
        autocast: the model will run on them in mixed precision.
    """
    net = getattr(model.backbone, "bottom_up", None)
    sizes = {(record["height"], record["width"]) for record in records}
    if not (
        isinstance(model, AcceptsCachedFeatures)
        and isinstance(net, SplitResNet)
        and net.num_frozen
        and isinstance(mapper, CachingMapper)
        and len(sizes) == 1
        and len({record["file_name"] for record in records}) == len(records)
        and not any(stage in out_features(net) for stage in net.stage_names[: net.num_frozen - 1])
    ):
        return mapper
    narrow = NARROW_TYPES[model.device.type] if autocast else None
    key = _key(_determinants(cfg, model, net, mapper, narrow), net, records)
    folder, anchors = Path(cfg.CACHE_DIR) / "frozen" / key, None
    with locked(lock_of(folder)), kept_random_state():
        if not folder.is_dir():
            _write(folder, model, net, mapper, records, narrow)
        if isinstance(model, CachedRetinaNet):
            mapped = CachedFeatureMapper(folder, None)
            objects = map(mapped.objects.instances, range(len(mapped)))
            anchors = cached_labels(folder, model, objects, mapped.objects.size)
        mapper = CachedFeatureMapper(folder, anchors)
        with suppress(OSError):  # another user's folder, or another process removes as well
            os.utime(folder)
            forget_oldest(folder.parent, MAX_BYTES, keep=folder)
    return mapper


def _determinants(
    cfg: CfgNode,
    model: nn.Module,
    net: SplitResNet,
    mapper: CachingMapper,
    narrow: torch.dtype | None,
) -> dict[str, Any]:
    """Everything that determines the features except images, boxes and weights."""
    return {
        "augmentations": str(mapper.augmentations),
        "format": mapper.image_format,
        "bit_depth": mapper.bit_depth,
        "pixels": [cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD],
        "divisor": model.backbone.size_divisibility,
        "channels_last": cfg.MODEL.CHANNELS_LAST,
        "stages": [str(net.stem), *(str(stage) for stage in net.stages[: net.num_frozen])],
        "device": _hardware(model.device),
        "mixed precision": str(narrow),
        "tf32": [torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()],
        "versions": [torch.__version__, PIL.__version__],
        "threads": torch.get_num_threads(),
    }


def _hardware(device: torch.device) -> list[str]:
    """The device's type, and what it is: another processor sums in another order."""
    if device.type == "cuda":
        return [device.type, torch.cuda.get_device_name(device)]
    return [device.type, torch.backends.cpu.get_cpu_capability()]


def _key(determinants: dict[str, Any], net: SplitResNet, records: list[dict[str, Any]]) -> str:
    """A hash of all that the features and boxes depend on."""
    digest = hashlib.sha256(json.dumps(determinants, sort_keys=True).encode())
    for part in (net.stem, *net.stages[: net.num_frozen]):
        for name, tensor in part.state_dict().items():
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    for record in records:
        stat = os.stat(record["file_name"])
        objects = [
            [o["bbox"], int(o["bbox_mode"]), o["category_id"], o.get("iscrowd", 0)]
            for o in record["annotations"]
        ]
        seen = [record["file_name"], stat.st_size, stat.st_mtime_ns, objects]
        digest.update(json.dumps(seen).encode())
    return digest.hexdigest()[:32]


def _write(
    folder: Path,
    model: nn.Module,
    net: SplitResNet,
    mapper: Mapper,
    records: list[dict[str, Any]],
    narrow: torch.dtype | None,
) -> None:
    """Compute and write, whole or not at all, in the precision of a training step."""
    logger.info("Computing the frozen part of the backbone on %d images", len(records))
    with temporary_folder(folder) as temporary:
        mapped = []
        with (temporary / "features.npy").open("wb") as file:
            for start in range(0, len(records), _BATCH):
                batch = [mapper(record) for record in records[start : start + _BATCH]]
                mapped += [image["instances"] for image in batch]
                with torch.no_grad(), torch.autocast(model.device.type, narrow, narrow is not None):
                    features = net.frozen(model.preprocess_image(batch).tensor)
                array = _as_numpy(features.permute(0, 2, 3, 1))  # (N, H, W, C)
                if start == 0:
                    shape = (len(records), *array.shape[1:])
                    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(array.tobytes())
        boxes = [one.gt_boxes.tensor.numpy() for one in mapped]
        classes = [one.gt_classes.numpy() for one in mapped]
        save_objects(temporary, boxes, classes, mapped[0].image_size)
        names = [record["file_name"] for record in records]
        (temporary / "images.json").write_text(json.dumps(names), "utf-8")
        temporary.rename(folder)


def _as_numpy(features: Tensor) -> np.ndarray:
    """The features as an array; bfloat16, which numpy lacks, becomes int16 with the same bits."""
    features = features.cpu().contiguous()
    return (features.view(torch.int16) if features.dtype == torch.bfloat16 else features).numpy()


def _as_tensor(array: np.ndarray) -> Tensor:
    """The inverse of :func:`_as_numpy`."""
    features = torch.from_numpy(array)
    return features.view(torch.bfloat16) if features.dtype == torch.int16 else features
