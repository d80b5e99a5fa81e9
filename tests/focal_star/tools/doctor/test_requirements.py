"""The checks of data, weights, GPUs, disk, learning rate and anchors."""

import json
import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from focal_star.config import CONFIGS, load_config
from focal_star.errors import ConfigError
from focal_star.tools.doctor import requirements
from focal_star.tools.doctor.findings import FAULT, OK, WARNING, Finding
from focal_star.training import initial_weights

COCO = CONFIGS / "coco" / "retinanet_FPN_1x.yaml"
MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
Memory = namedtuple("Memory", "total_memory")


def on(folder: Path, *pairs: str, path: Path = COCO):
    return load_config(path, ["DATASETS.FOLDER", str(folder), *pairs])


@pytest.fixture
def gpus(monkeypatch):
    """A function: have this machine show so many GPUs of so much memory."""

    def gpus(number: int, gib: float) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "V100")
        memory = Memory(int(gib * 2**30))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: memory)

    return gpus


def test_a_folder_is_checked(tiny_data):
    cfg = on(tiny_data)
    found = list(requirements.data(cfg))
    assert [(finding.state, finding.about) for finding in found] == [
        (OK, "data tiny_train"), (OK, "data tiny_val"),
    ]  # fmt: skip
    assert "24 images" in found[0].text and "10 categories" in found[0].text
    assert requirements.classes(cfg) == Finding(
        OK, "classes", "10, in the config and in tiny_train"
    )


def test_bad_data_are_a_fault_with_every_problem(tiny_data, tmp_path):
    folder = tmp_path / "bad"
    shutil.copytree(tiny_data, folder)
    path = folder / "instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"] = [0, 0, 500, 10]
    content["annotations"][1]["category_id"] = 99
    path.write_text(json.dumps(content))
    (found,) = requirements.data(on(folder))
    assert (found.state, found.about) == (FAULT, "data")
    assert "box-outside" in found.text and "unknown-category" in found.text


def test_missing_images_are_counted(tiny_data, tmp_path):
    """Where the check of the content is off, as for a data set of hundreds of thousands."""
    folder = tmp_path / "gone"
    shutil.copytree(tiny_data, folder)
    listed = json.loads((folder / "instances_val.json").read_text())["images"]
    for image in listed[:3]:
        (folder / "images" / image["file_name"]).unlink()
    found = list(requirements.data(on(folder, "DATASETS.CHECK", "False")))
    assert [finding.state for finding in found] == [OK, FAULT]
    assert f"3 of 8 images are missing in {folder / 'images'}" in found[1].text


def test_a_number_of_images_other_than_the_published_one_is_a_warning(tiny_data, monkeypatch):
    monkeypatch.setitem(requirements.EXPECTED_IMAGES, "tiny_val", 5000)
    found = list(requirements.data(on(tiny_data)))
    assert [finding.state for finding in found] == [OK, WARNING]
    assert found[1].text.endswith("; the published set has 5,000")


def test_missing_coco_is_a_fault_that_names_its_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (found,) = requirements.data(load_config(COCO))
    assert found.state == FAULT
    for words in ("annotations/instances_train2017.json", "val2017", "DETECTRON2_DATASETS"):
        assert words in found.text


def test_another_number_of_classes_than_in_the_data(tiny_data):
    cfg = on(tiny_data)
    list(requirements.data(cfg))
    cfg.MODEL.RETINANET.NUM_CLASSES = 80
    found = requirements.classes(cfg)
    assert found.state == FAULT
    assert "NUM_CLASSES is 80, and tiny_train has 10 categories; set it to 10" in found.text


def test_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    answers = {}
    monkeypatch.setattr(requirements, "fault_of_server", lambda address: answers[address])
    cfg = load_config(COCO)
    address = "detectron2://ImageNetPretrained/MSRA/R-50.pkl"
    copy = initial_weights.copy_of(address)

    answers[address] = "no network"
    found = requirements.weights(cfg)
    assert found.state == FAULT
    assert "does not answer (no network)" in found.text and f"put one at {copy}" in found.text
    answers[address] = ""
    found = requirements.weights(cfg)
    assert found.state == OK and "downloaded from https://dl.fbaipublicfiles.com/" in found.text
    answers.clear()
    copy.parent.mkdir(parents=True)
    copy.touch()
    assert requirements.weights(cfg) == Finding(OK, "weights", f"{address}, copied to {copy}")
    assert requirements.weights(load_config(MINI)).text == "made by the pretraining"
    file = load_config(COCO, ["MODEL.WEIGHTS", str(copy)])
    assert requirements.weights(file) == Finding(OK, "weights", str(copy))


@pytest.mark.parametrize(
    ("number", "gib", "asked", "state", "words"),
    [
        (8, 16, 8, OK, "8 x V100, 16 GiB each"),
        # 16 images of 600 px: 16 x 2.6 GiB x (600 / 800) ^ 2 = 23.4 GiB.
        (8, 16, 1, WARNING, "16 images per GPU need about 23 GiB: set GPUS to more"),
        (8, 24, 1, OK, "8 x V100, 24 GiB each"),
        (1, 80, 1, OK, "1 x V100, 80 GiB each"),
        (4, 80, 8, FAULT, "a training needs 8, and torch finds 4"),
        (0, 0, 1, FAULT, "a training needs 1, and torch finds 0"),
        (8, 80, 3, FAULT, "IMS_PER_BATCH is 16, no multiple of 3 GPUs"),
    ],
)
def test_gpus(gpus, number, gib, asked, state, words):
    gpus(number, gib)
    found = requirements.gpus(load_config(COCO), asked)
    assert found.state == state and words in found.text


