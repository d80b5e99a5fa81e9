"""The labels of the anchors on the training images, computed once and cached for all runs.

If nothing in the mapping of an image is random, its anchors always match the same objects.
"""

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from detectron2.structures import Boxes, Instances, pairwise_iou

from focal_star.io.writing import write_whole
from focal_star.modeling.anchors import anchors_of_image
from focal_star.modeling.retinanet import FocalStarRetinaNet


def cached_labels(
    folder: Path, model: FocalStarRetinaNet, images: Iterable[Instances], size: tuple[int, int]
) -> Path:
    """The file with Detectron2's anchor labels for each image; written if it is not there yet.

    It holds an int16 array (images, 2, R): the label of each of the R anchors, and the number of
    the object that it is matched to.

    Args:
        folder: the cache folder.
        model: the detector, with its anchors and its matcher.
        images: the objects of each image.
        size: height and width of every image, px.
    """
    anchors = anchors_of_image(model, *size)
    matcher = model.anchor_matcher
    about = [matcher.thresholds, matcher.labels, matcher.allow_low_quality_matches]
    digest = hashlib.sha256(json.dumps([model.num_classes, *about]).encode())
    for level in anchors:
        digest.update(level.tensor.cpu().numpy().tobytes())
    path = folder / f"anchors-{digest.hexdigest()[:32]}.npy"
    if not path.exists():
        content = io.BytesIO()
        boxes = Boxes.cat(anchors)
        np.save(content, np.stack([_labels(model, boxes, objects) for objects in images]))
        write_whole(path, content.getvalue())
    return path


def _labels(model: FocalStarRetinaNet, boxes: Boxes, objects: Instances) -> np.ndarray:
    """(2, R) for all R anchors, as ``RetinaNet.label_anchors`` gives them for one image."""
    if not len(objects):
        return np.stack([np.full(len(boxes), model.num_classes), np.zeros(len(boxes))]).astype("i2")
    objects = objects.to(model.device)
    numbers, kinds = model.anchor_matcher(pairwise_iou(objects.gt_boxes, boxes))
    labels = objects.gt_classes[numbers]
    labels[kinds == 0], labels[kinds == -1] = model.num_classes, -1
    return torch.stack([labels, numbers]).to(torch.int16).cpu().numpy()
