"""``python -m focal_star.data``: every command on every form of data set."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from focal_star.config import load_config
from focal_star.data.__main__ import main

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["coco", "voc"])
def folder(request, tiny, voc_2007) -> Path:
    tiny.write()
    return {"coco": tiny.folder, "voc": voc_2007.folder}[request.param]


def test_a_sound_data_set_passes(folder, capsys):
    assert main(["check", str(folder)]) == 0
    output = capsys.readouterr().out
    layout = "Pascal VOC's format" if "VOC" in str(folder) else "COCO's format"
    assert output.startswith(f"ok: {folder} ({layout})\n  train: 2 images, ")
    assert "categories: cat, dog\n  sha256: " in output


def test_the_description(tiny, capsys):
    tiny.write()
    assert main(["describe", str(tiny.folder)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for line in (
        "images 2 2",
        "instances 3 3",
        "crowds among them 1 1",
        "categories 2 2",
        "objects per image, mean 1.0 1.0",
        "objects per image, maximum 1 1",
        "width (px): min, median, max 64 / 64 / 64 64 / 64 / 64",
        "height (px): min, median, max 48 / 48 / 48 48 / 48 / 48",
        "small objects (under 32² px) 2 2",
        "medium objects 0 0",
        "large objects (96² px and over) 0 0",
        "cat 1 1",
        "dog 1 1",
    ):
        assert line.split() in lines, line


def test_registering_tells_the_keys_that_train_on_it(folder, tmp_path, capsys, monkeypatch):
    cache = tmp_path / "my cache"
    assert main(["register", str(folder), "--cache", str(cache)]) == 0
    output = capsys.readouterr().out
    assert f"{folder.name}_train: 2 images" in output and "classes (2): cat, dog" in output
    (line,) = (line for line in output.splitlines() if line.startswith("to train on it, add: "))
    cfg = load_config(
        ROOT / "projects/focal_star/configs/mini/retinanet_R_18_FPN.yaml",
        shlex.split(line.partition(": ")[2]),
    )
    assert str(folder) == cfg.DATASETS.FOLDER
    assert str(cache) == cfg.CACHE_DIR
    assert f"make ablations DATASET={folder}" in output


@pytest.mark.parametrize("command", ["check", "describe", "register"])
def test_problems_are_named_and_the_code_is_1(tiny, voc_2007, command, capsys):
    tiny.json["val"]["annotations"][0]["bbox"] = [0, 0, 0, 0]
    tiny.truncate("a.png")
    tiny.write()
    voc_2007.xml("000003").write_text("broken")
    for folder, words in (
        (tiny.folder, ["empty-box (1)", "broken-image (1)", "'a.png'"]),
        (voc_2007.folder, ["not-voc (1)", "Annotations/000003.xml: it is not XML"]),
        (tiny.folder / "nowhere", ["missing-file (1)", "is not a folder"]),
        ("nothing", ["'nothing' is no folder", "coco_2017"]),
    ):
        assert main([command, str(folder)]) == 1
        output = capsys.readouterr().out
        for word in words:
            assert word in output


def test_the_limit_of_pixels_is_raised_before_images_are_read_for_their_size(
    voc_2007, capsys, monkeypatch
):
    voc_2007.annotate("000001", [("dog", (1, 1, 9, 9), 0), ("cat", (5, 6, 20, 30), 0)], size="")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert main(["check", str(voc_2007.folder)]) == 1
    assert "INPUT.MAX_PIXELS raises the limit" in capsys.readouterr().out
    assert main(["check", str(voc_2007.folder), "INPUT.MAX_PIXELS", "4000"]) == 0


def test_what_cannot_be_written_is_an_error_without_a_traceback(voc_2007, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["register", str(voc_2007.folder), "--cache", str(tmp_path / "file" / "x")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("target", ["check", "describe", "register"])
def test_make_has_a_target_for_each(folder, target):
    done = subprocess.run(
        ["make", "-n", target, f"DATASET={folder}", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f'-m focal_star.data {target} "{folder}"' in done.stdout


@pytest.mark.parametrize("command", ["check", "describe"])
def test_checking_needs_neither_torch_nor_detectron2(folder, command):
    code = (
        "import sys; from focal_star.data.__main__ import main; code = main(sys.argv[1:]); "
        "print([m for m in sys.modules if '.' not in m]); sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "projects/focal_star")}
    done = subprocess.run(
        [sys.executable, "-c", code, command, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "'PIL'" in done.stdout and "'torch'" not in done.stdout


@pytest.mark.parametrize("command", ["check", "describe"])
def test_each_image_and_annotation_file_is_read_once(tiny, command, monkeypatch):
    tiny.write()
    read_bytes, read = Path.read_bytes, []
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or read_bytes(path))
    assert main([command, str(tiny.folder)]) == 0
    names = {"a.png", "b.jpg", "c.png", "d.jpg", "instances_train.json", "instances_val.json"}
    assert sorted(path.name for path in read) == sorted(names)
