"""The compiled form against the eager one and the reference."""

import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from focal_star.losses import LOSSES
from focal_star.losses.fused import fused_or_none
from focal_star.losses.fused.forms import in_one_pass
from tests.focal_star.losses.fused.test_eager import (
    IDS,
    SETTINGS,
    K,
    R,
    fused,
    random_labels,
    random_logits,
    reference,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")),
        reason="torch.compile needs a C++ compiler",
    ),
]

compiled = partial(fused, form=in_one_pass)


@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_loss_and_gradient_are_the_references(name, own):
    logits, labels = random_logits(torch.float32), random_labels()
    for alpha in (None, 0.25):
        found = compiled(name, logits, labels, 0.01, alpha=alpha, **own)
        expected = reference(name, logits, labels, 0.01, alpha=alpha, **own)
        torch.testing.assert_close(found, expected, rtol=4e-6, atol=1e-8)


@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_extreme_logits_give_the_references_finite_numbers(name, own):
    extremes = [0.0, 1e-30, 5.0, 17.0, 40.0, 89.0, 800.0, 6e4, 1e30, float("inf")]
    values = [value for x in extremes for value in (x, -x)]
    logits = torch.tensor(values, dtype=torch.float32)[:, None].repeat(1, K)
    labels = torch.arange(len(values)) % (K + 1)
    total, gradient = compiled(name, logits, labels, alpha=0.25, **own)
    expected_total, expected_gradient = reference(name, logits, labels, alpha=0.25, **own)
    assert total.isfinite() and gradient.isfinite().all()
    torch.testing.assert_close(total, expected_total, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_types_give_the_references_numbers(dtype):
    own = {"gamma": 0.5, "weight_cap": None}
    logits, labels = random_logits(dtype), random_labels()
    total, gradient = compiled("focal_star", logits, labels, alpha=0.25, **own)
    expected_total, expected_gradient = reference("focal_star", logits, labels, alpha=0.25, **own)
    assert gradient.dtype == dtype
    torch.testing.assert_close(total, expected_total, rtol=2e-6, atol=0)
    tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 1e-6 if dtype.itemsize < 4 else 1e-14}
    torch.testing.assert_close(gradient, expected_gradient, **tolerance)


def test_neither_another_size_nor_other_numbers_compile_again():
    logits, labels = random_logits(torch.float32), random_labels()
    compiled("focal", logits, labels, alpha=0.25, gamma=2.0)
    before = counters["stats"]["unique_graphs"]
    for size, alpha, gamma in ((R, 0.5, 1.7), (R - 3, 0.25, 0.0), (2, None, 5.0), (1, 0.1, 2.0)):
        own = {"alpha": alpha, "gamma": gamma}
        found = compiled("focal", logits[:, :size], labels[:, :size], **own)
        expected = reference("focal", logits[:, :size], labels[:, :size], **own)
        torch.testing.assert_close(found, expected, rtol=4e-6, atol=1e-7)
    assert counters["stats"]["unique_graphs"] == before
    compiled("focal", logits.repeat(1, 1, 2), labels, alpha=0.25, gamma=2.0)  # twice the classes
    assert counters["stats"]["unique_graphs"] == before + 1


def test_a_scale_that_is_a_tensor_and_autocast_do_not_compile_again():
    logits, labels = random_logits(torch.float32), random_labels()
    own = {"alpha": 0.25, "gamma": 2.0}
    expected = compiled("focal", logits, labels, 1 / 90.1, **own)
    before = counters["stats"]["unique_graphs"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = compiled("focal", logits, labels, torch.tensor(1 / 90.1).double(), **own)
    torch.testing.assert_close(found, expected)
    assert counters["stats"]["unique_graphs"] == before


@pytest.mark.parametrize("size", [0, 1])
def test_few_anchors(size):
    logits, labels = random_logits()[0, :size], random_labels()[0, :size]
    found = compiled("ce", logits, labels, alpha=None, gamma=0.0)
    expected = reference("ce", logits, labels, alpha=None, gamma=0.0)
    torch.testing.assert_close(found, expected)


def test_what_is_ignored_may_be_anything():
    logits, labels = random_logits(torch.float32), random_labels()
    own = {"alpha": 0.5, "gamma": 0.5, "weight_cap": None}
    expected = compiled("focal_star", logits, labels, **own)
    logits[labels == -1] = float("nan")
    found = compiled("focal_star", logits, labels, **own)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    logits[labels == K] = float("nan")
    assert compiled("focal_star", logits, labels, **own)[0].isnan()


def test_it_is_chosen_where_a_compiler_is():
    options = {"alpha": 0.25, "gamma": 2.0}
    loss = partial(LOSSES["focal"], reduction="sum", **options)
    chosen = fused_or_none("focal", loss, kernel="compiled", num_classes=K, **options)
    assert chosen.keywords["form"] is in_one_pass


def test_without_a_compiler_the_eager_form_is_used(tmp_path):
    code = (
        "from functools import partial\n"
        "from focal_star.losses.fused import fused_or_none\n"
        "from focal_star.losses import focal_loss\n"
        "loss = partial(focal_loss, reduction='sum', alpha=0.25, gamma=2.0)\n"
        "chosen = fused_or_none('focal', loss, kernel='compiled', alpha=0.25, gamma=2.0)\n"
        "print('form' in chosen.keywords)"
    )
    away = {"CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | away, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False"], done.stderr
    assert done.stderr.count("MODEL.FOCAL_STAR.KERNEL") == 1
    assert "KERNEL compiled is unavailable here; falling back to eager" in done.stderr
