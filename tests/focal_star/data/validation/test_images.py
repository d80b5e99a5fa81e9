"""What is said of images that are converted when they are read, before and in a training."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from focal_star.data.__main__ import main
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.mapper import build_train_mapper
from focal_star.data.registration import register_datasets
from focal_star.data.validation import checks
from focal_star.data.validation.images import describe_conversions, read_image_facts
from tests.focal_star.io.unusual_images import write_png

WIDTH, HEIGHT = 64, 48  # px, as TinySet has them


def conversions(folder: Path, names: list[str], bit_depth: int | None = None) -> list[str]:
    found = [read_image_facts(folder / name).conversions for name in names]
    return describe_conversions(names, found, bit_depth)


def sixteen_bits(greatest: int) -> np.ndarray:
    values = np.linspace(0, greatest, WIDTH * HEIGHT).astype(np.uint16)
    return values.reshape(HEIGHT, WIDTH, 1)


def test_each_kind_is_counted_once_with_an_example(tmp_path):
    transparent = Image.new("RGBA", (4, 4), (9, 9, 9, 100))
    for name in ("a.png", "b.png"):
        transparent.save(tmp_path / name)
    Image.new("RGBA", (4, 4), (9, 9, 9, 255)).save(tmp_path / "opaque.png")
    Image.new("P", (4, 4)).save(tmp_path / "p.png")
    Image.new("CMYK", (4, 4)).save(tmp_path / "c.jpg")
    Image.new("RGB", (4, 4)).save(tmp_path / "d.jpg")
    (tmp_path / "broken.png").write_bytes(b"none")
    names = sorted(path.name for path in tmp_path.iterdir())
    found = conversions(tmp_path, names)
    assert [line.partition(":")[0] for line in found] == [
        "1 of 7 images (such as 'p.png')",
        "1 of 7 images (such as 'c.jpg')",
        "2 of 7 images (such as 'a.png')",
    ]
    assert "laid on white" in found[2]
    assert conversions(tmp_path, ["d.jpg", "opaque.png"]) == []


@pytest.mark.parametrize(
    ("greatest", "bits", "levels"),
    [(200, 8, 1), (1023, 10, 4), (4095, 12, 16), (4096, 14, 64), (16383, 14, 64)],
)
def test_a_depth_below_16_bits_is_named_with_the_key_that_scales_it(
    tmp_path, greatest, bits, levels
):
    write_png(tmp_path / "a.png", sixteen_bits(greatest))
    write_png(tmp_path / "b.png", sixteen_bits(90))
    (line,) = conversions(tmp_path, ["b.png", "a.png"])
    assert line.startswith("2 of 2 images (such as 'b.png'): 16 bits per value")
    assert f"the largest value is {greatest}, so only {bits} bits seem to be used" in line
    assert f"with {levels} of 256 levels; INPUT.BIT_DEPTH {bits} scales them" in line


def test_16_bits_in_use_and_a_chosen_depth_need_no_key(tmp_path):
    write_png(tmp_path / "a.png", sixteen_bits(16384))
    (line,) = conversions(tmp_path, ["a.png"])
    assert line.endswith("reduced to 8 bits; the largest value is 16384")
    write_png(tmp_path / "a.png", sixteen_bits(4000))
    (line,) = conversions(tmp_path, ["a.png"], 12)
    assert line.endswith("the largest value is 4000, and INPUT.BIT_DEPTH 12 makes 4095 white")


def test_images_that_a_browser_saved_are_found(voc_2007):
    """Chrome names some JPEGs so."""
    path = voc_2007.folder / "JPEGImages" / "000001.jpg"
    path.rename(path.with_suffix(".jfif"))
    assert checks.check_folder(voc_2007.folder).problems == []


@pytest.mark.parametrize("command", ["check", "describe"])
def test_the_commands_warn(tiny, capsys, command):
    tiny.write()
    assert main([command, str(tiny.folder)]) == 0
    assert "warning" not in capsys.readouterr().out
    write_png(tiny.images / "a.png", sixteen_bits(4095))
    assert main([command, str(tiny.folder)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert line.startswith("  warning: train: 1 of 2 images (such as 'a.png'): 16 bits per value")
    assert "INPUT.BIT_DEPTH 12" in line


def test_a_training_warns_and_reads_with_the_bit_depth(tiny, tiny_cfg, caplog):
    write_png(tiny.images / "a.png", sixteen_bits(4095))
    tiny.write()
    tiny_cfg.DATASETS.FOLDER = str(tiny.folder)

    def brightest() -> int:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "focal_star"):
            register_datasets(tiny_cfg)
        record = DatasetCatalog.get("set_train")[0]
        assert record["file_name"].endswith("a.png")
        return int(build_train_mapper(tiny_cfg)(record)["image"].max())

    assert brightest() == 4095 // 257
    assert "set, train: 1 of 2 images (such as 'a.png')" in caplog.text
    assert "INPUT.BIT_DEPTH 12 scales them" in caplog.text
    tiny_cfg.INPUT.BIT_DEPTH = 12
    assert brightest() == 255
    assert "seem to be used" not in caplog.text


def test_a_bit_depth_that_is_too_small_is_refused_before_a_training(tiny, tiny_cfg):
    write_png(tiny.images / "c.png", sixteen_bits(4095))
    tiny.write()
    tiny_cfg.DATASETS.FOLDER, tiny_cfg.INPUT.BIT_DEPTH = str(tiny.folder), 10
    with pytest.raises(DatasetError) as caught:
        register_datasets(tiny_cfg)
    words = r"'c.png' cannot be decoded.* 4095, which needs more than 10 bits"
    assert re.search(words, str(caught.value))
