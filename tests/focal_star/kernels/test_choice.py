"""Which form of a loss is used."""

from functools import partial

import pytest
import torch

from focal_star.kernels import FUSED, fused_or_none
from focal_star.losses import LOSSES, focal_star_loss
from tests.focal_star.kernels.test_eager import IDS, SETTINGS


def chosen(name, loss, **options):
    return fused_or_none(name, partial(loss, reduction="sum", **options), **options)


@pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 1.0])
@pytest.mark.parametrize(("name", "own"), SETTINGS, ids=IDS)
def test_a_loss_as_it_stands_is_fused(name, own, alpha):
    assert chosen(name, LOSSES[name], alpha=alpha, **own).func.__name__ == "fused_loss"


def test_it_is_also_found_where_no_gradient_is_wanted():
    with torch.inference_mode():
        assert chosen("focal", LOSSES["focal"], alpha=0.25, gamma=2.0)


@pytest.mark.parametrize(
    "changed",
    [
        lambda x, y, **options: 1.001 * focal_star_loss(x, y, **options),
        lambda x, y, **options: focal_star_loss(x.clamp(max=15), y, **options),
        lambda x, y, **options: focal_star_loss(x, y, **options | {"alpha": 0.3}),
    ],
    ids=["factor", "at hard examples alone", "alpha"],
)
def test_a_loss_that_was_changed_is_not(changed, caplog):
    options = {"alpha": 0.25, "gamma": 0.5, "weight_cap": None}
    assert chosen("focal_star", changed, **options) is None
    assert "fused form of the loss focal_star computes something else" in caplog.text


def test_a_loss_of_ones_own_has_none(caplog):
    assert "mine" not in FUSED
    assert chosen("mine", LOSSES["ce"], alpha=None, gamma=0.0) is None
    assert not caplog.text
