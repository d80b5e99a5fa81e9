"""Finds what is doubtful in data that pass the check, and boxes that all have another form."""

import re
import unicodedata
from collections import Counter, defaultdict
from typing import Any

from focal_star.data.layouts.coco_values import are_finite, box_of_polygons, is_polygons
from focal_star.data.layouts.dataset import WARNINGS_KEY
from focal_star.data.layouts.problems import Doubts, Problem
from focal_star.data.layouts.split import SOURCE
from focal_star.data.validation.images import ImageFacts
from focal_star.io.quoting import shown

MAX_DETECTIONS = 100
"""Detections per image that count by default, and in COCO's AP."""

MIN_BOXES = 10
"""With fewer boxes in a split, their form as a whole says nothing."""

OUTSIDE_SHARE, CORNERS_SHARE_AGAINST_AREAS = 0.1, 0.5
"""Boxes count as two corners, or as given by their centre, if a larger share of them extends beyond
the image when read as COCO's; the second share is for two corners where any box has width x height
as its ``area``."""

MAX_LINES, MAX_LINE = 100, 2000
"""Limits of the warnings in an annotation file."""


def find_doubts(split: str, content: dict[str, Any], doubts: Doubts) -> None:
    """Count what is doubtful in the content of an annotation file, which has passed the check."""
    images = {image["id"]: image["file_name"] for image in content["images"]}
    in_image: Counter[int] = Counter()
    seen: set[tuple] = set()
    num_as_corners = num_boxes = 0
    for number, annotation in enumerate(content["annotations"]):
        x, y, width, height = annotation["bbox"]
        if not annotation.get("iscrowd"):
            in_image[annotation["image_id"]] += 1
            num_boxes += 1
            is_known = SOURCE in annotation or annotation.get("area") == width * height
            num_as_corners += width > x and height > y and not is_known
        key = (annotation["image_id"], annotation["category_id"], x, y, width, height)
        if key in seen:
            doubts.add(split, "box-repeated", _place(number, annotation))
        seen.add(key)
        if width < 1 or height < 1:
            doubts.add(split, "box-tiny", _place(number, annotation))
    if num_boxes >= MIN_BOXES and num_as_corners == num_boxes:
        doubts.note(
            split,
            "each bbox could also be two corners [x1, y1, x2, y2]; draw some, to be sure that they "
            "are COCO's [x, y, width, height]",
        )
    for image_id, name in images.items():
        if in_image[image_id] > MAX_DETECTIONS:
            example = f"{shown(name)} with {in_image[image_id]}"
            doubts.add(split, "many-objects", example)
        elif not in_image[image_id]:
            doubts.add(split, "no-objects", shown(name))
    for group in categories_alike(content["categories"]):
        names = " and ".join(shown(category["name"]) for category in group)
        doubts.add(split, "names-alike", names)


def _place(number: int, annotation: dict[str, Any]) -> str:
    source = annotation.get(SOURCE)
    return f"annotations[{number}]" + (f", {shown(source)}" if isinstance(source, str) else "")


def written_warnings(content: dict[str, Any]) -> list[str]:
    """The warnings of a conversion that its annotation file has; only one-line texts."""
    lines = content.get(WARNINGS_KEY)
    if not isinstance(lines, list) or len(lines) > MAX_LINES:
        return []
    return [
        line
        for line in lines
        if isinstance(line, str) and len(line) <= MAX_LINE and line.isprintable()
    ]


def find_same_pictures(images: dict[str, list[tuple[str, ImageFacts]]], doubts: Doubts) -> None:
    """Count the validation images whose pixels a training image has, too.

    Args:
        images: split -> file name and facts of each image.
        doubts: where they are counted.
    """
    train = {facts.pixels: name for name, facts in images["train"] if facts.pixels}
    for name, facts in images["val"]:
        if facts.pixels in train:
            example = f"{shown(name)}, which is {shown(train[facts.pixels])} in train"
            doubts.add("val", "same-picture", example)


