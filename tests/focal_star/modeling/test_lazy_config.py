"""FocalStarRetinaNet from Python, by Detectron2's LazyConfig, without a CfgNode."""

import re
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from focal_star.config import CONFIGS, load_config
from focal_star.modeling.retinanet import FocalStarRetinaNet

LAZY = CONFIGS / "lazy" / "retinanet_R_50_FPN.py"
README = Path(__file__).resolve().parents[3] / "projects" / "focal_star" / "README.md"


def batch() -> list[dict]:
    image = torch.randint(0, 256, (3, 64, 96), generator=torch.Generator().manual_seed(0))
    truth = Instances((64, 96))
    truth.gt_boxes = Boxes(torch.tensor([[8.0, 8, 50, 60]]))
    truth.gt_classes = torch.tensor([3])
    return [{"image": image.float(), "instances": truth}]


def losses(model: FocalStarRetinaNet) -> dict[str, float]:
    with EventStorage(), torch.no_grad():
        return {name: value.item() for name, value in model.train()(batch()).items()}


def test_the_lazy_config_is_the_model_of_the_config_with_keys():
    ours = instantiate(LazyConfig.load(str(LAZY)).model)
    assert type(ours) is FocalStarRetinaNet
    pairs = {
        "MODEL.RESNETS.DEPTH": 50,
        "MODEL.FOCAL_STAR.LOSS": "focal_star",
        "MODEL.RETINANET.FOCAL_LOSS_ALPHA": 0.25,
        "MODEL.RETINANET.FOCAL_LOSS_GAMMA": 0.5,
        "MODEL.RETINANET.SMOOTH_L1_LOSS_BETA": 0.0,
        "MODEL.DEVICE": "cpu",
        "MODEL.WEIGHTS": "",
    }
    overrides = [str(part) for pair in pairs.items() for part in pair]
    base = CONFIGS / "Base-FocalStar-RetinaNet.yaml"
    theirs = build_model(load_config(base, overrides))
    theirs.load_state_dict(ours.state_dict())
    assert losses(ours) == losses(theirs)
    assert losses(ours)["loss_cls"] > 0


def test_the_five_lines_of_the_readme():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (lines,) = [block for block in blocks if "instantiate" in block]
    assert len(list(filter(None, lines.splitlines()))) == 5
    names: dict = {}
    exec(lines, names)
    net = names["net"]
    assert type(net) is FocalStarRetinaNet
    assert net.classification_loss.keywords["gamma"] == 0.5
    assert all(value > 0 for value in losses(net).values())


def test_an_unknown_loss_is_refused():
    model = LazyConfig.load(str(LAZY)).model
    model.loss = "focal_stars"
    with pytest.raises(ValueError, match="focal_stars.*; valid: ce, focal"):
        instantiate(model)


def test_detectron2s_own_lazy_config_takes_the_arguments():
    try:
        from detectron2 import model_zoo as zoo
    except ImportError as error:  # of pkg_resources, which newer setuptools do not have
        pytest.skip(f"this Detectron2's model zoo cannot be imported: {error}")
    if not (Path(zoo.__file__).parent / "configs" / "common").is_dir():
        pytest.skip("these sources of Detectron2 were not set up: they have no model zoo")
    model = zoo.get_config("common/models/retinanet.py").model
    model.update(_target_=FocalStarRetinaNet, loss="focal_star", focal_loss_gamma=0.5)
    net = instantiate(model)
    ours = instantiate(LazyConfig.load(str(LAZY)).model)
    net.load_state_dict(ours.state_dict())
    assert losses(net) == losses(ours)
