"""Small made-up data sets in the layouts, and under the names, of COCO and of Pascal VOC.

Their pictures are noise: they show that a study finds, reads and trains on its data, not what it
learns.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES
from PIL import Image

WIDTH, HEIGHT = 100, 75
COCO = [{"id": c["id"], "name": c["name"]} for c in COCO_CATEGORIES if c["isthing"]]
VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip

Box = tuple[int, int, int, int]


def write_coco(root: Path, num_train: int = 40, num_val: int = 8) -> None:
    """Write ``coco/`` with annotations, train2017 and val2017 into ``DETECTRON2_DATASETS``."""
    annotations = root / "coco" / "annotations"
    annotations.mkdir(parents=True)
    for split, number in (("train2017", num_train), ("val2017", num_val)):
        images, objects = [], []
        for image_id in range(1, number + 1):
            name = f"{image_id:012}.jpg"
            _picture(root / "coco" / split / name)
            images.append({"id": image_id, "file_name": name, "width": WIDTH, "height": HEIGHT})
            for x, y, width, height in _boxes(f"{split} {name}"):
                category = COCO[len(objects) % len(COCO)]["id"]
                entry = {"bbox": [x, y, width, height], "area": width * height, "iscrowd": 0}
                entry |= {"id": len(objects) + 1, "image_id": image_id, "category_id": category}
                objects.append(entry)
        content = {"images": images, "annotations": objects, "categories": COCO}
        (annotations / f"instances_{split}.json").write_text(json.dumps(content))


def write_voc(root: Path, per_list: int = 10) -> None:
    """Write ``VOC2007``, with its test set, and ``VOC2012`` into ``DETECTRON2_DATASETS``."""
    for year, lists in (("VOC2007", ("trainval", "test")), ("VOC2012", ("trainval",))):
        folder = root / year
        for part in ("Annotations", "ImageSets/Main", "JPEGImages"):
            (folder / part).mkdir(parents=True)
        for list_name in lists:
            names = [f"{list_name}_{number:06}" for number in range(per_list)]
            (folder / "ImageSets" / "Main" / f"{list_name}.txt").write_text("\n".join(names))
            for number, name in enumerate(names):
                _picture(folder / "JPEGImages" / f"{name}.jpg")
                categories = [VOC[(2 * number + k) % len(VOC)] for k in range(2)]
                text = _voc_annotation(list(_boxes(f"{year} {name}")), categories)
                (folder / "Annotations" / f"{name}.xml").write_text(text)


def _voc_annotation(boxes: Sequence[Box], categories: Sequence[str]) -> str:
    objects = "".join(
        f"<object><name>{category}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin>"
        f"<ymin>{y + 1}</ymin><xmax>{x + width}</xmax><ymax>{y + height}</ymax></bndbox></object>"
        for (x, y, width, height), category in zip(boxes, categories, strict=True)
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation>{size}{objects}</annotation>"


def _boxes(seed: str) -> Iterator[Box]:
    """Two boxes inside an image: x, y, width and height, px."""
    random = Random(seed)
    for _ in range(2):
        width, height = random.randint(10, WIDTH - 10), random.randint(10, HEIGHT - 10)
        yield random.randint(0, WIDTH - width), random.randint(0, HEIGHT - height), width, height


def _picture(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    noise = Random(str(path.name)).randbytes(WIDTH * HEIGHT * 3)
    Image.frombytes("RGB", (WIDTH, HEIGHT), noise).save(path)
