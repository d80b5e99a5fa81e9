"""`digits_in_scenes`: a detection data set composed from images that are included in scikit-learn.

Scanned handwritten digits (the UCI ML hand-written digits, 8 x 8 px, ten classes) are stretched,
coloured and pasted into crops of scikit-learn's two sample photographs. Nothing is downloaded.
Distractors, which look like digits but are not, are pasted in the same way and have no box.
The digits of the validation split are not in the training split; the photographs are the same in
both, and their crops are turned, mirrored, recoloured and blended at random.

The sizes of the objects and their number follow COCO's proportions, as far as 128 px allow: see
docs/mini_study.md.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from focal_star.io.temporary import remove_abandoned, temporary_folder

NAME = "digits_in_scenes"

SUFFIX = ".bmp"
"""Every training reads the images, and reading a PNG takes ten times as long."""


@dataclass(frozen=True)
class Recipe:
    """All parameters of the data set, which determine it byte for byte on one machine.

    Attributes:
        num_train, num_val: images in each split.
        image_size: height and width of each image, px.
        num_objects: minimum and maximum number of objects per image; an object for which no free
            place is found is left out.
        num_distractors: the same for distractors.
        height: smallest and largest height of a digit, px; the logarithm of the height is uniformly
            distributed.
        aspect: largest ratio of height to width, and of width to height.
        contrast: smallest and largest difference in brightness (0 to 255) between a digit and its
            background.
        overlap: largest share of a digit's box that an earlier box may cover.
        seed: the seed of the random numbers.
        version: increased whenever the code changes so that the same recipe gives different images.
    """

    num_train: int = 2000
    num_val: int = 1000
    image_size: int = 128
    num_objects: tuple[int, int] = (0, 2)
    num_distractors: tuple[int, int] = (0, 2)
    height: tuple[float, float] = (24.0, 110.0)
    aspect: float = 4.0
    contrast: tuple[float, float] = (100.0, 220.0)
    overlap: float = 0.1
    seed: int = 0
    version: int = 3


def write(folder: Path, recipe: Recipe = Recipe()) -> None:
    """Write the data set in COCO's format, unless this very one is there already.

    Args:
        folder: gets ``instances_train.json``, ``instances_val.json``, ``images/`` and
            ``recipe.json``; an older data set of another recipe is replaced.
        recipe: what to compose.
    """
    wanted = json.dumps(asdict(recipe), sort_keys=True)
    recipe_file = folder / "recipe.json"

    def is_there() -> bool:
        return recipe_file.is_file() and recipe_file.read_text(encoding="utf-8") == wanted

    if is_there():
        remove_abandoned(folder.parent)
        return
    # Composed beside its place and moved there whole, so that a kill leaves nothing half written.
    with temporary_folder(folder) as made:
        (made / "images").mkdir()
        sources = _Sources.load()
        splits = (("train", recipe.num_train, 0), ("val", recipe.num_val, 1))
        for split, num_images, stream in splits:
            random = np.random.default_rng([recipe.seed, stream])
            content = _compose_split(split, num_images, sources, recipe, random, made / "images")
            (made / f"instances_{split}.json").write_text(json.dumps(content), encoding="utf-8")
        (made / "recipe.json").write_text(wanted, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            made.rename(folder)
        except OSError:
            if not is_there():  # another process has written the same one in the meantime
                raise


@dataclass(frozen=True)
class _Sources:
    digits: list[np.ndarray]  # each cut to its ink, float in [0, 1]
    labels: np.ndarray  # (n,)
    photos: list[Image.Image]

    @classmethod
    def load(cls) -> "_Sources":
        from sklearn.datasets import load_digits, load_sample_images

        scans = load_digits()
        return cls(
            digits=[_cut_to_ink(scan / 16.0) for scan in scans.images],
            labels=scans.target,
            photos=[Image.fromarray(photo) for photo in load_sample_images().images],
        )

    def of_split(self, split: str) -> np.ndarray:
        """Indices of a split's digits: every fifth of a class is kept for validation."""
        rank = np.zeros(len(self.labels), dtype=int)
        for label in np.unique(self.labels):
            of_label = self.labels == label
            rank[of_label] = np.arange(of_label.sum())
        is_val = rank % 5 == 0
        return np.flatnonzero(is_val if split == "val" else ~is_val)


