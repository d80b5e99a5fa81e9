"""Data sets and detections made up for tests of the evaluation, in COCO's format."""

from collections.abc import Callable
from typing import Any

import numpy as np

from focal_star.evaluation.ap import coco_eval, essentials

CATEGORIES = {3: "cat", 17: "dog", 90: "kite", 91: "unseen"}

Content, Results = dict[str, Any], list[dict[str, Any]]


def content_of(num_images: int, objects: list[tuple]) -> Content:
    """A data set of images 1 .. n and ``CATEGORIES``.

    Args:
        num_images: n, 400 px wide and high.
        objects: (image id, category id, bbox) or (.., iscrowd).
    """
    return {
        "images": [
            {"id": n, "file_name": f"{n}.png", "width": 400, "height": 400}
            for n in range(1, num_images + 1)
        ],
        "categories": [{"id": key, "name": name} for key, name in CATEGORIES.items()],
        "annotations": [
            {
                "id": 7 * number,
                "image_id": image,
                "category_id": category,
                "bbox": list(map(float, box)),
                "area": float(box[2] * box[3]),
                "iscrowd": int(any(crowd)),
            }
            for number, (image, category, box, *crowd) in enumerate(objects, start=1)
        ],
    }


def results_of(detections: list[tuple]) -> Results:
    """Detections (image id, category id, bbox, score) in COCO's format."""
    return [
        {"image_id": image, "category_id": category, "bbox": list(map(float, box)), "score": score}
        for image, category, box, score in detections
    ]


def scenes(seed: int, num_images: int = 14, digits: int | None = None) -> tuple[Content, Results]:
    """Random objects, and detections with every kind of error.

    There are crowds with detections on them, images without objects, images without detections, a
    category without either, and categories' ids with gaps.

    Args:
        seed: of all.
        num_images: of them, each fifth is without objects and each seventh without detections.
        digits: of the scores; few make many of them equal.
    """
    random = np.random.default_rng(seed)
    objects, detections = [], []
    for image in range(1, num_images + 1):
        for _ in range(0 if image % 5 == 0 else random.integers(1, 7)):
            category = int(random.choice(list(CATEGORIES)[:3]))
            box = np.concatenate([random.uniform(0, 250, 2), random.uniform(12, 140, 2)])
            crowd = random.random() < 0.15
            objects.append((image, category, box.tolist(), crowd))
            for _ in range(random.integers(3)):
                moved = np.maximum(box + random.normal(0, 0.06, 4) * box[2:].mean(), 1)
                found = category if random.random() < 0.8 else 17
                detections.append((image, found, moved.tolist(), random.beta(3, 2)))
        for _ in range(random.integers(4)):
            box = np.concatenate([random.uniform(0, 250, 2), random.uniform(12, 140, 2)])
            category = int(random.choice(list(CATEGORIES)[:3]))
            detections.append((image, category, box.tolist(), random.beta(2, 3)))
    order = random.permutation(len(detections))
    detections = [detections[n] for n in order if detections[n][0] % 7 != 0]
    if digits is not None:
        detections = [(*found, round(score, digits)) for *found, score in detections]
    return content_of(num_images, objects), results_of(detections)


def repeated(content: Content, results: Results, counts: list[int]) -> tuple[Content, Results]:
    """The data set in which each image, with its annotations and detections, stands as often as
    its count says, one copy after the other."""
    images, annotations, detections = [], [], []
    for image, count in zip(content["images"], counts, strict=True):
        for _ in range(count):
            number = len(images) + 1
            images.append(image | {"id": number})
            for source, copies in ((content["annotations"], annotations), (results, detections)):
                copies += [e | {"image_id": number} for e in source if e["image_id"] == image["id"]]
    annotations = [entry | {"id": number} for number, entry in enumerate(annotations, start=1)]
    return content | {"images": images, "annotations": annotations}, detections


def with_ids(
    content: Content, results: Results, image: Callable[[int], int], category: Callable[[int], int]
) -> tuple[Content, Results]:
    """The same data set and detections under other ids of images and categories."""

    def renamed(entry: dict[str, Any]) -> dict[str, Any]:
        image_id, category_id = image(entry["image_id"]), category(entry["category_id"])
        return entry | {"image_id": image_id, "category_id": category_id}

    return {
        "images": [one | {"id": image(one["id"])} for one in content["images"]],
        "categories": [one | {"id": category(one["id"])} for one in content["categories"]],
        "annotations": [renamed(one) for one in content["annotations"]],
    }, [renamed(one) for one in results]


def evaluated(content: Content, results: Results, backend: str = "hotcoco"):
    """A COCOeval that has evaluated and accumulated."""
    evaluation = coco_eval(essentials(content), results, backend)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def ap_by_iou(evaluation) -> np.ndarray:
    """(T,) AP of all sizes by COCOeval itself, 0..1; NaN where no category has objects."""
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    defined = precision[..., (precision > -1).all(axis=(0, 1))]
    return defined.mean(axis=(1, 2)) if defined.size else np.full(len(precision), np.nan)
