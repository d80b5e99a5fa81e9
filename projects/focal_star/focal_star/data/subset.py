"""A part of the training images of a data set, which every machine chooses alike.

``DATASETS.SUBSET`` is the share. The images are chosen in the order of the SHA-256 of their id,
stratified so that each category keeps its share of images: by iterative stratification (Sechidis,
Tsoumakas and Vlahavas, ECML PKDD 2011), which serves the rarest category first.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from focal_star.io.writing import write_whole

NO_OBJECT = None
"""The category of images without objects; crowds do not count as objects."""


def chosen(categories: Mapping[int, Iterable[Hashable]], share: float) -> list[int]:
    """The ids of a share of the images, ascending.

    Args:
        categories: image id -> the categories of its objects.
        share: above 0, at most 1.
    """
    of_image = {image: set(ids) or {NO_OBJECT} for image, ids in categories.items()}
    waiting: dict[Hashable, dict[int, None]] = defaultdict(dict)
    for image in sorted(of_image, key=_digest):
        for category in of_image[image]:
            waiting[category][image] = None
    wanted = {category: len(images) * share for category, images in waiting.items()}
    unwanted = {category: len(images) * (1 - share) for category, images in waiting.items()}
    taken = []
    while waiting:
        rarest = min(waiting, key=lambda category: (len(waiting[category]), str(category)))
        for image in list(waiting[rarest]):
            take = wanted[rarest] * (1 - share) >= unwanted[rarest] * share
            if take:
                taken.append(image)
            left = wanted if take else unwanted
            for category in of_image[image]:
                left[category] -= 1
                del waiting[category][image]
        waiting = {category: images for category, images in waiting.items() if images}
    return sorted(taken)


def ids_sha256(image_ids: Iterable[int]) -> str:
    """SHA-256 of a list of images: of the ids in ascending order, a line each."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(image_ids)).encode()).hexdigest()


def write(annotation_file: Path, share: float, cache: Path) -> tuple[Path, dict[str, Any]]:
    """Write the annotations of a share of the images, in COCO's format, unless they are there.

    Args:
        annotation_file: of all images.
        share: see :func:`chosen`.
        cache: the folder for the files of all training runs.

    Returns:
        The file, and what describes the choice: ``share``, ``of`` (the number of all images),
        ``image_ids_sha256``.

    Raises:
        OSError, ValueError, KeyError, TypeError: the annotations cannot be read.
    """
    stat = annotation_file.stat()
    key = f"{annotation_file.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n{share!r}"
    folder = cache / "subsets" / hashlib.sha256(key.encode()).hexdigest()[:12]
    written, about = folder / annotation_file.name, folder / "subset.json"
    if not about.is_file():  # it is written last
        content = json.loads(annotation_file.read_bytes())
        part = of_content(content, share)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(written, json.dumps(part).encode())
        description = {
            "share": share,
            "of": len(content["images"]),
            "image_ids_sha256": ids_sha256(image["id"] for image in part["images"]),
        }
        write_whole(about, json.dumps(description).encode())
    return written, json.loads(about.read_text(encoding="utf-8"))


def of_content(content: dict[str, Any], share: float) -> dict[str, Any]:
    """The content of an annotation file with a share of its images, and all categories."""
    categories: dict[int, set[int]] = {image["id"]: set() for image in content["images"]}
    for annotation in content["annotations"]:
        if not annotation.get("iscrowd", 0):
            categories[annotation["image_id"]].add(annotation["category_id"])
    ids = set(chosen(categories, share))
    return content | {
        "images": [image for image in content["images"] if image["id"] in ids],
        "annotations": [
            annotation for annotation in content["annotations"] if annotation["image_id"] in ids
        ],
    }


def _digest(image_id: int) -> str:
    return hashlib.sha256(str(image_id).encode()).hexdigest()
