"""A small data set for the tests of its check to break."""

import json
import random
from pathlib import Path

import pytest
from PIL import Image

from focal_star.data import checks


class TinySet:
    """A sound data set of two images a split, in memory until `write`; a test then breaks it."""

    width, height = 64, 48  # px, of every image

    def __init__(self, folder: Path):
        self.folder = folder
        self.images = folder / "images"
        self.images.mkdir(parents=True)
        self.json = {
            "train": self._split(["a.png", "sub/b.jpg"]),
            "val": self._split(["c.png", "d.jpg"]),
        }

    def _split(self, file_names: list[str]) -> dict:
        for name in file_names:
            self.save_image(name)
        return {
            "info": {"year": 2024},
            "images": [
                {"id": index, "file_name": name, "width": self.width, "height": self.height}
                for index, name in enumerate(file_names, start=1)
            ],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 3, "bbox": [4, 5, 20, 30]},
                {"id": 2, "image_id": 2, "category_id": 8, "bbox": [0.5, 0, 63.5, 48], "area": 9.5}
                | {"iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 7]], "extra": None},
                {"id": 3, "image_id": 2, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1}
                | {"segmentation": {"size": [self.height, self.width], "counts": [0, 9, 3063]}},
            ],
            # Sparse ids, as COCO's own.
            "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
        }

    def save_image(self, name: str, orientation: int | None = None) -> None:
        path = self.images / name
        path.parent.mkdir(exist_ok=True)
        # Noise does not compress, so that half a file is less than the image.
        noise = random.Random(name).randbytes(self.width * self.height * 3)
        exif = Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        Image.frombytes("RGB", (self.width, self.height), noise).save(path, exif=exif)

    def write(self) -> None:
        for name, content in self.json.items():
            path = self.folder / f"instances_{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")

    def truncate(self, name: str) -> None:
        """Leave half of an image's file."""
        content = (self.images / name).read_bytes()
        (self.images / name).write_bytes(content[: len(content) // 2])

    def kinds(self) -> list[str]:
        """The kinds of the problems that the check finds."""
        return [problem.kind for problem in checks.check_folder(self.folder)]


@pytest.fixture
def tiny(tmp_path: Path) -> TinySet:
    return TinySet(tmp_path / "set")
