"""Which form of a loss is used."""

from functools import partial

import pytest
import torch
from detectron2.modeling import build_model

from focal_star.config import load_config
from focal_star.errors import ConfigError
from focal_star.losses import LOSSES, focal, focal_star_loss, fused
from focal_star.losses.fused import FORMS, FUSED, fused_or_none
from focal_star.losses.fused.forms import in_blocks
from tests.focal_star.conftest import MINI
from tests.focal_star.losses.fused.test_eager import IDS, SETTINGS


def chosen(name, loss, kernel="eager", **options):
    return fused_or_none(
        name, partial(loss, reduction="sum", **options), kernel=kernel, num_classes=3, **options
    )


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
    (message,) = caplog.messages
    assert message.startswith("loss 'focal_star' is <function <lambda>")
    assert message.endswith("its fused form is not used, so a step takes longer")


def test_a_helper_that_was_replaced_in_this_process_is_trained_as_it_is(monkeypatch, caplog):
    monkeypatch.setattr(focal, "softplus", lambda x: torch.nn.functional.softplus(x) * 2)
    assert chosen("focal", LOSSES["focal"], alpha=0.25, gamma=2.0) is None
    (message,) = caplog.messages
    assert "softplus differs from" in message and "so a step takes longer" in message


def test_a_loss_of_ones_own_has_none(caplog):
    assert "mine" not in FUSED
    assert chosen("mine", LOSSES["ce"], alpha=None, gamma=0.0) is None
    assert not caplog.text


def test_an_unknown_kernel_is_refused(tiny_cfg):
    with pytest.raises(ConfigError, match="KERNEL is 'mine'; valid: one of eager, compiled$"):
        load_config(MINI, ["MODEL.FOCAL_STAR.KERNEL", "mine"])
    tiny_cfg.MODEL.FOCAL_STAR.KERNEL = "mine"
    with pytest.raises(ValueError, match="KERNEL is 'mine'; valid: eager, compiled$"):
        build_model(tiny_cfg)


@pytest.mark.parametrize("kernel", FORMS)
def test_a_config_chooses_the_kernel(kernel):
    assert load_config(MINI, ["MODEL.FOCAL_STAR.KERNEL", kernel])


def test_a_form_that_fails_gives_way_to_the_eager_one(monkeypatch, caplog):
    def fails(*arguments):
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setattr(fused, "in_one_pass", fails)
    found = chosen("focal", LOSSES["focal"], kernel="compiled", alpha=0.25, gamma=2.0)
    assert "form" not in found.keywords
    (message,) = caplog.messages
    assert message == (
        "MODEL.FOCAL_STAR.KERNEL compiled is unavailable here; falling back to eager: "
        "RuntimeError: no compiler"
    )


def test_every_form_is_compared_with_the_loss(monkeypatch, caplog):
    def wrong(rows, labels, loss, scale, with_gradient):
        total, gradient = in_blocks(rows, labels, loss, scale, with_gradient)
        return total, gradient * 1.001

    monkeypatch.setattr(fused, "in_one_pass", wrong)
    assert chosen("focal", LOSSES["focal"], kernel="compiled", alpha=0.25, gamma=2.0) is None
    assert "has other values than focal_star.losses" in caplog.text


def test_a_form_is_tried_with_what_it_is_for(monkeypatch):
    """So that what is compiled to compare is compiled to train with."""
    seen = []

    def spy(rows, labels, loss, scale, with_gradient):
        seen.append((rows.shape[1], rows.dtype, with_gradient))
        return in_blocks(rows, labels, loss, scale, with_gradient)

    monkeypatch.setattr(fused, "in_one_pass", spy)
    assert chosen("focal", LOSSES["focal"], kernel="compiled", alpha=0.25, gamma=2.0)
    assert set(seen) == {(3, torch.float32, True)}
