"""Reads a photograph, whatever a camera or a program has written, as RGB with 8 bits per value.

Training, tests, the check of a data set, the demo and the pictures of a report all read images
here, so that a report shows what a detector was given. The module needs only NumPy and Pillow.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from focal_star.io.mistaken import seems_to_be
from focal_star.io.quoting import first_line

PALETTE = "palette"
CMYK = "cmyk"
TRANSPARENT = "transparent"
EXTRA_BAND = "extra-band"
SIXTEEN_BITS = "16-bits"
STATED_BITS = "stated-bits"
HIGH_BYTE = "high-byte"
SEVERAL_IMAGES = "several-images"

CONVERSIONS = {
    PALETTE: "colours from a palette, which are looked up for each pixel",
    CMYK: "CMYK colours, which are converted to RGB without a colour profile",
    TRANSPARENT: "transparent pixels, which are laid on white",
    EXTRA_BAND: "TIFF with a band besides the colours, such as alpha or infrared, which is left "
    "out",
    SIXTEEN_BITS: "16 bits per value, which are reduced to 8 bits",
    STATED_BITS: "more than 8 bits per value, as the file states, which are scaled to 8 bits",
    HIGH_BYTE: "16 bits per value in a format of which Pillow reads only the upper 8 bits",
    SEVERAL_IMAGES: "several images in one file, of which the first is read",
}
"""Kind of conversion that may lose something -> the file's property, and how it is converted."""

SUFFIXES = frozenset(
    [".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm"]
    + [".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"]
)
"""The ends of the names of image files, in lower case."""

READ_FORMATS = f"images are read from files that end with {', '.join(sorted(SUFFIXES))}"
"""What a message says where there is no such file."""

MIN_BITS, MAX_BITS = 8, 16
"""The bits per value that ``bit_depth`` may say."""

_NUM_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
"""TIFF's PhotometricInterpretation -> number of bands that are colours."""

_WIDTH, _LENGTH = 256, 257
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLES_PER_PIXEL, _PLANAR = 258, 262, 277, 284
_ORIENTATION = 0x0112

_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes an image upright."""

_METADATA = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""What can say the orientation of an image, in its ``info``."""

_BYTES_SWAPPED = {
    ";16L": ";16B",
    ";16B": ";16L",
    ";16N": ";16B" if sys.byteorder == "little" else ";16L",
}
"""End of the name of one of Pillow's raw modes -> the same with the bytes of a value swapped."""


_RAISE = "INPUT.MAX_PIXELS raises the limit"

Source = Path | bytes
"""A file, or its content."""


class PhotographError(ValueError):
    """A file that no photograph can be read from; the message says why, without its name."""


@dataclass(frozen=True)
class Conversions:
    """What is done to a file's pixels to make them RGB with 8 bits per value.

    Attributes:
        kinds: keys of ``CONVERSIONS``.
        max_value: the greatest value of a file of the kind ``SIXTEEN_BITS``, None for others.
    """

    kinds: frozenset[str] = frozenset()
    max_value: int | None = None


@dataclass(frozen=True)
class Photograph:
    """A decoded file.

    Attributes:
        image: upright, of mode RGB.
        is_turned: whether its EXIF orientation swapped width and height.
        conversions: what was done to its pixels.
    """

    image: Image.Image
    is_turned: bool
    conversions: Conversions


def read_photograph(path: Path, bit_depth: int | None = None) -> Image.Image:
    """A photograph as it is looked at: upright by its EXIF orientation, RGB, 8 bits per value.

    Grey, palette and CMYK images are converted, and transparent pixels are laid on white. In a TIFF
    a band beyond the colours is left out, whatever its tag says: many programs tag infrared as
    alpha. Of several images in a file the first is read.

    A value v of 16 bits becomes v // 257, so that 65535 becomes 255. Where the file itself states
    another depth, as a TIFF with 12 bits per sample does, that depth counts.

    Args:
        path: the file.
        bit_depth: how many of the 16 bits per value are in use, ``MIN_BITS`` to ``MAX_BITS``: 12
            for values up to 4095, for example; None for 16. It changes nothing for files of 8 bits
            per value, and for files that state their depth.

    Returns:
        An image of mode RGB.

    Raises:
        PhotographError: it cannot be read as an image, its pixels are floating-point numbers, or a
            value needs more bits than ``bit_depth``.
    """
    with _refusing(), _open(path) as file:
        return _read(path, file, bit_depth)[0]


