"""YOLO's layouts: what they become in COCO's format, and every fault is named with its line."""

from pathlib import Path

import pytest
from PIL import Image

from focal_star.data.__main__ import main
from focal_star.data.layouts import yolo
from focal_star.data.layouts.yolo_files import YoloFolder
from focal_star.data.registration import register_folder
from focal_star.data.validation.checks import check_folder
from focal_star.data.validation.images import ImageOptions

WIDTH, HEIGHT = 80, 40


class YoloSet:
    """Two images per split, each with the object 0 in its middle; a test then changes it."""

    def __init__(self, folder: Path, train: str = "images/train", val: str = "images/val"):
        self.folder = folder
        folder.mkdir(parents=True)
        self.write("data.yaml", f"path: .\ntrain: {train}\nval: {val}\nnames: [cat, no]\n")
        for number in range(4):
            place = "train" if number < 2 else "val"
            self.image(f"images/{place}/{number}.png", number)
            self.write(f"labels/{place}/{number}.txt", "0 .5 .5 .25 .5\n")

    def image(self, name: str, colour: int) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (colour, 0, 0)).save(path)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def boxes(self, split: str = "train") -> list[list[float]]:
        check = check_folder(self.folder)
        assert check.problems == []
        return [one["bbox"] for one in check.dataset.contents[split]["annotations"]]

    def problems(self) -> list[tuple[str, str]]:
        return [(p.kind, p.message) for p in check_folder(self.folder).problems]


@pytest.fixture
def small(tmp_path) -> YoloSet:
    return YoloSet(tmp_path / "set")


MIDDLE = [30, 10, 20, 20]
"""x: (.5 - .25 / 2) 80, y: (.5 - .5 / 2) 40, width: .25 * 80, height: .5 * 40."""


def test_boxes_become_pixels(small, tmp_path):
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")
    content = check_folder(small.folder).dataset.contents["train"]
    assert [(one["id"], one["name"]) for one in content["categories"]] == [(0, "cat"), (1, "no")]
    assert content["annotations"][0]["source"] == "labels/train/0.txt: line 1"
    before = sorted(small.folder.rglob("*"))
    assert register_folder(small.folder, ImageOptions(cache=tmp_path / "cache"))
    assert sorted(small.folder.rglob("*")) == before


def test_a_polygon_counts_by_its_box(small):
    small.write("labels/train/0.txt", "1 .25 .25 .5 .25 .5 .75\n1 .1 .1 .1 .2 .2 .2 .2 .1\n")
    assert small.boxes()[:2] == [[20, 10, 20, 20], [8, 4, 8, 4]]


def test_images_without_labels_are_background(small):
    (small.folder / "labels/train/0.txt").unlink()
    small.write("labels/train/1.txt", "\n")
    small.write("labels/val/2.txt", "")
    check = check_folder(small.folder)
    assert [p.kind for p in check.problems] == ["no-annotations"]
    small.image("images/train/5.png", 5)
    small.write("labels/train/5.txt", "0 .5 .5 .25 .5")
    card = check_folder(small.folder).describe()["train"]
    assert (card["num_images"], card["num_instances"], card["num_without_objects"]) == (3, 1, 2)
    assert card["warnings"][0].startswith("1 image ('images/train/0.png'): there is no annotation")


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: images/val\nnames:\n  0: cat\n  1: no\n",
        "path: ../datasets/set\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: no}\n",
        "train: ../images/train\nval: ../images/val\nnc: 2\nnames: ['cat', 'no']\n",
        "train: [images/train]\nval: images/val/\ntest:\nnames: ['cat', 'no']\n",
        "train: /home/me/set/images/train\nval: /home/me/set/images/val\nnames: [cat, no]\n",
        "train: train.txt\nval: [val.txt]\nnames: [cat, no]\n",
        "path: images\ntrain: train\nval: val\nnames: [cat, no]\nroboflow:\n  version: 1\n",
        "\ufefftrain: images/train\ntest: images/val\nnames: [cat, no]\n",
    ],
)
def test_forms_of_the_yaml_file(small, text):
    small.write("data.yaml", text)
    small.write("train.txt", "./images/train/0.png\n/home/me/set/images/train/1.png\n\n")
    small.write("val.txt", "images\\val\\2.png\nimages/val/3.png")
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")


