"""The studies for one GPU: planned, checked by doctor, built and trained, on made-up data.

The data have the layouts and the names of the real ones.
"""

import os
import re
import subprocess
import sys

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.data.datasets.builtin_meta import _get_builtin_metadata

from ablations.status.cost_model import CostModel
from ablations.status.fitted import config_and_images
from ablations.status.status import Status
from ablations.storage.layout import PACKAGE, ROOT
from ablations.study.study import load_study
from focal_star.training.initial_weights import copy_of
from tests.published_layouts import write_coco, write_voc
from tests.two_iterations import train_every_setting

STUDIES = ("voc", "coco_10pct", "coco_25pct", "own")
IMAGES_OF_OWN = 4000
"""The training images for which the header of the study own says the hours."""


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """``DETECTRON2_DATASETS`` with made-up data."""
    folder = tmp_path_factory.mktemp("datasets")
    write_coco(folder)
    write_voc(folder)
    return folder


def arguments(study, datasets, *more):
    data = ["--dataset", str(datasets / "coco")] if study == "own" else []
    return ["--study", study, *data, *more]


def ablations(what, datasets, *arguments):
    """Run a command as the Makefile does; the ended process."""
    weights = copy_of("detectron2://ImageNetPretrained/MSRA/R-50.pkl")
    cache = datasets / "weights"
    address = "detectron2/ImageNetPretrained/MSRA/R-50.pkl"
    assert weights.as_posix().endswith(address)
    (cache / address).parent.mkdir(parents=True, exist_ok=True)
    (cache / address).touch()
    variables = {"DETECTRON2_DATASETS": str(datasets), "FVCORE_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, "-m", "ablations", what, *arguments],
        cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("study", STUDIES)
def test_a_plan_for_a_named_card_gives_its_hours(study, datasets, tmp_path):
    more = ("--output", str(tmp_path), "--gpu", "A100", "--budget", "100h")
    ended = ablations("plan", datasets, *arguments(study, datasets, *more))
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"about [1-9][\d,]* GPU-hours \(A100\)", ended.stdout)
    assert "headline and its tuning" in ended.stdout


@pytest.mark.parametrize("study", STUDIES)
def test_the_header_says_command_hardware_hours_and_published_ap(study):
    text = (PACKAGE / "studies" / f"{study}.yaml").read_text()
    header = re.sub(r"\n# ?", "\n", "\n" + text[: text.index("\ntitle:")])
    for words in (f"make ablations STUDY={study}", "Hardware: one GPU", "Published: "):
        assert words in header
    loaded = load_study(study)
    status = Status(loaded, dict.fromkeys(loaded.cells(), "missing"), {}, [], {})
    config, _ = config_and_images(loaded)
    if study == "own":
        images = 36 * IMAGES_OF_OWN  # epochs
        config |= {"SOLVER.MAX_ITER": images / config["SOLVER.IMS_PER_BATCH"]}
        test_images = 1
    else:
        test_images = 0
    model = CostModel(status, config, test_images)
    hours = model.gpu_seconds({"schedule": loaded.schedule}) / 3600
    said = re.search(r"Hours: (\d+\.\d) per cell on a V100", header)
    assert float(said[1]) == pytest.approx(hours, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_doctor_finds_all_but_the_gpu(study, datasets, tmp_path):
    more = ("--output", str(tmp_path), "--engine", "slurm")  # another machine has the GPU
    ended = ablations("doctor", datasets, *arguments(study, datasets, *more))
    lines = ended.stdout.splitlines()
    assert re.match(r"\d+ faults?, ", lines[-1]), ended.stdout + ended.stderr
    faults = [line for line in lines if line.lstrip().startswith("fault")]
    # The free space is this machine's own, and test_requirements.py tests that check.
    assert [line for line in faults if " disk: " not in line] == [], ended.stdout
    assert ended.returncode == (1 if faults else 0), ended.stderr
    findings = {line[9:].partition(": ")[0]: line for line in lines if line[8:9] == " "}
    assert "0.01 for 16 images" in findings["learning rate"]
    if study == "own":
        assert re.search(r"\d+ px, anchors from \d+ px, .* epochs of 40 images", ended.stdout)
    if "pct" in study:
        number = study.removeprefix("coco_").removesuffix("pct")
        said = (
            rf"{number} % of the 40 images of coco_2017_train, SHA-256 of their ids [0-9a-f]{{64}}"
        )
        assert re.search(said, ended.stdout)


@pytest.fixture
def registered(datasets, monkeypatch):
    """Detectron2 knows the made-up COCO in place of the one that it looked for at its start."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    places = {}
    for split in ("train2017", "val2017"):
        name = f"coco_2017_{split.removesuffix('2017')}"
        about = MetadataCatalog.get(name)
        places[name] = about.json_file, about.image_root
        coco = datasets / "coco"
        register(name, coco / "annotations" / f"instances_{split}.json", coco / split)
    yield
    for name, files in places.items():
        register(name, *files)


def register(name, annotation_file, image_root):
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)
    metadata = _get_builtin_metadata("coco")
    register_coco_instances(name, metadata, str(annotation_file), str(image_root))


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.usefixtures("registered")
def test_every_setting_trains(study, datasets, tmp_path):
    data = {"CACHE_DIR": tmp_path / "cache"}
    if study == "own":
        data["DATASETS.FOLDER"] = datasets / "coco"
    train_every_setting(load_study(study), tmp_path, data)
