"""The fused losses against those of focal_star.losses."""

import json

import pytest
import torch
from torch.nn import functional as F

from focal_star.identity.loss_code import hashes
from focal_star.losses import LOSSES
from focal_star.losses.base import largest_logit
from focal_star.losses.fused import FUSED, forms, fused_loss
from focal_star.losses.fused.formulas import WRITTEN_FOR

SETTINGS = [
    ("ce", {"gamma": 0.0}),
    ("focal", {"gamma": 0.0}),
    ("focal", {"gamma": 0.3}),
    ("focal", {"gamma": 2.0}),
    ("focal_star", {"gamma": 0.0, "weight_cap": None}),
    ("focal_star", {"gamma": 0.125, "weight_cap": None}),
    ("focal_star", {"gamma": 2.0, "weight_cap": None}),
    ("focal_star", {"gamma": 1.0, "weight_cap": 5.0}),
    ("focal_star", {"gamma": 0.5, "weight_cap": 0.5}),
    ("focal_appendix", {"gamma": 2.0, "beta": 1.0}),
    ("focal_appendix", {"gamma": 0.5, "beta": -2.0}),
]
IDS = [
    "-".join([name, *(f"{key}={value}" for key, value in own.items())]) for name, own in SETTINGS
]

N, R, K = 3, 41, 7


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of a few anchors, so that every test has several, and a last one that is not full."""
    monkeypatch.setattr(forms, "BLOCK", 5 * K)
    monkeypatch.setattr(forms, "DEVICE_BLOCK", 50 * K)


def random_labels(seed: int = 0) -> torch.Tensor:
    """Of every kind: to ignore, background, and each class."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-1, K + 1, (N, R), generator=generator)


def random_logits(dtype=torch.float64, spread: float = 4.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(N, R, K, generator=generator, dtype=torch.float64) * spread).to(dtype)


def reference(name, logits, labels, scale=1.0, **options):
    """The sum by focal_star.losses and its gradient."""
    logits = logits.detach().clone().requires_grad_()
    valid = labels >= 0
    targets = F.one_hot(labels[valid], K + 1)[:, :-1].bool()
    total = LOSSES[name](logits[valid], targets, reduction="sum", **options) * scale
    total.backward()
    return total.detach(), logits.grad


def fused(name, logits, labels, scale=1.0, **options):
    logits = logits.detach().clone().requires_grad_()
    total = fused_loss(name, logits, labels, scale=scale, **options)
    total.backward()
    return total.detach(), logits.grad


def by_masks(*arguments, **options):
    """As where the logits are on a GPU."""
    return fused(*arguments, form=forms.in_masked_blocks, **options)


def test_every_fused_formula_has_a_loss_and_the_code_it_was_written_for():
    """A loss that a user adds has no fused form, and needs none."""
    assert FUSED.keys() == WRITTEN_FOR.keys() <= LOSSES.keys()


def test_the_formulas_are_written_for_the_losses_of_today():
    """After an edit of a loss: change formulas.py too, then enter these hashes there."""
    today = {name: code for name, code in hashes().items() if name in FUSED}
    assert today == WRITTEN_FOR, "WRITTEN_FOR = " + json.dumps(today, indent=4)


@pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 1.0])
@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_loss_and_gradient_are_the_references_in_float64(name, own, alpha):
    logits, labels = random_logits(), random_labels()
    for scale in (1.0, 0.01):
        expected = reference(name, logits, labels, scale, alpha=alpha, **own)
        found = fused(name, logits, labels, scale, alpha=alpha, **own)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_by_masks_it_is_the_same(name, own):
    logits, labels = random_logits(), random_labels()
    for alpha, scale in ((None, 1.0), (0.25, 0.01)):
        expected = reference(name, logits, labels, scale, alpha=alpha, **own)
        found = by_masks(name, logits, labels, scale, alpha=alpha, **own)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_by_masks_narrower_types_give_the_references_numbers(dtype):
    logits, labels = random_logits(dtype, spread=20.0), random_labels()
    own = {"alpha": 0.25, "gamma": 0.5, "weight_cap": None}
    total, gradient = by_masks("focal_star", logits, labels, **own)
    expected_total, expected_gradient = reference("focal_star", logits, labels, **own)
    assert total.dtype == torch.float32 and gradient.dtype == dtype
    torch.testing.assert_close(total, expected_total, rtol=2e-6, atol=0)
    tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 1e-6}
    torch.testing.assert_close(gradient, expected_gradient, **tolerance)


def test_by_masks_what_is_ignored_may_be_anything():
    logits, labels = random_logits(), random_labels()
    own = {"alpha": 0.5, "gamma": 0.5, "weight_cap": None}
    expected = by_masks("focal_star", logits, labels, **own)
    logits[labels == -1] = float("nan")
    torch.testing.assert_close(
        by_masks("focal_star", logits, labels, **own), expected, rtol=0, atol=0
    )


