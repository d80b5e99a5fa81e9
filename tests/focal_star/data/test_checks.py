"""The check of own data: every kind of fault is named, all at once, and nothing is written."""

import copy
import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from focal_star.data import checks
from focal_star.data.checks import DatasetError

ROOT = Path(__file__).parents[3]
WIDTH, HEIGHT = 64, 48


class TinySet:
    """A sound data set of two images a split, in memory until `write`; a test then breaks it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.images = folder / "images"
        self.images.mkdir(parents=True)
        self.json = {
            "train": self._split(["a.png", "sub/b.jpg"]),
            "val": self._split(["c.png", "d.jpg"]),
        }

    def _split(self, file_names: list[str]) -> dict:
        for name in file_names:
            self.save_image(name)
        return {
            "info": {"year": 2024},
            "images": [
                {"id": index, "file_name": name, "width": WIDTH, "height": HEIGHT}
                for index, name in enumerate(file_names, start=1)
            ],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 3, "bbox": [4, 5, 20, 30]},
                {"id": 2, "image_id": 2, "category_id": 8, "bbox": [0.5, 0, 63.5, 48], "area": 9.5}
                | {"iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 7]], "extra": None},
                {"id": 3, "image_id": 2, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1}
                | {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, 9, 3063]}},
            ],
            # Sparse ids, as COCO's own.
            "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
        }

    def save_image(self, name: str, orientation: int | None = None) -> None:
        path = self.images / name
        path.parent.mkdir(exist_ok=True)
        # Noise does not compress, so that half a file is less than the image.
        noise = random.Random(name).randbytes(WIDTH * HEIGHT * 3)
        exif = Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        Image.frombytes("RGB", (WIDTH, HEIGHT), noise).save(path, exif=exif)

    def write(self) -> None:
        for name, content in self.json.items():
            path = self.folder / f"instances_{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def tiny(tmp_path: Path) -> TinySet:
    return TinySet(tmp_path / "set")


def kinds(tiny: TinySet) -> list[str]:
    return [problem.kind for problem in checks.check_folder(tiny.folder)]


def test_a_sound_set_passes(tiny):
    tiny.write()
    assert checks.check_folder(tiny.folder) == []
    assert [checks.check_split(split) for split in checks.splits_of(tiny.folder)] == [[], []]
    checks.require_valid(tiny.folder)


# --- one fault at a time ----------------------------------------------------------------------

Break = Callable[[TinySet], None]
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

    def break_annotation(tiny: TinySet) -> None:
        tiny.json["train"]["annotations"][1].update(changes)

    FAULTS[name] = (break_annotation, kind, ["annotations[1] (id", *words])


def image_fault(name: str, changes: dict, kind: str, *words: str) -> None:
    """Register a fault of the second image of the validation split."""

    def break_image(tiny: TinySet) -> None:
        tiny.json["val"]["images"][1].update(changes)

    FAULTS[name] = (break_image, kind, ["instances_val.json: images[1] (", *words])


def file_fault(name: str, content: bytes, kind: str, *words: str) -> None:
    """Register a content of the training split's annotation file that cannot be read."""

    def break_file(tiny: TinySet) -> Callable[[], None]:
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
    ("keypoints_text", {"keypoints": "none"}, "not-coco", ["keypoints", "'none'"]),
]:
    annotation_fault(name, changes, kind, *words)

