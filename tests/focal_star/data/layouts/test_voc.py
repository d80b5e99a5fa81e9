"""Pascal VOC's folders: what they become in COCO's format, and every fault of them is named."""

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from focal_star.data.layouts import voc, voc_places
from focal_star.data.layouts.coco import splits_of
from focal_star.data.layouts.dataset import Dataset
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.registration import register_datasets, register_folder
from focal_star.data.validation.checks import check_folder
from focal_star.data.validation.images import ImageOptions
from focal_star.evaluation.ap import coco_eval, essentials
from focal_star.tools import prepare
from focal_star.tools.detector import class_names


def names(converted: Dataset, split: str) -> list[str]:
    return [image["file_name"] for image in converted.contents[split]["images"]]


# --- what it becomes --------------------------------------------------------------------------


def test_a_year_becomes_cocos_format(voc_2007):
    dog = ("dog", (10, 20, 30, 48), 1)
    voc_2007.annotate("000001", [("cat", (1, 1, 64, 48), 0), dog, ("bird", (5.5, 6, 7.5, 7), 0)])
    converted = voc.convert(voc_2007.folder)
    assert converted.problems == []
    train = converted.contents["train"]
    place = "Annotations/000001.xml"
    assert train["images"][0] == {
        "id": 1, "file_name": "000001.jpg", "width": 64, "height": 48, "source": place,
    }  # fmt: skip
    # Corners count from 1 and include the last pixel: 10 to 30 are 21 px, from 9 on.
    assert train["annotations"][:3] == [
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 0, 64, 48], "area": 3072}
        | {"iscrowd": 0, "source": f"{place}: object 1"},
        {"id": 2, "image_id": 1, "category_id": 3, "bbox": [9, 19, 21, 29], "area": 609}
        | {"iscrowd": 1, "source": f"{place}: object 2"},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [4.5, 5, 3, 2], "area": 6}
        | {"iscrowd": 0, "source": f"{place}: object 3"},
    ]
    assert train["categories"] == converted.contents["val"]["categories"]
    assert train["categories"] == [
        {"id": number, "name": name, "source": f"{place}: object {seen}"}
        for number, name, seen in ((1, "bird", 3), (2, "cat", 1), (3, "dog", 2))
    ]
    assert check_folder(voc_2007.folder).problems == []


def test_a_test_list_with_annotations_is_tested_on(voc_2007):
    converted = voc.convert(voc_2007.folder)
    assert names(converted, "train") == ["000001.jpg", "000002.jpg"]
    assert names(converted, "val") == ["000003.jpg", "000004.jpg"]


def test_without_one_train_and_val_are_the_splits(voc_2012):
    converted = voc.convert(voc_2012.folder)
    assert (names(converted, "train"), names(converted, "val")) == (["2008_1.jpg"], ["2008_2.jpg"])
    assert check_folder(voc_2012.folder).problems == []


def test_a_devkit_of_both_years_is_07_plus_12(voc_2007, voc_2012):
    devkit = voc_2007.folder.parent
    converted = voc.convert(devkit)
    assert names(converted, "train") == [
        *(f"VOC2007/JPEGImages/00000{n}.jpg" for n in (1, 2)),
        *(f"VOC2012/JPEGImages/2008_{n}.jpg" for n in (1, 2)),
    ]
    assert names(converted, "val") == [f"VOC2007/JPEGImages/00000{n}.jpg" for n in (3, 4)]
    ids = [image["id"] for image in converted.contents["train"]["images"]]
    assert ids == [1, 2, 3, 4]
    assert check_folder(devkit).problems == []


def test_images_of_other_formats_without_objects_and_sizes(voc_2007):
    (voc_2007.folder / "JPEGImages" / "000001.jpg").unlink()
    voc_2007.save_image("000001.PNG")
    voc_2007.annotate("000001", [], size="")
    voc_2007.annotate("000002", [("dog", (1, 1, 9, 9), 0)], "<size><width>0</width></size>")
    converted = voc.convert(voc_2007.folder)
    assert names(converted, "train") == ["000001.PNG", "000002.jpg"]
    for image in converted.contents["train"]["images"]:
        assert (image["width"], image["height"]) == (64, 48)
    assert check_folder(voc_2007.folder).problems == []


def test_what_is_a_folder_of_voc(voc_2007, tmp_path):
    assert voc_places.is_voc(voc_2007.folder) and voc_places.is_voc(voc_2007.folder.parent)
    assert not voc_places.is_voc(tmp_path) and not voc_places.is_voc(tmp_path / "nowhere")
    assert not voc_places.is_voc(voc_2007.folder / "JPEGImages")


# --- registered, trained on and evaluated -----------------------------------------------------


def snapshot(folder: Path) -> dict[str, tuple]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in [folder, *sorted(folder.rglob("*"))]
    }


