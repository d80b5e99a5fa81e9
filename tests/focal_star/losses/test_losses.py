"""The losses, by identities, against mpmath and at the limits of the number types."""

import itertools

import mpmath
import numpy as np
import pytest
import torch
from fvcore.nn import sigmoid_focal_loss, sigmoid_focal_loss_star

from focal_star.losses import (
    LOSSES,
    cross_entropy_loss,
    focal,
    focal_appendix_loss,
    focal_loss,
    focal_star_loss,
    named,
)
from reports.plots.formulas import LOSSES as FORMULAS

TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.linspace(-8, 8, 201)


@pytest.fixture
def labels(logits: torch.Tensor) -> torch.Tensor:
    return (torch.arange(len(logits)) % 3 == 0).float()


@pytest.mark.parametrize("gamma", [0, 0.1, 0.125, 0.25, 0.5, 1, 2, 2.3, 3, 4, 5])
@pytest.mark.parametrize("hard", [True, False], ids=["bool targets", "float targets"])
@pytest.mark.parametrize("label", [0, 1])
def test_focal_star_is_exact_where_float32_can_be(gamma: float, hard: bool, label: int):
    x = torch.linspace(-30, 30, 241)
    targets = torch.full_like(x, label)
    ours = focal_star_loss(x, targets.bool() if hard else targets, gamma=gamma).double()
    compared = 0
    with mpmath.workdps(40):
        for value, found in zip(x.tolist(), ours.tolist(), strict=True):
            s = mpmath.mpf(value) * (1 if label else -1)
            exact = mpmath.exp(-mpmath.mpf(gamma) * s) * mpmath.log1p(mpmath.exp(-s))
            if mpmath.mpf("1e-30") <= exact <= mpmath.mpf("1e30"):
                assert abs(found - exact) <= 2e-5 * exact, (value, found, exact)
                compared += 1
    assert compared > 60  # at gamma = 5 the range of values leaves a quarter of the logits


def test_known_values():
    # At the prior pi = 0.01 and alpha = 0.25 a positive costs alpha ((1 - pi) / pi)^g (-log pi):
    # 0.25 * 99^2 * 4.60517 = 11284, and at gamma = 0.5 0.25 * 9.94987 * 4.60517 = 11.455.
    logit, one = torch.tensor([0.01]).logit(), torch.ones(1)
    assert focal_star_loss(logit, one, alpha=0.25, gamma=2.0).item() == pytest.approx(
        11284, rel=1e-4
    )
    assert focal_star_loss(logit, one, alpha=0.25, gamma=0.5).item() == pytest.approx(
        11.455, rel=1e-4
    )
    # The focal loss: 0.25 * 0.99^2 * 4.60517 = 1.1284.
    assert focal_loss(logit, one, alpha=0.25, gamma=2.0).item() == pytest.approx(1.1284, rel=1e-4)


@pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 1.0])
def test_at_the_neutral_gamma_each_is_the_cross_entropy(logits, labels, alpha):
    expected = cross_entropy_loss(logits, labels, alpha=alpha)
    for loss, gamma in ((focal_loss, 0), (focal_star_loss, 0), (focal_appendix_loss, 1)):
        torch.testing.assert_close(loss(logits, labels, alpha=alpha, gamma=gamma), expected)