def decode(
    source: Source, bit_depth: int | None = None, max_pixels: int | None = None
) -> Photograph:
    """Do the same as :func:`read_photograph`, and report the conversions.

    Args:
        source: the file, or its content.
        bit_depth: see :func:`read_photograph`.
        max_pixels: a larger image is not decoded; None for Pillow's own limit.

    Raises:
        PhotographError: as in :func:`read_photograph`, or it has more than ``max_pixels``.
    """
    with _refusing(), _open(source) as file:
        if max_pixels and file.width * file.height > max_pixels:
            size = f"{file.width} x {file.height} px, more than {max_pixels} in all"
            raise PhotographError(f"it could be a decompression bomb: {size}; {_RAISE}")
        stored_size = _stored_size(file)
        several = {SEVERAL_IMAGES} if _has_several(file) else set()
        image, kinds, max_value = _read(source, file, bit_depth)
    conversions = Conversions(frozenset(kinds | several), max_value)
    return Photograph(image, image.size != stored_size, conversions)


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) in px of a photograph as it is looked at, from its header.

    Raises:
        PhotographError: it cannot be read as an image.
    """
    with _refusing(), _open(path) as file:
        width, height = _stored_size(file)
        is_turned = _orientation(file) in (5, 6, 7, 8)
        return (height, width) if is_turned else (width, height)


def allow_pixels(max_pixels: int | None) -> None:
    """Raise Pillow's limit of the size of an image in this process.

    Args:
        max_pixels: ``INPUT.MAX_PIXELS``; None changes nothing.
    """
    limit = Image.MAX_IMAGE_PIXELS
    if max_pixels is not None and limit is not None:
        Image.MAX_IMAGE_PIXELS = max(limit, max_pixels)


def find_conversions(source: Source) -> Conversions:
    """What :func:`read_photograph` does to the pixels of a file; mostly from its header.

    Raises:
        PhotographError: it cannot be read as an image.
    """
    with _refusing(), _open(source) as file:
        is_ordinary = (
            file.mode in ("1", "L", "RGB")
            and _depth(file) == (8, False)
            and "transparency" not in file.info
            and not _has_extra_band(file)
        )
        if is_ordinary:
            return Conversions(frozenset({SEVERAL_IMAGES} if _has_several(file) else ()))
    return decode(source).conversions


def _open(source: Source) -> ImageFile.ImageFile:
    if isinstance(source, Path) and source.exists() and not source.is_file():
        raise PhotographError("it is not a regular file")  # a pipe would never end
    try:
        file = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except Image.UnidentifiedImageError as error:
        start = source[:32] if isinstance(source, bytes) else _start_of(source)
        text = f"it is not an image of a known format{seems_to_be(start)}"
        raise PhotographError(text) from error
    if file.format == "TIFF":
        # With a name, newer versions of Pillow map a turned one into memory with swapped sides.
        file.filename = ""
    return file


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(32)


def _stored_size(file: Image.Image) -> tuple[int, int]:
    """(width, height) in px before turning; newer versions of Pillow open a turned TIFF upright."""
    tags = _tiff_tags(file)
    return file.size if tags is None else (tags[_WIDTH], tags[_LENGTH])


def _has_several(file: Image.Image) -> bool:
    # The second image of a JPEG is a preview or a depth map: nobody misses it.
    return file.format in ("GIF", "PNG", "TIFF", "WEBP") and getattr(file, "n_frames", 1) > 1


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what Pillow raises on a broken file into a PhotographError."""
    try:
        yield
    except PhotographError:
        raise
    except FileNotFoundError as error:
        raise PhotographError("it is not there") from error
    except Image.DecompressionBombError as error:
        text = f"it could be a decompression bomb: {first_line(error)}"
        raise PhotographError(f"{text}; {_RAISE}") from error
    except Exception as error:  # what a broken file raises has no common base
        raise PhotographError(f"it cannot be read: {first_line(error)}") from error