def test_it_is_registered_from_the_cache_and_left_as_it_is(tiny_cfg, voc_2007):
    before = snapshot(voc_2007.folder)
    tiny_cfg.DATASETS.FOLDER = str(voc_2007.folder)
    folder = register_datasets(tiny_cfg)
    assert folder.is_relative_to(tiny_cfg.CACHE_DIR) and folder.name == "VOC2007"
    assert tiny_cfg.DATASETS.TRAIN == ("VOC2007_train",)
    assert tiny_cfg.MODEL.RETINANET.NUM_CLASSES == 2
    assert MetadataCatalog.get("VOC2007_train").evaluator_type == "coco"
    records = DatasetCatalog.get("VOC2007_train")
    assert [len(record["annotations"]) for record in records] == [2, 2]
    assert all(Image.open(record["file_name"]).size == (64, 48) for record in records)
    assert len(DatasetCatalog.get("VOC2007_val")) == 2
    assert MetadataCatalog.get("VOC2007_val").thing_classes == ["cat", "dog"]
    assert snapshot(voc_2007.folder) == before

    files = [split.annotation_file for split in splits_of(folder)]
    times = [os.stat(file).st_mtime_ns for file in files]
    register_datasets(tiny_cfg)
    assert [os.stat(file).st_mtime_ns for file in files] == times  # the same is not written again
    voc_2007.annotate("000001", [("dog", (1, 1, 9, 9), 0)])
    register_datasets(tiny_cfg)
    assert len(DatasetCatalog.get("VOC2007_train")[0]["annotations"]) == 1


def test_a_study_is_prepared_on_it_and_a_demo_finds_its_classes(tiny_cfg, voc_2007, tmp_path):
    tiny_cfg.DATASETS.FOLDER = str(voc_2007.folder)
    dataset = prepare.prepare_variants({"": tiny_cfg})["dataset"]
    assert (dataset["name"], dataset["categories"]) == ("VOC2007", ["cat", "dog"])
    assert len(dataset["sha256"]) == 64 and dataset["val"]["num_images"] == 2
    assert Path(dataset["val"]["annotation_file"]).parent == Path(dataset["folder"])
    assert (Path(dataset["val"]["image_root"]) / "000003.jpg").is_file()
    assert class_names(tmp_path / "model_final.pth", tiny_cfg) == (("cat", "dog"), "")


def test_what_was_checked_before_is_not_looked_at_again(tiny_cfg, voc_2007):
    tiny_cfg.DATASETS.FOLDER = str(voc_2007.folder)
    register_datasets(tiny_cfg)
    tiny_cfg.DATASETS.CHECK = False
    voc_2007.xml("000001").write_text("broken")
    register_datasets(tiny_cfg)
    assert len(DatasetCatalog.get("VOC2007_train")) == 2
    tiny_cfg.DATASETS.CHECK = True
    with pytest.raises(DatasetError, match="000001.xml"):
        register_datasets(tiny_cfg)


def test_two_folders_of_one_name_are_two(voc_2007, tmp_path):
    other = type(voc_2007)(tmp_path / "other" / "VOC2007", {"train": ["x"], "val": ["y"]})
    options = ImageOptions(cache=tmp_path / "cache")
    assert register_folder(voc_2007.folder, options) == ("VOC2007_train", "VOC2007_val")
    assert len(DatasetCatalog.get("VOC2007_train")) == 2
    register_folder(other.folder, options)
    assert len(DatasetCatalog.get("VOC2007_train")) == 1
    assert len(list((tmp_path / "cache" / "converted").iterdir())) == 2


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_a_detection_of_a_difficult_object_counts_neither_for_nor_against(voc_2012, backend):
    voc_2012.annotate("2008_2", [("dog", (1, 1, 20, 20), 0), ("dog", (31, 1, 60, 40), 1)])
    truth = voc.convert(voc_2012.folder).contents["val"]
    (dog,) = (one["id"] for one in truth["categories"] if one["name"] == "dog")

    def ap(*boxes: tuple) -> float:
        found = [
            {"image_id": 1, "category_id": dog, "bbox": list(box), "score": 0.9 - 0.1 * number}
            for number, box in enumerate(boxes)
        ]
        evaluation = coco_eval(essentials(truth), found, backend)
        evaluation.params.catIds = [dog]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation.stats[0]

    easy, difficult, nothing = (0, 0, 20, 20), (30, 0, 30, 40), (30, 41, 7, 7)
    assert ap(easy) == ap(difficult, easy) == pytest.approx(1)
    assert ap(nothing, easy) == pytest.approx(0.5)


# --- faults -----------------------------------------------------------------------------------

