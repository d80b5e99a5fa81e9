"""LabelMe's format: what it becomes in COCO's format, and faults are named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from focal_star.data.layouts import labelme, reading
from focal_star.data.validation.checks import check_folder
from tests.focal_star.data.layouts.converted import SIZE, Boxes, boxes, problems, save, warnings


def shape(points: list, kind: str | None = "rectangle", label: str = "cat", **more: Any) -> dict:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None} | more


RECTANGLE = shape([[24, 35], [4.5, 5]])
BOX = [4.5, 5, 19.5, 30]


def write(path: Path, shapes: Any = (RECTANGLE,), **more: Any) -> None:
    """A JSON file as LabelMe 5 writes it, whose image is beside it."""
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes) if isinstance(shapes, tuple) else shapes,
        "imagePath": f"{path.stem}.png",
        "imageData": None,
        "imageHeight": SIZE[1],
        "imageWidth": SIZE[0],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content | more))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two annotated images, which are divided."""
    for name in ("a", "b"):
        save(tmp_path / "set" / f"{name}.png")
        write(tmp_path / "set" / f"{name}.json")
    return tmp_path / "set"


def all_boxes(folder: Path) -> Boxes:
    train, val = boxes(folder)
    return train | val


def test_images_and_files_in_one_folder(folder):
    assert all_boxes(folder) == {"a.png": [("cat", BOX)], "b.png": [("cat", BOX)]}
    assert "the data have no validation split" in warnings(folder)
    entry = check_folder(folder).dataset.contents["train"]["annotations"][0]
    assert entry["source"] in ("a.json: shapes[0]", "b.json: shapes[0]")


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("{split}/{name}.png", "{split}/{name}.json"),
        ("images/{split}/{name}.png", "annotations/{split}/deep/{name}.json"),
        ("images/{name}.png", "{split}/{name}.json"),  # the split of the files alone
        ("{split}/images/x.png", "{split}/json/x.json"),  # the same name in both splits
    ],
)
def test_folders_that_are_named_as_splits(tmp_path, image, file):
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        save(tmp_path / "set" / image.format(split=split, name=name))
        path = file.format(split=split, name=name)
        write(tmp_path / "set" / path, imagePath=image.format(split=split, name=name)[-5:])
    train, val = boxes(tmp_path / "set")
    assert val == {image.format(split="val", name="c"): [("cat", BOX)]} and train


@pytest.mark.parametrize(
    ("one", "box"),
    [
        (shape([[24, 5], [4.5, 35]]), BOX),
        (shape([[4.5, 5], [24, 5], [24, 35], [4.5, 35]]), BOX),
        (shape([[10, 20], [30, 5], [20, 40], [12, 12]], "polygon"), [10, 5, 20, 35]),
        (shape([[10, 20], [30, 5], [20, 40]], None), [10, 5, 20, 35]),
        # A radius of 5 px: a step of 3 px to the right and 4 px down.
        (shape([[20, 20], [23, 24]], "circle"), [15, 15, 10, 10]),
        (shape([[2, 46], [5, 50]], "circle"), [0, 41, 7, 7]),
        (shape([[10, 10], [19, 14]], "mask", mask="iVBORw0KGgo="), [10, 10, 10, 5]),
        (shape([[-3, 9], [9, -3], [19, 9], [9, 19]], "oriented_rectangle"), [0, 0, 19, 19]),
    ],
)
def test_the_box_of_each_shape(folder, one, box):
    write(folder / "a.json", [one])
    assert all_boxes(folder)["a.png"] == [("cat", box)]


def test_a_shape_without_a_type_is_a_polygon(folder):
    one = shape([[10, 20], [30, 5], [20, 40]])
    del one["shape_type"], one["group_id"]
    write(folder / "a.json", [one])
    assert all_boxes(folder)["a.png"] == [("cat", [10, 5, 20, 35])]


def test_shapes_of_one_group_and_label_are_one_object(folder):
    left, right = [[1, 2], [5, 6]], [[11, 3], [15, 9]]
    shapes = [
        shape(left, group_id=0),
        shape(left, label="dog", group_id=0),
        shape(right, group_id=0),
        shape(left, group_id=1),
        shape(right),
        shape(right, label="__ignore__"),
    ]
    write(folder / "a.json", shapes)
    assert all_boxes(folder)["a.png"] == [
        ("cat", [1, 2, 14, 7]),
        ("dog", [1, 2, 4, 4]),
        ("cat", [1, 2, 4, 4]),
        ("cat", [11, 3, 4, 6]),
    ]
    assert "1 shape (a.json: shapes[5]): its label is __ignore__" in warnings(folder)


@pytest.mark.parametrize(
    ("image", "file", "spelt", "warned"),
    [
        ("c.png", "c.json", ".\\c.png", ""),
        ("images/c.png", "json/c.json", "..\\images\\c.png", ""),
        ("images/c.png", "json/x.json", "c.png", ""),
        ("images/c.png", "json/c.json", "C:\\Users\\me\\images\\c.png", "file_name differs"),
        ("c.png", "c.json", "/home/me/c.png", "file_name differs"),
        ("c.png", "c.json", "IMG_1.HEIC", "its imagePath is not in the data set"),
        ("images/c.png", "json/c.json", None, "its imagePath is not in the data set"),
    ],
)
def test_spellings_of_the_path_of_an_image(folder, image, file, spelt, warned):
    save(folder / image)
    write(folder / file, imagePath=spelt)
    assert all_boxes(folder)[image] == [("cat", BOX)]
    lines = [line for line in warnings(folder).splitlines() if "no validation split" not in line]
    assert len(lines) == bool(warned) and warned in "".join(lines), lines


