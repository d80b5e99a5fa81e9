"""Images of every kind through the real mapper: their pixels, their boxes, and what is broken."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetMapper
from detectron2.data.detection_utils import read_image as detectron2s_read_image
from detectron2.structures import BoxMode
from PIL import Image
from torch.utils.data import DataLoader

from focal_star.data.images import ImageError, read_image
from focal_star.data.mapper import BoxMapper, build_test_mapper

WIDTH, HEIGHT = 40, 30  # px
BOX = (6, 4, 16, 14)  # left, top, right, bottom of the bright object, px
RAMP = np.tile(np.arange(WIDTH, dtype=np.uint8) * 6, (HEIGHT, 1))  # 0 to 234


def config(short_edge: int = HEIGHT, **changes) -> CfgNode:
    """Detectron2's config, with one short edge and no flip where ``changes`` do not say so."""
    cfg = get_cfg()
    sizes = {"MIN_SIZE_TRAIN": (short_edge,), "MIN_SIZE_TEST": short_edge, "RANDOM_FLIP": "none"}
    for key, value in (sizes | changes).items():
        setattr(cfg.INPUT, key, value)
    return cfg


def record(path: Path, *boxes: tuple, size: tuple[int, int] = (WIDTH, HEIGHT), **other) -> dict:
    """Detectron2's record of an image with objects of these boxes (x, y, width, height)."""
    common = {"bbox_mode": BoxMode.XYWH_ABS, "category_id": 0, "iscrowd": 0}
    annotations = [common | {"bbox": list(box)} | other for box in boxes]
    width, height = size
    return {"file_name": str(path), "width": width, "height": height, "annotations": annotations}


def mapped_pixels(path: Path) -> np.ndarray:
    """The (H, W, 3) RGB pixels that the model is trained on."""
    image = BoxMapper(config(), is_train=True)(record(path))["image"]
    return image.numpy().transpose(1, 2, 0)[:, :, ::-1]  # INPUT.FORMAT is BGR


# --- pixels -----------------------------------------------------------------------------------

Save = Callable[[Path], np.ndarray]


def grey(path: Path) -> np.ndarray:
    Image.fromarray(RAMP).save(path / "a.png")
    return np.stack([RAMP] * 3, axis=2)


def grey_jpeg(path: Path) -> np.ndarray:
    Image.fromarray(RAMP).save(path / "a.jpg", quality=100)
    return np.stack([RAMP] * 3, axis=2)


def grey_16(path: Path) -> np.ndarray:
    Image.fromarray(RAMP.astype(np.uint16) * 257 + 100).save(path / "a.png")  # 257 = 65535 / 255
    return np.stack([RAMP] * 3, axis=2)


def grey_16_tiff(path: Path) -> np.ndarray:
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(path / "a.tif")
    return np.stack([RAMP] * 3, axis=2)


def grey_16_big_endian(path: Path) -> np.ndarray:
    wide = (RAMP.astype(np.uint16) * 257).astype(">u2")
    header = f"P5 {WIDTH} {HEIGHT} 65535\n".encode()  # a PGM, which is big-endian
    (path / "a.pgm").write_bytes(header + wide.tobytes())
    return np.stack([RAMP] * 3, axis=2)


def black_and_white(path: Path) -> np.ndarray:
    bits = RAMP > 100
    Image.fromarray(bits).save(path / "a.png")
    return np.stack([bits.astype(np.uint8) * 255] * 3, axis=2)


def palette(path: Path) -> np.ndarray:
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    image = Image.frombytes("P", (WIDTH, HEIGHT), RAMP.tobytes())
    image.putpalette(colours.tobytes())
    image.save(path / "a.png")
    return colours[RAMP]


def palette_with_a_transparent_colour(path: Path) -> np.ndarray:
    expected = palette(path).copy()
    with Image.open(path / "a.png") as image:
        image.save(path / "a.png", transparency=12)
    expected[RAMP == 12] = 255
    return expected


def transparent(path: Path) -> np.ndarray:
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 200, 255
    rgba[:, :20, 3] = 0  # hidden: white is what is seen
    Image.fromarray(rgba).save(path / "a.png")
    expected = rgba[..., :3].copy()
    expected[:, :20] = 255
    return expected


def cmyk(path: Path) -> np.ndarray:
    inks = np.stack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 50), np.full_like(RAMP, 20)], axis=2)
    Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes()).save(path / "a.tif")
    light = 1 - inks / 255
    return (light[..., :3] * light[..., 3:] * 255).round().astype(np.uint8)


def cmyk_jpeg(path: Path) -> np.ndarray:
    expected = cmyk(path)
    with Image.open(path / "a.tif") as image:
        image.save(path / "a.jpg", quality=100)
    (path / "a.tif").unlink()
    return expected


