"""Boxes that are rotated around their centre, as CVAT draws and exports them."""

import math


def box_around(corners: list[float], degrees: float, size: tuple[float, float]) -> list[float]:
    """The corners of the upright box around a rotated one, in its image.

    Args:
        corners: left, top, right and bottom (px) of the box before it is rotated.
        degrees: the rotation around its centre.
        size: (width, height) of the image in px.
    """
    if degrees == 0:
        return corners
    left, top, right, bottom = corners
    width, height = right - left, bottom - top
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    x, y = (left + right) / 2, (top + bottom) / 2
    half_width, half_height = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
    right, bottom = min(x + half_width, size[0]), min(y + half_height, size[1])
    return [max(round(x - half_width, 4), 0), max(round(y - half_height, 4), 0), right, bottom]
