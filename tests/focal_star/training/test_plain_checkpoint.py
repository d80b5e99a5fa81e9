"""Checkpoints of this project in plain Detectron2: its own RetinaNet, and nothing of focal_star."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model
from PIL import Image

from focal_star.config import CONFIGS, load_config
from focal_star.errors import ConfigError
from focal_star.tools.detector import load_detector
from focal_star.training import engine, plain_checkpoint

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
LITE0 = CONFIGS / "own" / "retinanet_lite0_FPN.yaml"
COCO = CONFIGS / "coco" / "retinanet_R_50_FPN_1x_800_FL.yaml"
SMALL = ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "INPUT.SHORT_EDGE", "96"]
SMALL += ["EXTENSIONS", "['mini']", "PRETRAINING.ENABLED", "False"]
CLASSES = ["MODEL.RETINANET.NUM_CLASSES", "4"]

PREDICT = """
import json, sys
sys.modules["focal_star"] = None  # an import of it would fail
import numpy as np
from detectron2.config import get_cfg
from detectron2.engine import DefaultPredictor
image, results = np.load(sys.argv[1]), {}
for config, weights in json.loads(sys.argv[2]):
    cfg = get_cfg()
    cfg.merge_from_file(config)
    cfg.MODEL.WEIGHTS = weights
    predictor = DefaultPredictor(cfg)
    found = predictor(image)["instances"]
    results[weights] = {
        "model": f"{type(predictor.model).__module__}.{type(predictor.model).__qualname__}",
        "boxes": found.pred_boxes.tensor.tolist(),
        "scores": found.scores.tolist(),
        "classes": found.pred_classes.tolist(),
    }