for name, changes, kind, words in [
    ("size_wrong", {"width": 65}, "image-size", ["65 x 48", "64 x 48"]),
    ("size_swapped", {"width": 48, "height": 64}, "image-size", ["48 x 64", "64 x 48"]),
    ("size_zero", {"width": 0}, "image-size", ["above 0", "(0, 48)"]),
    ("size_string", {"height": "48"}, "image-size", ["(64, '48')"]),
    ("size_null", {"height": None}, "image-size", ["(64, None)"]),
    ("file_missing", {"file_name": "no.jpg"}, "missing-image", ["no.jpg", "does not exist"]),
    ("file_is_folder", {"file_name": "sub"}, "missing-image", ["not a regular file"]),
    ("file_too_long", {"file_name": "x" * 5000}, "missing-image", ["xxx"]),
    ("file_surrogate", {"file_name": "\ud800.jpg"}, "missing-image", ["\\ud800.jpg"]),
    ("file_null_character", {"file_name": "a\0.png"}, "not-coco", ["'a\\x00.png'"]),
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


@fault("broken-image", "instances_train.json", "sub/b.jpg", "truncated")
def jpeg_truncated(tiny):
    truncate(tiny.images / "sub/b.jpg")


@fault("broken-image", "instances_train.json", "a.png", "truncated")
def png_truncated(tiny):
    truncate(tiny.images / "a.png")


@fault("broken-image", "'a.png'", "cannot identify")
def image_is_text(tiny):
    (tiny.images / "a.png").write_text("no image")


@fault("broken-image", "'a.png'")
def image_is_empty(tiny):
    (tiny.images / "a.png").write_bytes(b"")


@fault("image-size", "64 x 48", "the file's is 48 x 64", "EXIF")
def size_before_exif_rotation(tiny):
    tiny.save_image("d.jpg", orientation=6)


@fault("path-outside", "'a.png'", "out of images/")
def link_out_of_images(tiny):
    (tiny.images / "a.png").rename(tiny.folder / "a.png")
    (tiny.images / "a.png").symlink_to(tiny.folder / "a.png")


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_named(tiny, name):
    break_it, kind, words = FAULTS[name]
    afterwards = break_it(tiny)
    tiny.write()
    if afterwards is not None:
        afterwards()
    problems = checks.check_folder(tiny.folder)
    messages = [problem.message for problem in problems if problem.kind == kind]
    assert any(all(word in message for word in words) for message in messages), problems
    with pytest.raises(DatasetError):
        checks.require_valid(tiny.folder)


def test_every_kind_has_a_fault():
    assert {kind for _, kind, _ in FAULTS.values()} == set(checks.KINDS)


# --- what is no fault -------------------------------------------------------------------------


def test_what_the_format_allows_passes(tiny):
    train = tiny.json["train"]
    train["annotations"][0]["bbox"] = [-1, -1, WIDTH + 2, HEIGHT + 2]  # the tolerance, to the px
    train["annotations"][1] |= {"iscrowd": False, "segmentation": None, "keypoints": [], "score": 1}
    train["annotations"][2]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": "abc"}
    train["annotations"].append({"id": 0, "image_id": 1, "category_id": 3, "bbox": [1, 1, 1, 1]})
    train["images"].append(
        {"id": 0, "file_name": "turned.jpg", "width": HEIGHT, "height": WIDTH, "license": None}
    )
    tiny.save_image("turned.jpg", orientation=6)
    del train["info"]
    (tiny.images / "not listed.jpg").write_text("left alone")
    (tiny.images / "alias.png").symlink_to("c.png")
    tiny.json["val"]["images"][0]["file_name"] = "alias.png"
    tiny.write()
    assert checks.check_folder(tiny.folder) == []


def test_the_box_tolerance_ends_where_it_says(tiny):
    box = tiny.json["train"]["annotations"][0]["bbox"] = [0, 0, WIDTH + checks.BOX_TOLERANCE, 9]
    tiny.write()
    assert kinds(tiny) == []
    box[2] += 0.01
    tiny.write()
    assert kinds(tiny) == ["box-outside"]


def test_boxes_are_measured_against_the_file_where_the_json_is_wrong(tiny):
    tiny.json["train"]["images"][1].update(width=8, height=8)
    tiny.write()
    assert kinds(tiny) == ["image-size"]


def test_a_missing_list_is_said_once(tiny):
    del tiny.json["train"]["images"], tiny.json["train"]["categories"]
    tiny.write()
    assert kinds(tiny) == ["not-coco", "not-coco"]


# --- all at once ------------------------------------------------------------------------------


def test_all_faults_at_once_are_all_named(tiny):
    train, val = tiny.json["train"], tiny.json["val"]
    box_kinds = {
        "empty-box": [1, 1, 0, 5],
        "box-outside": [60, 1, 9, 5],
        "box-not-finite": [1, nan, 5, 5],
        "not-coco": [1, 2, 3],
    }
    sound = {"image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5]}
    train["annotations"] += [
        {**sound, "id": 10 + i, "bbox": box} for i, box in enumerate(box_kinds.values())
    ]
    train["annotations"] += [
        {**sound, "id": 20, "category_id": 99},
        {**sound, "id": 21, "image_id": 98},
        {**sound, "id": 21},
        {**sound, "id": 22, "ignore": 1},
        {**sound, "id": 23, "segmentation": [[0]]},
    ]
    image = {"width": WIDTH, "height": HEIGHT}
    train["images"] += [
        {**image, "id": 1, "file_name": "other.png"},
        {**image, "id": 30, "file_name": "a.png"},
        {**image, "id": 31, "file_name": "nowhere.png"},
        {**image, "id": 32, "file_name": "broken.png"},
        {**image, "id": 33, "file_name": "../outside.png"},
        {**image, "id": 34, "file_name": "sizeless.png", "width": 1},
        {**image, "id": 35, "file_name": "c.png"},
    ]
    for name in ("other.png", "broken.png", "sizeless.png"):
        tiny.save_image(name)
    truncate(tiny.images / "broken.png")
    train["categories"] += [{"id": 8, "name": "pig"}, {"id": 50, "name": "cat"}]
    val["annotations"] = []
    tiny.write()

    with pytest.raises(DatasetError) as caught:
        checks.require_valid(tiny.folder)
    expected = Counter(
        [*box_kinds, "unknown-category", "unknown-image", "duplicate-annotation-id"]
        + ["ignore-flag", "bad-segmentation", "duplicate-image-id", "duplicate-file-name"]
        + ["missing-image", "broken-image", "path-outside", "image-size", "split-overlap"]
        + ["duplicate-category-id", "duplicate-category-name", "categories-differ"]
        + ["no-annotations"]
    )
    assert Counter(problem.kind for problem in caught.value.problems) == expected
    message = str(caught.value)
    assert message.startswith(f"{sum(expected.values())} problems in the data set {tiny.folder}")
    for problem in caught.value.problems:
        assert f"  {problem.kind} (1): {checks.KINDS[problem.kind]}" in message
        assert problem.message in message


def test_many_problems_of_one_kind_are_counted(tiny):
    annotations = tiny.json["train"]["annotations"]
    annotations += [{**annotations[0], "id": 100 + i, "bbox": [0, 0, 0, 0]} for i in range(8)]
    tiny.write()
    with pytest.raises(DatasetError) as caught:
        checks.require_valid(tiny.folder)
    message = str(caught.value)
    assert "empty-box (8)" in message
    assert message.count("[0, 0, 0, 0]") == 5
    assert message.endswith("... and 3 more")
    assert len(caught.value.problems) == 8


# --- no traceback -----------------------------------------------------------------------------

ODD_VALUES = [None, True, 0, -1, 1.5, nan, inf, 10**400, "1", "\ud800", [], [None], {}, {"id": {}}]


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The path of everything within a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def test_no_odd_value_anywhere_raises_anything_else(tiny):
    tiny.write()
    split = checks.splits_of(tiny.folder)[0]
    sound = tiny.json["train"]
    faulty = 0
    for *parents, key in list(places(sound)):
        for odd in [*ODD_VALUES, "delete"]:
            broken = copy.deepcopy(sound)
            target = broken
            for parent in parents:
                target = target[parent]
            if odd == "delete":
                del target[key]
            else:
                target[key] = odd
            split.annotation_file.write_text(json.dumps(broken))
            problems = checks.check_split(split)
            faulty += bool(problems)
            str(DatasetError(tiny.folder, problems)).encode()
    assert faulty > 400


def test_folder_that_is_none(tmp_path):
    for folder in (tmp_path / "nowhere", Path(__file__), Path("x" * 5000), Path("a\0b")):
        (problem,) = checks.check_folder(folder)
        assert (problem.split, problem.kind) == ("both", "missing-file")
        assert "instances_train.json" in problem.message


# --- nothing is written, fingerprints, the command line ---------------------------------------


def snapshot(folder: Path) -> dict[str, tuple]:
    """Everything in a folder: each path with its time of change and the hash of its content."""
    return {
        str(path): (
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None,
        )
        for path in [folder, *sorted(folder.rglob("*"))]
    }


@pytest.mark.parametrize("broken", [False, True])
def test_nothing_is_written_into_the_folder(tiny, broken, capsys):
    if broken:
        tiny.json["train"]["annotations"][0]["bbox"] = [0, 0, 0, 0]
        truncate(tiny.images / "a.png")
    tiny.write()
    before = snapshot(tiny.folder)
    assert checks.main([str(tiny.folder)]) == int(broken)
    if not broken:
        checks.dataset_sha256(tiny.folder)
    assert snapshot(tiny.folder) == before
    capsys.readouterr()


def test_description(tiny):
    tiny.json["train"]["categories"].reverse()
    tiny.write()
    description = checks.describe(checks.splits_of(tiny.folder)[0])
    assert len(description.pop("sha256")) == 64
    assert description == {
        "num_images": 2,
        "num_instances": 3,
        "num_crowd": 1,
        "num_categories": 2,
        "category_names": ["cat", "dog"],
    }


def test_fingerprint_is_of_the_content(tiny, tmp_path):
    tiny.write()
    fingerprints = [checks.dataset_sha256(tiny.folder)]
    twin = TinySet(tmp_path / "elsewhere")
    twin.write()
    assert checks.dataset_sha256(twin.folder) == fingerprints[0]
    (tiny.images / "not listed.png").write_bytes(b"1")
    assert checks.dataset_sha256(tiny.folder) == fingerprints[0]

    with (tiny.images / "d.jpg").open("ab") as file:
        file.write(b"\0")
    fingerprints.append(checks.dataset_sha256(tiny.folder))
    tiny.json["train"]["annotations"][0]["bbox"][0] += 1
    tiny.write()
    fingerprints.append(checks.dataset_sha256(tiny.folder))
    (tiny.images / "a.png").write_bytes((tiny.images / "c.png").read_bytes())
    fingerprints.append(checks.dataset_sha256(tiny.folder))
    assert len(set(fingerprints)) == 4


def run_command(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "focal_star.data.checks", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "projects/focal_star"), **environment},
    )