def test_on_the_cpu_no_gpu_is_needed():
    found = requirements.gpus(load_config(MINI), 8)
    assert found.state == OK and "MODEL.DEVICE is cpu" in found.text


def test_disk(monkeypatch, tmp_path):
    free = 12_290_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    folder = tmp_path / "output" / "that is not there yet"
    assert requirements.disk(folder, free).state == OK
    found = requirements.disk(folder, free + 40_000_000)
    assert found.state == FAULT
    assert "12.3 GB free for" in found.text and "about 12.3 GB needed" in found.text
    assert found.text.endswith("; free 0.1 GB, or set OUTPUT to another disk")
    monkeypatch.chdir(tmp_path)
    assert requirements.disk(Path("output/nowhere"), 1).state == OK
    unknown = requirements.disk(folder, 0)
    assert unknown.state == OK and unknown.text.endswith("and the needed space is unknown")


@pytest.mark.parametrize(
    ("images", "rate", "state"),
    [(16, 0.01, OK), (8, 0.005, OK), (64, 0.04, OK), (8, 0.01, WARNING), (16, 0.02, WARNING)],
)
def test_the_learning_rate_grows_with_the_batch(images, rate, state):
    pairs = ["SOLVER.IMS_PER_BATCH", str(images), "SOLVER.BASE_LR", str(rate)]
    found = requirements.learning_rate(load_config(COCO, pairs))
    assert found.state == state
    assert (f"gives {0.01 * images / 16:g}: set" in found.text) == (state == WARNING)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "0.0025 for 4 images, 36,000 iterations"),
        (4, "0.01 for 16 images, 9,000 iterations"),
        (0, "0.01 for 16 images, 9,000 iterations"),
    ],
)
def test_the_schedule_is_that_of_the_number_of_gpus(number, words):
    cfg = load_config(COCO.with_name("retinanet_R_50_FPN_10pct.yaml"))
    found = requirements.learning_rate(cfg, number)
    assert found.state == OK and words in found.text


@pytest.mark.parametrize(("number", "images"), [(1, 4), (3, 12), (8, 32)])
def test_a_scaled_batch_fits_any_number_of_gpus(gpus, number, images):
    gpus(8, 6)  # 4 images of 600 px: 4 x 2.6 GiB x (600 / 800) ^ 2 = 5.9 GiB
    cfg = load_config(COCO.with_name("retinanet_R_50_FPN_10pct.yaml"))
    assert images == requirements.scaled_to(cfg, number).SOLVER.IMS_PER_BATCH
    assert requirements.gpus(cfg, number).state == OK


def test_the_scaling_rule_does_not_apply_to_adamw():
    assert requirements.learning_rate(load_config(MINI)).state == OK


def test_anchors(tiny_data):
    cfg = on(tiny_data, path=MINI)
    list(requirements.data(cfg))
    found = requirements.anchors(cfg)
    assert found.state == OK and "an anchor of IoU 0.5 (of 0.4) or more: small " in found.text
    # Digits of 128 px images, and the anchors of COCO: the smallest is 32 px.
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[256.0], [512.0], [1024.0], [2048.0], [4096.0]]
    found = requirements.anchors(cfg)
    assert found.state == WARNING and "many small and medium boxes" in found.text


def test_a_rare_size_is_no_warning(monkeypatch):
    few = {"small": np.zeros(1), "medium": np.full(99, 0.45), "large": np.ones(100)}
    monkeypatch.setattr(requirements, "coverage", lambda *_: few)
    monkeypatch.setattr(requirements, "annotations", lambda _: {})
    found = requirements.anchors(load_config(COCO))
    assert found == Finding(
        OK,
        "anchors",
        "boxes with an anchor of IoU 0.5 (of 0.4) or more: small 0.0 % (0.0 %) of 1, medium 0.0 % "
        "(100.0 %) of 99, large 100.0 % (100.0 %) of 100",
    )
    few["small"] = np.zeros(3)
    assert requirements.anchors(load_config(COCO)).state == WARNING


def test_all_faults_are_named_at_once(tiny_data, gpus, monkeypatch):
    gpus(0, 0)
    monkeypatch.setattr(requirements, "fault_of_server", lambda _: "no network")
    cfgs = [on(tiny_data, "MODEL.RESNETS.DEPTH", str(depth)) for depth in (50, 101)]
    with pytest.raises(ConfigError) as error:
        requirements.require(cfgs, 8)
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["weights", "weights", "GPUs"]
    assert "R-50.pkl" in lines[0] and "R-101.pkl" in lines[1]
    missing = [on(tiny_data / "nowhere")]
    with pytest.raises(ConfigError, match="^data: .*nowhere"):
        requirements.require(missing, 8)


def test_no_gpu_is_needed_if_other_machines_train(tiny_data, gpus, monkeypatch):
    gpus(0, 0)
    monkeypatch.setattr(requirements, "fault_of_server", lambda _: "")
    requirements.require([on(tiny_data)], 0)
    with pytest.raises(ConfigError, match="GPUs: a training needs 1"):
        requirements.require([on(tiny_data)], 1)
