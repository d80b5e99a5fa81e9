"""Which file a name means: it is found in other folders, but not another image in its place."""

import json
from pathlib import Path

import pytest

from focal_star.data.layouts.file_names import files_below
from focal_star.data.validation.checks import check_folder

XML = """<annotations>{}</annotations>"""
IMAGE = """<image name="{}" width="64" height="48"><box label="cat" xtl="4" ytl="5" xbr="24"
ybr="35"/></image>"""


def rename(tiny, split: str, name: str) -> None:
    """Name the first image of a split so in its annotation file."""
    tiny.json[split]["images"][0]["file_name"] = name


def move(tiny, old: str, new: str) -> None:
    target = tiny.folder / new
    target.parent.mkdir(parents=True, exist_ok=True)
    (tiny.folder / old).rename(target)


def write_beside_images(tiny, val: str) -> None:
    """The layout of annotation tools: each split's annotation file among its images."""
    for split, folder in (("train", "train"), ("val", val)):
        for image in tiny.json[split]["images"]:
            move(tiny, f"images/{image['file_name']}", f"{folder}/{image['file_name']}")
        (tiny.folder / folder / "_annotations.coco.json").write_text(json.dumps(tiny.json[split]))


def kinds(folder: Path) -> list[str]:
    return [f"{one.split}: {one.kind}" for one in check_folder(folder).problems]


@pytest.mark.parametrize("other", ["train", "test"])
def test_an_image_in_the_folder_of_another_split_is_no_substitute(tiny, other):
    write_beside_images(tiny, "valid")
    move(tiny, "valid/c.png", f"{other}/c.png")
    assert kinds(tiny.folder) == ["val: missing-image"]


def test_a_split_without_images_in_its_own_folder_takes_none_of_another(tiny):
    write_beside_images(tiny, "valid")
    for name in ("c.png", "d.jpg"):
        move(tiny, f"valid/{name}", f"test/{name}")
    assert kinds(tiny.folder) == ["val: missing-image"] * 2


def test_splits_may_share_the_folder_of_one(tiny):
    for split, content in tiny.json.items():
        for image in content["images"]:
            move(tiny, f"images/{image['file_name']}", f"train_images/{image['file_name']}")
        path = tiny.folder / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    check = check_folder(tiny.folder)
    assert check.problems == []
    warnings = check.describe()["val"]["warnings"]
    assert warnings[0].startswith("2 images ('c.png'; 'd.jpg'): file_name differs")


@pytest.mark.parametrize(
    "folder", ["train_val", "coco_train_val2017", "my_test/{0}", "{0}/test_track"]
)
def test_a_folder_with_the_words_of_two_splits_is_not_another_split_s(tiny, folder):
    for split, content in tiny.json.items():
        for image in content["images"]:
            name = f"{folder.format(split)}/{image['file_name']}"
            move(tiny, f"images/{image['file_name']}", name)
        path = tiny.folder / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    assert kinds(tiny.folder) == []


@pytest.mark.parametrize("prefix", ["/data/local-files/?d=photos/", "/home/ann/shots/", "images/"])
def test_names_from_elsewhere_where_all_images_are_in_one_folder(tiny, prefix):
    for split, content in tiny.json.items():
        for image in content["images"]:
            name = Path(image["file_name"]).name
            move(tiny, f"images/{image['file_name']}", f"photos/{name}")
            image["file_name"] = f"{prefix}{name}"
        path = tiny.folder / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    assert kinds(tiny.folder) == []


@pytest.mark.parametrize(
    ("name", "file", "found"),
    [
        ("cam2/x.png", "images/cam1/x.png", False),
        ("cam2/x.png", "images/x.png", True),
        ("sub/x.png", "images/x.png", False),  # sub/ is there, with another image
        ("/home/me/photos/x.png", "images/x.png", True),
        ("/home/me/photos/x.png", "photos/x.png", True),
        ("/home/me/photos/x.png", "other/x.png", False),
        ("../../media/upload/1/x.png", "other/x.png", True),  # of a server
        ("x.png", "other/x.png", True),
    ],
)
def test_folders_of_a_name(tiny, name, file, found):
    tiny.save_image("x.png")
    move(tiny, "images/x.png", file)
    rename(tiny, "train", name)
    tiny.write()
    check = check_folder(tiny.folder)
    assert [one.kind in ("missing-image", "path-outside") for one in check.problems] == (
        [] if found else [True]
    )
    if found:
        images = check.dataset.contents["train"]["images"]
        assert (check.dataset.splits[0].image_root / images[0]["file_name"]).samefile(
            tiny.folder / file
        )
        warning = f"1 image ('{name}'): file_name differs from the path"
        assert check.describe()["train"]["warnings"][0].startswith(warning)


