"""Optimizers and clipping."""

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer as detectron2_optimizer

from focal_star.config import CONFIGS, load_config
from focal_star.training.optimizer import build_optimizer

COCO = CONFIGS / "coco" / "retinanet_R_50_FPN_1x_600_FL.yaml"


def options(optimizer: torch.optim.Optimizer) -> dict[int, tuple]:
    """Each parameter with the learning rate and weight decay that it gets."""
    return {
        id(p): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }


def step(optimizer: torch.optim.Optimizer, parameters: list, gradient: float) -> list:
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, gradient)
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer.step()
    return [b - p.detach() for b, p in zip(before, parameters, strict=True)]


def test_sgd_is_detectron2s():
    cfg = load_config(COCO, ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", ""])
    model = build_model(cfg)
    ours, theirs = build_optimizer(cfg, model), detectron2_optimizer(cfg, model)
    assert options(ours) == options(theirs)
    assert isinstance(ours, torch.optim.SGD)
    assert ours.defaults["momentum"] == theirs.defaults["momentum"] == cfg.SOLVER.MOMENTUM
    assert len(ours.param_groups) <= 3


def test_adamw_is_chosen_with_the_configs_options(tiny_cfg):
    optimizer = build_optimizer(tiny_cfg, build_model(tiny_cfg))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert {lr for lr, _ in options(optimizer).values()} == {tiny_cfg.SOLVER.BASE_LR}
    assert tiny_cfg.SOLVER.WEIGHT_DECAY in {decay for _, decay in options(optimizer).values()}


@pytest.mark.parametrize(("gradient", "clipped"), [(1e-6, False), (1e3, True)])
def test_full_model_clipping_bounds_the_norm_of_all_gradients_together(tiny_cfg, gradient, clipped):
    tiny_cfg.SOLVER.OPTIMIZER = "SGD"
    tiny_cfg.SOLVER.BASE_LR = 1.0
    tiny_cfg.SOLVER.WEIGHT_DECAY = tiny_cfg.SOLVER.WEIGHT_DECAY_BIAS = 0.0
    tiny_cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 2.0
    model = build_model(tiny_cfg)
    parameters = [p for p in model.parameters() if p.requires_grad]
    steps = torch.cat(
        [s.flatten() for s in step(build_optimizer(tiny_cfg, model), parameters, gradient)]
    )
    expected = 2.0 if clipped else gradient * len(steps) ** 0.5
    assert steps.norm().item() == pytest.approx(expected, rel=0.05)
    if clipped:
        assert steps.std() < 1e-3 * steps.mean()  # the direction is kept


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_a_norm_that_is_known_clips_as_one_that_is_not(tiny_cfg, scale):
    found = []
    for is_known in (False, True):
        torch.manual_seed(0)
        model = build_model(tiny_cfg)
        optimizer = build_optimizer(tiny_cfg, model)
        parameters = [p for p in model.parameters() if p.requires_grad]
        for _ in range(3):
            for parameter in parameters:
                parameter.grad = torch.randn_like(parameter) * scale
            if is_known:
                norms = torch.stack([p.grad.norm() for p in parameters])
                optimizer.gradient_norm = norms.norm()
            optimizer.step()
            assert optimizer.gradient_norm is None, "it was that of one step"
        found.append(torch.cat([p.detach().flatten() for p in parameters]))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_detectron2s_clipping_types_stay(tiny_cfg):
    tiny_cfg.SOLVER.OPTIMIZER = "SGD"
    tiny_cfg.SOLVER.BASE_LR = 1.0
    tiny_cfg.SOLVER.WEIGHT_DECAY = tiny_cfg.SOLVER.WEIGHT_DECAY_BIAS = 0.0
    tiny_cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "value"
    tiny_cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 0.5
    model = build_model(tiny_cfg)
    parameters = [p for p in model.parameters() if p.requires_grad]
    for moved in step(build_optimizer(tiny_cfg, model), parameters, 7.0):
        torch.testing.assert_close(moved, torch.full_like(moved, 0.5), rtol=1e-3, atol=1e-5)