def test_command_line(tiny):
    tiny.write()
    done = run_command(tiny.folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: ")
    assert "train: 2 images, 3 instances (1 crowd), 2 categories" in done.stdout
    assert checks.dataset_sha256(tiny.folder) in done.stdout

    # A name that the terminal cannot show must not turn the answer into a traceback.
    tiny.json["val"]["images"][1]["file_name"] = "猫.jpg"
    tiny.write()
    done = run_command(tiny.folder, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (1, "")
    assert "missing-image (1)" in done.stdout


def test_the_check_needs_neither_torch_nor_detectron2():
    code = "import sys, focal_star.data.checks; print([m for m in sys.modules if '.' not in m])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "projects/focal_star")}
    modules = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert "'PIL'" in modules and "'focal_star'" in modules
    assert "'torch'" not in modules and "'detectron2'" not in modules


# --- with the loader, and real data -----------------------------------------------------------


def test_what_passes_is_what_detectron2_loads(tiny):
    coco = pytest.importorskip("detectron2.data.datasets.coco")
    detection_utils = pytest.importorskip("detectron2.data.detection_utils")
    tiny.json["train"]["images"].append(
        {"id": 40, "file_name": "turned.jpg", "width": HEIGHT, "height": WIDTH}
    )
    tiny.save_image("turned.jpg", orientation=6)
    tiny.write()
    split = checks.splits_of(tiny.folder)[0]
    assert checks.check_split(split) == []
    records = coco.load_coco_json(str(split.annotation_file), str(split.image_root))
    assert [len(record["annotations"]) for record in records] == [1, 2, 0]
    for record in records:
        image = detection_utils.read_image(record["file_name"], format="BGR")
        detection_utils.check_image_size(record, image)  # raises where the sizes differ


@pytest.mark.parametrize(
    ("name", "train", "val"),
    [("bccd", (205, 2804, 3), (87, 1137, 3))] + [("coco_ccby", (47, 524, 80), (57, 517, 80))],
)
def test_real_data_passes(name, train, val):
    folder = ROOT.parent / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"the data set {name} is not beside this checkout, in ../shared/data")
    assert checks.check_folder(folder) == []
    for split, counts in zip(checks.splits_of(folder), (train, val), strict=True):
        facts = checks.describe(split)
        assert counts == tuple(
            facts[f"num_{noun}"] for noun in ("images", "instances", "categories")
        )
