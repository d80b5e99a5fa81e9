"""Forms of data sets in public repositories that no tool's documentation describes."""

import json
import os
import shutil
from pathlib import Path

import pytest

from focal_star.data.layouts.halving import VAL_SHARE
from focal_star.data.validation.checks import check_folder
from focal_star.data.validation.doubts import categories_alike
from tests.focal_star.data.layouts.test_coco import rearranged
from tests.focal_star.data.layouts.test_splits import DIVIDED, names
from tests.focal_star.data.layouts.test_yolo import MIDDLE, YoloSet


@pytest.fixture
def small(tmp_path: Path) -> YoloSet:
    return YoloSet(tmp_path / "set")


def warnings(folder: Path, split: str = "train") -> list[str]:
    check = check_folder(folder)
    assert check.problems == []
    return check.describe()[split]["warnings"]


def moved(voc, annotations: str, images: str) -> None:
    """Move VOC's XML files and images to other folders, without lists."""
    shutil.rmtree(voc.folder / "ImageSets")
    for old, new in (("Annotations", annotations), ("JPEGImages", images)):
        (voc.folder / new).mkdir(parents=True, exist_ok=True)
        for path in (voc.folder / old).iterdir():
            path.rename(voc.folder / new / path.name)
        (voc.folder / old).rmdir()


# --- Pascal VOC's ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotations", "images"),
    [("annots", "images"), ("labelsXML", "img"), ("Labels", "photos")],
)
def test_folders_of_any_names_hold_xml_files_and_images(voc_2007, annotations, images):
    moved(voc_2007, annotations, images)
    (voc_2007.folder / "docs").mkdir()
    (voc_2007.folder / "docs" / "example.xml").write_text("<annotation/>")
    first, *_ = warnings(voc_2007.folder)
    text = f"the annotation files in '{annotations}/' and the images in '{images}/' are used"
    assert first == text


def test_folders_that_share_few_names_are_no_data_set(voc_2007):
    moved(voc_2007, "annots", "images")
    for name in ("000002", "000003"):
        (voc_2007.folder / "images" / f"{name}.jpg").unlink()
    (problem,) = check_folder(voc_2007.folder).problems
    assert problem.kind == "missing-file"


def test_the_folders_of_tensorflows_tutorials_are_the_splits(voc_2007):
    """XML files and images in images/train/ and images/test/."""
    moved(voc_2007, "images", "images")
    folder = voc_2007.folder / "images"
    for split, numbers in (("train", "123"), ("test", "4")):
        (folder / split).mkdir()
        for number in numbers:
            for suffix in ("jpg", "xml"):
                name = f"00000{number}.{suffix}"
                (folder / name).rename(folder / split / name)
    assert names(voc_2007.folder)[1] == ["images/test/000004.jpg"]


def beside(voc, *folders: str) -> list[Path]:
    """Move VOC's XML files and images, one after the other, into folders."""
    moved(voc, "all", "all")
    places = []
    for number, folder in enumerate(folders, start=1):
        (voc.folder / folder).mkdir(parents=True, exist_ok=True)
        for suffix in ("jpg", "xml"):
            path = voc.folder / "all" / f"00000{number}.{suffix}"
            places.append(path.rename(voc.folder / folder / path.name))
    shutil.rmtree(voc.folder / "all")
    return places


def test_pairs_of_folders_are_the_splits(voc_2007):
    for path in beside(voc_2007, "train_images", "train_images", "test_images"):
        if path.suffix == ".xml":
            other = voc_2007.folder / path.parent.name.replace("images", "xml")
            other.mkdir(exist_ok=True)
            path.rename(other / path.name)
    assert names(voc_2007.folder) == (
        ["train_images/000001.jpg", "train_images/000002.jpg"], ["test_images/000003.jpg"],
    )  # fmt: skip


def test_xml_files_may_be_in_several_folders(voc_2007):
    moved(voc_2007, "batch1", "images")
    (voc_2007.folder / "batch2").mkdir()
    for number in (3, 4):
        name = f"00000{number}.xml"
        (voc_2007.folder / "batch1" / name).rename(voc_2007.folder / "batch2" / name)
    check = check_folder(voc_2007.folder)
    assert check.problems == []
    assert sum(card["num_instances"] for card in check.describe().values()) == 4 * 2