@pytest.mark.parametrize("form", [fused, by_masks])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_scale_may_be_a_tensor(form, dtype):
    logits, labels = random_logits(dtype), random_labels()
    scale = 1 / 90.1
    expected = form("focal", logits, labels, scale, alpha=0.25, gamma=2.0)
    tensor = torch.tensor(scale, dtype=torch.float64)
    found = form("focal", logits, labels, tensor, alpha=0.25, gamma=2.0)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_the_gradient_is_that_of_the_loss(name, own):
    logits, labels = random_logits(spread=1.0)[:1, :9].requires_grad_(), random_labels()[:1, :9]
    assert torch.autograd.gradcheck(
        lambda x: fused_loss(name, x, labels, alpha=0.25, scale=0.5, **own), logits
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_narrower_types_give_the_references_numbers(name, own, dtype):
    logits, labels = random_logits(dtype), random_labels()
    total, gradient = fused(name, logits, labels, alpha=0.25, **own)
    expected_total, expected_gradient = reference(name, logits, labels, alpha=0.25, **own)
    assert total.dtype == torch.float32 and gradient.dtype == dtype
    torch.testing.assert_close(total, expected_total, rtol=2e-6, atol=0)
    tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 1e-6}
    torch.testing.assert_close(gradient, expected_gradient, **tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_extreme_logits_give_the_references_finite_numbers(name, own, dtype):
    extremes = [0.0, 1e-30, 5.0, 17.0, 40.0, 89.0, 800.0, 6e4, 1e30, float("inf")]
    values = [value for x in extremes for value in (x, -x)]
    logits = torch.tensor(values, dtype=torch.float64).to(dtype)[:, None].repeat(1, K)
    # +-inf where the type has no 1e30: what is not finite stands at the end of the range.
    labels = torch.arange(len(values)) % (K + 1)
    total, gradient = fused(name, logits, labels, alpha=0.25, **own)
    expected_total, expected_gradient = reference(name, logits, labels, alpha=0.25, **own)
    assert total.isfinite() and gradient.isfinite().all()
    torch.testing.assert_close(total, expected_total, rtol=1e-5, atol=0)
    tolerance = {"rtol": max(1e-4, 4 * torch.finfo(dtype).eps), "atol": 1e-6}
    torch.testing.assert_close(gradient, expected_gradient, **tolerance)


def line_of_logits(dtype: torch.dtype, gamma: float) -> torch.Tensor:
    """Logits from -1e4 to 1e4, dense near 0, and around each point where a loss saturates."""
    near = torch.linspace(-30, 30, 241, dtype=torch.float64)
    far = torch.logspace(1.4, 4, 60, dtype=torch.float64)
    points = [near, far, -far]
    for growth in {gamma, 0.0}:
        limit = largest_logit(torch.promote_types(dtype, torch.float32), growth)
        around = limit * torch.tensor([0.99, 0.999999, 1.0, 1.000001, 1.01], dtype=torch.float64)
        points += [around, -around]
    line = torch.cat(points).to(dtype)
    return line[line.isfinite()]


@pytest.mark.parametrize("form", [fused, by_masks])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize(
    ("name", "own"),
    [
        *SETTINGS,
        ("focal", {"gamma": 5.0}),
        ("focal_star", {"gamma": 0.5, "weight_cap": 1e6}),
        ("focal_star", {"gamma": 5.0, "weight_cap": None}),
        ("focal_appendix", {"gamma": 1.0, "beta": 0.0}),
        ("focal_appendix", {"gamma": 4.0, "beta": 6.0}),
    ],
)
def test_fused_is_written_on_the_whole_line_of_logits(name, own, dtype, form):
    """Elementwise: a sum would hide small losses behind large ones."""
    line = line_of_logits(dtype, own["gamma"])
    logits = line[:, None].repeat(1, K)
    wide = torch.promote_types(dtype, torch.float32)
    # The exponent of exp(gamma s) reaches 69 in float32, 553 in float64, and its rounding with it.
    rtol = torch.finfo(wide).eps * (100 if wide == torch.float32 else 1000)
    for label in (1, K):
        labels = torch.full((len(line),), label)
        for alpha in (None, 0.25):
            _, gradient = form(name, logits, labels, alpha=alpha, **own)
            _, expected = reference(name, logits, labels, alpha=alpha, **own)
            tolerance = {"rtol": max(rtol, 2 * torch.finfo(dtype).eps), "atol": 1e-30}
            if dtype == torch.float16:
                tolerance["atol"] = 1e-7  # half its smallest number
            torch.testing.assert_close(gradient, expected, **tolerance)
    options = {"alpha": 0.25, **own}
    for x in line[:: 7 if dtype == torch.float32 else 29]:
        for label in (0, 1):
            found = fused_loss(name, x.view(1, 1), torch.tensor([label]), **options)
            target = torch.tensor([[label == 0]])
            expected = LOSSES[name](x.view(1, 1), target, reduction="sum", **options)
            torch.testing.assert_close(found, expected, rtol=rtol, atol=1e-30)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_what_stands_for_no_loss_has_none(name, own, dtype):
    for part in FUSED[name](torch.full((20,), forms.NO_LOSS, dtype=dtype), **own):
        assert (part == 0).all()


@pytest.mark.parametrize("label", [-1, K, 2])
def test_all_anchors_may_be_of_one_kind(label):
    logits, labels = random_logits(), torch.full((N, R), label)
    expected = reference("focal", logits, labels, alpha=0.25, gamma=2.0)
    found = fused("focal", logits, labels, alpha=0.25, gamma=2.0)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    if label == -1:
        assert found[0] == 0 and (found[1] == 0).all()


def test_no_anchors_have_no_loss():
    total, gradient = fused(
        "ce", torch.zeros(2, 0, K), torch.zeros(2, 0, dtype=torch.int64), alpha=None, gamma=0.0
    )
    assert total == 0 and gradient.shape == (2, 0, K)


def test_what_is_ignored_may_be_anything():
    logits, labels = random_logits(), random_labels()
    expected = fused("focal_star", logits, labels, alpha=0.5, gamma=0.5, weight_cap=None)
    logits[labels == -1] = float("nan")
    found = fused("focal_star", logits, labels, alpha=0.5, gamma=0.5, weight_cap=None)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    logits[labels == K] = float("nan")
    assert fused("focal_star", logits, labels, alpha=0.5, gamma=0.5, weight_cap=None)[0].isnan()


def test_a_positives_own_loss_is_not_lost_beside_a_large_one():
    """Its logit as that of a negative would cost 1e26, in whose rounding all else would vanish."""
    logits = torch.tensor([[60.0, 0.0]])
    total, _ = fused(
        "focal_star", logits, torch.tensor([0]), alpha=None, gamma=1.0, weight_cap=None
    )
    assert total == pytest.approx(0.6931472)


def test_the_gradient_is_scaled_by_that_of_what_follows():
    logits, labels = random_logits(torch.float32), random_labels()
    _, gradient = fused("focal", logits, labels, alpha=0.25, gamma=2.0)
    logits.requires_grad_()
    (3 * fused_loss("focal", logits, labels, alpha=0.25, gamma=2.0)).backward()
    torch.testing.assert_close(logits.grad, 3 * gradient)


def test_a_float16_gradient_survives_until_the_loss_is_scaled():
    """1e-9 is no float16 and 65536 times it is."""
    logits = torch.full((1, K), -3.0, dtype=torch.float16, requires_grad=True)
    loss = fused_loss("ce", logits, torch.tensor([K]), alpha=None, gamma=0.0, scale=1e-7)
    (loss * 65536).backward()
    expected = 65536 * 1e-7 * torch.sigmoid(torch.tensor(-3.0))
    torch.testing.assert_close(logits.grad.float(), expected.expand(1, K), rtol=1e-3, atol=0)


@pytest.mark.parametrize("form", [forms.in_blocks, forms.in_masked_blocks])
def test_a_loss_scale_too_large_for_float16_overflows(form):
    """A GradScaler then skips the step and halves its scale; a clipped gradient would be wrong."""
    logits = torch.full((1, 1), -4.595, dtype=torch.float16, requires_grad=True)  # sigmoid is .01
    options = {"alpha": 0.25, "gamma": 2.0, "weight_cap": None, "scale": 0.01}
    gradients = []
    for loss_scale in (1, 128, 65536):
        loss = fused_loss("focal_star", logits, torch.tensor([0]), form=form, **options)
        gradients.append(torch.autograd.grad(loss * loss_scale, logits)[0].item())
    assert gradients[1] == pytest.approx(128 * gradients[0], rel=1e-3)
    assert gradients[2] == float("-inf")


def test_logits_of_any_layout():
    logits, labels = random_logits(), random_labels()
    expected = fused("focal", logits, labels, alpha=0.25, gamma=2.0)
    turned = logits.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not turned.is_contiguous()
    total = fused_loss("focal", turned.requires_grad_(), labels, alpha=0.25, gamma=2.0)
    torch.testing.assert_close(total.detach(), expected[0])


def test_the_logits_are_left_as_they_are():
    logits, labels = random_logits(torch.float32), random_labels()
    before = logits.clone()
    fused_loss("focal_star", logits, labels, alpha=0.5, gamma=0.5, weight_cap=None)
    torch.testing.assert_close(logits, before, rtol=0, atol=0)


def test_it_cannot_be_differentiated_twice():
    logits = random_logits().requires_grad_()
    loss = fused_loss("focal", logits, random_labels(), alpha=0.25, gamma=2.0)
    (gradient,) = torch.autograd.grad(loss * loss, logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"labels have the shape \(2,\), logits \(3, 7\)"):
        fused_loss("ce", torch.zeros(3, K), torch.zeros(2, dtype=torch.int64), alpha=None, gamma=0)
