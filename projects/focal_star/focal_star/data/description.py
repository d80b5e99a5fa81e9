"""What is in a COCO file, in numbers: for the data set's card."""

import statistics
from collections import Counter
from typing import Any

SMALL, MEDIUM = 32**2, 96**2
"""COCO's bounds of an object's area, px: below the first it is small, below the second medium."""


def contents(annotations: dict[str, Any]) -> dict[str, Any]:
    """Sizes and numbers of images and objects; crowds are not counted as objects.

    Args:
        annotations: the content of an annotation file that has passed the check.

    Returns:
        ``num_small``, ``num_medium`` and ``num_large`` (objects by COCO's areas; the box's area
        where none is given), ``objects_per_image`` (mean, one decimal), ``most_objects_per_image``,
        ``width`` and ``height`` (least, median and most, px) and ``per_category`` (name ->
        objects).
    """
    images = annotations["images"]
    objects = [a for a in annotations["annotations"] if not a.get("iscrowd", 0)]
    areas = [a.get("area", a["bbox"][2] * a["bbox"][3]) for a in objects]
    in_image = Counter(a["image_id"] for a in objects)
    in_category = Counter(a["category_id"] for a in objects)
    categories = sorted(annotations["categories"], key=lambda category: category["id"])
    return {
        "num_small": sum(area < SMALL for area in areas),
        "num_medium": sum(SMALL <= area < MEDIUM for area in areas),
        "num_large": sum(area >= MEDIUM for area in areas),
        "objects_per_image": round(len(objects) / len(images), 1) if images else None,
        "most_objects_per_image": max(in_image.values(), default=0),
        "width": _spread([image["width"] for image in images]),
        "height": _spread([image["height"] for image in images]),
        "per_category": {c["name"]: in_category[c["id"]] for c in categories},
    }


def _spread(lengths: list[int]) -> list[float]:
    return [min(lengths), statistics.median(lengths), max(lengths)] if lengths else []