def test_cross_entropy_is_that_of_torch(logits, labels):
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, labels, reduction="none"
    )
    torch.testing.assert_close(cross_entropy_loss(logits, labels), expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_focal_losses_are_those_of_fvcore(logits, labels, gamma, reduction):
    options = {"alpha": 0.25, "gamma": gamma, "reduction": reduction}
    torch.testing.assert_close(
        focal_loss(logits, labels, **options), sigmoid_focal_loss(logits, labels, **options)
    )
    torch.testing.assert_close(
        focal_appendix_loss(logits, labels, **options),
        sigmoid_focal_loss_star(logits, labels, **options),
    )


def test_beta_shifts_the_appendix_loss(logits, labels):
    # gamma s + beta with gamma = 2 and beta = 1 is 2 (s + 0.5)
    shifted = focal_appendix_loss(logits + 0.5 * (2 * labels - 1), labels, gamma=2.0)
    torch.testing.assert_close(focal_appendix_loss(logits, labels, gamma=2.0, beta=1.0), shifted)


def test_the_two_functions_named_focal_star_differ(logits, labels):
    assert not torch.allclose(
        focal_star_loss(logits, labels, gamma=2.0), focal_appendix_loss(logits, labels, gamma=2.0)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_alpha_weighs_the_labels(name, logits):
    positive, negative = torch.ones_like(logits), torch.zeros_like(logits)
    loss = LOSSES[name]
    assert loss(logits, negative, alpha=1.0).sum() == 0
    assert loss(logits, positive, alpha=0.0).sum() == 0
    torch.testing.assert_close(
        loss(logits, positive, alpha=0.25), 0.25 * loss(logits, positive, alpha=None)
    )
    torch.testing.assert_close(
        loss(logits, negative, alpha=0.25), 0.75 * loss(logits, negative, alpha=None)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_bool_targets_are_float_targets(name, logits, labels):
    for alpha in (None, 0.1):
        torch.testing.assert_close(
            LOSSES[name](logits, labels.bool(), alpha=alpha),
            LOSSES[name](logits, labels, alpha=alpha),
        )


@pytest.mark.parametrize("name", LOSSES)
def test_label_smoothing_mixes_the_losses_of_the_labels(name, logits, labels):
    # The proposal's eq. 2 for two labels: (1 - eps) loss(q) + eps loss(u), u = 1/2.
    epsilon, loss = 0.1, LOSSES[name]
    smoothed = (1 - epsilon) * labels + epsilon / 2
    uniform = (loss(logits, torch.ones_like(logits)) + loss(logits, torch.zeros_like(logits))) / 2
    expected = (1 - epsilon) * loss(logits, labels) + epsilon * uniform
    torch.testing.assert_close(loss(logits, smoothed), expected)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("hard", [True, False])
def test_gradients(name, gamma, hard):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(40, dtype=torch.float64, generator=generator) * 3).requires_grad_()
    y = torch.rand(40, dtype=torch.float64, generator=generator)
    targets = y > 0.5 if hard else y
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, targets, alpha=0.3, gamma=gamma), x)


def test_gradient_of_focal_star_is_its_formula():
    # d/ds = -alpha_t exp(-gamma s) (gamma softplus(-s) + sigmoid(-s)), and s = x where y = 1
    x = torch.linspace(-6, 6, 49, dtype=torch.float64, requires_grad=True)
    focal_star_loss(x, torch.ones_like(x), alpha=0.25, gamma=0.5, reduction="sum").backward()
    s = x.detach()
    softplus, sigmoid = torch.nn.functional.softplus(-s), torch.sigmoid(-s)
    torch.testing.assert_close(x.grad, -0.25 * torch.exp(-0.5 * s) * (0.5 * softplus + sigmoid))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_every_finite_logit_has_a_finite_loss_and_gradient(name, dtype):
    largest = torch.finfo(dtype).max
    magnitudes = [0.0, 1e-6, 1.0, 20.0, 88.0, 1e3, 1e4, 6e4, largest]
    values = [sign * m for m in magnitudes for sign in (1, -1)]
    for gamma, target, alpha in itertools.product((0.125, 1, 2, 5, 50), (0, 0.3, 1), (None, 0.25)):
        x = torch.tensor(values, dtype=dtype, requires_grad=True)
        loss = LOSSES[name](x, torch.full_like(x, target), alpha=alpha, gamma=gamma)
        loss.sum().backward()
        assert loss.isfinite().all(), (gamma, target, alpha, loss)
        assert loss.sum().isfinite()
        assert x.grad.isfinite().all(), (gamma, target, alpha, x.grad)
        assert (loss >= 0).all()


