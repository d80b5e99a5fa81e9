"""The Triton kernel against the reference; :mod:`test_triton` runs it in a process of its own.

On a GPU it is compiled. Elsewhere ``TRITON_INTERPRET=1`` must be set before Triton is imported.
"""

from functools import partial

import pytest
import torch

from focal_star.kernels import fused_loss, fused_or_none
from focal_star.kernels import triton as kernels
from focal_star.losses import LOSSES
from tests.focal_star.kernels.test_eager import (
    IDS,
    SETTINGS,
    K,
    fused,
    random_labels,
    random_logits,
    reference,
)

DEVICE = "cpu" if kernels.INTERPRETED else "cuda"


def in_triton(name, logits, labels, scale=1.0, **options):
    total, gradient = fused(
        name,
        logits.to(DEVICE),
        labels.to(DEVICE),
        scale,
        form=kernels.in_one_kernel,
        **options,
    )
    return total.cpu(), gradient.cpu()


@pytest.fixture(autouse=True)
def few_entries(monkeypatch):
    """Several programs, the last of which is not full."""
    monkeypatch.setattr(kernels, "ENTRIES", 256)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_loss_and_gradient_are_the_references(name, own, dtype):
    logits, labels = random_logits(dtype), random_labels()
    assert logits.numel() % kernels.ENTRIES
    for alpha in (None, 0.25):
        total, gradient = in_triton(name, logits, labels, 0.01, alpha=alpha, **own)
        expected = reference(name, logits, labels, 0.01, alpha=alpha, **own)
        assert gradient.dtype == dtype
        torch.testing.assert_close(total, expected[0], rtol=2e-6, atol=0)
        tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 1e-7}
        torch.testing.assert_close(gradient, expected[1], **tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_extreme_logits_give_the_references_finite_numbers(name, own, dtype):
    extremes = [0.0, 1e-30, 5.0, 17.0, 40.0, 89.0, 800.0, 6e4, 1e30, float("inf")]
    values = [value for x in extremes for value in (x, -x)]
    logits = torch.tensor(values, dtype=torch.float64).to(dtype)[:, None].repeat(1, K)
    labels = torch.arange(len(values)) % (K + 1)
    total, gradient = in_triton(name, logits, labels, alpha=0.25, **own)
    expected_total, expected_gradient = reference(name, logits, labels, alpha=0.25, **own)
    assert total.isfinite() and gradient.isfinite().all()
    torch.testing.assert_close(total, expected_total, rtol=1e-5, atol=0)
    tolerance = {"rtol": max(1e-4, 4 * torch.finfo(dtype).eps), "atol": 1e-6}
    torch.testing.assert_close(gradient, expected_gradient, **tolerance)


def test_what_is_ignored_may_be_anything():
    logits, labels = random_logits(torch.float32), random_labels()
    own = {"alpha": 0.5, "gamma": 0.5, "weight_cap": None}
    expected = in_triton("focal_star", logits, labels, **own)
    logits[labels == -1] = float("nan")
    found = in_triton("focal_star", logits, labels, **own)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    logits[labels == K] = float("nan")
    assert in_triton("focal_star", logits, labels, **own)[0].isnan()


def test_without_a_gradient_there_is_the_same_sum():
    logits, labels = random_logits(torch.float32), random_labels()
    own = {"alpha": 0.25, "gamma": 1.5}
    expected, _ = in_triton("focal", logits, labels, **own)
    before = logits.clone()
    moved = logits.to(DEVICE), labels.to(DEVICE)
    total = fused_loss("focal", *moved, form=kernels.in_one_kernel, **own)
    assert total.cpu() == expected
    torch.testing.assert_close(moved[0].cpu(), before, rtol=0, atol=0)


def test_the_scale_may_be_a_tensor():
    logits, labels = random_logits(torch.float32), random_labels()
    own = {"alpha": 0.25, "gamma": 2.0}
    expected = in_triton("focal", logits, labels, 1 / 90.1, **own)
    scale = torch.tensor(1 / 90.1, dtype=torch.float64, device=DEVICE)
    found = in_triton("focal", logits, labels, scale, **own)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_float64_and_no_anchors_are_left_to_the_eager_form():
    own = {"alpha": 0.25, "gamma": 2.0}
    found = in_triton("focal", random_logits(), random_labels(), **own)
    expected = reference("focal", random_logits(), random_labels(), **own)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    nothing = torch.zeros(2, 0, K), torch.zeros(2, 0, dtype=torch.int64)
    assert in_triton("focal", *nothing, **own)[0] == 0


def test_it_is_chosen_where_it_can_run():
    options = {"alpha": 0.25, "gamma": 2.0}
    loss = partial(LOSSES["focal"], reduction="sum", **options)
    chosen = fused_or_none("focal", loss, kernel="triton", num_classes=K, device=DEVICE, **options)
    assert chosen.keywords["form"] is kernels.in_one_kernel