print(json.dumps(results))
"""


CASES = {
    "R-50": (COCO, "FrozenBN", "model_final.pth"),
    "narrow R-18, FrozenBN": (MINI, "FrozenBN", "model_detectron2.pth"),
    "narrow R-18, BN": (MINI, "BN", "model_detectron2.pth"),
}
"""Name -> config, norm, and the weights that plain Detectron2 is to be given."""


@pytest.fixture(scope="module")
def found_by_plain_detectron2(
    tmp_path_factory, scene, save_busy_detector
) -> dict[str, tuple[Path, dict]]:
    """Name of :data:`CASES` -> the checkpoint, and what Detectron2's predictor makes of it.

    One process, in which this project cannot be imported, does them all.
    """
    folder = tmp_path_factory.mktemp("plain")
    np.save(folder / "scene.npy", scene[:, :, ::-1])  # BGR, as the predictor takes
    checkpoints_of, pairs = {}, []
    for name, (config, norm, plain_weights) in CASES.items():
        cfg = load_config(config, [*SMALL, *CLASSES, "MODEL.RESNETS.NORM", norm])
        weights = checkpoints_of[name] = save_busy_detector(folder / name, cfg)
        if plain_weights == "model_final.pth":
            plain_checkpoint.write_config(weights.parent, cfg)
        else:
            assert plain_checkpoint.main(["--weights", str(weights)]) == 0
        pairs.append([str(weights.with_name(part)) for part in ("detectron2.yaml", plain_weights)])
    ended = subprocess.run(
        [sys.executable, "-c", PREDICT, folder / "scene.npy", json.dumps(pairs)],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    results = json.loads(ended.stdout.splitlines()[-1])
    return {
        name: (weights, results[pair[1]])
        for (name, weights), pair in zip(checkpoints_of.items(), pairs, strict=True)
    }


@pytest.mark.parametrize("case", CASES)
def test_plain_detectron2_finds_the_same_boxes(found_by_plain_detectron2, scene, case):
    weights, found = found_by_plain_detectron2[case]
    assert found["model"] == "detectron2.modeling.meta_arch.retinanet.RetinaNet"
    ours = load_detector(weights, None, 1.0).detect(Image.fromarray(scene), 0)
    assert len(ours) == len(found["boxes"]) > 20
    mine = sorted((-d.score, d.category, *d.box) for d in ours)
    theirs = sorted(
        (-score, str(number), x0, y0, x1 - x0, y1 - y0)
        for score, number, (x0, y0, x1, y1) in zip(
            found["scores"], found["classes"], found["boxes"], strict=True
        )
    )
    assert [one[1] for one in mine] == [one[1] for one in theirs]
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose([one[0], *one[2:]], [other[0], *other[2:]], atol=1e-4)


@pytest.mark.parametrize(
    "path",
    sorted(path for path in CONFIGS.glob("*/*.yaml") if path != LITE0),
    ids=lambda path: path.stem,
)
def test_the_plain_config_of_every_config_has_detectron2s_keys_alone(path):
    cfg = load_config(path, ["MODEL.WEIGHTS", ""])
    content = yaml.safe_load(plain_checkpoint.dump(cfg))
    merged = get_cfg()
    merged.merge_from_other_cfg(CfgNode(content))  # raises at a key that Detectron2 does not have
    assert merged == plain_checkpoint.plain_config(cfg)
    assert merged.MODEL.META_ARCHITECTURE in ("RetinaNet", "GeneralizedRCNN")
    assert "SOLVER" not in content and "OUTPUT_DIR" not in content


def test_a_backbone_that_detectron2_does_not_have(tmp_path):
    cfg = load_config(LITE0)
    with pytest.raises(ConfigError, match="efficientnet_lite0.* plain Detectron2 does not have"):
        plain_checkpoint.plain_config(cfg)
    plain_checkpoint.write_config(tmp_path, cfg)
    assert list(tmp_path.iterdir()) == []


NARROW = ["MODEL.FASTER_RCNN.BACKBONE.NAME", "build_narrow_resnet_fpn_backbone"]


def test_a_faster_rcnn_of_this_project_is_detectron2s(scene):
    cfg = load_config(MINI, [*SMALL, "MODEL.DETECTOR", "faster_rcnn", *NARROW])
    torch.manual_seed(0)
    ours = build_model(cfg).eval()
    config = plain_checkpoint.plain_config(cfg)
    theirs = build_model(config).eval()
    theirs.load_state_dict(plain_checkpoint.plain_weights(ours.state_dict(), config))
    image = torch.from_numpy(scene.transpose(2, 0, 1).copy()).float()
    with torch.no_grad():
        for_ours, for_theirs = (
            model.backbone(model.preprocess_image([{"image": image}]).tensor)
            for model in (ours, theirs)
        )
    assert for_ours.keys() == for_theirs.keys()
    for level, features in for_ours.items():
        torch.testing.assert_close(for_theirs[level], features, rtol=1e-4, atol=1e-4)


def test_no_weighting_is_detectron2s_minus_one():
    cfg = load_config(MINI, [*SMALL, "MODEL.RETINANET.FOCAL_LOSS_ALPHA", "None"])
    assert plain_checkpoint.plain_config(cfg).MODEL.RETINANET.FOCAL_LOSS_ALPHA == -1


def test_what_cannot_be_plain_is_said(tmp_path, capsys, save_busy_detector):
    norm = load_config(MINI, [*SMALL, "MODEL.RESNETS.NORM", "GN"])
    with pytest.raises(ConfigError, match="MODEL.RESNETS.NORM is GN"):
        plain_checkpoint.plain_config(norm)
    plain_checkpoint.write_config(tmp_path, norm)
    assert not (tmp_path / "detectron2.yaml").exists()

    assert plain_checkpoint.main(["--weights", str(tmp_path / "none.pth")]) == 2
    assert "none.pth does not exist" in capsys.readouterr().err
    weights = save_busy_detector(tmp_path, load_config(MINI, SMALL))
    other = load_config(MINI, [*SMALL, "MODEL.RETINANET.NUM_CLASSES", "20"])
    (tmp_path / "config.yaml").write_text(other.dump())
    assert plain_checkpoint.main(["--weights", str(weights)]) == 2
    said = capsys.readouterr().err
    assert "head.cls_score.weight has the shape (90, 32, 3, 3)" in said
    assert "but the config needs (180, 32, 3, 3)" in said
    assert not (tmp_path / "model_detectron2.pth").exists()


def test_a_training_leaves_its_plain_config(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    tiny_cfg.freeze()
    engine.train(tiny_cfg)
    folder = Path(tiny_cfg.OUTPUT_DIR)
    merged = get_cfg()
    merged.merge_from_file(str(folder / "detectron2.yaml"))
    assert merged == plain_checkpoint.plain_config(tiny_cfg)
    (folder / "config.yaml").write_text(tiny_cfg.dump())  # as train_net.py leaves it
    assert plain_checkpoint.main(["--weights", str(folder / "model_final.pth")]) == 0
    DetectionCheckpointer(build_model(merged)).load(str(folder / merged.MODEL.WEIGHTS))