def test_of_two_xml_files_of_an_image_the_first_counts(voc_2007):
    moved(voc_2007, "xml_new", "images")
    (voc_2007.folder / "xml_old").mkdir()
    for name in ("000001.xml", "000002.xml"):
        shutil.copy(voc_2007.folder / "xml_new" / name, voc_2007.folder / "xml_old" / name)
    line = "2 XML files with an image that another one annotates (such as 'xml_old/000001.xml'): "
    assert any(warning.startswith(line) for warning in warnings(voc_2007.folder))
    check = check_folder(voc_2007.folder)
    assert sum(card["num_instances"] for card in check.describe().values()) == 4 * 2


def test_of_equal_names_the_image_of_the_same_split_is_meant(voc_2007):
    beside(voc_2007, "img/train", "img/val")
    for split, number in (("train", 1), ("val", 2)):
        for suffix in ("jpg", "xml"):
            path = voc_2007.folder / "img" / split / f"00000{number}.{suffix}"
            target = "img" if suffix == "jpg" else "xml"
            (voc_2007.folder / target / split).mkdir(parents=True, exist_ok=True)
            path.rename(voc_2007.folder / target / split / f"0.{suffix}")
    content = check_folder(voc_2007.folder).dataset.contents
    assert content["val"]["images"][0]["source"] == "xml/val/0.xml"
    assert names(voc_2007.folder) == (["img/train/0.jpg"], ["img/val/0.jpg"])


def test_images_in_folders_without_an_annotated_one_are_not_used(voc_2007):
    moved(voc_2007, "annots", "images")
    (voc_2007.folder / "unmarked").mkdir()
    shutil.copy(voc_2007.folder / "images" / "000001.jpg", voc_2007.folder / "unmarked" / "x.jpg")
    assert all("unmarked" not in name for split in names(voc_2007.folder) for name in split)
    assert any("unmarked/x.jpg" in line for line in warnings(voc_2007.folder))


@pytest.mark.parametrize("file", ["result.json", "annotations/instances_default.json"])
def test_files_of_a_known_layout_count_before_xml_files_anywhere(tiny, voc_2007, file):
    (tiny.folder / file).parent.mkdir(exist_ok=True)
    (tiny.folder / file).write_text(json.dumps(tiny.json["train"]))
    moved(voc_2007, "xml", "images")
    shutil.copytree(voc_2007.folder, tiny.folder / "backup")
    check = check_folder(tiny.folder)
    assert [len(content["images"]) for content in check.dataset.contents.values()] == [1, 1]
    assert check.dataset.contents["train"]["categories"] == tiny.json["train"]["categories"]


def test_a_data_set_in_a_folder_counts_before_xml_files_anywhere(tiny, voc_2007):
    tiny.write()
    moved(voc_2007, "xml", "images")
    voc_2007.folder.rename(tiny.folder / "images" / "old")
    (tiny.folder.parent / "outer").mkdir()
    tiny.folder.rename(tiny.folder.parent / "outer" / "data")
    (problem,) = check_folder(tiny.folder.parent / "outer").problems
    assert problem.message.endswith("the data set seems to be the folder data/ in it")


def test_xml_files_without_an_image_are_left_out(voc_2007):
    moved(voc_2007, "annots", "images")
    (voc_2007.folder / "images" / "000003.jpg").unlink()
    assert warnings(voc_2007.folder)[-1].startswith("1 annotation file ('annots/000003.xml'): ")


def test_a_missing_image_that_a_list_names_is_a_problem(voc_2007):
    (voc_2007.folder / "JPEGImages" / "000003.jpg").unlink()
    (problem,) = check_folder(voc_2007.folder).problems
    assert problem.kind == "missing-image"


@pytest.mark.parametrize("num_labels", [1, 3, 4])
def test_of_labelimgs_two_formats_the_one_of_more_images_counts(voc_2007, num_labels):
    """It writes classes.txt as soon as one image is saved in YOLO's format."""
    moved(voc_2007, "all", "all")
    for path in list((voc_2007.folder / "all").iterdir()):
        path.rename(voc_2007.folder / path.name)
    (voc_2007.folder / "all").rmdir()
    (voc_2007.folder / "000004.xml").unlink()
    (voc_2007.folder / "classes.txt").write_text("cat\ndog\n")
    for number in range(1, num_labels + 1):
        (voc_2007.folder / f"00000{number}.txt").write_text("0 .5 .5 .25 .5\n")
    check = check_folder(voc_2007.folder)
    assert check.problems == []
    num_objects = sum(card["num_instances"] for card in check.describe().values())
    unused = {
        1: "YOLO's label files, which have objects in 1 image, are not used",
        3: "the XML files, which have objects in 3 images, are not used",
        4: "the XML files, which have objects in 3 images, are not used",
    }
    assert num_objects == {1: 2 * 3, 3: 3, 4: 4}[num_labels]
    assert unused[num_labels] in warnings(voc_2007.folder)


