"""Images of unusual forms: their pixels in training and in a report, and what is said of them."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from focal_star.data.images import ImageError, read_image
from focal_star.io import image_files
from focal_star.io.image_files import (
    PhotographError,
    decode,
    find_conversions,
    read_photograph,
    upright_size,
)
from reports.detections.dataset_images import DatasetImages
from reports.detections.outcomes import PictureError
from tests.focal_star.io.unusual_images import write_png, write_tiff

HEIGHT, WIDTH = 30, 40
RANDOM = np.random.default_rng(0)
WIDE = RANDOM.integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
NARROW = (WIDE >> 8).astype(np.uint8)


def in_training(path: Path, bit_depth: int | None = None) -> np.ndarray:
    return read_image(path, bit_depth=bit_depth)


def in_a_report(path: Path, bit_depth: int | None = None) -> np.ndarray:
    """At a size at which nothing is scaled."""
    return DatasetImages("data", path, path.parent, bit_depth).read(path.name, 1000)[0]


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey.reshape(HEIGHT, WIDTH, 1), 3, axis=2)


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha.reshape(HEIGHT, WIDTH, 1) / 255
    return (colours * share + 255 * (1 - share)).round()


Case = tuple[str, Callable[[Path], None], np.ndarray, set[str]]
"""File name, what writes it, the (H, W, 3) pixels to be read, the kinds of its conversions."""


def pillow(image: Image.Image, **options) -> Callable[[Path], None]:
    return lambda path: image.save(path, **options)


def palette_image() -> tuple[Image.Image, np.ndarray]:
    image = Image.frombytes("P", (WIDTH, HEIGHT), NARROW[..., 0].tobytes())
    colours = RANDOM.integers(0, 256, (256, 3), dtype=np.uint8)
    image.putpalette(colours.tobytes())
    return image, colours[NARROW[..., 0]]


def turned_jpeg() -> Callable[[Path], None]:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.fromarray(np.full((HEIGHT, WIDTH, 3), (200, 50, 50), np.uint8))
    return pillow(upright.transpose(Image.Transpose.ROTATE_90), exif=exif, quality=100)


OPAQUE = np.concatenate([NARROW[..., :3], np.full((HEIGHT, WIDTH, 1), 255, np.uint8)], axis=2)
PALETTE, COLOURS = palette_image()
CLEAR = WIDE[4, 5, :3].tolist()
IS_CLEAR = (WIDE[..., :3] == CLEAR).all(axis=2)
IS_CLEAR_GREY = WIDE[..., 0] == WIDE[4, 5, 0]
INK = Image.frombytes("CMYK", (WIDTH, HEIGHT), NARROW.tobytes())
FULL = NARROW[..., :3]
SIXTEEN = WIDE[..., :3] // 257
TWELVE = np.sort(WIDE[..., :1] >> 4, axis=1)
ALPHA_16 = WIDE[..., 3] // 257

CASES: dict[str, Case] = {
    "grey": ("a.png", pillow(Image.fromarray(FULL[..., 0])), rgb(FULL[..., 0]), set()),
    "1 bit": (
        "a.png",
        pillow(Image.fromarray(FULL[..., 0] > 99)),
        rgb((FULL[..., 0] > 99) * 255),
        set(),
    ),
    "palette": ("a.png", pillow(PALETTE), COLOURS, {"palette"}),
    "palette with a transparent colour": (
        "a.png",
        pillow(PALETTE, transparency=int(NARROW[0, 0, 0])),
        np.where(rgb(NARROW[..., 0] == NARROW[0, 0, 0]), 255, COLOURS),
        {"palette", "transparent"},
    ),
    "RGBA": (
        "a.png",
        pillow(Image.fromarray(NARROW)),
        on_white(FULL, NARROW[..., 3]),
        {"transparent"},
    ),
    "RGBA, opaque": ("a.png", pillow(Image.fromarray(OPAQUE)), FULL, set()),
    "LA": (
        "a.png",
        pillow(Image.fromarray(NARROW[..., [0, 3]])),
        on_white(rgb(NARROW[..., 0]), NARROW[..., 3]),
        {"transparent"},
    ),
    "CMYK": (
        "a.tif",
        pillow(INK),
        ((255 - NARROW[..., :3].astype(int)) * (255 - NARROW[..., 3:].astype(int)) / 255).round(),
        {"cmyk"},
    ),
    "turned": ("a.jpg", turned_jpeg(), np.full((HEIGHT, WIDTH, 3), (200, 50, 50)), set()),
    "16-bit grey PNG": (
        "a.png",
        lambda path: write_png(path, WIDE[..., :1]),
        rgb(SIXTEEN[..., 0]),
        {"16-bits"},
    ),
    "16-bit grey PNG with a transparent grey": (
        "a.png",
        lambda path: write_png(path, WIDE[..., :1], (int(WIDE[4, 5, 0]),)),
        np.where(rgb(IS_CLEAR_GREY), 255, rgb(SIXTEEN[..., 0])),
        {"16-bits", "transparent"},
    ),
    "16-bit grey TIFF": (
        "a.tif",
        lambda path: write_tiff(path, WIDE[..., :1]),
        rgb(SIXTEEN[..., 0]),
        {"16-bits"},
    ),
    "16-bit grey TIFF, big-endian": (
        "a.tif",
        lambda path: write_tiff(path, WIDE[..., :1], order=">"),
        rgb(SIXTEEN[..., 0]),
        {"16-bits"},
    ),
    "16-bit grey TIFF, compressed": (
        "a.tif",
        lambda path: write_tiff(path, WIDE[..., :1], order=">", compressed=True),
        rgb(SIXTEEN[..., 0]),
        {"16-bits"},
    ),
    "16-bit grey TIFF, white is 0": (
        "a.tif",
        lambda path: write_tiff(path, WIDE[..., :1], photometric=0),
        rgb(255 - SIXTEEN[..., 0]),
        {"16-bits"},
    ),
    "16-bit RGB PNG": ("a.png", lambda path: write_png(path, WIDE[..., :3]), SIXTEEN, {"16-bits"}),
    "16-bit RGB PNG with a transparent colour": (
        "a.png",
        lambda path: write_png(path, WIDE[..., :3], CLEAR),
        np.where(rgb(IS_CLEAR), 255, SIXTEEN),
        {"16-bits", "transparent"},
    ),
    "16-bit RGBA PNG": (
        "a.png",
        lambda path: write_png(path, WIDE),
        on_white(SIXTEEN, ALPHA_16),
        {"16-bits", "transparent"},
    ),
    "16-bit LA PNG": (
        "a.png",
        lambda path: write_png(path, WIDE[..., [0, 3]]),
        on_white(rgb(NARROW[..., 0]), NARROW[..., 3]),
        {"high-byte", "transparent"},
    ),
    "16-bit RGB TIFF, compressed in planes": (
        "a.tif",
        lambda path: write_tiff(path, WIDE[..., :3], planar=True, compressed=True),
        FULL,
        {"high-byte"},
    ),
    "12-bit grey TIFF": (
        "a.tif",
        lambda path: write_tiff(path, TWELVE, twelve_bits=True),
        rgb(TWELVE.astype(int) * 255 // 4095),
        {"stated-bits"},
    ),
    "16-bit PPM": (
        "a.ppm",
        lambda path: path.write_bytes(
            f"P6 {WIDTH} {HEIGHT} 4095\n".encode() + (WIDE[..., :3] >> 4).astype(">u2").tobytes()
        ),
        ((WIDE[..., :3] >> 4) / 4095 * 255).round(),
        {"stated-bits"},
    ),
}
for order in "<>":
    for compressed in (False, True):
        name = f"16-bit RGB TIFF, {order}, {'' if compressed else 'not '}compressed"
        CASES[name] = (
            "a.tif",
            lambda path, order=order, compressed=compressed: write_tiff(
                path, WIDE[..., :3], order=order, compressed=compressed
            ),
            SIXTEEN,
            {"16-bits"},
        )
for tag, name in ((0, "unspecified"), (1, "associated alpha"), (2, "alpha")):
    for compressed in (False, True):
        kind = "compressed" if compressed else "raw"
        options = {"extra": (tag,), "compressed": compressed}
        for bands, grey in (("RGB", [0, 1, 2, 3]), ("grey", [0, 3])):
            CASES[f"8-bit {bands} TIFF, {kind}, with {name}"] = (
                "a.tif",
                lambda path, grey=grey, options=options: write_tiff(
                    path, NARROW[..., grey], **options
                ),
                FULL if bands == "RGB" else rgb(FULL[..., 0]),
                {"extra-band"},
            )
        CASES[f"16-bit RGB TIFF, {kind}, with {name}"] = (
            "a.tif",
            lambda path, options=options: write_tiff(path, WIDE, **options),
            SIXTEEN,
            {"extra-band", "16-bits"},
        )


@pytest.mark.parametrize("case", CASES)
def test_training_report_and_check_have_the_same_pixels_and_name_a_loss(tmp_path, case):
    name, write, expected, kinds = CASES[case]
    write(tmp_path / name)
    found = in_training(tmp_path / name)
    np.testing.assert_array_equal(in_a_report(tmp_path / name), found)
    assert found.shape == expected.shape
    # 1 for the rounding of a conversion to CMYK or onto white, 2 for JPEG.
    tolerance = 2 if name == "a.jpg" else 1 if kinds & {"transparent", "cmyk", "stated-bits"} else 0
    assert np.abs(found.astype(int) - expected).max() <= tolerance
    assert find_conversions(tmp_path / name).kinds == kinds
    decoded = decode((tmp_path / name).read_bytes())
    np.testing.assert_array_equal(np.asarray(decoded.image), found)
    assert decoded.conversions == find_conversions(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_from_the_header_is_that_of_the_upright_image(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(FULL).save(tmp_path / name, exif=exif)
    decoded = decode(tmp_path / name)
    assert decoded.is_turned == (orientation >= 5)
    size = (HEIGHT, WIDTH) if decoded.is_turned else (WIDTH, HEIGHT)
    assert upright_size(tmp_path / name) == decoded.image.size == size


@pytest.mark.parametrize("orientation", range(5, 9))
@pytest.mark.parametrize("values", [FULL, FULL[..., 0], OPAQUE, WIDE[..., 0]])
def test_a_turned_tiff_has_the_pixels_of_a_turned_png(tmp_path, values, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.tif", "a.png"):
        Image.fromarray(values).save(tmp_path / name, exif=exif)
    turned = in_training(tmp_path / "a.tif")
    np.testing.assert_array_equal(turned, in_training(tmp_path / "a.png"))
    assert turned.shape == (WIDTH, HEIGHT, 3)


@pytest.mark.parametrize("write", [write_png, write_tiff])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_values_of_fewer_bits_are_scaled_by_the_bit_depth_alone(tmp_path, bits, bands, write):
    values = WIDE[..., :bands] >> (16 - bits)
    path = tmp_path / ("a.png" if write is write_png else "a.tif")
    write(path, values)
    top = 2**bits - 1
    for read in (in_training, in_a_report):
        scaled = read(path, bits)
        np.testing.assert_array_equal(scaled, np.broadcast_to(values * 255.0 // top, scaled.shape))
        dark = read(path)
        np.testing.assert_array_equal(dark, np.broadcast_to(values // 257, dark.shape))
        assert dark.max() <= top // 257 and scaled.max() > 250
    assert find_conversions(path).max_value == values.max()


def test_a_value_beyond_the_bit_depth_is_refused_and_not_cut_off(tmp_path):
    write_png(tmp_path / "a.png", np.full((2, 2, 1), 4096))
    with pytest.raises(PhotographError, match=r"4096, which needs more than 12 bits \(INPUT.BIT"):
        read_photograph(tmp_path / "a.png", 12)
    assert np.asarray(read_photograph(tmp_path / "a.png", 13)).max() == 4096 * 255 // 8191


@pytest.mark.parametrize("case", ["grey", "RGBA", "12-bit grey TIFF", "16-bit PPM"])
def test_the_bit_depth_changes_no_other_file(tmp_path, case):
    name, write, _, _ = CASES[case]
    write(tmp_path / name)
    np.testing.assert_array_equal(in_training(tmp_path / name, 10), in_training(tmp_path / name))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: Image.new("F", (4, 4)).save(path), "floating-point"),
        (lambda path: write_tiff(path, WIDE[..., :3], planar=True), "order that Pillow misreads"),
        (lambda path: Image.new("I", (4, 4), -1).save(path), "the value -1"),
        (lambda path: Image.new("I", (4, 4), 70000).save(path), "the value 70000"),
    ],
)
def test_what_would_be_misread_is_refused_in_training_and_in_a_report(tmp_path, write, words):
    path = tmp_path / "a.tif"
    write(path)
    with pytest.raises(ImageError, match=words):
        in_training(path)
    with pytest.raises(PictureError, match=words):
        in_a_report(path)
    with pytest.raises(PhotographError, match=words):
        find_conversions(path)


def test_a_form_of_16_bits_that_cannot_be_scaled_is_refused_with_a_bit_depth(tmp_path):
    write_png(tmp_path / "a.png", WIDE[..., [0, 3]])
    with pytest.raises(PhotographError, match="12 bits .*grey with transparency"):
        read_photograph(tmp_path / "a.png", 12)


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.webp", "a.png"])
def test_of_several_images_the_first_is_read_and_it_is_said(tmp_path, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if name == "a.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    assert np.asarray(read_photograph(tmp_path / name)).max(axis=(0, 1)).tolist() == [255, 0, 0]
    for read in (find_conversions, lambda path: decode(path).conversions):
        assert image_files.SEVERAL_IMAGES in read(tmp_path / name).kinds
    frames[0].save(tmp_path / name, **options)
    assert image_files.SEVERAL_IMAGES not in find_conversions(tmp_path / name).kinds


def test_of_an_ordinary_image_only_the_header_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "_read", None)
    for name in ("a.jpg", "a.png", "a.bmp"):
        Image.fromarray(FULL).save(tmp_path / name)
        assert find_conversions(tmp_path / name) == image_files.Conversions()


def test_broken_metadata_do_not_matter(tmp_path):
    """GIMP saves such files of phones: a tag that must be a fraction is a text."""
    tags = [(0x0112, 3, 1, struct.pack("<HH", 6, 0)), (0x011A, 2, 4, b"72\0\0")]
    entries = b"".join(struct.pack("<HHI", *tag[:3]) + tag[3] for tag in tags)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    image = Image.fromarray(FULL)
    image.save(tmp_path / "a.jpg", exif=exif, quality=100)
    with Image.open(tmp_path / "a.jpg") as file, pytest.raises(TypeError):
        ImageOps.exif_transpose(file)
    image.save(tmp_path / "b.jpg", quality=100)
    upright = read_photograph(tmp_path / "b.jpg").transpose(Image.Transpose.ROTATE_270)
    read = read_photograph(tmp_path / "a.jpg")
    assert read.size == upright_size(tmp_path / "a.jpg") == (HEIGHT, WIDTH)
    assert np.array_equal(read, upright)
    assert ImageOps.exif_transpose(read).size == read.size  # it is not turned twice


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
@pytest.mark.parametrize("exif", [b"Exif\0\0II", b"Exif\0\0II*\0\x08\0\0\0\x05\0"])
def test_truncated_metadata_do_not_matter(tmp_path, name, exif):
    Image.fromarray(FULL).save(tmp_path / name, exif=exif)
    assert read_photograph(tmp_path / name).size == upright_size(tmp_path / name) == (WIDTH, HEIGHT)


def test_a_pipe_is_no_photograph(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    for read in (read_photograph, upright_size):
        with pytest.raises(PhotographError, match="not a regular file"):
            read(tmp_path / "a.jpg")
