"""Finds and describes the data sets that Detectron2 knows by name, such as ``coco_2017_train``."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from focal_star.data.layouts.problems import DatasetError, Problem
from focal_star.data.layouts.split import Split
from focal_star.data.validation.description import contents, joined_sha256

VARIABLE = "DETECTRON2_DATASETS"


def splits_of_name(name: str) -> tuple[Split, Split]:
    """The files of ``<name>_train`` and ``<name>_val``.

    Raises:
        DatasetError: Detectron2 does not know them as files in COCO's format.
    """
    train, val = (split_of(f"{name}_{half}", half) for half in ("train", "val"))
    if train is None or val is None:
        pairs = sorted(
            known.removesuffix("_train")
            for known in DatasetCatalog.list()
            if split_of(known, "train") and split_of(known.removesuffix("train") + "val", "val")
        )
        text = f"{name!r} is no folder, and Detectron2 knows no {name}_train and {name}_val in "
        text += f"COCO's format; valid: a folder, or one of {', '.join(pairs)}"
        raise DatasetError(name, [Problem("both", "missing-file", text)])
    return train, val


def split_of(name: str, half: str = "train") -> Split | None:
    """The files of a registered split; None if it is not registered as a file in COCO's format.

    Args:
        name: the registered name.
        half: "train" or "val".
    """
    if name not in DatasetCatalog:
        return None
    metadata = MetadataCatalog.get(name)
    files = metadata.get("json_file"), metadata.get("image_root")
    if not all(files) or metadata.get("evaluator_type") != "coco":
        return None
    return Split(half, Path(files[0]), Path(files[1]))


def require_there(names: Iterable[str]) -> None:
    """Check that the annotation files and the folders of images of registered splits exist.

    Splits that are not registered in COCO's format are skipped.

    Raises:
        DatasetError: lists all that are missing, and how to get them.
    """
    problems = []
    for name in names:
        split = split_of(name)
        if split is None:
            continue
        missing = [
            f"{what} {path}"
            for what, path, there in (
                ("annotation file", split.annotation_file, split.annotation_file.is_file()),
                ("folder of images", split.image_root, split.image_root.is_dir()),
            )
            if not there
        ]
        problems += [
            Problem("both", "missing-file", f"{name}: there is no {one}; {_how_to_get(name)}")
            for one in missing
        ]
    if problems:
        raise DatasetError(os.environ.get(VARIABLE, "datasets"), problems)


def _how_to_get(name: str) -> str:
    place = f"{VARIABLE} is {os.environ.get(VARIABLE) or 'not set: ./datasets'}"
    if name in ("coco_2017_train", "coco_2017_val"):
        return f"{place}; python -m focal_star.data fetch downloads COCO"
    return f"{place}; it must be the folder that holds Detectron2's data sets"


def describe_names(names: Sequence[str]) -> dict[str, Any]:
    """Describe registered splits together; see
    :func:`focal_star.data.validation.description.describe`.

    Images are not read: ``sha256`` covers only the annotation files, and is "" if one of the
    splits has none. The categories are those of the first split.

    Raises:
        OSError: an annotation file cannot be read.
    """
    files = [_content(name) for name in names]
    images, annotations = [], []
    for number, (content, _) in enumerate(files):  # ids may be the same in several files
        images += [image | {"id": (number, image["id"])} for image in content["images"]]
        annotations += [
            one | {"image_id": (number, one["image_id"])} for one in content["annotations"]
        ]
    merged = {"images": images, "annotations": annotations, "categories": files[0][0]["categories"]}
    digests = [digest for _, digest in files]
    return {"sha256": joined_sha256(digests) if all(digests) else "", **contents(merged)}


def _content(name: str) -> tuple[dict[str, Any], str]:
    """A split in COCO's format, and the SHA-256 of its annotation file, "" without one."""
    split = split_of(name)
    if split is not None:
        data = split.annotation_file.read_bytes()
        # A file of test images has no annotations.
        return {"annotations": []} | json.loads(data), hashlib.sha256(data).hexdigest()
    images, annotations = [], []
    for number, record in enumerate(DatasetCatalog.get(name)):
        images.append({key: record[key] for key in ("width", "height")} | {"id": number})
        annotations += [
            {
                "image_id": number,
                "category_id": one["category_id"],
                "bbox": BoxMode.convert(one["bbox"], one["bbox_mode"], BoxMode.XYWH_ABS),
                "iscrowd": one.get("iscrowd", 0),
            }
            for one in record["annotations"]
        ]
    names = MetadataCatalog.get(name).get("thing_classes", [])
    categories = [{"id": number, "name": one} for number, one in enumerate(names)]
    return {"images": images, "annotations": annotations, "categories": categories}, ""
