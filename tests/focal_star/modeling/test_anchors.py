"""The anchors for an image of some size are those that the network's maps have."""

import pytest
import torch
from detectron2.modeling import build_model

from focal_star.config import CONFIGS, load_config
from focal_star.modeling.anchors import anchors_of_image

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
LITE0 = CONFIGS / "own" / "retinanet_lite0_FPN.yaml"


@pytest.mark.parametrize("config", [MINI, LITE0], ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [(128, 128), (97, 230)])
def test_they_are_those_of_the_maps(config, size):
    model = build_model(load_config(config, ["MODEL.DEVICE", "cpu"])).eval()
    with torch.no_grad():
        images = model.preprocess_image([{"image": torch.zeros(3, *size)}])
        features = model.backbone(images.tensor)
    expected = model.anchor_generator([features[name] for name in model.head_in_features])
    found = anchors_of_image(model, *size)
    assert len(found) == len(expected) == 5
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.tensor, other.tensor)
