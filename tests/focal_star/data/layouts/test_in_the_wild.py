"""Forms of data sets in public repositories that no tool's documentation describes."""

import json
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
    assert names(voc_2007.folder)[1] == ["test/000004.jpg"]


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


def test_two_files_of_a_split_are_not_guessed_between(tiny):
    rearranged(tiny, ("annotations/a_train.json", "images"), ("annotations/a_val.json", "images"))
    (tiny.folder / "annotations" / "b_train.json").write_text("{}")
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


def test_categories_that_are_alike():
    def groups(*words: str) -> list[list[str]]:
        entries = [{"id": number, "name": name} for number, name in enumerate(words)]
        return [[entry["name"] for entry in group] for group in categories_alike(entries)]

    alike = ["traffic-light", "Traffic light", "traffic_light", "trafficlight"]
    assert groups(*alike, "light") == [alike]
    assert groups("-7.28", "7.28", "_1", "1") == []
