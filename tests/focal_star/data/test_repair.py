"""A repaired copy: what is changed in it, and what is left because no repair is certain."""

import json

import pytest

from focal_star.data.__main__ import main
from focal_star.data.validation.checks import check_folder
from tests.focal_star.data.layouts.test_yolo import YoloSet


@pytest.fixture
def repaired(tiny, tmp_path):
    """Repairs the tiny set; returns the contents of the copy, and the kinds of its problems."""

    def repair(*options: str) -> tuple[dict[str, dict], list[str]]:
        copy = tmp_path / "copy"
        tiny.write()
        code = main(["check", str(tiny.folder), "--fix", str(copy), *options])
        kinds = [problem.kind for problem in check_folder(copy).problems]
        assert code == int(bool(kinds))
        files = {name: copy / f"instances_{name}.json" for name in ("train", "val")}
        return {name: json.loads(file.read_text()) for name, file in files.items()}, kinds

    return repair


def boxes(content: dict) -> list[list[float]]:
    return [one["bbox"] for one in content["annotations"]]


# --- sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "orientation"), [((128, 96), None), ((64, 48), 6)])
def test_the_size_that_boxes_were_drawn_on_is_left_and_reported(tiny, repaired, given, orientation):
    image = tiny.json["train"]["images"][0]
    image["width"], image["height"] = given
    tiny.save_image("a.png", orientation)
    contents, kinds = repaired()
    assert kinds == ["image-size"]
    image = contents["train"]["images"][0]
    assert (image["width"], image["height"]) == given


def test_one_side_of_another_size_is_left(tiny, repaired):
    tiny.json["train"]["images"][0].update(width=128, height=None)
    contents, kinds = repaired()
    assert kinds == ["image-size"] and contents["train"]["images"][0]["width"] == 128


@pytest.mark.parametrize("given", [{}, {"width": 0, "height": 0}, {"height": "48"}])
def test_missing_sizes_are_those_of_the_files(tiny, repaired, given):
    image = tiny.json["val"]["images"][1]
    del image["width"], image["height"]
    image.update(given)
    contents, kinds = repaired()
    image = contents["val"]["images"][1]
    assert kinds == [] and (image["width"], image["height"]) == (64, 48)


def test_a_copy_says_how_its_splits_were_made(tmp_path):
    small = YoloSet(tmp_path / "set")
    small.write("data.yaml", "train: images/train\nval: images/train\nnames: [cat, no]\n")
    assert main(["check", str(small.folder), "--fix", str(tmp_path / "copy")]) == 0
    first, second = check_folder(tmp_path / "copy").describe()["val"]["warnings"]
    assert first == "data.yaml names the same images for train and val"
    assert second.startswith("the data have no validation split")


# --- boxes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([60, 5, 8, 10], [60, 5, 4, 10]),
        ([60, 5, 9, 10], [60, 5, 9, 10]),  # 4 of its 9 px are inside
        ([-5, 46, 10, 4], [-5, 46, 10, 4]),  # half and half: a quarter is inside
        ([70, 5, 8, 10], [70, 5, 8, 10]),  # beside the image of 64 x 48 px
    ],
)
def test_boxes_are_clipped_if_half_of_them_is_inside(tiny, repaired, box, expected):
    tiny.json["train"]["annotations"][0]["bbox"] = box
    contents, kinds = repaired()
    assert boxes(contents["train"])[0] == expected
    assert kinds == ([] if box != expected else ["box-outside"])


@pytest.mark.parametrize("box", [[64, 5, 0.5, 10], [4, 48, 20, 0.02], [-0.5, 5, 0.5, 10]])
def test_boxes_within_rounding_beyond_an_edge_are_left_out(tiny, repaired, box):
    tiny.json["train"]["annotations"][0]["bbox"] = box
    tiny.write()
    assert tiny.kinds() == ["box-outside"]
    contents, kinds = repaired()
    assert box not in boxes(contents["train"]) and kinds == []


def test_no_box_is_clipped_where_those_of_the_other_split_are_corners(tiny, repaired):
    train, val = tiny.json["train"]["annotations"], tiny.json["val"]["annotations"]
    train[:] = [train[0] | {"id": n, "bbox": [n, 20, n + 40, 45]} for n in range(12)]
    val[0]["bbox"] = [20, 20, 50, 28]
    contents, kinds = repaired()
    assert boxes(contents["val"])[0] == [20, 20, 50, 28]
    assert set(kinds) == {"corners", "box-outside"}


def test_no_box_is_clipped_where_two_images_have_one_id(tiny, repaired):
    tiny.json["train"]["images"][1]["id"] = 1
    for one in tiny.json["train"]["annotations"]:
        one["image_id"] = 1
    tiny.json["train"]["annotations"][0]["bbox"] = [40, 5, 30, 10]
    contents, kinds = repaired()
    assert boxes(contents["train"])[0] == [40, 5, 30, 10]
    assert set(kinds) == {"duplicate-image-id", "box-outside"}


def test_an_object_with_polygons_is_not_left_out_for_its_box(tiny, repaired):
    polygons = {
        "[2, 3, 0, 0]": [[2, 3, 30, 3, 30, 40, 2, 40]],
        "[4, 4, 0, 9]": [[4, 4, 4, 9, 4, 13]],  # a line
        "[5, 5, 9, 0]": [],
    }
    tiny.json["train"]["annotations"] += [
        {"id": 10 + n, "image_id": 1, "category_id": 3, "bbox": json.loads(box)}
        | {"segmentation": polygon}
        for n, (box, polygon) in enumerate(polygons.items())
    ]
    contents, kinds = repaired()
    assert kinds == []
    assert boxes(contents["train"])[3:] == [[2, 3, 28, 37]]


def test_an_image_in_both_splits_is_still_reported(tiny, repaired):
    tiny.json["val"]["images"][0]["file_name"] = "a.png"
    assert repaired()[1] == ["split-overlap"]


# --- categories -------------------------------------------------------------------------------


def categories(*pairs: tuple[int, str]) -> list[dict]:
    return [{"id": number, "name": name} for number, name in pairs]


@pytest.mark.parametrize("names", [("cat", "cat"), ("cat", "Cat"), (" cat", "CAT")])
def test_both_splits_merge_into_the_category_of_the_lowest_id(tiny, repaired, names):
    three, eight = (3, names[0]), (8, names[1])
    tiny.json["train"]["categories"] = categories(three, eight)
    tiny.json["val"]["categories"] = categories(eight, three)
    contents, kinds = repaired("--merge")
    assert kinds == []
    for content in contents.values():
        assert content["categories"] == categories((3, "cat"))
        assert {one["category_id"] for one in content["annotations"]} == {3}


def test_categories_of_one_id_are_not_merged(tiny, repaired):
    """It is not known which objects of the id 8 are cats."""
    for content in tiny.json.values():
        content["categories"] = categories((3, "cat"), (8, "Cat"), (8, "dog"))
    contents, kinds = repaired("--merge")
    assert set(kinds) == {"duplicate-category-id"}
    assert contents["train"]["categories"] == categories((3, "cat"), (8, "Cat"), (8, "dog"))