def test_images_of_data_without_splits_are_counted_once(tiny):
    rename(tiny, "train", "folder/a.png")
    (tiny.folder / "annotations.json").write_text(json.dumps(tiny.json["train"]))
    warnings = check_folder(tiny.folder).describe()["train"]["warnings"]
    assert warnings[0].startswith("1 image ('folder/a.png'): file_name differs")


@pytest.mark.parametrize("is_copy", [False, True])
def test_absolute_paths(tiny, tmp_path, is_copy):
    """They are read where the file is in the data set, or there is one like it in there."""
    path = tiny.images / "a.png"
    if is_copy:
        path = tmp_path / "original" / "images" / "a.png"
        path.parent.mkdir(parents=True)
        path.write_bytes((tiny.images / "a.png").read_bytes())
    rename(tiny, "train", str(path))
    tiny.write()
    check = check_folder(tiny.folder)
    assert check.problems == []
    assert check.dataset.contents["train"]["images"][0]["file_name"] == "a.png"
    warnings = check.describe()["train"]["warnings"]
    assert ["file_name differs" in line for line in warnings] == [True] * is_copy


def test_an_absolute_path_to_an_image_elsewhere_is_refused(tiny, tmp_path):
    tiny.save_image("x.png")
    move(tiny, "images/x.png", "../x.png")
    rename(tiny, "train", str(tmp_path / "x.png"))
    tiny.write()
    assert kinds(tiny.folder) == ["train: path-outside"]


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["cam2/a.png", "c.png", "d.jpg"], ["cam2/a.png"]),
        (["sub/b.jpg", "c.png", "d.jpg"], []),
    ],
)
def test_names_of_cvat(tiny, names, missing):
    tiny.save_image("cam1/a.png")
    (tiny.images / "a.png").unlink()
    (tiny.folder / "annotations.xml").write_text(XML.format("".join(map(IMAGE.format, names))))
    messages = [one.message for one in check_folder(tiny.folder).problems]
    assert messages == [f"annotations.xml: image 0: '{name}' is not in the folder"
                        for name in missing]  # fmt: skip


def test_an_image_of_cvat_in_another_folder_is_counted(tiny):
    names = ["folder/a.png", "sub/b.jpg", "c.png"]
    (tiny.folder / "annotations.xml").write_text(XML.format("".join(map(IMAGE.format, names))))
    card = check_folder(tiny.folder).describe()["train"]
    assert card["warnings"][0].startswith("1 image ('folder/a.png'): file_name differs")


def test_frames_of_a_video_of_cvat_have_no_suffix(tiny):
    names = ["frame_000000", "frame_000001"]
    for name in names:
        tiny.save_image(f"{name}.png")
        (tiny.images / f"{name}.png").rename(tiny.images / f"{name}.PNG")
    (tiny.folder / "annotations.xml").write_text(XML.format("".join(map(IMAGE.format, names))))
    check = check_folder(tiny.folder)
    assert check.problems == []
    assert [card["num_images"] for card in check.describe().values()] == [1, 1]
    assert check.describe()["train"]["warnings"] == []


def test_a_missing_image_of_fiftyone_is_not_replaced(tiny):
    tiny.images.rename(tiny.folder / "data")
    move(tiny, "data/a.png", "other/a.png")
    box = {"label": "cat", "bounding_box": [0.25, 0.5, 0.5, 0.25]}
    found = {"ground_truth": {"_cls": "Detections", "detections": [box]}}
    samples = [{"filepath": f"data/{name}"} | found for name in ("a.png", "c.png", "d.jpg")]
    (tiny.folder / "samples.json").write_text(json.dumps({"samples": samples}))
    (problem,) = check_folder(tiny.folder).problems
    assert problem.message == "samples.json: samples[0]: 'data/a.png' is not in the folder"


def test_hidden_files_and_folders_are_left_out(tmp_path):
    for name in ("b/c.txt", "a.txt", "._a.txt", ".ipynb_checkpoints/a.txt", "b/.d/e.txt"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(files_below(tmp_path / "set")) == ["a.txt", "b/c.txt"]
    assert list(files_below(tmp_path / "set", deep=False)) == ["a.txt"]