@pytest.mark.parametrize(
    ("save", "tolerance"),
    [(grey, 0), (grey_jpeg, 2), (grey_16, 0), (grey_16_tiff, 0), (grey_16_big_endian, 0)]
    + [(black_and_white, 0), (palette, 0), (palette_with_a_transparent_colour, 0)]
    + [(transparent, 0), (cmyk, 1), (cmyk_jpeg, 6)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_model_gets_the_pixels_that_a_person_sees(tmp_path, save, tolerance):
    expected = save(tmp_path).astype(int)
    (path,) = tmp_path.iterdir()
    found = mapped_pixels(path).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance


def test_detectron2_would_have_cut_16_bits_off(tmp_path):
    """What the reader is there for; a Detectron2 that reads it may have it back."""
    expected = grey_16(tmp_path)
    assert (detectron2s_read_image(str(tmp_path / "a.png"), "RGB")[expected > 1] == 255).all()


def test_ordinary_images_are_read_as_detectron2_reads_them(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for name in ("a.jpg", "a.png", "a.bmp"):
        Image.fromarray(noise).save(tmp_path / name)
        for channels in ("RGB", "BGR"):
            theirs = detectron2s_read_image(str(tmp_path / name), channels)
            np.testing.assert_array_equal(read_image(tmp_path / name, channels), theirs)


@pytest.mark.parametrize("is_train", [True, False])
def test_the_mapper_is_detectron2s_on_ordinary_images(tmp_path, is_train):
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    one = record(tmp_path / "a.jpg", (1, 2, 30, 20), (-1, 3, 12, 9), (4, 4, 0, 9), segmentation=[])
    one["annotations"].append(one["annotations"][0] | {"iscrowd": 1})
    cfg = config(RANDOM_FLIP="horizontal", MIN_SIZE_TRAIN=(20, 30, 50))
    before = json.dumps(one)
    for seed in range(6):
        np.random.seed(seed)
        theirs = DatasetMapper(cfg, is_train)(one)
        np.random.seed(seed)
        ours = BoxMapper(cfg, is_train)(one)
        assert ours.keys() == theirs.keys() and ("instances" in ours) == is_train
        assert torch.equal(ours["image"], theirs["image"])
        if is_train:
            boxes = [found["instances"].gt_boxes.tensor for found in (ours, theirs)]
            assert torch.equal(*boxes) and len(boxes[0]) == 2  # neither the empty one nor the crowd
            assert torch.equal(ours["instances"].gt_classes, theirs["instances"].gt_classes)
    assert json.dumps(one) == before
    assert "instances" not in build_test_mapper(cfg)(one)


# --- boxes ------------------------------------------------------------------------------------


def with_object(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("RGB", size, "black")
    image.paste("white", box)
    return image


def bright_box(mapped: dict) -> list[float]:
    """Left, top, right and bottom of what is bright in the image that the model gets."""
    bright = mapped["image"][0] > 127
    rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
    corners = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return [float(corner) for corner in corners]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("short_edge", [HEIGHT, 2 * HEIGHT])
def test_boxes_are_where_the_object_is_whatever_the_exif_orientation(
    tmp_path, orientation, short_edge
):
    """Boxes are of the upright image; the file is stored turned, as a camera stores it."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # what the reader undoes
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = with_object((WIDTH, HEIGHT), BOX)
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    left, top, right, bottom = BOX
    one = record(tmp_path / "a.png", (left, top, right - left, bottom - top))
    mapped = BoxMapper(config(short_edge), is_train=True)(one)
    scale = short_edge / HEIGHT
    assert mapped["image"].shape[1:] == (short_edge, WIDTH * scale)
    assert mapped["instances"].gt_boxes.tensor.tolist() == [bright_box(mapped)]
    assert bright_box(mapped) == [corner * scale for corner in BOX]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, WIDTH, HEIGHT), (0, 0, WIDTH, HEIGHT)),
        ((-1, -1, WIDTH + 2, HEIGHT + 2), (0, 0, WIDTH, HEIGHT)),
        ((WIDTH - 1, HEIGHT - 1, 1, 1), (WIDTH - 1, HEIGHT - 1, WIDTH, HEIGHT)),
        ((30.5, 0, 10.5, 5), (30.5, 0, WIDTH, 5)),
    ],
)
def test_boxes_at_the_border_end_there(tmp_path, box, expected):
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    one = record(tmp_path / "a.png", box)
    (found,) = BoxMapper(config(), True)(one)["instances"].gt_boxes.tensor.tolist()
    assert tuple(found) == expected
    left, top, right, bottom = expected
    flipping = BoxMapper(config(RANDOM_FLIP="horizontal"), True)
    np.random.seed(0)
    found = {tuple(flipping(one)["instances"].gt_boxes.tensor[0].tolist()) for _ in range(20)}
    assert found == {expected, (WIDTH - right, top, WIDTH - left, bottom)}


# --- broken images, met in training ------------------------------------------------------------


def truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-400])


BROKEN = {
    "truncated": (truncated, "truncated"),
    "empty": (lambda path: path.write_bytes(b""), "not an image of a known format"),
    "text": (lambda path: path.write_text("no image"), "not an image of a known format"),
    "missing": (lambda path: None, "is not there"),
    "another size": (lambda path: Image.new("RGB", (9, 9)).save(path), "(9, 9), expect (40, 30)"),
    "numbers": (lambda path: Image.new("F", (40, 30)).save(path, "TIFF"), "floating-point"),
    "program": (lambda path: Image.new("RGB", (40, 30)).save(path, "EPS"), "PostScript"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_is_named_where_it_is_met(tmp_path, name):
    make, words = BROKEN[name]
    make(tmp_path / "b.jpg")
    with pytest.raises(ImageError) as caught:
        BoxMapper(config(), is_train=True)(record(tmp_path / "b.jpg"))
    assert str(tmp_path / "b.jpg") in str(caught.value) and words in str(caught.value)


def test_the_error_of_a_worker_is_one_line_that_names_the_file(tmp_path):
    loader = DataLoader(
        [record(tmp_path / "gone.jpg")], collate_fn=_Mapping(config()), num_workers=1
    )
    with pytest.raises(ImageError) as caught:
        next(iter(loader))
    assert str(caught.value) == f"the image {tmp_path / 'gone.jpg'}: it is not there"


class _Mapping:
    def __init__(self, cfg):
        self._mapper = BoxMapper(cfg, is_train=True)

    def __call__(self, records: list[dict]) -> list[dict]:
        return [self._mapper(one) for one in records]