# --- YOLO's ----------------------------------------------------------------------------------


def test_labels_are_beside_a_folder_of_images_of_any_name(small):
    (small.folder / "images").rename(small.folder / "img")
    small.write("data.yaml", "train: img/train\nval: img/val\nnames: [cat, no]\n")
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")


def test_a_folder_above_the_data_set_is_not_replaced_by_labels(tmp_path):
    inner = YoloSet(tmp_path / "images" / "set")
    shutil.copytree(inner.folder / "labels", tmp_path / "labels" / "set" / "images")
    shutil.rmtree(inner.folder / "labels")
    assert {kind for kind, _ in inner.problems()} == {"missing-file"}


@pytest.mark.parametrize("val", ["images/train", "../set/images/train/", "./images/train"])
def test_the_same_images_for_both_splits_are_divided(small, val):
    small.write("data.yaml", f"train: images/train\nval: {val}\nnames: [cat, no]\n")
    train, held_out = names(small.folder)
    assert sorted(train + held_out) == ["images/train/0.png", "images/train/1.png"]
    first, second = warnings(small.folder, "val")
    assert first == "data.yaml names the same images for train and val"
    assert second.startswith(DIVIDED)


def test_a_label_file_of_images_of_both_splits_is_a_problem(small):
    for split in ("train", "val"):
        (small.folder / "images" / split).rename(small.folder / split)
    shutil.rmtree(small.folder / "labels")
    (small.folder / "val" / "2.png").rename(small.folder / "val" / "0.png")
    for number in (0, 1, 3):
        small.write(f"labels/{number}.txt", "0 .5 .5 .25 .5\n")
    small.write("data.yaml", "train: train\nval: val\nnames: [cat, no]\n")
    ((kind, message),) = small.problems()
    assert kind == "not-yolo"
    assert message.startswith("labels/0.txt: it would be the label file of 'val/0.png' and of 'tr")


def test_test_images_are_the_validation_split_if_the_others_are_the_same(small):
    text = "train: images/train\nval: images/train\ntest: images/val\nnames: [cat, no]\n"
    small.write("data.yaml", text)
    assert names(small.folder)[1] == ["images/val/2.png", "images/val/3.png"]
    assert warnings(small.folder, "val") == ["these are the images of test in data.yaml"]


@pytest.mark.parametrize(("num_xml", "kinds"), [(1, {"missing-file"}), (3, set())])
def test_a_broken_layout_gives_way_to_one_that_annotates_most_images(voc_2007, num_xml, kinds):
    moved(voc_2007, "annots", "images")
    (voc_2007.folder / "data.yaml").write_text("train: gone\nval: gone\nnames: [cat, dog]\n")
    for number in range(num_xml + 1, 5):
        (voc_2007.folder / "annots" / f"00000{number}.xml").unlink()
    check = check_folder(voc_2007.folder)
    assert {problem.kind for problem in check.problems} == kinds
    if not kinds:
        line = "YOLO's label files are not used: data.yaml: train: there is no 'gone' in the folder"
        assert any(warning.startswith(line) for warning in warnings(voc_2007.folder))


def test_classes_of_other_names_do_not_take_the_place_of_a_stale_description(small):
    small.write("data.yaml", "train: gone/train\nval: gone/val\nnames: [cat, no]\n")
    small.write("classes.txt", "dog\nperson\n")
    assert {kind for kind, _ in small.problems()} == {"missing-file"}


def test_another_description_is_read_if_the_images_of_the_first_are_not_there(small):
    """A data.yaml of Roboflow stays where the data were moved to Darknet's layout."""
    small.write("data.yaml", "train: ../train/images\nval: ../valid/images\nnames: [cat, no]\n")
    small.write("obj.names", "cat\nno\n")
    for split in ("train", "val"):
        lines = (f"/content/set/images/{split}/{path.name}\n"
                 for path in sorted((small.folder / "images" / split).iterdir()))  # fmt: skip
        small.write(f"{split}.txt", "".join(lines))
    small.write("obj.data", "names = /content/set/obj.names\ntrain = train.txt\nvalid = val.txt\n")
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")
    unused = "obj.data describes the data; not used: data.yaml, whose images are not there"
    assert unused in warnings(small.folder)


