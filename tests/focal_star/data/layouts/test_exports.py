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
        (["a/b/instances_train.json"], "the data set seems to be the folder a/b/ in it"),
        (["train/images/a.png", "train/labels/a.txt"], "or classes.txt, which names the classes"),
        (["annotations/a.json", "images/a.png"], "nearest layout is COCO's"),
        (["images/a.png", "boxes.csv"], "CSV files need the columns filename, class, xmin, ymin"),
        (["export.zip"], "archives are not read; unpack them"),
    ],
)
def test_the_nearest_layout_is_named(tmp_path, names, words):
    for name in names:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "data").mkdir(exist_ok=True)
    (line,) = problems(tmp_path / "data")
    assert words in line, line


def test_the_format_of_via_is_named(tmp_path):
    regions = {"0": {"shape_attributes": {"name": "rect", "x": 1}, "region_attributes": {}}}
    entry = {"filename": "1.jpg", "size": 9, "file_attributes": {}, "regions": regions}
    write(tmp_path / "train" / "via_region_data.json", {"1.jpg9": entry})
    (line,) = problems(tmp_path)
    assert line.endswith("train/via_region_data.json is VIA's format, which is not read; "
                         "export it from VIA as COCO")  # fmt: skip


def test_a_closed_pipe_is_no_fault(tiny):
    tiny.write()
    command = f"{sys.executable} -m focal_star.data describe {tiny.folder} 2>&1 >&3 3>&- | cat >&2"
    command = f"exec 3> >(exec true); sleep 1; {command}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def cvat(folder: Path, images: str) -> list[str]:
    (folder / "annotations.xml").write_text(XML.format(images=images))
    return problems(folder)


def test_a_rotated_box_of_cvat_becomes_the_box_around_it(tiny):
    box = '<box label="cat" xtl="10" ytl="10" xbr="30" ybr="20" rotation="{}"/>'
    # A quarter turn of 20 x 10 px around (20, 15). At 45 degrees, both sides are 30 / sqrt(2).
    boxes = "".join(map(box.format, (90, 45)))
    edge = '<box label="cat" xtl="0" ytl="10" xbr="20" ybr="20" rotation="45"/>'
    image = '<image name="{}" width="64" height="48">{}</image>'
    found = cvat(tiny.folder, image.format("a.png", boxes + edge) + image.format("c.png", boxes))
    assert found == []
    contents = check_folder(tiny.folder).dataset.contents
    (entry,) = (c for c in contents.values() if "a.png" in str(c["images"]))
    turned, tilted, clipped = (one["bbox"] for one in entry["annotations"])
    assert turned == pytest.approx([15, 5, 10, 20])
    side = 30 / 2**0.5
    assert tilted == pytest.approx([20 - side / 2, 15 - side / 2, side, side], abs=1e-3)
    assert clipped == pytest.approx([0, 15 - side / 2, 10 + side / 2, side], abs=1e-3)


def test_test_images_of_cvat_are_no_validation_images(tiny):
    subsets = {"a.png": "Train", "sub/b.jpg": "Train", "c.png": "Validation", "d.jpg": "Test"}
    images = "".join(IMAGE.format(name=n, subset=f' subset="{s}"') for n, s in subsets.items())
    assert cvat(tiny.folder, images) == []
    card = check_folder(tiny.folder).describe()["val"]
    assert card["num_images"] == 1 and card["warnings"] == ["the images of Test are not used"]


@pytest.mark.parametrize(
    "spelt",
    ["https://host.example/a/x.png?key=1&sig=a/b", "../../label-studio/media/upload/1/x.png",
     "http://host.example/data/local-files/?d=images/x.png"],
)  # fmt: skip
def test_addresses_of_label_studio(tiny, spelt):
    tiny.save_image("x.png")
    tiny.json["train"]["images"][0]["file_name"] = spelt
    tiny.write()
    card = check_folder(tiny.folder).describe()["train"]
    assert card["warnings"][0].startswith(f"1 image ('{spelt}'): file_name differs")


@pytest.mark.parametrize("key", ["image_id", "category_id"])
@pytest.mark.parametrize("are_texts", [True, False])
def test_references_of_another_type_than_the_ids(tiny, key, are_texts):
    before = [one[key] for one in tiny.json["train"]["annotations"]]
    for content in tiny.json.values():
        if are_texts:
            for one in content["annotations"]:
                one[key] = str(one[key])
        else:
            for one in content["images" if key == "image_id" else "categories"]:
                one["id"] = str(one["id"])
    tiny.write()
    check = check_folder(tiny.folder)
    assert check.problems == []
    after = [one[key] for one in check.dataset.contents["train"]["annotations"]]
    order = {value: number for number, value in enumerate(sorted(set(before)), start=1)}
    assert after == (before if are_texts else [order[value] for value in before])


