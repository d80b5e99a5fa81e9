"""Reads a person's own photographs, whatever a camera or a program has written."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


class PhotographError(ValueError):
    """A file that no photograph can be read from; the message says why, without its name."""


def read_photograph(path: Path) -> Image.Image:
    """A photograph as it is looked at: upright by its EXIF orientation, RGB, 8 bits a channel.

    Grey, palette, CMYK and 16-bit images are converted, what is transparent is put on white, and
    of an animation it is the first frame.

    Raises:
        PhotographError: it cannot be read as an image.
    """
    try:
        with Image.open(path) as file:
            if file.format == "EPS":  # Pillow would have Ghostscript run it
                raise PhotographError("it is a PostScript program")
            return _rgb(ImageOps.exif_transpose(file))
    except PhotographError:
        raise
    except FileNotFoundError as error:
        raise PhotographError("it is not there") from error
    except Image.UnidentifiedImageError as error:
        raise PhotographError("it is not an image of a known format") from error
    except Exception as error:  # what a broken file raises has no common base
        raise PhotographError(f"it cannot be read: {_first_line(error)}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise PhotographError("its pixels are floating-point numbers, of an unknown range")
    if image.mode.startswith("I"):
        image = _eight_bits(np.asarray(image))
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray) -> Image.Image:
    """Grey levels of 16 bits as 8 bits; Pillow's own conversion cuts off all above 255."""
    if values.min() < 0 or values.max() > 65535:
        raise PhotographError("its grey levels have more than 16 bits")
    return Image.fromarray((values.astype(np.uint32) // 257).astype(np.uint8))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
