"""The config of a study on own data, as a plan knows it."""

import json

import pytest

from ablations.identity.prepared import Prepared, written_config
from ablations.status.cost_model import CostModel
from ablations.status.fitted import config_and_images, training_seconds
from ablations.status.status import Status
from ablations.study.study import load_study
from tests.published_layouts import write_coco


@pytest.fixture
def own():
    return load_study("own")


def seconds(study, config, test_images=1):
    status = Status(study, dict.fromkeys(study.cells(), "missing"), {}, [], {})
    return CostModel(status, config, test_images).gpu_seconds({})


def test_before_anything_is_prepared_the_annotations_are_read(own, tmp_path):
    write_coco(tmp_path)
    config, test_images = config_and_images(own, None, tmp_path / "coco")
    assert test_images == 8
    # 24,000 images are 1,500 iterations of 16.
    assert (config["SOLVER.MAX_ITER"], config["INPUT.SHORT_EDGE"]) == (1500, 400)
    # A V100 trains 16 / .205 / 8 images of 640 to 800 px a second (521,388 px squared, mean).
    expected = 24_000 / (16 / 0.205 / 8) * 400**2 / 521_388
    assert seconds(own, config) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("keys", "iterations"), [((), 1500), (("DATALOADER.FILTER_EMPTY_ANNOTATIONS", "False"), 2250)]
)
def test_the_plan_counts_the_images_that_training_reads(own, tmp_path, keys, iterations):
    write_coco(tmp_path, num_train=1000, num_val=1)
    file = tmp_path / "coco" / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] <= 40]
    file.write_text(json.dumps(content))
    config, _ = config_and_images(own, None, tmp_path / "coco", keys)
    # 36 epochs of 1,000 images are 36,000.
    assert config["SOLVER.MAX_ITER"] == iterations


def test_a_folder_that_cannot_be_read_has_no_hours(own, tmp_path):
    config, _ = config_and_images(own, None, tmp_path)
    assert config["SOLVER.MAX_ITER"] == 0


def test_what_is_prepared_goes_before(own, tmp_path):
    solver = {"MAX_ITER": 9000, "SCALED_BY": 4.0}
    resolved = {"SOLVER": solver, "INPUT": {"SHORT_EDGE": 800}}
    prepared = Prepared(resolved, "", {"name": "own", "val": {"num_images": 77}}, {})
    config, test_images = config_and_images(own, prepared, tmp_path)
    assert test_images == 77
    at_1x = written_config(own) | {"SOLVER.MAX_ITER": 2250, "INPUT.SHORT_EDGE": 800}
    assert seconds(own, config) == pytest.approx(seconds(own, at_1x))


def test_a_study_without_proposals_has_its_own_config(tmp_path):
    coco = load_study("coco")
    assert config_and_images(coco, None, tmp_path) == (written_config(coco), 0)


def test_the_training_time_on_stored_views_follows_from_the_data(tmp_path):
    """By hand: 600 iterations, the minimum, of 0.11 s at 256 px."""
    study = load_study("own_cpu")
    write_coco(tmp_path)
    assert training_seconds(study, tmp_path / "coco") == pytest.approx(66.0)
    assert training_seconds(study, tmp_path) is None, "no data set"
    assert training_seconds(study, None) is None
    assert training_seconds(load_study("own"), tmp_path / "coco") is None, "another extension"


@pytest.mark.parametrize(
    ("keys", "iterations"), [((), 600), (("DATALOADER.FILTER_EMPTY_ANNOTATIONS", "False"), 1200)]
)
def test_the_training_time_is_that_of_the_images_that_training_reads(tmp_path, keys, iterations):
    write_coco(tmp_path, num_train=200, num_val=1)
    file = tmp_path / "coco" / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] <= 40]
    file.write_text(json.dumps(content))
    seconds = training_seconds(load_study("own_cpu"), tmp_path / "coco", keys)
    assert seconds == pytest.approx(0.11 * iterations)
