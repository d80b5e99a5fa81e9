"""Images for a data set, and what the folder of one becomes in COCO's format."""

import random
from pathlib import Path
from typing import Any

from PIL import Image

from focal_star.data.validation.checks import check_folder

SIZE = (64, 48)  # px, of every image

Boxes = dict[str, list[tuple[str, list[float]]]]
"""Image -> the category and box of each of its objects."""


def save(*paths: Path, **options: Any) -> None:
    """Save images that differ from each other."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = random.Random(str(path)).randbytes(3 * SIZE[0] * SIZE[1])
        Image.frombytes("RGB", SIZE, noise).save(path, **options)


def problems(folder: Path) -> list[str]:
    return [f"{one.kind}: {one.message}" for one in check_folder(folder).problems]


def boxes(folder: Path) -> tuple[Boxes, Boxes]:
    """The images and objects of each split of a folder without problems."""
    check = check_folder(folder)
    assert check.problems == []
    train, val = map(_boxes_of, check.dataset.contents.values())
    return train, val


def _boxes_of(content: dict[str, Any]) -> Boxes:
    names = {one["id"]: one["name"] for one in content["categories"]}
    files = {one["id"]: one["file_name"] for one in content["images"]}
    of_image: Boxes = {name: [] for name in files.values()}
    for one in content["annotations"]:
        of_image[files[one["image_id"]]].append((names[one["category_id"]], one["bbox"]))
    return of_image


def warnings(folder: Path) -> str:
    """The warnings of both splits of a folder without problems, one per line."""
    cards = check_folder(folder).describe().values()
    return "\n".join(line for card in cards for line in card["warnings"])
