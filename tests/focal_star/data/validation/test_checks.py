"""The check of own data: what passes, all faults at once, and nothing is written."""

import copy
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from focal_star.data.__main__ import main
from focal_star.data.layouts.coco import splits_of
from focal_star.data.layouts.problems import KINDS, DatasetError
from focal_star.data.validation import checks
from focal_star.data.validation.annotations import BOX_TOLERANCE
from focal_star.data.validation.description import contents, dataset_sha256, describe

ROOT = Path(__file__).parents[4]
inf, nan = float("inf"), float("nan")


def test_a_sound_set_passes(tiny):
    tiny.write()
    assert checks.check_folder(tiny.folder).problems == []
    assert [checks.check_split(split).problems for split in splits_of(tiny.folder)] == [
        [],
        [],
    ]
    checks.require_valid(tiny.folder)


# --- what is no fault -------------------------------------------------------------------------


def test_what_the_format_allows_passes(tiny):
    train = tiny.json["train"]
    train["annotations"][0]["bbox"] = [
        -1,
        -1,
        tiny.width + 2,
        tiny.height + 2,
    ]  # the tolerance, to the px
    train["annotations"][1] |= {"iscrowd": False, "segmentation": None, "keypoints": [], "score": 1}
    train["annotations"][2]["segmentation"] = {"size": [tiny.height, tiny.width], "counts": "abc"}
    train["annotations"].append({"id": 0, "image_id": 1, "category_id": 3, "bbox": [1, 1, 1, 1]})
    train["images"].append(
        {
            "id": 0,
            "file_name": "turned.jpg",
            "width": tiny.height,
            "height": tiny.width,
            "license": None,
        }
    )
    tiny.save_image("turned.jpg", orientation=6)
    del train["info"]
    (tiny.images / "not listed.jpg").write_text("left alone")
    (tiny.images / "alias.png").symlink_to("c.png")
    tiny.json["val"]["images"][0]["file_name"] = "alias.png"
    tiny.write()
    assert checks.check_folder(tiny.folder).problems == []


def test_the_box_tolerance_ends_where_it_says(tiny):
    box = tiny.json["train"]["annotations"][0]["bbox"] = [
        0,
        0,
        tiny.width + BOX_TOLERANCE,
        9,
    ]
    tiny.write()
    assert tiny.kinds() == []
    box[2] += 0.01
    tiny.write()
    assert tiny.kinds() == ["box-outside"]


def test_boxes_are_measured_against_the_file_where_the_json_is_wrong(tiny):
    tiny.json["train"]["images"][1].update(width=8, height=8)
    tiny.write()
    assert tiny.kinds() == ["image-size"]


def test_a_size_that_no_float_holds_is_named_where_the_image_is_missing(tiny):
    tiny.json["val"]["images"][0].update(file_name="gone.png", height=10**400)
    tiny.write()
    assert sorted(tiny.kinds()) == ["image-size", "missing-image"]


def test_a_missing_list_is_said_once(tiny):
    del tiny.json["train"]["images"], tiny.json["train"]["categories"]
    tiny.write()
    assert tiny.kinds() == ["not-coco", "not-coco"]


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
    image = {"width": tiny.width, "height": tiny.height}
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
    tiny.truncate("broken.png")
    train["categories"] += [{"id": 8, "name": "pig"}, {"id": 50, "name": "cat"}]
    val["annotations"] = []
    tiny.write()

    with pytest.raises(DatasetError) as caught:
        checks.require_valid(tiny.folder)
    warned = checks.check_folder(tiny.folder).doubts.cases
    assert warned["train", "bad-segmentation"][0] == 1
    expected = Counter(
        [*box_kinds, "unknown-category", "unknown-image", "duplicate-annotation-id"]
        + ["ignore-flag", "duplicate-image-id", "duplicate-file-name"]
        + ["missing-image", "broken-image", "path-outside", "image-size", "split-overlap"]
        + ["duplicate-category-id", "duplicate-category-name", "categories-differ"]
        + ["no-annotations"]
    )
    assert Counter(problem.kind for problem in caught.value.problems) == expected
    message = str(caught.value)
    assert message.startswith(f"{sum(expected.values())} problems in the data set {tiny.folder}")
    for problem in caught.value.problems:
        assert f"  {problem.kind} (1): {KINDS[problem.kind]}" in message
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
    split = splits_of(tiny.folder)[0]
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
            problems = checks.check_split(split).problems
            faulty += bool(problems)
            str(DatasetError(tiny.folder, problems)).encode()
    assert faulty > 400