def test_a_saturated_example_is_still_pulled_back():
    x = torch.tensor([-1e4, 1e4], requires_grad=True)
    focal_star_loss(x, torch.tensor([1.0, 0.0]), gamma=2.0, reduction="sum").backward()
    assert x.grad[0] < 0 < x.grad[1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_inputs_are_computed_in_float32(name, dtype):
    x = torch.linspace(-9, 9, 181).to(dtype)
    y = torch.arange(181) % 2 == 0
    expected = LOSSES[name](x.float(), y, alpha=0.25)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = LOSSES[name](x, y, alpha=0.25)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_reductions(name, logits, labels):
    loss = LOSSES[name]
    each = loss(logits, labels)
    assert each.shape == logits.shape
    torch.testing.assert_close(loss(logits, labels, reduction="sum"), each.sum())
    torch.testing.assert_close(loss(logits, labels, reduction="mean"), each.mean())
    empty = torch.zeros(0)
    assert loss(empty, empty, reduction="sum") == 0


def test_weight_cap_bounds_the_modulating_factor_and_nothing_else():
    x = torch.tensor([-6.0, -1.0, 0.0, 2.0])
    ones = torch.ones_like(x)
    capped = focal_star_loss(x, ones, gamma=1.0, weight_cap=10.0)
    expected = torch.exp(-x).clamp(max=10.0) * torch.nn.functional.softplus(-x)
    torch.testing.assert_close(capped, expected)
    torch.testing.assert_close(capped[1:], focal_star_loss(x, ones, gamma=1.0)[1:])


def test_properties_that_the_proposal_claims():
    p_t = torch.linspace(0.01, 0.99, 99)
    ones = torch.ones_like(p_t)
    star = focal_star_loss(p_t.logit(), ones, gamma=0.5)
    ce, focal = cross_entropy_loss(p_t.logit(), ones), focal_loss(p_t.logit(), ones, gamma=0.5)
    assert (star[p_t < 0.495] > ce[p_t < 0.495]).all()  # hard examples weigh more than in CE
    assert (star[p_t > 0.505] < ce[p_t > 0.505]).all()  # easy ones less
    assert (star > focal).all()  # but no example weighs as little as in FL at the same gamma


@pytest.mark.parametrize("name", FORMULAS)
def test_the_report_draws_these_losses(name):
    p_t = np.linspace(0.01, 0.99, 99)
    x = torch.from_numpy(p_t).logit()
    drawn = FORMULAS[name](p_t, 0.5)
    options = {"beta": 1.0} if name == "focal_appendix" else {}
    trained = LOSSES[name](x, torch.ones_like(x), gamma=0.5, **options)
    np.testing.assert_allclose(drawn, trained, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"alpha": -1}, "None for no weighting"),
        ({"gamma": -0.5}, "gamma is -0.5"),
        ({"gamma": float("nan")}, "gamma is nan"),
        ({"gamma": float("inf")}, "gamma is inf"),
        ({"reduction": "avg"}, "'none', 'sum', 'mean'"),
        ({"weight_cap": 0.0}, "weight_cap is 0.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        focal_star_loss(torch.zeros(2), torch.zeros(2), **arguments)


def test_a_name_that_is_taken_is_refused_with_both_files():
    with pytest.raises(ValueError) as error:
        named("focal")(lambda logits, targets: logits)
    assert str(error.value) == (
        f"loss 'focal' of {__file__} is already registered by {focal.__file__}; choose another "
        "name in one of them"
    )
    assert LOSSES["focal"] is focal.focal_loss


def test_bad_gamma_and_shapes_are_refused():
    with pytest.raises(ValueError, match="gamma is 0; valid: a finite number > 0"):
        focal_appendix_loss(torch.zeros(2), torch.zeros(2), gamma=0)
    with pytest.raises(ValueError, match=r"\(2,\), logits \(3,\)"):
        focal_loss(torch.zeros(3), torch.zeros(2))
