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
