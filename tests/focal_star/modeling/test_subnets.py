"""The initial weights of the head."""

import pytest
import torch
from detectron2.modeling import build_model

from focal_star.config import CONFIGS, load_config
from focal_star.modeling.subnets import initialise_subnets

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"


def head(*pairs):
    torch.manual_seed(0)
    return build_model(load_config(MINI, ["PRETRAINING.ENABLED", "False", *pairs])).head


def hidden(head):
    return [head.cls_subnet[0].weight, head.bbox_subnet[0].weight]


def test_he_keeps_the_size_of_the_activations_in_a_narrow_head():
    narrow = head("MODEL.RETINANET.NUM_CONVS", "4")
    x = torch.randn(8, 32, 24, 24)
    with torch.no_grad():
        passed = narrow.cls_subnet(x).pow(2).mean() / x.pow(2).mean()
        assert 0.3 < passed < 3
        normal = head("MODEL.RETINANET.NUM_CONVS", "4", "MODEL.RETINANET.SUBNET_INIT", "normal")
        assert normal.cls_subnet(x).pow(2).mean() / x.pow(2).mean() < 1e-4


def test_only_the_hidden_convolutions_change():
    he, normal = head(), head("MODEL.RETINANET.SUBNET_INIT", "normal")
    for weight in hidden(he):
        assert weight.std().item() == pytest.approx((2 / (9 * 32)) ** 0.5, rel=0.05)
    for weight in hidden(normal):
        assert weight.std().item() == pytest.approx(0.01, rel=0.05)
    for name in ("cls_score", "bbox_pred"):
        ours, detectron2s = getattr(he, name), getattr(normal, name)
        assert torch.equal(ours.weight, detectron2s.weight)
        assert torch.equal(ours.bias, detectron2s.bias)


def test_normal_is_detectron2s_own_head_and_draws_nothing():
    before = head("MODEL.RETINANET.SUBNET_INIT", "normal")
    state = torch.random.get_rng_state()
    weights = [weight.clone() for weight in hidden(before)]
    initialise_subnets(before, "normal")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(map(torch.equal, hidden(before), weights))


def test_an_unknown_initialisation_is_refused():
    with pytest.raises(ValueError, match="'xavier' is none of normal, he"):
        initialise_subnets(head(), "xavier")
