"""The check of own data names every kind of fault, each by itself."""

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from focal_star.data.layouts.coco import splits_of
from focal_star.data.layouts.problems import KINDS
from focal_star.data.validation import checks

Break = Callable[[Any], Any]
FAULTS: dict[str, tuple[Break, str, list[str]]] = {}


def fault(kind: str, *words: str) -> Callable[[Break], Break]:
    """Register a way to break the tiny set, with the kind and the words that must name it.

    It is called before the JSON is written; a step that it returns is called afterwards.
    """

    def register(function: Break) -> Break:
        FAULTS[function.__name__] = (function, kind, list(words))
        return function

    return register


def annotation_fault(name: str, changes: dict, kind: str, *words: str) -> None:
    """Register a fault of the second annotation of the training split."""

    def break_annotation(tiny: Any) -> None:
        tiny.json["train"]["annotations"][1].update(changes)

    FAULTS[name] = (break_annotation, kind, ["annotations[1] (id", *words])


def image_fault(name: str, changes: dict, kind: str, *words: str) -> None:
    """Register a fault of the second image of the validation split."""

    def break_image(tiny: Any) -> None:
        tiny.json["val"]["images"][1].update(changes)

    FAULTS[name] = (break_image, kind, ["instances_val.json: images[1] (", *words])


def file_fault(name: str, content: bytes, kind: str, *words: str) -> None:
    """Register a content of the training split's annotation file that cannot be read."""

    def break_file(tiny: Any) -> Callable[[], None]:
        return lambda: (tiny.folder / "instances_train.json").write_bytes(content)

    FAULTS[name] = (break_file, kind, ["instances_train.json", *words])


inf, nan = float("inf"), float("nan")
for name, box, kind, words in [
    ("box_no_width", [4, 5, 0, 9], "empty-box", "[4, 5, 0, 9]"),
    ("box_negative_height", [4, 5, 9, -1], "empty-box", "[4, 5, 9, -1]"),
    ("box_right", [40, 5, 26, 9], "box-outside", "x 40 to 66"),
    ("box_below", [40, 5, 9, 44.5], "box-outside", "y 5 to 49.5"),
    ("box_left", [-1.5, 5, 9, 9], "box-outside", "64 x 48 px"),
    ("box_above", [0, -2, 9, 9], "box-outside", "y -2 to 7"),
    ("box_wholly_in_the_margin", [64.2, 5, 0.5, 9], "box-outside", "x 64.2"),
    ("box_nan", [nan, 5, 9, 9], "box-not-finite", "[nan, 5, 9, 9]"),
    ("box_infinite", [4, 5, inf, 9], "box-not-finite", "[4, 5, inf, 9]"),
    ("box_huge_integer", [4, 5, 10**400, 9], "box-not-finite", "finite"),
    ("box_of_three", [4, 5, 9], "not-coco", "four numbers"),
    ("box_of_strings", ["4", "5", "9", "9"], "not-coco", "four numbers"),
    ("box_of_bools", [True, True, True, True], "not-coco", "four numbers"),
    ("box_null", None, "not-coco", "got None"),
    ("box_object", {"x": 4}, "not-coco", "got {'x': 4}"),
]:
    annotation_fault(name, {"bbox": box}, kind, "bbox", words)

for name, changes, kind, words in [
    ("category_unknown", {"category_id": 4}, "unknown-category", ["category_id 4", "[3, 8]"]),
    ("category_null", {"category_id": None}, "not-coco", ["category_id", "got None"]),
    ("category_float", {"category_id": 3.0}, "not-coco", ["category_id", "got 3.0"]),
    ("image_unknown", {"image_id": 77}, "unknown-image", ["77"]),
    ("image_list", {"image_id": [1]}, "not-coco", ["image_id", "got [1]"]),
    ("annotation_twice", {"id": 1}, "duplicate-annotation-id", ["annotations[0]"]),
    ("annotation_id_string", {"id": "2"}, "not-coco", ["id must be an integer", "got '2'"]),
    ("annotation_id_negative", {"id": -2}, "not-coco", ["id must be an integer", "got -2"]),
    ("crowd_two", {"iscrowd": 2}, "not-coco", ["iscrowd", "0 or 1", "got 2"]),
    ("crowd_list", {"iscrowd": []}, "not-coco", ["iscrowd", "0 or 1", "got []"]),
    ("ignored", {"ignore": 1}, "ignore-flag", ["ignore is 1", "iscrowd"]),
    ("area_null", {"area": None}, "not-coco", ["area", "got None"]),
    ("area_nan", {"area": nan}, "not-coco", ["area", "got nan"]),
    ("polygon_of_two", {"segmentation": [[1, 2, 3, 4]]}, "bad-segmentation", ["3 points"]),
    ("polygon_flat", {"segmentation": [1, 2, 3, 4]}, "bad-segmentation", ["[1, 2, 3, 4]"]),
    ("rle_no_counts", {"segmentation": {"size": [48, 64]}}, "bad-segmentation", ["counts"]),
    ("keypoints_huge", {"keypoints": [10**400, 1, 2]}, "not-coco", ["keypoints", "finite"]),
    ("polygon_nan", {"segmentation": [[1, 2, 3, 4, 5, nan]]}, "bad-segmentation", ["finite"]),
    ("keypoints_text", {"keypoints": "none"}, "not-coco", ["keypoints", "'none'"]),
]:
    annotation_fault(name, changes, kind, *words)

