"""Finds what is doubtful in data that pass the check, and boxes that all have another form."""

import unicodedata
from collections import Counter, defaultdict
from typing import Any

from focal_star.data.layouts.coco_values import are_finite
from focal_star.data.layouts.dataset import WARNINGS_KEY
from focal_star.data.layouts.problems import Doubts, Problem
from focal_star.data.layouts.split import SOURCE
from focal_star.data.validation.images import ImageFacts
from focal_star.io.quoting import shown

MAX_DETECTIONS = 100
"""Detections per image that count by default, and in COCO's AP."""

MIN_BOXES = 10
"""With fewer boxes in a split, their form as a whole says nothing."""

MAX_LINES, MAX_LINE = 100, 2000
"""Limits of the warnings in an annotation file."""


def find_doubts(split: str, content: dict[str, Any], doubts: Doubts) -> None:
    """Count what is doubtful in the content of an annotation file, which has passed the check."""
    images = {image["id"]: image["file_name"] for image in content["images"]}
    in_image: Counter[int] = Counter()
    seen: set[tuple] = set()
    num_as_corners = num_boxes = 0
    for number, one in enumerate(content["annotations"]):
        x, y, width, height = one["bbox"]
        if not one.get("iscrowd"):
            in_image[one["image_id"]] += 1
            num_boxes += 1
            is_known = SOURCE in one or one.get("area") == width * height
            num_as_corners += width > x and height > y and not is_known
        key = (one["image_id"], one["category_id"], x, y, width, height)
        if key in seen:
            doubts.add(split, "box-repeated", _place(number, one))
        seen.add(key)
        if width < 1 or height < 1:
            doubts.add(split, "box-tiny", _place(number, one))
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
    for names in names_alike([category["name"] for category in content["categories"]]):
        doubts.add(split, "names-alike", " and ".join(map(shown, names)))


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


def names_alike(names: list[str]) -> list[list[str]]:
    """The groups of names that differ only in case, blanks or the form of letters."""
    groups = defaultdict(list)
    for name in names:
        key = unicodedata.normalize("NFKC", name).casefold()
        groups["".join(key.replace("_", " ").replace("-", " ").split())].append(name)
    return [group for group in groups.values() if len(group) > 1]


def form_of_boxes(
    split: str, file: str, boxes: list[tuple[list[float], tuple[int, int] | None, Any]]
) -> Problem | None:
    """The problem that all boxes of a split have another form than COCO's; None where not.

    Args:
        split: "train" or "val".
        file: the name of the annotation file.
        boxes: four finite numbers each, the (width, height) of its image in px, and its ``area``.
    """
    if not boxes:
        return None
    example = shown(boxes[0][0])
    if all(size is None or min(size) > 2 for _, size, _ in boxes) and all(
        0 <= number <= 1 for box, _, _ in boxes for number in box
    ):
        return Problem(
            split,
            "normalised-boxes",
            f"{file}: all {len(boxes)} boxes have numbers from 0 to 1 (such as {example}), which "
            "look like fractions of the image; COCO's are px: multiply x and width by the image's "
            "width, y and height by its height",
        )
    num_outside = num_areas = 0
    for (x, y, right, bottom), size, area in boxes:
        if size is None or right <= x or bottom <= y:
            return None
        if x < -1 or y < -1 or right > size[0] + 1 or bottom > size[1] + 1:
            return None
        num_outside += x + right > size[0] + 1 or y + bottom > size[1] + 1
        num_areas += (
            are_finite([area])
            and abs(area - (right - x) * (bottom - y)) <= 0.01 * area
            and abs(area - right * bottom) > 0.01 * area
        )
    if not (num_areas == len(boxes) or (num_outside and len(boxes) >= MIN_BOXES)):
        return None
    return Problem(
        split,
        "corners",
        f"{file}: all {len(boxes)} boxes (such as {example}) are valid as two corners "
        f"[x1, y1, x2, y2], and {num_outside} of them extend beyond their image as COCO's [x, y, "
        "width, height]; subtract x1 from x2 and y1 from y2",
    )
