"""FiftyOne's own formats: what they become in COCO's format, and faults are named."""

import json
from pathlib import Path
from typing import Any

import pytest

from focal_star.data.validation.checks import check_folder

NAMES = ("a.png", "sub/b.jpg", "c.png", "d.jpg")
TAGS = ("train", "train", "validation", "test")


def sample(name: str, tags: list[str], **fields: Any) -> dict[str, Any]:
    box = {"_cls": "Detection", "label": "cat", "bounding_box": [0.25, 0.5, 0.5, 0.25]}
    found = {"ground_truth": {"_cls": "Detections", "detections": [box]}}
    return {"_id": {"$oid": "6"}, "filepath": f"data/{name}", "tags": tags} | found | fields


@pytest.fixture
def export(tiny) -> Path:
    tiny.images.rename(tiny.folder / "data")
    return tiny.folder


def write(folder: Path, content: Any, name: str = "samples.json") -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def problems(folder: Path) -> list[str]:
    return [f"{one.kind}: {one.message}" for one in check_folder(folder).problems]


MIDDLE = [16, 24, 32, 12]
"""x: .25 * 64, y: .5 * 48, width: .5 * 64, height: .25 * 48 px."""


@pytest.mark.parametrize("tagged", [True, False])
def test_samples(export, tagged):
    pairs = zip(NAMES, TAGS, strict=True)
    write(export, {"samples": [sample(name, [tag] * tagged) for name, tag in pairs]})
    check = check_folder(export)
    assert check.problems == []
    train, val = check.describe().values()
    assert (train["num_images"], val["num_images"]) == ((2, 1) if tagged else (3, 1))
    said = val["warnings"][0]
    assert said.startswith("the images of test" if tagged else "the data have no validation")
    one = check.dataset.contents["train"]["annotations"][0]
    assert one["bbox"] == MIDDLE and one["source"].startswith("samples.json: samples[")


@pytest.mark.parametrize("classes", [["dog", "cat"], None])
def test_labels(export, classes):
    one = {"label": "cat" if classes is None else 1, "bounding_box": [0.25, 0.5, 0.5, 0.25]}
    labels = {"a": [one], "sub/b": [one, one | {"bounding_box": [0, 0, 1, 1]}], "c": None}
    write(export, {"classes": classes, "labels": labels}, "labels.json")
    check = check_folder(export)
    assert check.problems == []
    contents = check.dataset.contents.values()
    assert sorted(i["file_name"] for c in contents for i in c["images"]) == [
        "data/a.png", "data/c.png", "data/d.jpg", "data/sub/b.jpg",
    ]  # fmt: skip
    boxes = [one["bbox"] for content in contents for one in content["annotations"]]
    assert sorted(boxes) == [[0, 0, 64, 48], MIDDLE, MIDDLE]
    assert [one["name"] for content in contents for one in content["categories"]] == ["cat", "cat"]


def test_labels_in_cocos_format_are_read_as_such(tiny):
    tiny.images.rename(tiny.folder / "data")
    write(tiny.folder, tiny.json["train"], "labels.json")
    assert check_folder(tiny.folder).dataset.contents["train"]["categories"][0]["id"] == 3


DETECTIONS = {"_cls": "Detections", "detections": []}


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (None, "samples must be a list of objects, got None"),
        ([], "samples must be a list of objects, got []"),
        ([1], "samples must be a list of objects, got [1]"),
        ([{"filepath": "data/a.png"}], "in the field ground_truth, or in a single one; found []"),
        (
            [sample("a.png", [], ground_truth=None, one=DETECTIONS, two=DETECTIONS)],
            "found ['one', 'two']; export the right one as fo.types.COCODetectionDataset",
        ),
        ([sample("a.png", [], filepath=None)], "samples[0] must have a filepath"),
        ([sample("a.png", [], ground_truth=DETECTIONS | {"detections": [1]})], "list of objects"),
        ([sample("gone.png", [])], "samples[0]: 'data/gone.png' is not in the folder"),
        (
            [sample("a.png", ["train"]), sample("c.png", ["val"]), sample("d.jpg", [])],
            "samples[2]: its tags [] must name one split",
        ),
        (
            [sample("a.png", [], ground_truth=DETECTIONS | {"detections": [{"label": "cat"}]})],
            "samples[0]: object 0 must have a label and four finite numbers as its bounding_box",
        ),
    ],
)
def test_faults_are_named(export, samples, words):
    write(export, {"samples": samples})
    assert any(words in line for line in problems(export)), problems(export)


def test_a_label_without_its_class_is_named(export):
    labels = {"a": [{"label": 2, "bounding_box": [0, 0, 1, 1]}]}
    write(export, {"classes": ["cat", "dog"], "labels": labels}, "labels.json")
    assert "labels['a']: object 0 must have a label" in problems(export)[0]
