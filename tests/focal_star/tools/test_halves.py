"""The tool that evaluates trained models on halves of the validation images."""

import json

import pytest

from focal_star.evaluation.halves import on_halves
from focal_star.tools import halves
from tests.focal_star.evaluation.scenes import scenes


@pytest.fixture
def ask(tmp_path):
    """A function that writes a request of some models, and returns its path."""
    content, results = scenes(2)
    (tmp_path / "val.json").write_text(json.dumps(content))

    def make(names, num_images=None, **changes):
        if num_images is not None:
            part = content | {"images": content["images"][:num_images], "annotations": []}
            (tmp_path / "val.json").write_text(json.dumps(part))
        cells = []
        for name in names:
            path = tmp_path / f"{name}.detections.json"
            text = "[{]" if name == "broken" else json.dumps(results)
            if name != "missing":
                path.write_text(text)
            cells.append(
                {
                    "detections": str(path), "resamples": 10, "whole": name == "whole",
                    "output": str(tmp_path / "halves" / f"{name}.json"), "about": {"cell": name},
                }
            )  # fmt: skip
        request = {"annotations": str(tmp_path / "val.json"), "selection_seed": 5, "cells": cells}
        request["max_detections"] = 100
        (tmp_path / "request.json").write_text(json.dumps(request | changes))
        return str(tmp_path / "request.json")

    (tmp_path / "halves").mkdir()
    return make


def test_each_model_gets_a_file(ask, tmp_path):
    assert halves.main(["--request", ask(["whole", "part"])]) == 0
    for name in ("whole", "part"):
        found = json.loads((tmp_path / "halves" / f"{name}.json").read_text())
        expected = on_halves(*scenes(2), 5, 10, whole=name == "whole")
        assert found == {"cell": name} | json.loads(json.dumps(expected))


def test_more_detections_count(tmp_path):
    """One object in each image, and 120 detections of which the one of lowest score is right."""
    images = [{"id": i, "file_name": f"{i}.png", "width": 50, "height": 50} for i in (1, 2, 3, 4)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [0, 0, 9, 9]} for i in (1, 2, 3, 4)]
    categories = [{"id": 1, "name": "thing"}]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (tmp_path / "val.json").write_text(json.dumps(content))
    detections = [
        {"image_id": i, "category_id": 1, "bbox": [0 if n == 119 else 30, 0, 9, 9],
         "score": 1 - n / 200}
        for i in (1, 2, 3, 4) for n in range(120)
    ]  # fmt: skip
    (tmp_path / "detections.json").write_text(json.dumps(detections))
    cell = {"detections": str(tmp_path / "detections.json"), "resamples": 10, "whole": True}
    for number, is_found in ((100, False), (200, True)):
        output = tmp_path / f"{number}.json"
        request = {
            "annotations": str(tmp_path / "val.json"), "selection_seed": 0,
            "max_detections": number, "cells": [cell | {"output": str(output), "about": {}}],
        }  # fmt: skip
        (tmp_path / "request.json").write_text(json.dumps(request))
        assert halves.main(["--request", str(tmp_path / "request.json")]) == 0
        for half in ("selection", "reporting"):
            found = json.loads(output.read_text())[half]
            assert (found["metrics"]["AP"] > 0) == is_found
            assert any(ap > 0 for ap in found["analysis"]["bootstrap"]["AP"]) == is_found


def test_several_processes_write_the_same(ask, tmp_path):
    names = [f"model{number}" for number in range(halves.CHUNK + 1)]
    request = ask(names)
    for jobs in ("1", "2"):
        assert halves.main(["--request", request, "--jobs", jobs]) == 0
        found = [(tmp_path / "halves" / f"{name}.json").read_text() for name in names]
        assert len({text.replace(name, "") for text, name in zip(found, names, strict=True)}) == 1


def test_a_model_without_detections_does_not_affect_the_others(ask, tmp_path, capsys):
    assert halves.main(["--request", ask(["missing", "broken", "part"])]) == 1
    assert [path.name for path in (tmp_path / "halves").iterdir()] == ["part.json"]
    error = capsys.readouterr().err
    assert "missing.detections.json: FileNotFoundError" in error
    assert "broken.detections.json: JSONDecodeError" in error


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_images": 1}, "error: the validation split has 1 images; one half"),
        ({"annotations": "nowhere.json"}, "nowhere.json"),
        ({"cells": 3}, "error"),
    ],
)
def test_an_unusable_request_is_refused(ask, tmp_path, capsys, changes, words):
    assert halves.main(["--request", ask(["part"], **changes)]) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "halves").iterdir())
