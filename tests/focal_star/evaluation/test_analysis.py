"""What an evaluation leaves in a record."""

import json
from pathlib import Path

import numpy as np
import pytest

from focal_star.evaluation.analysis import analyse
from focal_star.training import engine
from focal_star.training.outcome import RESULT_FILE
from tests.focal_star.evaluation.scenes import ap_by_iou, evaluated, scenes, with_ids
from tests.reports import analyses


def shape(value):
    """The keys and the kinds of a value; of lists, those of the first entry."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return "number" if isinstance(value, int | float) else type(value).__name__


def test_it_has_the_shape_that_the_reports_read():
    content, results = scenes(0)
    found = analyse(content, results, 20)
    names = tuple(category["name"] for category in content["categories"])
    expected = analyses.analysis(30.0, names)
    for analysis in (found, expected):
        analysis["miss_rate"]["lamr_per_class"].pop("unseen")  # undefined, and so no number
        analysis["recall"].pop("large")
        analysis["worst_misses"] = analysis["worst_misses"][:1]
        for own in analysis["calibration"]["bins"]:
            own["confidence"] = own["accuracy"] = 0.0
    assert shape(found) == shape(expected)
    assert json.dumps(list(shape(found))) == json.dumps(list(shape(expected)))
    for key in ("precision_recall", "bootstrap", "miss_rate", "calibration"):
        for name, values in found[key].items():
            if isinstance(values, list) and name != "AP":
                assert len(values) == len(expected[key][name]), (key, name)
    assert len(found["bootstrap"]["AP"]) == 20


def test_the_numbers_are_those_of_cocos_evaluation():
    content, results = scenes(1)
    evaluation = evaluated(content, results)
    by_iou = 100 * ap_by_iou(evaluation)
    found = analyse(content, results, 200)
    assert found["tide"]["AP50"] == pytest.approx(by_iou[0], abs=1e-4)
    curves = found["precision_recall"]
    for name, ap in (("0.50", by_iou[0]), ("0.75", by_iou[5]), ("mean", by_iou.mean())):
        assert 100 * np.mean(curves[name]) == pytest.approx(ap, abs=0.01)
    resamples = found["bootstrap"]["AP"]
    assert np.mean(resamples) == pytest.approx(by_iou.mean(), abs=np.std(resamples))
    counts = found["counts"]
    things = [a for a in content["annotations"] if not a["iscrowd"]]
    assert counts == {"images": 14, "instances": len(things), "detections": len(results)}
    bins = found["calibration"]["bins"]
    gaps = [abs(b["confidence"] - b["accuracy"]) for b in bins if b["count"]]
    number = [b["count"] for b in bins if b["count"]]
    assert found["calibration"]["ece"] == pytest.approx(np.average(gaps, weights=number), abs=1e-4)
    assert found["calibration"]["mce"] == pytest.approx(max(gaps), abs=1e-4)


def test_the_matches_are_written_beside_the_numbers(tmp_path):
    content, results = scenes(1)
    path = tmp_path / "matches.json"
    found = analyse(content, results, 0, path)
    assert found == analyse(content, results, 0)
    matched = [number for number in json.loads(path.read_text())["found"] if number >= 0]
    things = [a for a in content["annotations"] if not a["iscrowd"]]
    assert len(matched) / len(things) == pytest.approx(found["recall"]["all"], abs=1e-5)


def test_the_same_images_give_the_same_resamples():
    """So that replicates of two detectors pair up: equal detectors, equal APs."""
    content, results = scenes(2)
    first, again = (analyse(content, results, 30)["bootstrap"] for _ in range(2))
    assert first == again
    worse = analyse(content, results[: len(results) // 2], 30)["bootstrap"]["AP"]
    assert np.corrcoef(first["AP"], worse)[0, 1] > 0.2


@pytest.mark.parametrize("base", [2**53, 2**62])
def test_large_ids_change_no_number(tmp_path, base):
    content, results = scenes(0)
    expected = analyse(content, results, 20)
    assert len(set(expected["bootstrap"]["AP"])) > 10
    for miss in expected["worst_misses"]:
        miss["image_id"] += base
    content, results = with_ids(content, results, lambda n: n + base, lambda n: n + base)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    assert analyse(content, results, 20) == expected
    assert analyse(content, path, 20) == expected


def test_a_file_of_detections_says_what_they_say(tmp_path):
    content, results = scenes(0)
    for number, detections in enumerate((results, [])):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(detections))
        assert analyse(content, path, 5) == analyse(content, detections, 5)


@pytest.mark.parametrize("case", ["no detections", "no objects", "nothing", "crowds alone"])
def test_what_is_undefined_is_null(case):
    content, results = scenes(0)
    if case in ("no detections", "nothing"):
        results = []
    if case in ("no objects", "nothing"):
        content = content | {"annotations": []}
    if case == "crowds alone":
        things = [annotation | {"iscrowd": 1} for annotation in content["annotations"]]
        content = content | {"annotations": things}
    found = analyse(content, results, 3)
    json.dumps(found, allow_nan=False)
    if case == "no detections":
        assert found["bootstrap"]["AP"] == [0, 0, 0]
        assert found["miss_rate"]["lamr"] == 1 and found["recall"]["all"] == 0
        assert found["calibration"]["ece"] is None
        assert found["worst_misses"][0]["best_iou"] == 0
    else:
        assert found["bootstrap"]["AP"] == [None, None, None]
        assert set(found["precision_recall"]["mean"]) == {None}
        assert found["miss_rate"]["lamr"] is None and found["recall"]["all"] is None
        assert found["miss_rate"]["miss_rate"] == [None] * 9
        assert found["worst_misses"] == []
    assert found["recall"]["at_precision"]["recall"] is None
    assert found["calibration"]["bins"][0]["accuracy"] is None or results
    assert analyse(content, results, 0)["bootstrap"] is None


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_a_training_leaves_its_analysis(tiny_cfg, backend):
    tiny_cfg.TEST.COCO_EVAL = backend
    tiny_cfg.TEST.BOOTSTRAP_RESAMPLES = 5
    tiny_cfg.MODEL.RETINANET.SCORE_THRESH_TEST = 0.0  # so little training gives low scores
    Path(tiny_cfg.OUTPUT_DIR).mkdir()
    engine.prepare_data_and_weights(tiny_cfg)
    made = engine.train(tiny_cfg)
    found = made["result"]["analysis"]
    written = json.loads((Path(tiny_cfg.OUTPUT_DIR) / RESULT_FILE).read_text())
    assert written["result"]["analysis"] == found
    json.dumps(made, allow_nan=False)
    assert found["counts"]["images"] == 8 and found["counts"]["detections"] > 100
    assert len(found["bootstrap"]["AP"]) == 5
    assert found["tide"]["AP50"] == pytest.approx(made["result"]["metrics"]["AP50"], abs=1e-3)
    assert set(found["miss_rate"]["lamr_per_class"]) == set(made["result"]["per_class_AP"])


def test_a_training_that_diverged_leaves_none(tiny_cfg):
    tiny_cfg.SOLVER.BASE_LR = 1e30
    tiny_cfg.SOLVER.WARMUP_ITERS = 0
    Path(tiny_cfg.OUTPUT_DIR).mkdir()
    engine.prepare_data_and_weights(tiny_cfg)
    made = engine.train(tiny_cfg)
    assert made["status"] == "diverged"
    assert made["result"]["analysis"] is None