@pytest.mark.parametrize("tested", ["", "test: test.txt\n"])
def test_images_that_no_list_names_are_counted(small, tested):
    """Those of the test split are not."""
    small.write("data.yaml", f"train: train.txt\nval: val.txt\n{tested}names: [cat, no]\n")
    small.write("train.txt", "images/train/0.png\n")
    small.write("val.txt", "images/val/2.png\nimages/val/3.png\n")
    small.write("test.txt", "images/train/1.png\n")
    assert small.boxes() == [MIDDLE] and small.boxes("val") == [MIDDLE, MIDDLE]
    lines = check_folder(small.folder).doubts.lines("train")
    where = (
        "1 annotation file ('labels/train/1.txt'): neither the training nor the validation images "
    )
    expected = [] if tested else [where + "include its image, so its objects are left out"]
    assert lines == expected


@pytest.mark.parametrize("file", ["test.zip", "images/train/0.png"])
def test_a_test_split_that_is_not_used_cannot_break_the_others(small, file):
    small.write("data.yaml", f"train: images/train\nval: images/val\ntest: {file}\nnames: [a]\n")
    (small.folder / "test.zip").write_bytes(b"PK\x03\x04\xff\xfe")
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")


def test_split_folders_with_images_and_labels(tmp_path):
    small = YoloSet(tmp_path / "set", "../train/images", "../valid/images")
    for split in ("train", "val"):
        target = small.folder / ("train" if split == "train" else "valid")
        target.mkdir()
        (small.folder / "images" / split).rename(target / "images")
        (small.folder / "labels" / split).rename(target / "labels")
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")


def test_darknet_files(small):
    (small.folder / "data.yaml").unlink()
    small.write("obj.data", "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\n"
                "names = data/obj.names\nbackup = backup/\n")  # fmt: skip
    small.write("obj.names", "cat\nno\n")
    small.write("train.txt", "data/images/train/0.png\ndata/images/train/1.png\n")
    small.write("valid.txt", "data/images/val/2.png\ndata/images/val/3.png\n")
    assert small.boxes() == [MIDDLE, MIDDLE] == small.boxes("val")


def test_data_without_splits_are_divided(small):
    (small.folder / "data.yaml").unlink()
    small.write("classes.txt", "cat\nno\n")
    for name in ("images", "labels"):
        for split in ("train", "val"):
            for path in (small.folder / name / split).iterdir():
                path.rename(small.folder / name / path.name)
            (small.folder / name / split).rmdir()
    for number in range(5, 30):
        small.image(f"images/{number}.png", number)
        small.write(f"labels/{number}.txt", "0 .5 .5 .25 .5")
    cards = check_folder(small.folder).describe()
    assert cards["train"]["num_images"] + cards["val"]["num_images"] == 29
    assert 2 <= cards["val"]["num_images"] <= 12
    assert "no validation split, so one image in 5" in cards["val"]["warnings"][0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2 .5 .5 .1 .1", "the number of a class of data.yaml (0 to 1), got '2'"),
        ("0.5 .5 .5 .1 .1", "the number of a class"),
        ("-1 .5 .5 .1 .1", "the number of a class"),
        ("cat .5 .5 .1 .1", "must be finite numbers"),
        ("0 .5 nan .1 .1", "must be finite numbers"),
        ("0 .5 .5 .1", "got 3 numbers"),
        ("0 .5 .5 .1 .1 .9", "a sixth one, as of a detection's score"),
        ("0 .5 .5 .1 .1 .9 .9 .1", "got 7 numbers"),
        ("0 40 20 20 20", "these look like pixels"),
        ("0", "got 0 numbers"),
    ],
)
def test_bad_lines_are_named(small, line, words):
    small.write("labels/train/1.txt", f"0 .5 .5 .25 .5\n{line}\n")
    ((kind, message),) = small.problems()
    assert kind == "not-yolo" and message.startswith("labels/train/1.txt: line 2: "), message
    assert words in message