def test_the_content_near_a_missing_folder_is_named(small):
    small.write("data.yaml", "train: images/TRAIN/x\nval: images/val\nnames: [cat, no]\n")
    ((kind, message),) = small.problems()
    assert kind == "missing-file"
    assert message.endswith("no 'images/TRAIN/x' in the folder; images/ has 'train/', 'val/'")


def test_some_images_in_both_splits_are_a_problem(small):
    small.write("data.yaml", "train: images\nval: images/val\nnames: [cat, no]\n")
    assert {kind for kind, _ in small.problems()} == {"split-overlap"}


# --- COCO's ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (("custom_train.json", "train2017"), ("custom_val.json", "val2017")),
        (("train_coco.json", "images"), ("coco-Valid.json", "images")),
        (("my_train.json", "images/train"), ("my_test.json", "images/test")),
    ],
)
def test_the_split_may_be_a_word_in_the_name_of_a_file(tiny, train, val):
    train, val = ((f"annotations/{name}", images) for name, images in (train, val))
    rearranged(tiny, train, val)
    (tiny.folder / "annotations" / "captions_train2017.json").write_text("{}")
    check = check_folder(tiny.folder)
    assert check.problems == []
    files = [split.annotation_file for split in check.dataset.splits]
    assert files == [tiny.folder / place for place, _ in (train, val)]


def test_files_of_other_content_with_such_names_do_not_count(small):
    for name in ("train_config", "val_config"):
        small.write(f"annotations/{name}.json", "{}")
    os.mkfifo(small.folder / "annotations" / "train.pipe.json")
    small.write("annotations/captions_train2017.json", '{"images": [], "annotations": []}')
    assert small.boxes() == [MIDDLE, MIDDLE]


def test_a_broken_file_with_such_a_name_is_a_problem(tiny):
    rearranged(tiny, ("annotations/a_train.json", "images"), ("annotations/a_val.json", "images"))
    (tiny.folder / "annotations" / "a_val.json").write_text('{"images": [{"bbox": ')
    assert tiny.kinds() == ["not-json"]


def test_two_files_of_a_split_are_not_guessed_between(tiny):
    rearranged(tiny, ("annotations/a_train.json", "images"), ("annotations/a_val.json", "images"))
    second = (tiny.folder / "annotations" / "a_train.json").read_text()
    (tiny.folder / "annotations" / "b_train.json").write_text(second)
    (problem,) = check_folder(tiny.folder).problems
    assert problem.kind == "missing-file"


def test_augmented_copies_of_a_photograph_are_in_one_split(tiny):
    """Roboflow names them after the photograph."""
    images = [
        {"id": 10 * number + copy, "width": 64, "height": 48}
        | {"file_name": f"IMG_{number}_jpg.rf.{'abcd'[copy] * 32}.jpg"}
        for number in range(20)
        for copy in range(4)
    ]
    for image in images:
        tiny.save_image(image["file_name"])
    content = tiny.json["train"] | {
        "images": images,
        "annotations": [
            {"id": image["id"], "image_id": image["id"], "category_id": 3, "bbox": [1, 2, 30, 20]}
            for image in images
        ],
    }
    (tiny.folder / "_annotations.coco.json").write_text(json.dumps(content))
    train, val = ({name.partition(".")[0] for name in of} for of in names(tiny.folder))
    assert train.isdisjoint(val)
    assert len(train) + len(val) == 20
    assert 1 <= len(val) < 20 / VAL_SHARE * 3


def test_each_split_has_images_with_objects_if_there_are_two(tiny):
    """By their hashes, all images with objects would be in one split."""
    images = [
        {"id": number, "width": 64, "height": 48, "file_name": f"{number}.png"}
        for number in range(30)
    ]
    for image in images:
        tiny.save_image(image["file_name"])
    content = tiny.json["train"] | {"images": images}
    for pair in ((0, 1), (3, 4), (10, 20)):
        content["annotations"] = [
            {"id": number, "image_id": number, "category_id": 3, "bbox": [1, 2, 30, 20]}
            for number in pair
        ]
        (tiny.folder / "_annotations.coco.json").write_text(json.dumps(content))
        assert check_folder(tiny.folder).problems == []


def test_categories_that_are_alike():
    def groups(*words: str) -> list[list[str]]:
        entries = [{"id": number, "name": name} for number, name in enumerate(words)]
        return [[entry["name"] for entry in group] for group in categories_alike(entries)]

    alike = ["traffic-light", "Traffic light", "traffic_light", "trafficlight"]
    assert groups(*alike, "light") == [alike]
    assert groups("-7.28", "7.28", "_1", "1") == []
