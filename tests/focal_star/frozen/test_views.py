"""Random views of an image."""

import numpy as np
import pytest
from PIL import Image

from focal_star.frozen.views import BORDER, Recipe, view

PLAIN = {"stretch": 1.0, "colour": 0.0}


def photo(width=80, height=64, box=(20, 10, 50, 40)) -> Image.Image:
    """Black, with a white box."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("seed", range(20))
def test_a_box_stays_on_its_object(seed):
    recipe = Recipe(96, zoom=(0.6, 1.0))
    box = np.array([[20.0, 10, 50, 40]])
    seen, boxes, kept = view(photo(), box, recipe, np.random.default_rng(seed))
    assert seen.size == (96, 96)
    bright = np.array(seen).min(axis=2) > 180  # of a border of 127 and changed colours
    if not len(kept):
        assert bright.mean() < 0.1
        return
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    np.testing.assert_allclose(boxes[0], found, atol=2)


def test_a_square_image_at_zoom_1_is_the_image_or_its_mirror():
    recipe = Recipe(64, zoom=(1.0, 1.0), **PLAIN)
    image = photo(64, 64)
    box = np.array([[20.0, 10, 50, 40]])
    views = [view(image, box, recipe, np.random.default_rng(seed)) for seed in range(8)]
    assert {tuple(boxes[0]) for _, boxes, _ in views} == {(20, 10, 50, 40), (14, 10, 44, 40)}
    for seen, boxes, _ in views:
        plain = image if boxes[0][0] == 20 else image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        np.testing.assert_array_equal(np.array(seen), np.array(plain))


def test_beyond_a_small_image_is_the_colour_that_the_network_sees_as_0():
    recipe = Recipe(64, zoom=(0.5, 0.5), **PLAIN)
    seen, _, _ = view(photo(64, 64), np.zeros((0, 4)), recipe, np.random.default_rng(0))
    assert (np.array(seen) == BORDER).all(axis=2).sum() == 64**2 - 32**2


def test_a_box_that_is_hardly_visible_is_dropped():
    recipe = Recipe(64, zoom=(4.0, 4.0), **PLAIN)
    box = np.array([[0.0, 0, 64, 64], [31, 31, 33, 33]])
    for seed in range(20):
        _, boxes, kept = view(photo(64, 64), box, recipe, np.random.default_rng(seed))
        assert 0 not in kept  # a window of 16 px shows a sixteenth of it
        assert len(boxes) == len(kept)


def test_a_seed_gives_one_view():
    box = np.array([[20.0, 10, 50, 40]])

    def pixels(seed: int) -> bytes:
        return view(photo(), box, Recipe(64), np.random.default_rng(seed))[0].tobytes()

    assert pixels(1) == pixels(1) != pixels(2)