def test_sizes_that_the_file_lacks_are_those_of_the_turned_image(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder / "c.jpg", exif=exif)
    write(folder / "c.json", imagePath="c.jpg", imageHeight=None, imageWidth=None)
    assert all_boxes(folder)["c.jpg"] == [("cat", BOX)]
    contents = check_folder(folder).dataset.contents.values()
    sizes = {i["file_name"]: (i["width"], i["height"]) for c in contents for i in c["images"]}
    assert sizes == {"a.png": SIZE, "b.png": SIZE, "c.jpg": SIZE[::-1]}
    write(folder / "c.json", imagePath="c.jpg")  # of the image before it is turned
    assert problems(folder)[0].startswith("image-size: 'c.jpg' (c.json): width x height is 64 x 48")


def test_images_without_a_file_and_files_without_shapes(folder):
    save(folder / "d.png")
    save(folder / "docs" / "screenshot.png")
    (folder / "package.json").write_text("{}")
    (folder / "list.json").write_text("[1]")
    (folder / "comments.json").write_text("// no JSON\n{}")
    assert all_boxes(folder) == {"a.png": [("cat", BOX)], "b.png": [("cat", BOX)], "d.png": []}
    text = warnings(folder)
    assert "1 image ('d.png'): there is no annotation file" in text
    assert "3 JSON files without shapes (such as 'comments.json'): not used" in text
    assert "1 image in folders without an annotated image ('docs/screenshot.png'): not" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shapes": {}}, "not-labelme: a.json: shapes must be a list, got {}"),
        ({"shapes": [1]}, "a.json: shapes[0]: it must be an object, got 1"),
        ({"shapes": [RECTANGLE, shape([[1, 2]], "point")]}, "shapes[1]: its shape_type 'point' is"),
        ({"shapes": [shape([[1, 2], [3, 4]], "line")]}, "its shape_type 'line' is not read"),
        ({"shapes": [shape([[1, 2], [3, 4]], "linestrip")]}, "'linestrip' is not read"),
        ({"shapes": [shape([[1, 2]] * 3, "points")]}, "'points' is not read"),
        ({"shapes": [shape([[1, 2], [3, 4]], ["x"])]}, "its shape_type ['x'] is not read"),
        ({"shapes": [shape([[1, 2], [3, 4]], "polygon")]}, "a polygon must have 3 or more points"),
        ({"shapes": [shape([[1, 2]])]}, "a rectangle must have 2 or 4 points, got 1"),
        ({"shapes": [shape([[1, 2], [3]])]}, "points must be pairs [x, y] of finite numbers"),
        ({"shapes": [shape([[1, float("nan")], [3, 4]])]}, "points must be pairs"),
        ({"shapes": [shape([[1, 10**400], [3, 4]])]}, "points must be pairs"),
        ({"shapes": [shape([[1, 2], [3, 4]], label=" ")]}, "label must be a text that is not"),
        ({"shapes": [shape([[1, 2], [1, 4]])]}, "empty-box: a.json: shapes[0]: bbox [1, 2, 0, 2]"),
        ({"imageWidth": "64"}, "a.json: imageWidth and imageHeight must be whole numbers of px"),
        ({"imageWidth": 640}, "image-size: 'a.png' (a.json): width x height is 640 x 48"),
        ({"imagePath": "b.png"}, "duplicate-file-name: b.json: a.json already annotates the"),
    ],
)
def test_faults_are_named(folder, changes, words):
    write(folder / "a.json", **changes)
    assert any(words in line for line in problems(folder)), problems(folder)


def test_an_image_that_is_only_in_its_file(folder):
    (folder / "a.png").unlink()
    write(folder / "a.json", imageData="iVBORw0KGgo=")
    text = "missing-image: a.json: its imagePath 'a.png' is not in the folder; its imageData has "
    assert problems(folder) == [f"{text}the image, which is not read: save it beside the file, as "
                                "a.png"]  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"{", b'{"shapes": [], "shapes": []}', b"\xff\xfe{\0"])
def test_a_broken_file_of_an_image_is_named(folder, content):
    (folder / "a.json").write_bytes(content)
    assert problems(folder)[0].startswith("not-json: a.json: is not ")


def test_folders_of_other_json_files_are_none_of_labelmes(tmp_path, tiny):
    (tmp_path / "package.json").write_text('{"name": "shapes", "imagePath": "a"}')
    assert not labelme.is_labelme(tmp_path)
    tiny.write()
    assert not labelme.is_labelme(tiny.folder)
    write(tiny.folder / "old" / "a.json")  # beside another layout, which is read
    assert labelme.is_labelme(tiny.folder)
    assert len(check_folder(tiny.folder).dataset.contents["train"]["annotations"]) == 3
    assert reading.read(tiny.folder.parent) is None  # the data set is a folder in it


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
SHAPE = st.fixed_dictionaries({}, optional=dict.fromkeys(RECTANGLE, JSON) | {
    "points": st.lists(st.lists(st.floats() | st.integers(), min_size=2, max_size=2), max_size=4),
    "shape_type": st.sampled_from(["rectangle", "circle", "mask", "polygon", "rotation"]),
    "label": st.text(max_size=4),
})  # fmt: skip
CONTENT = st.fixed_dictionaries(
    {"shapes": st.lists(SHAPE | JSON, max_size=3) | JSON},
    optional=dict.fromkeys(("imagePath", "imageHeight", "imageWidth", "imageData"), JSON),
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CONTENT.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_no_file_raises_anything(folder, content):
    (folder / "a.json").write_bytes(content)
    dataset = labelme.convert(folder)
    json.loads(dataset.texts()["train"])
    assert all(len(problem.message) < 2000 for problem in dataset.problems)
