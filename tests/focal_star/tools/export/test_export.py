"""Exported files against the model: the same detections, without Detectron2 and this project."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from focal_star.config import CONFIGS, load_config
from focal_star.tools.detector import load_detector
from focal_star.tools.export import __main__ as export
from focal_star.tools.export.detection_graph import Detections

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
OPTIONS = [
    "MODEL.WEIGHTS", "", "INPUT.SHORT_EDGE", "96", "PRETRAINING.ENABLED", "False",
    "MODEL.RETINANET.SUBNET_INIT", "normal",
]  # fmt: skip
SIZES = ((120, 170), (96, 64), (65, 33))
FIXED = (96, 64)

RUN = """
import json, sys
for package in ("detectron2", "fvcore", "focal_star"):
    sys.modules[package] = None  # an import of it would fail
import numpy as np
images = list(np.load(sys.argv[2]).values())
found = {}
if sys.argv[1] == "onnx":
    import onnxruntime
    session = onnxruntime.InferenceSession(sys.argv[3], providers=["CPUExecutionProvider"])
    run = lambda image: session.run(None, {"image": image})
else:
    import torch, torchvision
    load = torch.jit.load if sys.argv[1] == "torchscript" else torch.export.load
    loaded = load(sys.argv[3])
    loaded = loaded.module() if sys.argv[1] == "torch_export" else loaded
    run = lambda image: loaded(torch.from_numpy(image))
print(json.dumps([[part.tolist() for part in run(image)] for image in images]))
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, save_busy_detector):
    folder = tmp_path_factory.mktemp("export")
    return save_busy_detector(folder, load_config(MINI, OPTIONS))


def run(checkpoint, *arguments: str) -> int:
    return export.main(["--weights", str(checkpoint), *arguments])


@pytest.mark.parametrize(
    "name", ["torchscript", "onnx", pytest.param("torch_export", marks=pytest.mark.slow)]
)
def test_a_file_finds_what_the_model_finds(checkpoint, scene, tmp_path, capsys, name):
    if name == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    form, path = export.FORMATS[name], tmp_path / "exported"
    size = [] if form.any_size else ["--size", *map(str, FIXED)]
    assert run(checkpoint, "--format", name, *size, "--output", str(path)) == 0
    told = capsys.readouterr().out
    assert f"images of {'any size' if form.any_size else '96 x 64 px'};" in told
    images = [
        np.ascontiguousarray(scene[:height, :width, ::-1].transpose(2, 0, 1), dtype=np.float32)
        for height, width in (SIZES if form.any_size else [FIXED])
    ]
    images.append(np.full_like(images[-1], 100))  # on which there is least to find
    np.savez(tmp_path / "images.npz", *images)
    arguments = [name, tmp_path / "images.npz", path]
    ended = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    model, counts = load_detector(checkpoint, None, 1.0).model, []
    for image, found in zip(images, json.loads(ended.stdout), strict=True):
        with torch.no_grad():
            expected = model([{"image": torch.from_numpy(image)}])[0]["instances"]
        counts.append(len(expected))
        boxes, scores, classes = found
        assert classes == expected.pred_classes.tolist()
        np.testing.assert_allclose(scores, expected.scores, atol=export.SCORE_TOLERANCE)
        np.testing.assert_allclose(boxes, expected.pred_boxes.tensor, atol=export.BOX_TOLERANCE)
    assert counts[0] == model.max_detections_per_image or min(counts) > 10
    about = json.loads(path.with_name("exported.json").read_text())
    assert about["input"]["size"] == ("any" if form.any_size else "fixed")
    assert about["input"]["channels"] == "BGR" and about["classes"] == list("0123456789")
    assert about["detections_compared"] > 10 and about["verified"]


def test_every_format_is_compared_here():
    assert set(export.FORMATS) == {"torchscript", "onnx", "torch_export"}


def test_nothing_found_is_no_error(tmp_path, save_busy_detector):
    cfg = load_config(MINI, [*OPTIONS, "MODEL.RETINANET.SCORE_THRESH_TEST", "0.9999"])
    detector = load_detector(save_busy_detector(tmp_path, cfg), None, 1.0)
    graph = Detections(detector.model).eval()
    with torch.no_grad():
        boxes, scores, classes = graph(torch.zeros(3, 64, 64))
    assert (boxes.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))


def test_a_file_that_has_nothing_to_compare_is_not_verified(tmp_path, save_busy_detector, capsys):
    cfg = load_config(MINI, [*OPTIONS, "MODEL.RETINANET.SCORE_THRESH_TEST", "0.9999"])
    path = tmp_path / "exported"
    weights = save_busy_detector(tmp_path, cfg)
    assert run(weights, "--format", "torchscript", "--output", str(path)) == 0
    assert "Not verified: the model finds nothing" in capsys.readouterr().out
    about = json.loads(path.with_name("exported.json").read_text())
    assert about["detections_compared"] == 0 and not about["verified"]


def shifted(self, *candidates):
    boxes, scores, classes = KEPT(self, *candidates)
    return boxes + 0.1, scores, classes


KEPT = Detections._kept


def test_a_file_that_finds_something_else_is_not_written(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Detections, "_kept", shifted)
    path = tmp_path / "shifted"
    assert run(checkpoint, "--format", "torchscript", "--output", str(path)) == 2
    assert "nothing is written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_does_not_take_is_said(checkpoint, tmp_path, capsys, monkeypatch):
    assert run(checkpoint, "--format", "torch_export") == 2
    assert "torch_export keeps one size of image" in capsys.readouterr().err
    assert run(checkpoint, "--format", "onnx", "--size", "0", "9") == 2
    told = capsys.readouterr().err
    assert "onnx takes images of any size" in told and "--size is 0 9" in told
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert run(checkpoint, "--format", "onnx") == 2
    assert "pip install -e '.[onnx]'" in capsys.readouterr().err
    assert run(tmp_path / "none.pth", "--format", "onnx") == 2
    assert "none.pth does not exist" in capsys.readouterr().err


def test_what_torch_cannot_write_is_said(checkpoint, monkeypatch):
    def refuses(graph, image):
        raise NotImplementedError("no such operator: deform_conv\nand more")

    form = export.FORMATS["torchscript"]
    monkeypatch.setitem(
        export.FORMATS, "torchscript", export.Format(form.suffix, True, refuses, form.load, "")
    )
    detector = load_detector(checkpoint, None, 1.0)
    with pytest.raises(export.ConfigError, match="NotImplementedError: no such operator: deform"):
        export.export(detector, "torchscript")


def test_other_detectors_are_refused(checkpoint):
    other = replace(load_detector(checkpoint, None, 1.0), model=torch.nn.Identity())
    with pytest.raises(export.ConfigError, match="Identity cannot be exported: only RetinaNet can"):
        export.export(other, "onnx")
