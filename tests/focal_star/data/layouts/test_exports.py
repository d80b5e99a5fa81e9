"""Layouts of annotation tools, what they write into COCO's format, and folders without a layout."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from focal_star.data.validation.checks import check_folder

XML = """<?xml version="1.0"?><annotations><version>1.1</version>
<meta><task><labels><label><name>dog</name></label></labels></task></meta>
{images}</annotations>"""
IMAGE = """<image id="0" name="{name}" width="64" height="48"{subset}>
<box label="cat" xtl="4" ytl="5" xbr="24" ybr="35" occluded="0"></box>
<polygon label="cat" points="1,2;11,2;11,22"></polygon><tag label="dog"/></image>"""


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def problems(folder: Path) -> list[str]:
    return [f"{one.kind}: {one.message}" for one in check_folder(folder).problems]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("{split}/_annotations.coco.json", "{split}"),
        ("{split}/labels.json", "{split}/data"),
        ("annotations/instances_{split}.json", "images/{split}"),
        ("annotations/instances_{split}.json", "images"),
        ("annotations/{split}.json", "{split}"),
        ("{split}.json", "images"),
    ],
)
def test_layouts_in_cocos_format(tiny, tmp_path, file, images, val):
    folder = tmp_path / "export"
    for split, name in (("train", "train"), ("val", val)):
        write(folder / file.format(split=name), tiny.json[split])
        for image in tiny.json[split]["images"]:
            target = folder / images.format(split=name) / image["file_name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((tiny.images / image["file_name"]).read_bytes())
    check = check_folder(folder)
    assert check.problems == [] and not check.dataset.is_converted


@pytest.mark.parametrize("subsets", [True, False])
def test_cvat(tiny, subsets):
    names = ["a.png", "sub/b.jpg", "c.png", "d.jpg"]
    texts = [
        IMAGE.format(name=name, subset=f' subset="{split}"' if subsets else "")
        for name, split in zip(names, ["Train", "Train", "Validation", "Validation"], strict=True)
    ]
    (tiny.folder / "annotations.xml").write_text(XML.format(images="".join(texts)))
    check = check_folder(tiny.folder)
    assert check.problems == []
    cards = check.describe()
    assert [card["num_images"] for card in cards.values()] == ([2, 2] if subsets else [3, 1])
    assert cards["train"]["category_names"] == ["cat", "dog"]
    boxes = [one["bbox"] for one in check.dataset.contents["train"]["annotations"][:2]]
    assert boxes == [[4, 5, 20, 30], [1, 2, 10, 20]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotations><track/></annotations>", "the tracks of a video"),
        ("<other/>", "its root must be <annotations>"),
        ("<!DOCTYPE a []><annotations/>", "document type"),
        (XML.format(images='<image name="no.png"/>'), "'no.png' is not in the folder"),
        (XML.format(images='<image name="a.png" width="x"/>'), "whole numbers of px"),
        (
            XML.format(
                images='<image name="a.png" width="64" height="48"><mask label="cat"/></image>'
            ),
            "only boxes and polygons are read",
        ),
    ],
)
def test_faults_of_cvat_are_named(tiny, text, words):
    (tiny.folder / "annotations.xml").write_text(text)
    found = problems(tiny.folder)
    assert any(words in line and "annotations.xml: " in line for line in found), found


@pytest.mark.parametrize(
    ("spelt", "stored"),
    [
        ("my%20cat.png", "my cat.png"),
        ("Sub\\A.PNG", "sub/a.png"),
        ("/home/me/images/x.png", "x.png"),
        ("images/images/x.png", "x.png"),
        ("x.png", "x.PNG"),
    ],
)
def test_other_spellings_of_file_names(tiny, spelt, stored):
    tiny.save_image(stored)
    tiny.json["train"]["images"][0]["file_name"] = spelt
    tiny.write()
    check = check_folder(tiny.folder)
    assert check.problems == []
    assert check.dataset.contents["train"]["images"][0]["file_name"] == stored


def test_a_name_that_fits_two_files_fits_none(tiny):
    for name in ("x.png", "X.png"):
        tiny.save_image(name)
    tiny.json["train"]["images"][0]["file_name"] = "X.PNG"
    tiny.write()
    assert [line.partition(":")[0] for line in problems(tiny.folder)] == ["missing-image"]


def test_ids_as_texts_are_mapped(tiny):
    for content in tiny.json.values():
        for one in content["images"]:
            one["id"] = f"uuid-{one['id']}"
        for one in content["annotations"]:
            one["image_id"], one["id"] = f"uuid-{one['image_id']}", str(one["id"])
            one["category_id"] = f"c{one['category_id']}"
        for one in content["categories"]:
            one["id"] = f"c{one['id']}"
    tiny.write()
    assert problems(tiny.folder) == []


@pytest.mark.parametrize("with_area", [True, False])
def test_corners_in_place_of_sizes_are_named(tiny, with_area):
    for content in tiny.json.values():
        content["annotations"] = [
            {"id": n, "image_id": 1, "category_id": 3, "bbox": [n, 20, n + 30, 45]}
            | ({"area": 30 * 25} if with_area else {})
            for n in range(20)
        ]
    tiny.write()
    found = problems(tiny.folder)
    assert [line.partition(":")[0] for line in found] == ["corners", "corners"]


def test_repeated_and_tiny_boxes_are_counted(tiny):
    annotations = tiny.json["train"]["annotations"]
    annotations.append(annotations[0] | {"id": 50})
    annotations.append(annotations[0] | {"id": 51, "bbox": [4, 5, 0.5, 20]})
    tiny.write()
    lines = check_folder(tiny.folder).describe()["train"]["warnings"]
    assert [line.partition(" (")[0] for line in lines] == ["1 annotation", "1 annotation"]
    assert "same image, box and category" in lines[0] and "less than 1 px" in lines[1]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "it is empty"),
        (["Annotations/a.xml"], "nearest layout is Pascal VOC's, and JPEGImages/ is missing"),
        (["labels/a.txt", "images/a.png"], "nearest layout is YOLO's, and data.yaml"),
        (["coco.json"], "nearest layout is COCO's"),
        (["inner/instances_train.json"], "the data set seems to be the folder inner/ in it"),
        (["photos/a.png"], "there are images, but no annotation file"),
    ],
)
def test_the_nearest_layout_is_named(tmp_path, names, words):
    for name in names:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True)
        path.write_text("")
    (tmp_path / "data").mkdir(exist_ok=True)
    (line,) = problems(tmp_path / "data")
    assert words in line, line


def test_a_closed_pipe_is_no_fault(tiny):
    tiny.write()
    command = f"{sys.executable} -m focal_star.data describe {tiny.folder} 2>&1 >&3 3>&- | cat >&2"
    command = f"exec 3> >(exec true); sleep 1; {command}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
