"""``python -m focal_star.tools.doctor``."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from focal_star.config import CONFIGS
from focal_star.tools.doctor import __main__ as doctor
from focal_star.tools.doctor import requirements
from focal_star.tools.doctor.findings import FAULT, OK, Finding

COCO = CONFIGS / "coco" / "retinanet_FPN_1x.yaml"
MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


@pytest.fixture
def call(tiny_data, tmp_path, capsys):
    """A function: call it on the tiny data set; exit code, lines and stderr."""

    def call(*flags: str, path: Path = MINI) -> tuple[int, list[str], str]:
        own = ["DATASETS.FOLDER", str(tiny_data), "CACHE_DIR", str(tmp_path / "cache")]
        code = doctor.main(["--config-file", str(path), *flags, *own])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err

    return call


def test_a_machine_without_faults(call):
    code, lines, _ = call("--variant", "", "--variant", "MODEL.RESNETS.DEPTH 34")
    assert code == 0
    assert {line.split()[0] for line in lines[:-1]} == {"ok"}
    about = [line.removeprefix("ok").strip().split(":")[0] for line in lines[:-1]]
    assert about == [
        "Python", "torch", "torchvision", "torchvision's operators", "detectron2",
        "Detectron2's operators", "data tiny_train", "data tiny_val", "classes", "anchors",
        "weights", "GPUs", "learning rate", "disk",
    ]  # fmt: skip
    assert lines[-1] == "0 fault, 0 warning, 14 ok"


def test_all_faults_and_warnings_are_printed(call, monkeypatch):
    monkeypatch.setattr(requirements, "fault_of_server", lambda _: "no network")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setenv("FVCORE_CACHE", "/nowhere")
    flags = ["--variant", "", "--variant", "MODEL.RESNETS.DEPTH 101"]
    code, lines, _ = call(*flags, "--num-gpus", "8", "--disk-bytes", str(10**18), path=COCO)
    assert code == 1
    faults = [line for line in lines if line.startswith("fault ")]
    assert [line.split(":")[0].split()[1] for line in faults] == [
        "weights", "weights", "GPUs", "disk",
    ]  # fmt: skip
    assert "R-50.pkl" in faults[0] and "R-101.pkl" in faults[1]
    assert lines[-1].startswith("4 fault, ")


def test_gpus_of_another_machine_are_not_checked(call, monkeypatch):
    monkeypatch.setattr(requirements, "fault_of_server", lambda _: "")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    code, lines, _ = call("--num-gpus", "0", path=COCO)
    assert code == 0 and "ok       GPUs: not checked: another machine trains" in lines


def test_an_invalid_config_is_reported_in_one_line(call):
    code, _, error = call("--variant", "MODEL.RESNETS.DEEP 50", "--variant", "SEED x y")
    assert code == 2
    assert (
        error.startswith("error: ") and "MODEL.RESNETS.DEEP" in error and "Traceback" not in error
    )


@pytest.mark.parametrize("package", doctor.PACKAGES)
def test_a_package_that_cannot_be_imported_ends_the_checks(call, monkeypatch, package):
    real = importlib.import_module

    def broken(name):
        if name == package:
            raise ImportError("libcudart.so.12: cannot open shared object file")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    code, lines, _ = call()
    assert code == 1
    (fault,) = [line for line in lines if line.startswith("fault")]
    assert f"fault    {package}: cannot be imported (ImportError: libcudart" in fault
    assert not any(line.startswith("data") for line in lines)


def test_an_old_python_is_a_fault(monkeypatch):
    monkeypatch.setattr(doctor, "PYTHON", (3, 99))
    first = next(doctor.versions())
    assert first.state == FAULT and "3.99 or later is needed" in first.text


def test_operators_of_another_build_are_a_fault(monkeypatch):
    def broken(*_):
        raise RuntimeError("Couldn't load custom C++ ops. This can happen if\nmore")

    monkeypatch.setattr("torchvision.ops.nms", broken)
    found = doctor._torchvision_operators()
    assert found.state == FAULT
    assert "(Couldn't load custom C++ ops. This can happen if)" in found.text


def test_compiled_operators_of_detectron2(monkeypatch):
    module = sys.modules[doctor.__name__]
    monkeypatch.setitem(sys.modules, "detectron2._C", module)
    assert doctor._detectron2_operators() == Finding(OK, "Detectron2's operators", "compiled")
    monkeypatch.setitem(sys.modules, "detectron2._C", None)
    found = doctor._detectron2_operators()
    assert found.state == OK and "need none" in found.text


@pytest.mark.slow
def test_coco_in_the_folder_of_detectron2(tmp_path):
    """As a process, which reads DETECTRON2_DATASETS; COCO's layout, with 104 of its images."""
    data = Path(__file__).resolve().parents[5] / "shared" / "data" / "coco_ccby"
    if not data.is_dir():
        pytest.skip("the data set coco_ccby is not beside this checkout")
    coco = tmp_path / "coco"
    (coco / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        annotations = json.loads((data / f"instances_{split}.json").read_text())
        name = f"instances_{split}2017.json"
        (coco / "annotations" / name).write_text(json.dumps(annotations))
        (coco / f"{split}2017").mkdir()
        for image in annotations["images"]:
            shutil.copy(data / "images" / image["file_name"], coco / f"{split}2017")
    copy = tmp_path / "cache" / "detectron2" / "ImageNetPretrained" / "MSRA" / "R-50.pkl"
    copy.parent.mkdir(parents=True)
    copy.touch()
    environment = {"DETECTRON2_DATASETS": str(tmp_path), "FVCORE_CACHE": str(tmp_path / "cache")}
    ended = subprocess.run(
        [sys.executable, "-m", "focal_star.tools.doctor", "--config-file", str(COCO),
         "MODEL.DEVICE", "cpu"],
        env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr and "Warning" not in ended.stderr
    lines = ended.stdout.splitlines()
    (train,) = [line for line in lines if "data coco_2017_train" in line]
    assert train.startswith("warning ") and train.endswith("; the published set has 118,287")
    assert "ok       classes: 80, in the config and in coco_2017_train" in lines
    assert (
        f"ok       weights: detectron2://ImageNetPretrained/MSRA/R-50.pkl, copied to {copy}"
        in lines
    )
