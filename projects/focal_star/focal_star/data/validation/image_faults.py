"""What is wrong with an image file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from focal_star.data.problems import holds, shown
from focal_star.io.image_files import PhotographError, read_photograph

_EXIF_ORIENTATION = 0x0112
_EXIF_QUARTER_TURNS = (5, 6, 7, 8)  # the orientations that swap width and height


@dataclass(frozen=True)
class Decoded:
    """What an image file gave: its (width, height) in pixels, or the kind and text of its fault."""

    size: tuple[int, int] | None = None
    turned: bool = False
    kind: str = ""
    error: str = ""


def decode(path: Path | None, bit_depth: int | None = None) -> Decoded:
    """Decode an image as the loader does, with ``INPUT.BIT_DEPTH``."""
    if path is None:
        return Decoded()
    if not holds(path.is_file):
        reason = "is not a regular file" if holds(path.exists) else "does not exist"
        return Decoded(kind="missing-image", error=f"{shown(str(path))} {reason}")
    try:
        with Image.open(path) as image:
            if image.format == "EPS":  # Pillow would have Ghostscript run it
                raise OSError("it is a PostScript program")
            if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError(
                    f"{image.width} x {image.height} px, more than {Image.MAX_IMAGE_PIXELS} in all"
                )
            turned = _orientation(image) in _EXIF_QUARTER_TURNS
        return Decoded(size=read_photograph(path, bit_depth).size, turned=turned)
    except PhotographError as error:
        return Decoded(kind="broken-image", error=f"{shown(path.name)} cannot be decoded: {error}")
    except Exception as error:  # Pillow's decoders raise many types, not all of them documented
        text = f"{shown(path.name)} cannot be decoded ({type(error).__name__}: {error})"
        return Decoded(kind="broken-image", error=text)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # damaged EXIF data: the loader then leaves the image as it is
        return None
