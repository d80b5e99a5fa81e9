"""The demo: photographs of every kind, detectors from checkpoints, and what it writes."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from PIL import Image

from focal_star.config import CONFIGS, load_config
from focal_star.errors import ConfigError
from focal_star.io.image_files import PhotographError, read_photograph
from focal_star.tools import detector
from focal_star.tools.demo import __main__ as demo
from focal_star.tools.demo import page as demo_page
from focal_star.tools.detector import Detection
from focal_star.training import checkpoints
from tests.focal_star.io.unusual_images import write_png

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
NAME = "<img src=x onerror=alert(1)>&$\\bad"


def scene(height: int = 40, width: int = 60) -> Image.Image:
    """Left dark, right bright."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, width // 2 :] = (250, 200, 150)
    return Image.fromarray(pixels)


def save_checkpoint(folder: Path, num_classes: int = 3, bias: float = -1.0, seed: int = 0) -> Path:
    """An untrained detector that detects much where ``bias`` is high; its config beside it."""
    folder.mkdir(parents=True)
    cfg = load_config(MINI, ["MODEL.DEVICE", "cpu", "MODEL.RETINANET.SUBNET_INIT", "normal"])
    cfg.MODEL.RETINANET.NUM_CLASSES = num_classes
    torch.manual_seed(seed)
    model = build_model(cfg)
    model.head.cls_score.bias.data.fill_(bias)
    checkpoints.write(folder / "model_final.pth", {"model": model.state_dict()})
    (folder / "config.yaml").write_text(cfg.dump())
    return folder / "model_final.pth"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A detector that finds things everywhere, at a score of 0.5 and more."""
    path = save_checkpoint(tmp_path_factory.mktemp("trained") / "one", bias=0.1)
    path.with_name("classes.txt").write_text(f"cat\ndog\n{NAME}\n")
    return path


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    scene().save(folder / "a.png")
    return folder


def run(images: Path, output: Path, *weights: Path, more: tuple[str, ...] = ()) -> int:
    return demo.main(
        ["--images", str(images), "--weights", *map(str, weights), "--output", str(output), *more]
    )


def read(output: Path) -> dict:
    return json.loads((output / "detections.json").read_text())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_rotated_by_their_exif_orientation(tmp_path, orientation):
    upright = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright),
        7: upright.transpose(1, 0, 2)[::-1, ::-1], 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(read_photograph(tmp_path / "a.png")), upright)


GREY = np.asarray(scene().convert("L"))

KINDS = {
    "grey": (scene().convert("L"), "png"),
    "palette": (scene().convert("P", palette=Image.Palette.ADAPTIVE), "gif"),
    "CMYK": (scene().convert("CMYK"), "jpg"),
    "16 bit": (Image.fromarray(GREY.astype(np.uint16) * 257), "png"),
    "16 bit TIFF": (Image.fromarray(GREY.astype(np.uint16) * 257), "tif"),
    "1 bit": (scene().convert("1"), "png"),
    "grey and alpha": (scene().convert("LA"), "png"),
    "alpha": (scene().convert("RGBA"), "webp"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_photographs_of_every_kind_become_rgb(tmp_path, kind):
    image, suffix = KINDS[kind]
    path = tmp_path / f"a.{suffix}"
    image.save(path)
    read = read_photograph(path)
    assert (read.mode, read.size) == ("RGB", (60, 40))
    pixels = np.asarray(read).astype(int)
    wanted = {"CMYK": (250, 200, 150), "palette": (250, 200, 150), "alpha": (250, 200, 150)}
    grey = 255 if kind == "1 bit" else GREY[0, -1]
    right = wanted.get(kind, (grey,) * 3)
    if kind != "1 bit":  # which has white dots in grey places
        assert np.abs(pixels[5:35, 35:55] - right).max() <= 12
    assert pixels[5:35, 5:25].max() <= 12


def test_transparent_pixels_become_white(tmp_path):
    image = scene().convert("RGBA")
    image.putalpha(0)
    image.save(tmp_path / "a.png")
    assert np.asarray(read_photograph(tmp_path / "a.png")).min() == 255
    palette = Image.new("P", (4, 4), 3)
    palette.save(tmp_path / "b.gif", transparency=3)
    assert np.asarray(read_photograph(tmp_path / "b.gif")).min() == 255


@pytest.mark.parametrize("broken", ["text", "empty", "cut", "float", "missing"])
def test_a_file_that_is_no_photograph_is_refused_with_a_reason(tmp_path, broken):
    path = tmp_path / "a.tif"
    if broken == "float":
        Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    elif broken != "missing":
        buffer = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
        Image.fromarray(noise).save(buffer, "JPEG")
        content = {"text": b"hello", "empty": b"", "cut": buffer.getvalue()[:2000]}[broken]
        path.write_bytes(content)
    with pytest.raises(PhotographError, match=r"^it|^its"):
        read_photograph(path)


def test_a_photograph_too_large_for_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    scene().save(tmp_path / "a.png")  # 2400 px, over twice as many
    with pytest.raises(PhotographError, match="decompression bomb"):
        read_photograph(tmp_path / "a.png")


def test_boxes_are_in_px_of_the_upright_photograph(checkpoint, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(300, 500).save(tmp_path / "turned.png", exif=exif)
    photograph = read_photograph(tmp_path / "turned.png")
    assert photograph.size == (300, 500)
    one = detector.load_detector(checkpoint, None, lowest=0.5)
    found = one.detect(photograph, 0.5)
    assert found and all(one.score >= 0.5 for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    right = max(x + width for x, _, width, _ in (one.box for one in found))
    bottom = max(y + height for _, y, _, height in (one.box for one in found))
    assert 150 < right <= 300.01 and 300 < bottom <= 500.01


def test_a_score_below_that_of_the_config_can_be_set(tmp_path):
    path = save_checkpoint(tmp_path / "a", bias=-4.0)  # scores about 0.018; the config's least: .05
    assert detector.load_detector(path, None, 0.001).detect(scene(), 0.001)
    assert not detector.load_detector(path, None, 0.5).detect(scene(), 0.001)


def test_a_photograph_that_is_too_narrow_is_refused(checkpoint):
    one = detector.load_detector(checkpoint, None, 0.5)
    with pytest.raises(ConfigError, match="9000 x 2 px is too narrow"):
        one.detect(Image.new("RGB", (9000, 2)), 0.5)


def test_class_names_come_from_the_files_that_have_them(tmp_path):
    path = save_checkpoint(tmp_path / "study" / "cells" / "cell")
    cfg = load_config(path.with_name("config.yaml"), [])
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ()
    names, note = detector.class_names(path, cfg)
    assert names == ("0", "1", "2") and str(path.with_name("classes.txt")) in note

    cfg.DATASETS.FOLDER = str(tmp_path / "data")
    (tmp_path / "data").mkdir()
    categories = [{"id": 9, "name": "z"}, {"id": 2, "name": "y"}, {"id": 5, "name": "x"}]
    annotations = tmp_path / "data" / "instances_train.json"
    annotations.write_text(json.dumps({"categories": categories}))
    assert detector.class_names(path, cfg) == (("y", "x", "z"), "")

    prepared = tmp_path / "study" / "prepared.json"
    prepared.write_text(json.dumps({"dataset": {"categories": ["a", "b", "c"]}}))
    assert detector.class_names(path, cfg) == (("a", "b", "c"), "")
    prepared.write_text(json.dumps({"dataset": {"categories": ["another", "data set"]}}))
    assert detector.class_names(path, cfg)[0] == ("y", "x", "z")

    path.with_name("classes.txt").write_text("1\n2\n3\n")
    assert detector.class_names(path, cfg) == (("1", "2", "3"), "")
    path.with_name("classes.txt").write_text("1\n2\n")
    with pytest.raises(ConfigError, match="2 lines, and .* 3 classes"):
        detector.class_names(path, cfg)


def test_names_that_detectron2_knows_are_used(tmp_path):
    path = save_checkpoint(tmp_path / "a")
    cfg = load_config(path.with_name("config.yaml"), [])
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("coco_2017_train",), ("coco_2017_val",)
    cfg.MODEL.RETINANET.NUM_CLASSES = 80
    assert detector.class_names(path, cfg)[0][:2] == ("person", "bicycle")


def test_weights_that_do_not_fit_their_config_are_refused(tmp_path):
    path = save_checkpoint(tmp_path / "a")
    config = path.with_name("config.yaml")
    config.write_text(re.sub(r"NUM_SCALES: 3", "NUM_SCALES: 1", config.read_text()))
    with pytest.raises(ConfigError, match=r"does not match the model .*: head\.cls_score"):
        detector.load_detector(path, None, 0.5)
    checkpoints.write(path, {"model": {"backbone": torch.zeros(3)}})
    with pytest.raises(ConfigError, match="has no head of RetinaNet"):
        detector.load_detector(path, None, 0.5)


def test_incomplete_weights_are_refused(tmp_path):
    path = save_checkpoint(tmp_path / "a")
    state = checkpoints.read(path)["model"]
    del state["head.cls_score.weight"]
    checkpoints.write(path, {"model": state})
    with pytest.raises(ConfigError, match=r"head\.cls_score\.weight is missing"):
        detector.load_detector(path, None, 0.5)


def test_each_detector_gets_images_of_the_bit_depth_of_its_config(checkpoint, tmp_path):
    """12 bits in use of 16: without the key, a detector is given values a sixteenth as large."""
    (tmp_path / "photographs").mkdir()
    values = np.asarray(scene().convert("L"), dtype=np.uint16)[..., None] * 16
    write_png(tmp_path / "photographs" / "a.png", values)
    deep = save_checkpoint(tmp_path / "deep", bias=0.1)
    config = deep.with_name("config.yaml")
    config.write_text(config.read_text().replace("BIT_DEPTH: null", "BIT_DEPTH: 12"))
    assert run(tmp_path / "photographs", tmp_path / "demo", checkpoint, deep) == 0
    dark, light = read(tmp_path / "demo")["photographs"][0]["detections"]
    scaled = (values[..., 0] * 255.0 // 4095).astype(np.uint8)
    Image.fromarray(scaled).save(tmp_path / "photographs" / "a.png")
    assert run(tmp_path / "photographs", tmp_path / "demo", checkpoint, deep) == 0
    bright, again = read(tmp_path / "demo")["photographs"][0]["detections"]
    assert again == light and bright != dark


def test_two_detectors_are_shown_side_by_side(checkpoint, images, tmp_path, capsys):
    other = save_checkpoint(tmp_path / "cells" / "two", bias=-9.0)
    output = tmp_path / "demo"
    assert run(images, output, checkpoint, other) == 0
    assert capsys.readouterr().out == f"1 of 1 files: {output / 'index.html'}\n"
    content = read(output)
    assert [one["name"] for one in content["detectors"]] == ["one", "two"]
    assert [one["threshold"] for one in content["detectors"]] == [0.5, 0.5]
    (done,) = content["photographs"]
    assert (done["file"], done["width"], done["height"]) == ("a.png", 60, 40)
    found, nothing = done["detections"]
    assert found and nothing == []
    assert {one["category"] for one in found} <= {"cat", "dog", NAME}
    with Image.open(output / done["picture"]) as picture:
        assert picture.format == "JPEG" and picture.width > 2 * picture.height * 60 / 40 * 0.8
    page = (output / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 1
    assert "two: nothing" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)


def test_names_are_escaped_in_the_page(checkpoint, tmp_path):
    folder = tmp_path / "<b>photos"
    folder.mkdir()
    scene().save(folder / "<script>alert(1)<~script>.png")
    (folder / "<i>notes").write_text("no image")
    output = tmp_path / "demo"
    assert run(folder, output, checkpoint) == 1
    assert {d["category"] for d in read(output)["photographs"][0]["detections"][0]} >= {NAME}
    page = (output / "index.html").read_text()
    for markup in ("<script", "<b>", "<i>", "<img src=x"):
        assert markup not in page
    assert "&lt;script&gt;alert(1)" in page and "&lt;img src=x" in page
    assert "&lt;i&gt;notes: it is not an image of a known format" in page


def test_unreadable_files_are_named_and_the_others_are_done(checkpoint, images, tmp_path, capsys):
    (images / "broken.jpg").write_bytes(b"no photograph")
    (images / ".hidden").write_text("not looked at")
    (images / "folder").mkdir()
    scene().save(images / "z.png")
    output = tmp_path / "demo"
    assert run(images, output, checkpoint) == 1
    captured = capsys.readouterr()
    assert captured.err == "broken.jpg is skipped: it is not an image of a known format\n"
    assert "2 of 3 files" in captured.out
    content = read(output)
    assert [one["file"] for one in content["photographs"]] == ["a.png", "z.png"]
    assert [one["file"] for one in content["skipped"]] == ["broken.jpg"]


def test_a_run_without_any_photograph_is_an_error(checkpoint, images, tmp_path, capsys):
    (images / "a.png").write_text("no image")
    assert run(images, tmp_path / "demo", checkpoint) == 2
    assert "0 of 1 files" in capsys.readouterr().out


def mistakes(images: Path, checkpoint: Path) -> dict[str, tuple[list[str], str]]:
    """What is asked -> arguments, and what is said."""
    weights = ["--weights", str(checkpoint)]
    return {
        "no images": (["--images", "", *weights], "no photographs are given"),
        "images that are not there": (["--images", "/nowhere", *weights], "neither a folder nor"),
        "no weights": (["--images", str(images), "--weights"], "no checkpoint is given"),
        "too many": (["--images", str(images), *weights, *[str(checkpoint)] * 16], "the max is 16"),
        "two bad ones": (
            ["--images", str(images), "--weights", "/a.pth", "/b.pth"],
            "/a.pth does not exist\n  /b.pth does not exist",
        ),
        "the output": (
            ["--images", str(images), *weights, "--output", str(images)],
            "the folder of the output",
        ),
    }


@pytest.mark.parametrize("mistake", mistakes(Path(), Path()))
def test_mistakes_are_reported_before_anything_is_written(
    checkpoint, images, tmp_path, capsys, mistake
):
    arguments, said = mistakes(images, checkpoint)[mistake]
    before = sorted(images.rglob("*"))
    assert demo.main(["--output", str(tmp_path / "demo"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("demo: error: ") and said in error
    assert not (tmp_path / "demo").exists() and sorted(images.rglob("*")) == before


def test_a_checkpoint_without_a_config_needs_one(images, tmp_path, capsys):
    path = save_checkpoint(tmp_path / "a")
    config = path.with_name("config.yaml").rename(tmp_path / "own.yaml")
    assert run(images, tmp_path / "demo", path) == 2
    assert "(CONFIG=...)" in capsys.readouterr().err
    assert run(images, tmp_path / "demo", path, more=("--config", str(config))) == 0


@pytest.mark.parametrize("text", ["-0.1", "1.5", "nan", "high"])
def test_a_threshold_is_a_score(images, tmp_path, text, capsys):
    with pytest.raises(SystemExit):
        run(images, tmp_path / "demo", tmp_path / "a.pth", more=(f"--threshold={text}",))
    assert text in capsys.readouterr().err


def write_measured(checkpoint: Path, score) -> None:
    analysis = {"recall": {"at_precision": {"precision": 0.9, "score": score}}}
    content = {"result": {"analysis": analysis}}
    checkpoint.with_name("result.json").write_text(json.dumps(content))


def test_measured_scores_are_used_if_all_detectors_have_one(images, tmp_path):
    first, second = (save_checkpoint(tmp_path / name, bias=0.1) for name in ("a", "b"))
    write_measured(first, 0.52)
    write_measured(second, 0.9)
    output = tmp_path / "demo"
    assert run(images, output, first, second) == 0
    content = read(output)
    assert [one["threshold"] for one in content["detectors"]] == [0.52, 0.9]
    found, nothing = content["photographs"][0]["detections"]
    assert found and not nothing  # the two have the same weights
    assert run(images, output, first, second, more=("--threshold", "0.3")) == 0
    assert [one["threshold"] for one in read(output)["detectors"]] == [0.3, 0.3]
    write_measured(second, None)
    assert run(images, output, first, second) == 0
    assert [one["threshold"] for one in read(output)["detectors"]] == [0.5, 0.5]


def test_detectors_with_the_same_name_are_named_by_their_paths(images, tmp_path):
    first, second = (save_checkpoint(tmp_path / name / "run") for name in "ab")
    assert run(images, tmp_path / "demo", first, second) == 0
    names = [one["name"] for one in read(tmp_path / "demo")["detectors"]]
    assert names == [str(first), str(second)]


def test_pictures_of_an_earlier_demo_are_removed_and_other_files_stay(checkpoint, images, tmp_path):
    output = tmp_path / "demo"
    scene().save(images / "b.png")
    assert run(images, output, checkpoint) == 0
    (output / "pictures" / "own.jpg").write_text("kept")
    (images / "b.png").unlink()
    assert run(images, output, checkpoint) == 0
    assert [p.name for p in sorted((output / "pictures").iterdir())] == ["0001_a.jpg", "own.jpg"]


def test_the_same_photographs_give_the_same_bytes(checkpoint, images, tmp_path):
    for name in ("one", "two"):
        assert run(images, tmp_path / name, checkpoint) == 0
    files = sorted(path for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 3
    for path in files:
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes(), path


@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (3, 2000), (3000, 2000)])
def test_photographs_of_any_shape_are_drawn(size):
    found = [Detection(NAME, 0.9, (0, 0, size[0], size[1])), Detection("dog", 0.6, (1, 1, 1, 1))]
    columns = [demo_page.Column("$\\one$", found)] + [demo_page.Column("empty", [])] * 4
    with Image.open(
        io.BytesIO(demo_page.draw(Image.new("RGB", size), columns, [NAME, "dog"]))
    ) as picture:
        assert picture.width == int(4 / 5 * demo_page.WIDTH * demo_page.DPI)
        assert picture.height < 10_000