for name, changes, kind, words in [
    ("size_wrong", {"width": 65}, "image-size", ["65 x 48", "64 x 48"]),
    ("size_swapped", {"width": 48, "height": 64}, "image-size", ["48 x 64", "64 x 48"]),
    ("size_zero", {"width": 0}, "image-size", ["from 1 to 2147483647", "(0, 48)"]),
    ("size_endless", {"width": 10**400}, "image-size", ["from 1 to 2147483647", "(1000"]),
    ("size_string", {"height": "48"}, "image-size", ["(64, '48')"]),
    ("size_null", {"height": None}, "image-size", ["(64, None)"]),
    ("file_missing", {"file_name": "no.jpg"}, "missing-image", ["no.jpg", "does not exist"]),
    ("file_is_folder", {"file_name": "sub"}, "missing-image", ["not a regular file"]),
    ("file_too_long", {"file_name": "x" * 5000}, "missing-image", ["xxx"]),
    ("file_surrogate", {"file_name": "\ud800.jpg"}, "missing-image", ["\\ud800.jpg"]),
    ("file_null_character", {"file_name": "a\0.png"}, "not-coco", ["'a\\x00.png'"]),
    ("file_backslash", {"file_name": "..\\d.jpg"}, "path-outside", ["'..\\\\d.jpg'", "backslash"]),
    ("file_empty", {"file_name": ""}, "not-coco", ["file_name", "''"]),
    ("file_number", {"file_name": 12}, "not-coco", ["file_name", "got 12"]),
    ("file_absolute", {"file_name": "/etc/hosts"}, "path-outside", ["/etc/hosts"]),
    ("file_above", {"file_name": "../images/d.jpg"}, "path-outside", ["../images/d.jpg"]),
    ("file_twice", {"file_name": "./c.png"}, "duplicate-file-name", ["'c.png'", "images[0]"]),
    ("file_in_both", {"file_name": "sub/b.jpg"}, "split-overlap", []),
    ("image_twice", {"id": 1}, "duplicate-image-id", ["id 1", "images[0]"]),
    ("image_id_bool", {"id": True}, "not-coco", ["id must be an integer", "got True"]),
    ("image_id_too_big", {"id": 2**63}, "not-coco", ["id must be an integer"]),
]:
    image_fault(name, changes, kind, *words)
FAULTS["file_in_both"][2][:] = ["'sub/b.jpg'", "id 2 in instances_train.json"]

for name, content, kind, words in [
    ("json_cut", b'{"images": [', "not-json", "line 1"),
    ("json_empty", b"", "not-json", "is not JSON"),
    ("json_latin_1", '{"name": "caf\xe9"}'.encode("latin-1"), "not-json", "not UTF-8"),
    ("json_byte_order_mark", b"\xef\xbb\xbf{}", "not-json", "BOM"),
    ("json_too_deep", b"[" * 200_000, "not-json", "nested too deeply"),
    ("json_100_levels", b'{"info": ' + b"[" * 100 + b"]" * 100 + b"}", "not-json", "too deeply"),
    (
        "json_key_twice",
        b'{"images": [], "images": []}',
        "not-json",
        "duplicate key 'images'",
    ),
    ("json_utf_16", '{"images": []}'.encode("utf-16"), "not-json", "not UTF-8"),
    ("json_too_many_digits", b"9" * 10_000, "not-json", "digits"),
    ("json_list", b"[1, 2]", "not-coco", "must be an object, got [1, 2]"),
    ("json_null", b"null", "not-coco", "got None"),
    ("json_empty_object", b"{}", "not-coco", "images must be a list"),
]:
    file_fault(name, content, kind, words)


@fault("missing-file", "instances_train.json", "no such file")
def annotation_file_missing(tiny):
    return (tiny.folder / "instances_train.json").unlink


@fault("missing-file", "instances_val.json", "not a regular file")
def annotation_file_is_a_folder(tiny):
    def replace():
        (tiny.folder / "instances_val.json").unlink()
        (tiny.folder / "instances_val.json").mkdir()

    return replace


@fault("missing-file", "images'")
def images_missing(tiny):
    tiny.images.rename(tiny.folder / "pictures")


@fault("not-coco", "images must be a list", "got {'1': 'a.png'}")
def images_an_object(tiny):
    tiny.json["train"]["images"] = {"1": "a.png"}


