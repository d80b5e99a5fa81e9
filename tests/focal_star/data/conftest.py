"""A small data set for the tests of its check to break."""

import json
import random
from pathlib import Path

import pytest
from PIL import Image

from focal_star.data.validation import checks


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
        return [problem.kind for problem in checks.check_folder(self.folder).problems]


@pytest.fixture
def tiny(tmp_path: Path) -> TinySet:
    return TinySet(tmp_path / "set")


class VocFolder:
    """A sound folder of Pascal VOC of four images a year; a test then breaks it."""

    width, height = 64, 48  # px, of every image

    def __init__(self, folder: Path, lists: dict[str, list[str]]):
        """
        Args:
            folder: to be made.
            lists: of ImageSets/Main -> names of images.
        """
        self.folder = folder
        for part in ("Annotations", "ImageSets/Main", "JPEGImages"):
            (folder / part).mkdir(parents=True)
        for name, images in lists.items():
            self.write_list(name, images)
        for name in dict.fromkeys(name for images in lists.values() for name in images):
            self.annotate(name, [("dog", (1, 1, 64, 48), 0), ("cat", (5, 6, 20, 30), 0)])
            self.save_image(f"{name}.jpg")

    def write_list(self, name: str, images: list[str]) -> None:
        text = "".join(f"{image}\n" for image in images)
        (self.folder / "ImageSets" / "Main" / f"{name}.txt").write_text(text, encoding="utf-8")

    def save_image(self, name: str) -> None:
        Image.new("RGB", (self.width, self.height)).save(self.folder / "JPEGImages" / name)

    def xml(self, name: str) -> Path:
        return self.folder / "Annotations" / f"{name}.xml"

    def annotate(
        self,
        name: str,
        objects: list[tuple[str, tuple, int]],
        size: str = "<size><width>64</width><height>48</height><depth>3</depth></size>",
    ) -> None:
        """Write an annotation file of objects: category, corners from 1 on, whether difficult."""
        corners = ("xmin", "ymin", "xmax", "ymax")
        texts = []
        for category, box, difficult in objects:
            inner = "".join(f"<{c}>{v}</{c}>" for c, v in zip(corners, box, strict=True))
            texts.append(
                f"<object><name>{category}</name><pose>Left</pose><truncated>0</truncated>"
                f"<difficult>{difficult}</difficult><bndbox>{inner}</bndbox>"
                "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>3</xmax>"
                "<ymax>3</ymax></bndbox></part></object>"
            )
        text = f"<annotation><filename>{name}.jpg</filename>{size}{''.join(texts)}</annotation>"
        self.xml(name).write_text(text, encoding="utf-8")


@pytest.fixture
def voc_2007(tmp_path: Path) -> VocFolder:
    """VOC 2007: its test images have annotations."""
    lists = {"train": ["000001"], "val": ["000002"], "trainval": ["000001", "000002"]}
    return VocFolder(tmp_path / "VOCdevkit" / "VOC2007", lists | {"test": ["000003", "000004"]})


@pytest.fixture
def voc_2012(tmp_path: Path) -> VocFolder:
    """VOC 2012: there are no annotations of test images."""
    lists = {"train": ["2008_1"], "val": ["2008_2"], "trainval": ["2008_1", "2008_2"]}
    folder = VocFolder(tmp_path / "VOCdevkit" / "VOC2012", lists)
    folder.write_list("test", ["2008_3", "2008_4"])
    return folder