def _cut_to_ink(scan: np.ndarray, threshold: float = 0.2) -> np.ndarray:
    rows = np.flatnonzero((scan > threshold).any(axis=1))
    columns = np.flatnonzero((scan > threshold).any(axis=0))
    return scan[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _compose_split(
    split: str,
    num_images: int,
    sources: _Sources,
    recipe: Recipe,
    random: np.random.Generator,
    images: Path,
) -> dict[str, Any]:
    """Write a split's images and return its COCO annotations."""
    content: dict[str, Any] = {
        "info": {"description": f"{NAME}, {split}", "recipe": asdict(recipe)},
        "images": [],
        "annotations": [],
        "categories": [{"id": d + 1, "name": str(d)} for d in range(10)],
    }
    pool = sources.of_split(split)
    for image_id in range(1, num_images + 1):
        scene = _background(sources.photos, recipe.image_size, random)
        name = f"{split}_{image_id:05d}{SUFFIX}"
        for digit, (x, y, w, h) in _objects(scene, sources, pool, recipe, random):
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": int(sources.labels[digit]) + 1,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
        Image.fromarray(scene.round().astype(np.uint8)).save(images / name)
        size = {"height": recipe.image_size, "width": recipe.image_size}
        content["images"].append({"id": image_id, "file_name": name} | size)
    return content


def _background(photos: list[Image.Image], size: int, random: np.random.Generator) -> np.ndarray:
    """A (size, size, 3) float background in [0, 255]: a crop, or a blend of two crops."""
    scene = _crop(photos, size, random)
    if random.random() < 0.5:
        share = random.uniform(0.3, 0.7)
        scene = share * scene + (1 - share) * _crop(photos, size, random)
    return scene


def _crop(photos: list[Image.Image], size: int, random: np.random.Generator) -> np.ndarray:
    """A (size, size, 3) crop of a photograph, scaled, turned, mirrored and recoloured."""
    photo = photos[random.integers(len(photos))]
    side = int(size * random.uniform(0.5, min(photo.size) / size))
    left, top = (int(random.integers(extent - side + 1)) for extent in photo.size)
    crop = photo.crop((left, top, left + side, top + side))
    crop = crop.resize((size, size), Image.Resampling.BILINEAR)
    scene = np.rot90(np.asarray(crop, dtype=np.float64), int(random.integers(4)))
    scene = scene[:, ::-1] if random.random() < 0.5 else scene
    scene = scene[..., random.permutation(3)]
    return (255 - scene if random.random() < 0.5 else scene).copy()


def _objects(
    scene: np.ndarray,
    sources: _Sources,
    pool: np.ndarray,
    recipe: Recipe,
    random: np.random.Generator,
) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """Paste digits and distractors into ``scene``.

    Yields:
        The index of each digit and its box (x, y, w, h) in px.
    """
    boxes: list[tuple[int, int, int, int]] = []
    num_objects, num_distractors = (
        int(random.integers(low, high + 1))
        for low, high in (recipe.num_objects, recipe.num_distractors)
    )
    for number in range(num_objects + num_distractors):
        box = _place(boxes, recipe, random)
        if box is None:
            continue
        boxes.append(box)
        digit = int(random.choice(pool))
        is_object = number < num_objects
        ink = sources.digits[digit] if is_object else _distractor(sources, pool, random)
        x, y, w, h = box
        _paste(scene[y : y + h, x : x + w], ink, recipe.contrast, random)
        if is_object:
            yield digit, box


def _place(
    boxes: list[tuple[int, int, int, int]], recipe: Recipe, random: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """A box (x, y, w, h) of random size that hardly overlaps the others; None if 20 tries fail."""
    size = recipe.image_size
    h = float(np.exp(random.uniform(*np.log(recipe.height))))
    w = h * float(np.exp(random.uniform(-1, 1) * np.log(recipe.aspect)))
    h, w = round(h), min(max(round(w), 6), size - 2)
    for _ in range(20):
        box = int(random.integers(size - w + 1)), int(random.integers(size - h + 1)), w, h
        if all(_covered(box, other) <= recipe.overlap for other in boxes):
            return box
    return None


_NONE_MIRRORED = (3, 4, 6, 7, 9)
"""Digits that no longer look like a digit when mirrored."""

_NONE_TURNED = (2, 3, 4, 5, 6, 7, 9)
"""Digits that no longer look like a digit when turned by 90 degrees."""


def _distractor(sources: _Sources, pool: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The ink in [0, 1] of a distractor: a mirrored or turned digit, or a drawn sign."""
    kind = ("mirrored", "turned", "sign")[random.integers(3)]
    if kind == "sign":
        return _sign(random)
    labels = _NONE_MIRRORED if kind == "mirrored" else _NONE_TURNED
    digit = sources.digits[int(random.choice(pool[np.isin(sources.labels[pool], labels)]))]
    if kind == "mirrored":
        return digit[:, ::-1]
    return np.rot90(digit, random.choice([1, 3]))


def _sign(random: np.random.Generator, size: int = 32) -> np.ndarray:
    """A cross or a triangle with crooked lines, as coarse as the scans: (8, 8) in [0, 1]."""
    corners = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
    points = [tuple(p) for p in (corners + random.uniform(-0.1, 0.1, corners.shape)) * size]
    is_cross = random.random() < 0.5
    lines = [points[0::2], points[1::2]] if is_cross else [[*points[:3], points[0]]]
    canvas = Image.new("F", (size, size))
    for line in lines:
        ImageDraw.Draw(canvas).line(line, fill=1.0, width=size // 6)
    return np.asarray(canvas.resize((8, 8), Image.Resampling.BOX))


def _covered(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Intersection of two boxes as a share of the smaller one."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(w, 0) * max(h, 0) / min(a[2] * a[3], b[2] * b[3])


def _paste(
    patch: np.ndarray,
    digit: np.ndarray,
    contrast: tuple[float, float],
    random: np.random.Generator,
) -> None:
    """Blend a digit into ``patch`` (h, w, 3), in place, lighter or darker than what is there."""
    height, width = patch.shape[:2]
    stretched = Image.fromarray(digit.astype(np.float32))
    stretched = stretched.resize((width, height), Image.Resampling.BICUBIC)
    opacity = np.clip(np.asarray(stretched, dtype=np.float64), 0, 1)[..., None]
    below = patch.mean(axis=(0, 1))
    sign = 1.0 if below.mean() < 128 else -1.0
    if 64 < below.mean() < 192 and random.random() < 0.5:
        sign = -sign
    colour = below + sign * random.uniform(*contrast) + random.uniform(-40, 40, size=3)
    patch += opacity * (np.clip(colour, 0, 255) - patch)