@fault("not-coco", "annotations must be a list", "missing")
def annotations_key_missing(tiny):
    del tiny.json["train"]["annotations"]


@fault("not-coco", "annotations[0]", "must be an object", "got None")
def annotation_null(tiny):
    tiny.json["train"]["annotations"][0] = None


@fault("not-coco", "annotations[0] (id 1)", "bbox", "got None")
def box_key_missing(tiny):
    del tiny.json["train"]["annotations"][0]["bbox"]


@fault("no-images", "instances_val.json")
def no_images(tiny):
    tiny.json["val"]["images"] = []


@fault("no-categories", "instances_val.json")
def no_categories(tiny):
    tiny.json["val"]["categories"] = []


@fault("no-annotations", "instances_val.json")
def no_annotations(tiny):
    tiny.json["val"]["annotations"] = []


@fault("no-annotations", "instances_val.json", "crowds")
def crowds_alone(tiny):
    del tiny.json["val"]["annotations"][:2]


@fault("duplicate-category-id", "categories[1] ('dog', id 3)", "categories[0]")
def category_id_twice(tiny):
    for content in tiny.json.values():
        content["categories"][1]["id"] = 3


@fault("duplicate-category-name", "categories[1] ('cat', id 8)", "categories[0]")
def category_name_twice(tiny):
    for content in tiny.json.values():
        content["categories"][1]["name"] = "cat"


@fault("not-coco", "categories[1] (['dog'], id 8)", "name must be a string")
def category_name_list(tiny):
    for content in tiny.json.values():
        content["categories"][1]["name"] = ["dog"]


@fault("categories-differ", "instances_train.json", "'dog' of id 8", "instances_val.json")
def categories_differ(tiny):
    tiny.json["val"]["categories"][1]["name"] = "wolf"


@fault("categories-differ", "'horse' of id 9", "not in instances_val.json")
def category_added(tiny):
    tiny.json["train"]["categories"].append({"id": 9, "name": "horse"})


@fault("not-coco", "categories[1]", "one line of at most 200 characters", "got 10000000")
def category_name_of_10_megabytes(tiny):
    for content in tiny.json.values():
        content["categories"][1]["name"] = "x" * 10_000_000


@fault("not-coco", "categories[1]", "one line", "\\n")
def category_name_of_two_lines(tiny):
    for content in tiny.json.values():
        content["categories"][1]["name"] = "dog\ncat"


@fault("too-many-objects", "image_id 2", "more than 10000 annotations")
def too_many_objects(tiny):
    annotations = tiny.json["train"]["annotations"]
    annotations += [annotations[1] | {"id": 10 + number} for number in range(10_000)]


@fault("broken-image", "'a.png'", "px, more than")
def image_is_a_decompression_bomb(tiny):
    Image.new("1", (12_000, 12_000)).save(tiny.images / "a.png")


@fault("broken-image", "'a.png'", "PostScript")
def image_is_a_program(tiny):
    Image.new("RGB", (64, 48)).save(tiny.images / "a.png", format="EPS")


@fault("broken-image", "instances_train.json", "sub/b.jpg", "truncated")
def jpeg_truncated(tiny):
    tiny.truncate("sub/b.jpg")


@fault("broken-image", "instances_train.json", "a.png", "truncated")
def png_truncated(tiny):
    tiny.truncate("a.png")


@fault("broken-image", "'a.png'", "not an image of a known format")
def image_is_text(tiny):
    (tiny.images / "a.png").write_text("no image")


@fault("broken-image", "'a.png'")
def image_is_empty(tiny):
    (tiny.images / "a.png").write_bytes(b"")


@fault("image-size", "64 x 48", "the file's is 48 x 64", "EXIF")
def size_before_exif_rotation(tiny):
    tiny.save_image("d.jpg", orientation=6)


@fault("path-outside", "'a.png'", "out of the data set", "DATASETS.LINKS")
def link_out_of_images(tiny):
    (tiny.images / "a.png").rename(tiny.folder.parent / "a.png")
    (tiny.images / "a.png").symlink_to(tiny.folder.parent / "a.png")


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_named(tiny, name):
    break_it, kind, words = FAULTS[name]
    afterwards = break_it(tiny)
    tiny.write()
    if afterwards is not None:
        afterwards()
    # A folder may have some of these, which are made plain; what Detectron2 knows may not.
    problems = checks.check_splits(*splits_of(tiny.folder)).problems
    messages = [problem.message for problem in problems if problem.kind == kind]
    assert any(all(word in message for word in words) for message in messages), problems


def test_every_kind_has_a_fault():
    # These have their own tests.
    of_layouts = {f"not-{x}" for x in ("voc", "yolo", "cvat", "fiftyone", "labelme", "csv")}
    of_others = of_layouts | {"normalised-boxes", "corners", "centres", "no-copy"}
    assert {kind for _, kind, _ in FAULTS.values()} == set(KINDS) - of_others