def _read(
    source: Source, file: ImageFile.ImageFile, bit_depth: int | None
) -> tuple[Image.Image, set[str], int | None]:
    """The RGB image, and the two attributes of its ``Conversions``."""
    if file.format == "EPS":  # Pillow would have Ghostscript run it
        raise PhotographError("it is a PostScript program")
    if file.mode == "F":
        raise PhotographError("its pixels are floating-point numbers, of an unknown range")
    has_extra, (bits, is_stated) = _has_extra_band(file), _depth(file)
    kinds, max_value = {EXTRA_BAND} if has_extra else set(), None
    if has_extra:  # a band that is no alpha must not divide the colours
        _set_raw_mode(file, _raw_mode(file).replace("RGBa", "RGBA"))
    if is_stated:
        kinds.add(STATED_BITS)
    if bits == 8:
        image = _upright(file)
    elif (values := _values(source, file)) is None:
        if bit_depth not in (None, MAX_BITS):
            raise PhotographError(
                f"its values cannot be read with {bit_depth} bits (INPUT.BIT_DEPTH): of this form, "
                "grey with transparency or separate planes, Pillow reads the upper 8 bits of 16"
            )
        kinds.add(HIGH_BYTE)
        image = _upright(file)
    else:
        if not is_stated:
            kinds.add(SIXTEEN_BITS)
            max_value = int(values.max())
        image = _eight_bits(file, values, bits if is_stated else bit_depth or MAX_BITS)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, kinds, max_value
    if image.mode in ("P", "PA"):
        kinds.add(PALETTE)
    if image.mode == "CMYK":
        kinds.add(CMYK)
    if has_extra:
        image = _only_colours(image)
    elif {"A", "a"} & set(image.getbands()) or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            kinds.add(TRANSPARENT)
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB"), kinds, max_value


def _depth(file: ImageFile.ImageFile) -> tuple[int, bool]:
    """The bits per value of Pillow's pixels, 8 or more, and whether their range is stated.

    A range is stated by the header of a PNM or JPEG 2000 file, to which Pillow scales, or by the
    bits per sample of a TIFF.
    """
    is_wide = file.mode.startswith("I") or ";16" in _raw_mode(file)
    tags = _tiff_tags(file)
    if tags is not None:
        bits = max(tags.get(_BITS_PER_SAMPLE, (8,)))
        if bits > 8 and not is_wide:
            raise PhotographError(f"its {bits} bits per value are in an order that Pillow misreads")
        return (bits, True) if 8 < bits < 16 else (16 if bits > 8 else 8, False)
    if file.format == "PPM" and file.tile and file.tile[0][0] == "ppm":
        return 16 if is_wide else 8, True
    return 16 if is_wide else 8, is_wide and file.format == "JPEG2000"


def _has_extra_band(file: ImageFile.ImageFile) -> bool:
    """Whether it is a TIFF that has more bands than colours."""
    tags = _tiff_tags(file)
    if tags is None:
        return False
    num_colours = _NUM_COLOURS.get(tags.get(_PHOTOMETRIC, 0), 4)
    return tags.get(_SAMPLES_PER_PIXEL, 1) > num_colours


def _tiff_tags(file: Image.Image) -> ImageFileDirectory_v2 | None:
    """The tags of a TIFF; None for a file of another format."""
    if file.format != "TIFF":  # other formats are read by subclasses of Pillow's TiffImageFile
        return None
    assert isinstance(file, TiffImageFile), type(file)
    return file.tag_v2