def categories_alike(categories: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The groups of categories whose names are the same, or differ only in case, blanks or the form
    of letters; in the order of their ids."""
    groups = defaultdict(list)
    for category in sorted(categories, key=lambda entry: entry["id"]):
        key = unicodedata.normalize("NFKC", category["name"]).casefold()
        groups["".join(re.sub(r"(?<=\w)[-_](?=\w)", " ", key).split())].append(category)
    return [group for group in groups.values() if len(group) > 1]


AnnotationAndSize = tuple[dict[str, Any], tuple[int, int] | None]
"""An annotation whose ``bbox`` is four finite numbers, and the (width, height) of its image in px;
None where it is not certain."""


def form_of_boxes(split: str, file: str, boxes: list[AnnotationAndSize]) -> Problem | None:
    """The problem that all boxes of a split have another form than COCO's; None where not.

    Args:
        split: "train" or "val".
        file: the name of the annotation file.
        boxes: of the split, without crowds.
    """
    if not boxes:
        return None
    subject = f"{file}: all {len(boxes)} boxes (such as {shown(boxes[0][0]['bbox'])})"
    if all(size is None or min(size) > 2 for _, size in boxes) and all(
        0 <= number <= 1 for annotation, _ in boxes for number in annotation["bbox"]
    ):
        return Problem(
            split,
            "normalised-boxes",
            f"{subject} have numbers from 0 to 1, which look like fractions of the image; COCO's "
            "are px: multiply x and width by the image's width, y and height by its height; if x "
            "and y are those of the centre, subtract half of the width and height from them",
        )
    if reason := _sign_of_corners(boxes):
        return Problem(
            split,
            "corners",
            f"{subject} are valid as two corners [x1, y1, x2, y2], and {reason}; draw some, to be "
            "sure, and subtract x1 from x2 and y1 from y2",
        )
    if reason := _sign_of_centres(boxes):
        return Problem(
            split,
            "centres",
            f"{subject} are valid as [centre x, centre y, width, height], and {reason}; draw some, "
            "to be sure, and subtract half of the width from x and half of the height from y",
        )
    return None


def _sign_of_corners(boxes: list[AnnotationAndSize]) -> str | None:
    """What shows that all boxes are two corners; None where they need not be."""
    num_outside = num_of_corners = num_of_sizes = 0
    for annotation, size in boxes:
        (x, y, right, bottom), area = annotation["bbox"], annotation.get("area")
        if size is None or right <= x or bottom <= y:
            return None
        if x < -1 or y < -1 or right > size[0] + 1 or bottom > size[1] + 1:
            return None
        num_outside += x + right > size[0] + 1 or y + bottom > size[1] + 1
        is_of_corners = _agree(area, (right - x) * (bottom - y))
        is_of_size = _agree(area, right * bottom)
        num_of_corners += is_of_corners and not is_of_size
        num_of_sizes += is_of_size and not is_of_corners
    if any(_fits_polygons(annotation) for annotation, _ in boxes):
        return None
    if num_of_corners == len(boxes):
        return "each area is that of the corners"
    share = CORNERS_SHARE_AGAINST_AREAS if num_of_sizes else OUTSIDE_SHARE
    return _many_outside(num_outside, len(boxes), share)


def _sign_of_centres(boxes: list[AnnotationAndSize]) -> str | None:
    """What shows that all boxes are given by their centre; None where they need not be."""
    num_outside = 0
    for annotation, size in boxes:
        x, y, width, height = annotation["bbox"]
        if size is None or min(width, height) <= 0:
            return None
        if not (width / 2 - 1 <= x <= size[0] - width / 2 + 1):
            return None
        if not (height / 2 - 1 <= y <= size[1] - height / 2 + 1):
            return None
        # A quarter of a side, as boxes that are a little too large also extend beyond their image.
        far_right, far_down = x + 0.75 * width > size[0], y + 0.75 * height > size[1]
        num_outside += far_right or far_down
    if any(_fits_polygons(annotation) for annotation, _ in boxes):
        return None
    return _many_outside(num_outside, len(boxes), OUTSIDE_SHARE)


def _many_outside(num_outside: int, num_boxes: int, share: float) -> str | None:
    """That more than this share of the boxes extends beyond the image as COCO's."""
    if num_boxes < MIN_BOXES or num_outside <= share * num_boxes:
        return None
    return f"{num_outside} of them extend beyond their image as COCO's [x, y, width, height]"


def _fits_polygons(annotation: dict[str, Any]) -> bool:
    """Whether a bbox is [x, y, width, height] of its polygons, and could not be their corners."""
    box = annotation["bbox"]
    polygons: Any = annotation.get("segmentation")
    if max(box[:2]) <= 1 or not is_polygons(polygons):
        return False
    return all(abs(a - b) <= 1 for a, b in zip(box, box_of_polygons(polygons), strict=True))


def _agree(area: Any, product: float) -> bool:
    return are_finite([area]) and abs(area - product) <= 0.01 * area