def test_folder_that_is_none(tmp_path):
    for folder in (tmp_path / "nowhere", Path(__file__), Path("x" * 5000), Path("a\0b")):
        (problem,) = checks.check_folder(folder).problems
        assert (problem.split, problem.kind) == ("both", "missing-file")
        assert "is not a folder" in problem.message


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
        tiny.truncate("a.png")
    tiny.write()
    before = snapshot(tiny.folder)
    assert main(["check", str(tiny.folder)]) == int(broken)
    if not broken:
        dataset_sha256(tiny.folder)
    assert snapshot(tiny.folder) == before
    capsys.readouterr()


def test_description(tiny):
    tiny.json["train"]["categories"].reverse()
    tiny.write()
    description = describe(splits_of(tiny.folder)[0])
    assert len(description.pop("sha256")) == 64
    assert description == {
        "conversions": [],
        "warnings": [],
        **contents(tiny.json["train"]),
    }


def test_large_ids_are_described_as_small_ones(tiny):
    tiny.write()
    expected = describe(splits_of(tiny.folder)[0])
    for content in tiny.json.values():
        for one in [*content["images"], *content["categories"]]:
            one["id"] += 2**53 - 2
        for one in content["annotations"]:
            one["id"] += 2**62
            one["image_id"] += 2**53 - 2
            one["category_id"] += 2**53 - 2
    tiny.write()
    assert checks.check_folder(tiny.folder).problems == []
    found = describe(splits_of(tiny.folder)[0])
    assert found | {"sha256": ""} == expected | {"sha256": ""}


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("wrong", [2**63, 81645724526782010095170042166076916899, "a1f0", 1.0, -1])
def test_ids_that_cannot_be_kept_are_refused_by_file_and_entry(tiny, key, wrong):
    tiny.json["train"][key][1]["id"] = wrong
    tiny.write()
    first = checks.check_splits(*splits_of(tiny.folder)).problems[0]
    assert first.kind == "not-coco"
    assert first.message.startswith(f"instances_train.json: {key}[1] (")
    assert f"id must be an integer from 0 to 2^63 - 1; got {wrong!r}" in first.message
    assert ("number such ids anew" in first.message) == (wrong not in (1.0, -1))


def test_fingerprint_is_of_the_content(tiny, tmp_path):
    tiny.write()
    fingerprints = [dataset_sha256(tiny.folder)]
    twin = type(tiny)(tmp_path / "elsewhere")
    twin.write()
    assert dataset_sha256(twin.folder) == fingerprints[0]
    (tiny.images / "not listed.png").write_bytes(b"1")
    assert dataset_sha256(tiny.folder) == fingerprints[0]

    with (tiny.images / "d.jpg").open("ab") as file:
        file.write(b"\0")
    fingerprints.append(dataset_sha256(tiny.folder))
    tiny.json["train"]["annotations"][0]["bbox"][0] += 1
    tiny.write()
    fingerprints.append(dataset_sha256(tiny.folder))
    (tiny.images / "a.png").write_bytes((tiny.images / "c.png").read_bytes())
    fingerprints.append(dataset_sha256(tiny.folder))
    assert len(set(fingerprints)) == 4


def run_command(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "focal_star.data", "check", str(folder)],
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
    assert dataset_sha256(tiny.folder) in done.stdout

    # A name that the terminal cannot show must not turn the answer into a traceback.
    tiny.json["val"]["images"][1]["file_name"] = "猫.jpg"
    tiny.write()
    done = run_command(tiny.folder, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (1, "")
    assert "missing-image (1)" in done.stdout


def test_the_check_needs_neither_torch_nor_detectron2():
    code = "import sys, focal_star.data.validation.checks\n"
    code += "print([m for m in sys.modules if '.' not in m])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "projects/focal_star")}
    modules = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert "'PIL'" in modules and "'focal_star'" in modules
    assert "'torch'" not in modules and "'detectron2'" not in modules


# --- with the loader, and real data -----------------------------------------------------------


def test_what_passes_is_what_detectron2_loads(tiny):
    coco = pytest.importorskip("detectron2.data.datasets.coco")
    detection_utils = pytest.importorskip("detectron2.data.detection_utils")
    tiny.json["train"]["images"].append(
        {"id": 40, "file_name": "turned.jpg", "width": tiny.height, "height": tiny.width}
    )
    tiny.save_image("turned.jpg", orientation=6)
    tiny.write()
    split = splits_of(tiny.folder)[0]
    assert checks.check_split(split).problems == []
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
    assert checks.check_folder(folder).problems == []
    for split, counts in zip(splits_of(folder), (train, val), strict=True):
        facts = describe(split)
        assert counts == tuple(
            facts[f"num_{noun}"] for noun in ("images", "instances", "categories")
        )
