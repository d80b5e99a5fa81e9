"""What takes less time in training computes what Detectron2's own parts compute."""

import copy

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import build_model
from detectron2.modeling.anchor_generator import (
    ANCHOR_GENERATOR_REGISTRY,
    DefaultAnchorGenerator,
)
from detectron2.modeling.meta_arch.retinanet import RetinaNetHead
from torch import Tensor, nn

from focal_star.cached import fast_layers
from focal_star.cached.fast_layers import (
    CachedAnchorGenerator,
    FoldedFrozenBatchNorm,
    PackedHead,
    packed_head,
)

CHANNELS = 8
SIZES = {
    "squares": [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)],
    "oblongs": [(9, 14), (5, 7), (3, 4), (2, 2), (1, 1)],
    "all small": [(6, 5), (3, 3), (2, 1)],
    "one small": [(20, 30), (5, 5)],
}


def head(norm: str = "", num_convs: int = 2, kind: type = RetinaNetHead) -> RetinaNetHead:
    torch.manual_seed(0)
    made = kind(
        input_shape=[ShapeSpec(channels=CHANNELS)] * 5,
        num_classes=3,
        num_anchors=2,
        conv_dims=[CHANNELS] * num_convs,
        norm=norm,
    )
    made._num_features = 5  # Detectron2's main branch counts the levels
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def levels(sizes: list[tuple[int, int]]) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, CHANNELS, *size, requires_grad=True) for size in sizes]


def gradients(of: nn.Module, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """What a head finds, and the gradients of all that it depends on."""
    found = [level for part in of(features) for level in part]
    weights = [torch.randn(x.shape, generator=torch.Generator().manual_seed(2)) for x in found]
    total = sum((x * weight).sum() for x, weight in zip(found, weights, strict=True))
    return found, list(torch.autograd.grad(total, [*features, *of.parameters()]))


@pytest.mark.parametrize("num_convs", [1, 3])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_levels_side_by_side_are_those_of_detectron2(sizes, num_convs, monkeypatch):
    monkeypatch.setattr(fast_layers, "MAX_JOINED_PIXELS", 2 * 8 * 8)
    plain = head(num_convs=num_convs)
    plain._num_features = len(sizes)
    quick = packed_head(copy.deepcopy(plain))
    assert type(quick) is PackedHead
    features = levels(sizes)
    for expected, found in zip(gradients(plain, features), gradients(quick, features), strict=True):
        assert [x.shape for x in found] == [x.shape for x in expected]
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_small_levels_are_joined_in_training_alone(monkeypatch):
    monkeypatch.setattr(fast_layers, "MAX_JOINED_PIXELS", 2 * 8 * 8)
    quick, calls = packed_head(head()), []
    quick.cls_score.register_forward_hook(lambda *_: calls.append(1))
    quick(levels(SIZES["squares"]))
    assert len(calls) == 2, "the largest level, and the others"
    quick.eval()(levels(SIZES["squares"]))
    assert len(calls) == 2 + 5


def test_large_maps_are_left_to_detectron2():
    quick, calls = packed_head(head()), []
    quick.cls_score.register_forward_hook(lambda *_: calls.append(1))
    assert fast_layers.MAX_PIXELS < 2 * 64 * 65
    quick(levels([(64, 65), (32, 33), (16, 17), (8, 9), (4, 5)]))
    assert len(calls) == 5


def test_a_head_that_normalises_over_a_map_stays_as_it_is():
    assert type(packed_head(head(norm="BN"))) is RetinaNetHead

    class Own(RetinaNetHead):
        pass

    assert type(packed_head(head(kind=Own))) is Own


def anchor_generator(kind: type = DefaultAnchorGenerator) -> DefaultAnchorGenerator:
    return kind(sizes=[[16.0], [32.0]], aspect_ratios=[[0.5, 1.0]], strides=[8, 16], offset=0.0)


def test_anchors_are_those_of_detectron2_for_each_size():
    plain, quick = anchor_generator(), anchor_generator(CachedAnchorGenerator)
    for sizes in ([(4, 4), (2, 2)], [(4, 4), (2, 2)], [(5, 3), (3, 2)], [(4, 4), (2, 2)]):
        maps = [torch.zeros(1, 1, *size) for size in sizes]
        for one, other in zip(quick(maps), plain(maps), strict=True):
            assert torch.equal(one.tensor, other.tensor)


def test_anchors_of_one_size_are_made_once():
    quick = anchor_generator(CachedAnchorGenerator)
    maps = [torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)]
    first, again = quick(maps), quick(maps)
    assert first[0].tensor.data_ptr() == again[0].tensor.data_ptr()
    assert first[0].tensor.data_ptr() != quick.eval()(maps)[0].tensor.data_ptr()


def random_state(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    names = ("weight", "bias", "running_mean", "running_var")
    return {name: torch.rand(CHANNELS, generator=generator) + 0.5 for name in names}


def test_a_frozen_norm_is_that_of_detectron2_also_after_new_weights():
    plain, quick = FrozenBatchNorm2d(CHANNELS), FoldedFrozenBatchNorm(CHANNELS)
    x = torch.randn(2, CHANNELS, 5, 7, requires_grad=True)
    for seed in (0, 1):
        for norm in (plain, quick):
            norm.load_state_dict(random_state(seed))
        for norm in (plain, quick):
            norm.double().float()
        torch.testing.assert_close(quick(x), plain(x))
        (found,), (expected,) = (
            torch.autograd.grad(n(x).square().sum(), x) for n in (quick, plain)
        )
        torch.testing.assert_close(found, expected)
        with torch.no_grad():
            assert torch.equal(quick(x.detach()), plain(x.detach()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_frozen_norm_follows_its_input_and_its_own_type(dtype):
    quick = FoldedFrozenBatchNorm(CHANNELS)
    quick.load_state_dict(random_state(0))
    x = torch.randn(1, CHANNELS, 2, 2, requires_grad=True)
    before = quick(x)
    assert quick(x.to(dtype)).dtype == dtype
    if dtype == torch.float64:
        torch.testing.assert_close(quick.double()(x.double()).float(), before)


def test_the_mini_model_has_them_and_the_names_of_detectron2(tiny_cfg):
    model = build_model(tiny_cfg)
    assert type(model.head) is PackedHead
    assert type(model.anchor_generator) is CachedAnchorGenerator
    norms = [m for m in model.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert norms and all(type(norm) is FoldedFrozenBatchNorm for norm in norms)
    for architecture in ("FocalStarRetinaNet", "RetinaNet"):
        tiny_cfg.MODEL.META_ARCHITECTURE = architecture
        plain = build_model(tiny_cfg)
        assert type(plain.head) is RetinaNetHead
        assert type(plain.anchor_generator) is DefaultAnchorGenerator
        assert list(plain.state_dict()) == list(model.state_dict())


def test_other_anchors_and_heads_stay_as_they_are(tiny_cfg):
    @ANCHOR_GENERATOR_REGISTRY.register()
    class OwnAnchors(DefaultAnchorGenerator):
        pass

    tiny_cfg.MODEL.ANCHOR_GENERATOR.NAME = "OwnAnchors"
    tiny_cfg.MODEL.RETINANET.NORM = "BN"
    model = build_model(tiny_cfg)
    assert (type(model.anchor_generator), type(model.head)) == (OwnAnchors, RetinaNetHead)
