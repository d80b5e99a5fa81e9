"""The loss of the boxes by masks, against Detectron2's by positions."""

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import Boxes

from focal_star.compat import box_regression_loss
from focal_star.modeling.box_loss import dense_box_loss, masked_smooth_l1

TRANSFORM = Box2BoxTransform(weights=(1.0, 2.0, 3.0, 4.0))
N, LEVELS = 3, (40, 7)


def boxes(number: int, generator: torch.Generator) -> torch.Tensor:
    corner = torch.rand(number, 2, generator=generator) * 100
    return torch.cat([corner, corner + 5 + torch.rand(number, 2, generator=generator) * 60], dim=1)


@pytest.fixture
def batch():
    """Anchors of two levels, deltas, boxes (those of an image without any are 0), positives."""
    generator = torch.Generator().manual_seed(0)
    anchors = [Boxes(boxes(number, generator)) for number in LEVELS]
    deltas = [torch.randn(N, number, 4, generator=generator) for number in LEVELS]
    truth = [boxes(sum(LEVELS), generator) for _ in range(N)]
    pos_mask = torch.rand(N, sum(LEVELS), generator=generator) < 0.2
    truth[1].zero_()
    pos_mask[1] = False
    assert pos_mask.any()
    return anchors, TRANSFORM, deltas, truth, pos_mask


def with_gradients(loss, batch, *options):
    anchors, transform, deltas, truth, pos_mask = batch
    deltas = [level.clone().requires_grad_() for level in deltas]
    total = loss(anchors, transform, deltas, truth, pos_mask, *options)
    total.backward()
    return total.detach(), [level.grad for level in deltas]


@pytest.mark.parametrize("beta", [0.0, 0.11, 1.0])
def test_it_is_detectron2s(batch, beta):
    expected = with_gradients(box_regression_loss, batch, "smooth_l1", beta)
    found = with_gradients(masked_smooth_l1, batch, beta)
    assert expected[0] > 0
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("beta", [0.0, 0.11, 1.0])
def test_anchors_that_are_not_positive_have_no_gradient(batch, beta):
    batch[2][0][~batch[4][:, : LEVELS[0]]] = float("inf")
    total, (first, _) = with_gradients(masked_smooth_l1, batch, beta)
    assert total.isfinite() and (first[~batch[4][:, : LEVELS[0]]] == 0).all()


@pytest.mark.parametrize("loss_type", ["smooth_l1", "giou"])
def test_on_a_cpu_it_is_detectron2s_to_the_bit(batch, loss_type):
    expected = with_gradients(box_regression_loss, batch, loss_type, 0.1)
    found = with_gradients(dense_box_loss, batch, loss_type, 0.1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_narrow_deltas_are_computed_wide(batch):
    anchors, transform, deltas, truth, pos_mask = batch
    narrow = [level.bfloat16() for level in deltas]
    found = dense_box_loss(anchors, transform, narrow, truth, pos_mask, "smooth_l1", 0.0)
    wide = [level.float() for level in narrow]
    expected = dense_box_loss(anchors, transform, wide, truth, pos_mask, "smooth_l1", 0.0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