def _values(source: Source, file: ImageFile.ImageFile) -> np.ndarray | None:
    """The upright pixels of a file of more than 8 bits: (H, W) or (H, W, bands), whole numbers.

    Pillow has no images of several bands of 16 bits, and keeps the high byte of each value. Where
    the order of the bytes is swapped in its header, it keeps the low byte.

    Returns:
        None where Pillow cannot read the low byte.
    """
    if file.mode.startswith("I"):
        return np.asarray(_upright(file))
    raw_mode = _raw_mode(file)
    name, order = raw_mode[:-4], raw_mode[-4:]
    tags = _tiff_tags(file)
    if name == "LA" or (tags is not None and tags.get(_PLANAR) == 2):
        return None
    with _open(source) as again:
        _set_raw_mode(again, name + _BYTES_SWAPPED[order])
        low = np.asarray(_upright(again))
    return np.asarray(_upright(file)).astype(np.uint16) * 256 + low


def _orientation(file: Image.Image) -> Any:
    """The EXIF orientation; 1 where the metadata cannot be read."""
    try:
        return file.getexif().get(_ORIENTATION, 1)
    except Exception:  # what broken metadata raise has no common base
        return 1


def _upright(file: ImageFile.ImageFile) -> Image.Image:
    """The decoded image, turned as its metadata say, and without them.

    Pillow's ``exif_transpose`` writes the other metadata anew, and fails if they are broken.
    """
    file.load()
    method = _TO_UPRIGHT.get(_orientation(file))
    image = file.copy() if method is None else file.transpose(method)
    for key in _METADATA:
        image.info.pop(key, None)
    return image


def _eight_bits(file: ImageFile.ImageFile, values: np.ndarray, bits: int) -> Image.Image:
    """An image of 8 bits per value, in mode L, LA, RGB, RGBA or CMYK.

    Args:
        file: where the values are from; it says what they mean.
        values: what :func:`_values` returned.
        bits: the bit depth of the colours; transparency always has 16 bits.
    """
    bands = values.reshape(*values.shape[:2], -1)
    has_alpha = file.mode in ("RGBA", "LA")
    colours = bands[..., :-1] if has_alpha else bands
    if colours.min() < 0:
        raise PhotographError(f"it has the value {colours.min()}; valid are values from 0 on")
    if colours.max() >= 2**bits:
        raise PhotographError(
            f"it has the value {colours.max()}, which needs more than {bits} bits (INPUT.BIT_DEPTH)"
        )
    scaled = (colours.astype(np.uint32) * 255 // (2**bits - 1)).astype(np.uint8)
    tags = _tiff_tags(file)
    if tags is not None and tags.get(_PHOTOMETRIC) == 0:  # white is 0
        scaled = 255 - scaled
    clear = file.info.get("transparency")  # the one colour of a PNG that is transparent
    if has_alpha:
        alpha = bands[..., -1:] // 257
    elif clear is not None:
        alpha = np.where((colours == np.array(clear)).all(axis=-1, keepdims=True), 0, 255)
    else:
        alpha = np.empty((*scaled.shape[:2], 0))
    pixels = np.concatenate([scaled, alpha.astype(np.uint8)], axis=-1)
    mode = "CMYK" if file.mode == "CMYK" else {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(pixels.T)]
    return Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())


def _only_colours(image: Image.Image) -> Image.Image:
    """An image of mode L, RGB, P or CMYK without the band beyond them, if it has one."""
    if image.mode in ("LA", "La"):
        return image.getchannel(0)
    if image.mode in ("RGBA", "RGBX"):
        return Image.merge("RGB", image.split()[:3])
    return image


def _raw_mode(file: ImageFile.ImageFile) -> str:
    """Pillow's name for the layout of the file's pixels; "" where Pillow does not say."""
    args = file.tile[0][3] if file.tile else ""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _set_raw_mode(file: ImageFile.ImageFile, raw_mode: str) -> None:
    def changed(tile: Any) -> Any:  # a named tuple, in older versions of Pillow a tuple
        codec, extents, offset, args = tile
        args = (raw_mode, *args[1:]) if isinstance(args, tuple) else raw_mode
        return getattr(type(tile), "_make", tuple)((codec, extents, offset, args))

    file.tile = [changed(tile) for tile in file.tile]