def test_boxes_are_checked_as_others_are(small):
    small.write("labels/train/1.txt", "0 .5 .5 0 .5\n0 .9 .5 .5 .5\n")
    kinds, messages = zip(*small.problems(), strict=True)
    assert kinds == ("empty-box", "box-outside")
    assert all(f"labels/train/1.txt: line {n}" in messages[n - 1] for n in (1, 2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [a\ntrain: x", "it is not YAML"),
        ("names: 7: 8", "it is not YAML"),
        ("[1, 2]", "must be a mapping"),
        ("train: images/train", "names is missing"),
        ("names: [[a]]\ntrain: images/train", "names must be a list of names"),
        ("names: {a: b}\ntrain: images/train", "names must be a list of names"),
        ("names: [a]\nnames: [b]\ntrain: images/train", "duplicate key 'names'"),
        ("names: !!python/object:os.system [a]\ntrain: x", "the tag"),
        ("names: [a]\ntrain: nowhere\nval: images/val", "there is no 'nowhere'"),
        ("names: [a]\ntrain:\nval:", "names neither train nor val"),
        ("names: [cat, no]\ntrain: train.txt\nval: images/val", "there is no 'gone.png'"),
    ],
)
def test_bad_yaml_files_are_named(small, text, words):
    small.write("data.yaml", text)
    small.write("train.txt", "images/train/0.png\ngone.png\n")
    found = small.problems()
    assert len(found) == 1 and words in found[0][1], found
    assert found[0][1].startswith("data.yaml: ")


def test_broken_images_are_named(small):
    (small.folder / "images/train/0.png").write_text("no image")
    ((kind, message),) = small.problems()
    assert kind == "broken-image" and "'images/train/0.png'" in message


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_an_image_counts_as_it_is_looked_at(small, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn: 40 x 80 px upright
    path = small.folder / "images/train/0.png"
    path.unlink()
    Image.new("RGB", (WIDTH, HEIGHT), (9, 9, 9)).save(path.with_suffix(suffix), exif=exif)
    assert small.boxes()[0] == [15, 20, 10, 40]


def test_points_of_a_pose_are_left_out(small):
    small.write("data.yaml", (small.folder / "data.yaml").read_text() + "kpt_shape: [2, 3]\n")
    small.write("labels/train/0.txt", "0 .5 .5 .25 .5 .1 .1 2 .2 .2 2\n")
    assert small.boxes()[0] == MIDDLE


def test_a_line_is_read_without_a_folder():
    described = YoloFolder("data.yaml", {0: "a"})
    read = yolo.parse_line("0 0.5 0.5 1 1", described)
    assert read == {"class": 0, "corners": [0, 0, 1, 1], "numbers": 4, "like_keypoints": False}


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("images/train/0.PNG", "labels/train/0.TXT"),
        ("images/train/\u00fc 0.png", "labels/train/u\u0308 0.txt"),  # composed, decomposed
    ],
)
def test_labels_are_found_in_other_spellings(small, image, labels):
    for old, new in (("images/train/0.png", image), ("labels/train/0.txt", labels)):
        (small.folder / old).rename(small.folder / new)
    assert small.boxes() == [MIDDLE, MIDDLE]


def test_labels_are_found_in_folders_in_upper_case(small):
    for old, new in (("images", "IMAGES"), ("labels", "Labels")):
        (small.folder / old).rename(small.folder / new)
    small.write("data.yaml", "train: IMAGES/train\nval: IMAGES/val\nnames: [cat, no]\n")
    assert small.boxes() == [MIDDLE, MIDDLE]


def test_of_two_spellings_the_exact_one_counts(small):
    small.write("labels/train/0.TXT", "1 .5 .5 1 1\n")
    assert small.boxes() == [MIDDLE, MIDDLE]


def test_labels_without_an_image_are_counted(small):
    small.write("labels/train/gone.txt", "0 .5 .5 .25 .5\n")
    small.write("labels/train/empty.txt", "")
    small.write("labels/train/classes.txt", "cat\nno\n")
    (small.folder / "images/train/heic.heic").write_bytes(b"\0\0\0\x18ftypheic")
    small.write("labels/train/heic.txt", "0 .5 .5 .25 .5\n")
    (line,) = check_folder(small.folder).describe()["train"]["warnings"]
    assert line.startswith(
        "2 annotation files ('labels/train/gone.txt'; 'labels/train/heic.txt'): "
    )


def test_a_folder_without_labels_says_where_they_would_be(small):
    (small.folder / "labels").rename(small.folder / "annotations")
    kinds, messages = zip(*small.problems(), strict=True)
    assert kinds == ("missing-file", "missing-file")
    expected = "that of 'images/train/0.png' would be 'labels/train/0.txt'"
    assert messages[0] == f"train: no image has a label file; {expected}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("val: images/val\nnames: [cat]\n", "data.yaml: train is missing"),
        ("train: empty\nval: images/val\nnames: [cat]\n", "data.yaml: train: there is no image"),
        ("train: images/train\nval: images/val\nnames: no.txt\n", "there is no 'no.txt'"),
    ],
)
def test_what_a_yaml_file_lacks_is_said_once(small, text, words):
    (small.folder / "empty").mkdir()
    small.write("data.yaml", text)
    ((_, message),) = small.problems()
    assert words in message


