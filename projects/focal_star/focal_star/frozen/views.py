"""Random views of an image: a square of it, flipped, with other colours."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

BORDER = (127, 127, 127)
"""The colour beyond an image: 0 for the network."""


@dataclass(frozen=True)
class Recipe:
    """What a view depends on, beside its image and its random numbers.

    Attributes:
        size: height and width of a view, px.
        zoom: smallest and largest scale, relative to an image whose short edge is ``size``.
        stretch: largest ratio between the scales of width and height.
        colour: largest relative change of brightness, contrast and saturation.
        visible: a box is kept if this part of its area is in the view.
        version: increased whenever the same recipe gives other views.
    """

    size: int
    zoom: tuple[float, float] = (0.75, 1.6)
    stretch: float = 1.25
    colour: float = 0.3
    visible: float = 0.3
    version: int = 1


def view(
    image: Image.Image, boxes: np.ndarray, recipe: Recipe, random: np.random.Generator
) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """Draw a view.

    Args:
        image: RGB.
        boxes: (M, 4) x1, y1, x2, y2, px.
        recipe: the recipe of the view.
        random: the source of its random numbers.

    Returns:
        The view, its (K, 4) boxes in px of the view, and the (K,) numbers of these boxes.
    """
    zoom = np.exp(random.uniform(*np.log(recipe.zoom)))
    stretch = np.exp(random.uniform(-0.5, 0.5) * np.log(recipe.stretch))
    side = min(image.size) / zoom
    window = np.array([side * stretch, side / stretch])  # width, height, px of the image
    room = np.array(image.size) - window
    start = random.uniform(np.minimum(room, 0), np.maximum(room, 0))
    seen = _window(image, start, window, recipe.size)
    moved = (boxes - np.tile(start, 2)) * np.tile(recipe.size / window, 2)
    if random.random() < 0.5:
        seen = seen.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        moved = np.stack(
            [recipe.size - moved[:, 2], moved[:, 1], recipe.size - moved[:, 0], moved[:, 3]], axis=1
        )
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        seen = enhancer(seen).enhance(1 + random.uniform(-recipe.colour, recipe.colour))
    clipped = moved.clip(0, recipe.size)
    visible = np.flatnonzero(_area(clipped) > recipe.visible * _area(moved))
    return seen, clipped[visible], visible


def _window(image: Image.Image, start: np.ndarray, window: np.ndarray, size: int) -> Image.Image:
    """The window of an image, scaled to (size, size); what lies beyond the image is ``BORDER``."""
    low, high = start.clip(0), np.minimum(start + window, image.size)
    places = np.round(np.stack([low - start, high - start]) * size / window).astype(int)
    (left, top), (width, height) = places[0], np.maximum(places[1] - places[0], 1)
    box = (*low.tolist(), *high.tolist())
    part = image.resize((int(width), int(height)), Image.Resampling.BILINEAR, box=box)
    if (width, height) == (size, size):
        return part
    canvas = Image.new("RGB", (size, size), BORDER)
    canvas.paste(part, (int(left), int(top)))
    return canvas


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