def test_annotations_without_ids_are_numbered(tiny):
    for one in tiny.json["train"]["annotations"]:
        del one["id"]
    tiny.write()
    check = check_folder(tiny.folder)
    assert check.problems == []
    assert [one["id"] for one in check.dataset.contents["train"]["annotations"]] == [1, 2, 3]
    assert check.describe()["train"]["warnings"][0].startswith("no annotation has an id")
    tiny.json["train"]["annotations"][0]["id"] = 7  # some have one: a fault, not a habit
    tiny.write()
    assert len(problems(tiny.folder)) == 2


@pytest.mark.parametrize("file", ["train/_annotations.coco.json", "train/labels.json"])
def test_an_export_with_a_training_split_alone_is_divided(tiny, tmp_path, file):
    folder = tmp_path / "export"
    write(folder / file, tiny.json["train"])
    for image in tiny.json["train"]["images"]:
        target = folder / "train" / image["file_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tiny.images / image["file_name"]).read_bytes())
    check = check_folder(folder)
    assert [card["num_images"] for card in check.describe().values()] == [1, 1]


def test_a_test_split_stands_in_for_a_missing_validation_split(tiny):
    tiny.write()
    (tiny.folder / "instances_val.json").rename(tiny.folder / "instances_test.json")
    assert problems(tiny.folder) == []


def test_an_empty_list_of_categories_is_reported_once(tiny):
    tiny.json["train"]["categories"] = []
    tiny.write()
    assert problems(tiny.folder) == [
        "no-categories: instances_train.json: the list of categories is empty"
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC or AVIF; convert it"),
    ],
)
def test_what_a_file_is_instead_is_named(tiny, content, words):
    tiny.write()
    (tiny.images / "a.png").write_bytes(content)
    (image,) = problems(tiny.folder)
    (tiny.folder / "instances_train.json").write_bytes(content)
    annotations = next(line for line in problems(tiny.folder) if "instances_train" in line)
    assert words in image and ("HEIC" in words or words in annotations), (image, annotations)


def test_images_of_one_name_in_the_subsets_of_cvat(tiny):
    for subset in ("Train", "Validation"):
        tiny.save_image(f"{subset}/x.png")
    subsets = [f' subset="{subset}"' for subset in ("Train", "Validation")]
    assert cvat(tiny.folder, "".join(IMAGE.format(name="x.png", subset=s) for s in subsets)) == []


@pytest.mark.parametrize("has_boxes", [True, False])
def test_boxes_of_polygons_are_no_corners(tiny, has_boxes):
    for content in tiny.json.values():
        polygon = [[2, 3, 30, 3, 30, 40, 2, 40]]
        box = {"bbox": [2, 3, 28, 37]} if has_boxes else {"segmentation": polygon}
        content["annotations"] = [
            {"id": n, "image_id": 1 + n % 2, "category_id": 3} | box for n in range(12)
        ]
    tiny.write()
    lines = check_folder(tiny.folder).describe()["train"]["warnings"]
    assert any("could also be two corners" in line for line in lines) == has_boxes


@pytest.mark.parametrize(
    ("attributes", "segmentation", "box"),
    [
        ({"occluded": False, "rotation": 90.0}, [], [9, 10, 30, 20]),
        ({"occluded": False, "rotation": 0.0}, [], [14, 5, 20, 30]),
        ({"occluded": False, "rotation": "90"}, [], [14, 5, 20, 30]),
        ({"rotation": 90.0}, [], [14, 5, 20, 30]),  # of another tool
        ({"occluded": False, "rotation": 90.0}, [[14, 5, 34, 5, 34, 35, 14, 35]], [14, 5, 20, 30]),
    ],
)
def test_rotated_boxes_in_cocos_format_of_cvat(tiny, attributes, segmentation, box):
    """A quarter turn of 20 x 30 px around (24, 20)."""
    one = tiny.json["train"]["annotations"][0]
    one |= {"bbox": [14, 5, 20, 30], "attributes": attributes, "segmentation": segmentation}
    tiny.write()
    check = check_folder(tiny.folder)
    assert check.problems == []
    assert check.dataset.contents["train"]["annotations"][0]["bbox"] == box
    warned = [line for line in check.describe()["train"]["warnings"] if "rotated" in line]
    assert len(warned) == (box == [9, 10, 30, 20])