def test_a_path_to_another_folder_of_this_machine_is_named(small, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    text = f"path: {small.folder}\ntrain: images/train\nval: images/val\nnames: [cat, no]\n"
    (other / "data.yaml").write_text(text, encoding="utf-8")
    problems = check_folder(other).problems
    assert all(f"path is '{small.folder}': put data.yaml into that" in p.message for p in problems)
    assert len(problems) == 2


@pytest.mark.parametrize("description", ["data.yaml", "obj.names"])
def test_names_may_be_in_a_file(small, description):
    small.write("obj.names", "cat\nno\n")
    if description == "data.yaml":
        small.write("data.yaml", "train: images/train\nval: images/val\nnames: obj.names\n")
    else:
        (small.folder / "data.yaml").unlink()
    check = check_folder(small.folder)
    assert check.problems == [] and check.describe()["val"]["category_names"] == ["cat", "no"]


def test_keypoints_without_their_key_are_named(small):
    small.write("labels/train/1.txt", "0 .5 .5 .25 .5 .1 .1 2 .2 .2 2 .3 .3 2")
    ((_, message),) = small.problems()
    assert message.endswith("got 13 numbers; if these are keypoints after a box, add kpt_shape to "
                            "the YAML file")  # fmt: skip


POSE_2D = "0 .5 .5 .25 .5 .4 .3 .6 .7 0 0"
POSE_3D = "0 .5 .5 .25 .5 .4 .3 2 .6 .7 1"
ASTRAY = "0 .5 .5 .25 .5 .4 .3 .6 .7 .9 .9"
NEARLY = "0 .5 .5 .25 .5 .4 .3 .6255 .7 .5 .2495"
BEYOND = "0 .9 .5 .25 .5 .9 .5 .9 .5 .9 .5"
QUADRILATERAL = "0 .8 .8 .9 .8 .9 .9 .8 .9"
TRIANGLE = "0 .5 .5 .5 .6 .6 .5"


@pytest.mark.parametrize(
    ("lines", "warned"),
    [
        ([POSE_2D] * 10, True),
        ([POSE_3D] * 10, True),
        ([POSE_3D] * 9, False),
        ([POSE_2D] * 19 + [ASTRAY], True),
        ([POSE_2D] * 18 + [ASTRAY], False),
        ([NEARLY] * 10, True),
        ([BEYOND] * 10, False),
        ([POSE_2D] * 10 + [QUADRILATERAL], False),
        ([POSE_2D] * 10 + [TRIANGLE], False),
        ([QUADRILATERAL] * 10, False),
        (["0 .5 .5 .25 .5"] * 10, False),
    ],
)
def test_keypoints_that_could_be_polygons_raise_a_doubt(small, lines, warned):
    small.write("labels/train/1.txt", "\n".join(lines))
    doubts = yolo.convert(small.folder).doubts.lines("train")
    assert any("add kpt_shape" in line for line in doubts) == warned


def test_points_of_a_pose_raise_no_doubt_with_their_key(small):
    small.write("data.yaml", (small.folder / "data.yaml").read_text() + "kpt_shape: [3, 2]\n")
    small.write("labels/val/2.txt", "\n".join([POSE_2D] * 10))
    assert yolo.convert(small.folder).doubts.lines("val") == []
    small.write("data.yaml", (small.folder / "data.yaml").read_text().replace("kpt_shape", "other"))
    (line,) = yolo.convert(small.folder).doubts.lines("val")
    assert "'labels/val/2.txt: line 1'" in line


@pytest.mark.parametrize("spoilt", ["labels/train/0.txt", "images/train/0.png"])
def test_a_repaired_copy_loses_nothing_that_cannot_be_read(small, tmp_path, capsys, spoilt):
    small.write(spoilt, "9 .5 .5 .25 .5\n")
    assert main(["check", str(small.folder), "--fix", str(tmp_path / "copy")]) == 1
    said = capsys.readouterr().out
    assert spoilt in said and "a repaired copy cannot be written" in said
    assert "is missing" not in said
    assert not (tmp_path / "copy").exists()


def test_the_message_names_the_layout_that_was_read(small, capsys):
    small.write("labels/train/0.txt", "7 .5 .5 .25 .5\n")
    assert main(["check", str(small.folder)]) == 1
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == f"1 problem in the data set {small.folder} (YOLO's format)"