XML = "<annotation><object><name>dog</name>{}</object></annotation>"
BOX = "<bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>9</ymax></bndbox>"
BOMB = (
    '<!DOCTYPE a [<!ENTITY a "' + "x" * 1000 + '"><!ENTITY b "' + "&a;" * 1000 + '">]>'
    "<annotation>" + "&b;" * 1000 + "</annotation>"
)

FAULTS: dict[str, tuple[Any, str, list[str]]] = {
    "no xml": ("no xml", "not-voc", ["it is not XML", "line 1"]),
    "empty": ("", "not-voc", ["it is not XML"]),
    "cut": ("<annotation><object>", "not-voc", ["it is not XML"]),
    "another root": ("<html></html>", "not-voc", ["<annotation>, and is <html>"]),
    "another encoding": (b'<?xml version="1.0" encoding="x"?><annotation/>', "not-voc", ["XML"]),
    "not UTF-8": (b"<annotation>\xe9</annotation>", "not-voc", ["it is not XML"]),
    "entities that explode": (BOMB, "not-voc", ["document type"]),
    "a file as entity": (
        '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>',
        "not-voc",
        ["document type"],
    ),
    "no name": ("<annotation><object/></annotation>", "not-voc", ["object 1", "no <name>"]),
    "no box": (XML.format(""), "not-voc", ["object 1: <bndbox> must have xmin", "None"]),
    "box of words": (XML.format(BOX.format("a", 3)), "not-voc", ["<bndbox>", "'a'"]),
    "box not finite": (XML.format(BOX.format("nan", "inf")), "not-voc", ["'nan', '1', 'inf'"]),
    "box too wide for a float": (
        XML.format(BOX.format("-1.7e308", "1.7e308")), "box-not-finite", ["object 1", "inf"],
    ),
    "box turned": (XML.format(BOX.format(9, 3)), "not-voc", ["not be below xmin", "'9'"]),
    "box outside": (XML.format(BOX.format(9, 70)), "box-outside", ["000001.xml: object 1", "x 8"]),
    "name of two lines": (
        XML.format(BOX.format(1, 3)).replace("dog", "hot\ndog"),
        "not-coco",
        ["000001.xml: object 1", "name must be one line"],
    ),
    "difficult": (
        XML.format("<difficult>2</difficult>" + BOX.format(1, 3)), "not-voc", ["0 or 1, got '2'"],
    ),
    "size": (
        "<annotation><size><width>64</width><height>x</height></size></annotation>",
        "not-voc",
        ["whole numbers of px, got ['64', 'x']"],
    ),
    "another size": (
        "<annotation><size><width>64</width><height>49</height></size></annotation>",
        "image-size",
        ["Annotations/000001.xml", "64 x 49", "64 x 48"],
    ),
    "huge size": (
        "<annotation><size><width>1</width><height>" + "9" * 5000 + "</height></size></annotation>",
        "not-voc",
        ["whole numbers"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_an_annotation_file_is_named(voc_2007, name):
    text, kind, words = FAULTS[name]
    voc_2007.xml("000001").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = [
        problem.message
        for problem in check_folder(voc_2007.folder).problems
        if problem.kind == kind
    ]
    assert any(
        "Annotations/000001.xml" in message and all(word in message for word in words)
        for message in found
    ), check_folder(voc_2007.folder).problems


def test_no_change_of_an_annotation_file_raises_anything_else(voc_2007):
    sound, random = voc_2007.xml("000001").read_bytes(), Random(0)
    pieces = [b"<", b">", b"</object>", b"<object>", b"1e999", b"-1", b"\0", b"&", b"<!--", b"\xff"]
    found = set()
    for _ in range(60):
        at, length = random.randrange(len(sound)), random.randrange(40)
        broken = sound[:at] + random.choice(pieces) + sound[at + length :]
        voc_2007.xml("000001").write_bytes(broken)
        found |= {problem.kind for problem in check_folder(voc_2007.folder).problems}
    assert "not-voc" in found


def kinds(folder: Path) -> list[tuple[str, str]]:
    return [(problem.kind, problem.message) for problem in check_folder(folder).problems]


def test_missing_files_are_named(voc_2007):
    (voc_2007.folder / "JPEGImages" / "000002.jpg").unlink()
    ((kind, message),) = kinds(voc_2007.folder)
    assert kind == "missing-image" and "which has none" in message and "000002" in message


def test_an_image_without_annotation_file_has_no_objects(voc_2007):
    voc_2007.xml("000001").unlink()
    check = check_folder(voc_2007.folder)
    assert check.problems == []
    card = check.describe()["train"]
    assert card["num_images"] == 2 and card["num_without_objects"] == 1
    assert card["warnings"][0].startswith("1 image ('000001.jpg'): there is no annotation file")


def test_a_broken_image_is_named_with_its_annotation_file(voc_2007):
    (voc_2007.folder / "JPEGImages" / "000003.jpg").write_bytes(b"no image")
    ((kind, message),) = kinds(voc_2007.folder)
    assert kind == "broken-image" and "Annotations/000003.xml" in message


def test_two_images_of_one_name(voc_2007):
    voc_2007.save_image("000001.png")
    ((kind, message),) = kinds(voc_2007.folder)
    assert kind == "duplicate-file-name" and "'000001.jpg', '000001.png'" in message


def test_lists_that_are_missing_repeat_or_overlap(voc_2007):
    voc_2007.write_list("trainval", ["000001", "000001"])
    voc_2007.write_list("test", ["000001", "000003"])
    assert [kind for kind, _ in kinds(voc_2007.folder)] == ["duplicate-file-name", "split-overlap"]
    for name in ("trainval", "train", "val"):
        (voc_2007.folder / f"ImageSets/Main/{name}.txt").unlink()
    ((kind, message),) = kinds(voc_2007.folder)  # and no complaint that there are no images
    assert kind == "missing-file" and message.startswith("ImageSets/Main/trainval.txt: ")


@pytest.mark.parametrize("name", ["../000001", "/etc/passwd", "..", "000001\0", "JPEGImages"])
def test_a_name_in_a_list_leads_nowhere_else(voc_2007, name):
    voc_2007.write_list("trainval", [name, "000001", "000002"])
    found = kinds(voc_2007.folder)
    assert [kind for kind, _ in found] == ["missing-image"]


def test_faults_of_all_files_are_named_at_once(voc_2007, voc_2012):
    voc_2007.xml("000001").write_text("broken")
    voc_2012.xml("2008_2").write_text("broken")
    voc_2007.annotate("000003", [("dog", (60, 1, 80, 9), 0)])
    found = kinds(voc_2007.folder.parent)
    assert [kind for kind, _ in found] == ["not-voc", "not-voc", "box-outside"]
    for place, (_, message) in zip(("VOC2007/", "VOC2012/", "VOC2007/"), found, strict=True):
        assert f"{place}Annotations/" in message


def test_content_of_the_cache_is_cocos(voc_2007, tmp_path):
    register_folder(voc_2007.folder, ImageOptions(cache=tmp_path / "cache"))
    (file,) = (tmp_path / "cache").rglob("instances_val.json")
    assert json.loads(file.read_text()) == voc.convert(voc_2007.folder).contents["val"]
    assert check_folder(file.parent).problems == []


@pytest.mark.parametrize(
    ("annotations", "images", "is_divided"),
    [
        ("annotations/{}", "images/{}", True),
        ("labels/{}", "data/{}", True),
        ("{}", "{}", True),  # labelImg's
        ("{split}/{}", "{split}/{}", False),  # Roboflow's
    ],
)
def test_places_of_other_tools(tmp_path, voc_2007, annotations, images, is_divided):
    folder = tmp_path / "export"
    names = {"000001": "train", "000002": "train", "000003": "valid", "000004": "test"}
    for name, split in names.items():
        for pattern, file in (
            (annotations, voc_2007.xml(name)),
            (images, voc_2007.folder / "JPEGImages" / f"{name}.jpg"),
        ):
            target = folder / pattern.format(file.name, split=split)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    check = check_folder(folder)
    assert check.problems == []
    train, val = check.describe().values()
    assert train["num_images"] + val["num_images"] == (4 if is_divided else 3)
    assert train["category_names"] == ["cat", "dog"]
    said = val["warnings"][0]
    assert said.startswith("the data have no validation" if is_divided else "the images of test")


def test_an_encoding_that_cannot_be_read_is_named(voc_2007):
    text = voc_2007.xml("000001").read_text().replace("dog", "\u732b")
    xml = f'<?xml version="1.0" encoding="GB2312"?>{text}'.encode("gb2312")
    voc_2007.xml("000001").write_bytes(xml)
    (problem,) = check_folder(voc_2007.folder).problems
    assert "its encoding cannot be read; save it in UTF-8" in problem.message


def test_names_of_classes_beside_xml_are_no_yolo(tmp_path, voc_2007):
    """labelImg writes classes.txt once it has saved a file in YOLO's format."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for part in ("Annotations", "JPEGImages"):
        for path in (voc_2007.folder / part).iterdir():
            path.rename(folder / path.name)
    (folder / "classes.txt").write_text("dog\ncat\n")
    (folder / "README.txt").write_text("Photographs of dogs and cats.\n")
    assert check_folder(folder).problems == []


def test_a_folder_that_cannot_be_listed_is_no_data_set(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    listed = os.listdir

    def refusing(path):
        if Path(path).name == "locked":
            raise PermissionError("locked")
        return listed(path)

    monkeypatch.setattr(os, "listdir", refusing)
    assert not voc_places.is_like_voc(tmp_path)
