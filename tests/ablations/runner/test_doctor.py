import subprocess
import sys

import pytest

from ablations.runner import doctor as doctors
from ablations.runner.doctor import doctor
from ablations.study.study import load_study


@pytest.mark.parametrize("gpus", [0, 8])
def test_doctor_accepts_the_arguments(monkeypatch, tmp_path, gpus):
    from focal_star.tools.doctor.__main__ import _parser

    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(doctors.subprocess, "run", run)
    pairs = ["CACHE_DIR", "output/cache", "DATASETS.FOLDER", "my data"]
    ended = doctor(load_study("coco"), pairs, output=tmp_path, disk_bytes=2.5e9, gpus=gpus)
    assert ended == 1
    ((python, flag, module, *arguments),) = commands
    assert (python, flag, module) == (sys.executable, "-m", "focal_star.tools.doctor")
    options = _parser().parse_args(arguments)
    assert options.config_file.endswith("configs/coco/retinanet_FPN_1x.yaml")
    assert options.variant == ["", "MODEL.RESNETS.DEPTH 101"]
    assert (options.num_gpus, options.output, options.disk_bytes) == (gpus, tmp_path, 2_500_000_000)
    assert options.opts == pairs
