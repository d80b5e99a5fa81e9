"""The host waits for a GPU in the losses to log the positive anchors, as Detectron2 does, once.

That is before anything of a loss is computed; nothing after it waits. On a machine without a GPU
the losses are computed on tensors of the device "meta", which have no numbers: whatever needs one
to continue, as the host needs it from a GPU, fails there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from detectron2.modeling import RetinaNet
from detectron2.structures import Boxes
from detectron2.utils.events import EventStorage

from focal_star.losses import LOSSES
from focal_star.losses.fused import FORMS, FUSED
from focal_star.modeling.retinanet import FocalStarRetinaNet
from tests.focal_star.modeling.test_retinanet import batch, build

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
LEVELS = (50, 9)


def arguments(num_classes: int, device: str) -> list:
    """Of ``losses()``, for two images: one positive, one ignored, the others background."""
    labels = torch.full((2, sum(LEVELS)), num_classes)
    labels[0, 3], labels[1, 5] = 2, -1
    anchors = [Boxes(torch.tensor([[0.0, 0, 10, 10]] * number, device=device)) for number in LEVELS]
    boxes = torch.tensor([[1.0, 1, 12, 9]] * sum(LEVELS), device=device)
    outputs = [
        [torch.zeros(2, number, size, device=device, requires_grad=True) for number in LEVELS]
        for size in (num_classes, 4)
    ]
    return [anchors, outputs[0], list(labels.to(device)), outputs[1], [boxes, boxes]]


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses without the one thing that waits."""
    monkeypatch.setattr(FocalStarRetinaNet, "_log_num_pos_anchors", lambda *_, **__: None)


def step(model: RetinaNet, given: list) -> dict[str, torch.Tensor]:
    with EventStorage():
        losses = model.losses(*given)
        sum(losses.values()).backward()
    return losses


@pytest.mark.parametrize("loss", FUSED)
def test_nothing_else_needs_a_number(tiny_cfg, unlogged, loss):
    losses = step(build(tiny_cfg, loss), arguments(10, "meta"))
    assert {x.device.type for x in losses.values()} == {"meta"}


def test_detectron2s_own_losses_do(tiny_cfg):
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        step(build(tiny_cfg, "focal", "RetinaNet"), arguments(10, "meta"))


def test_the_running_normalizer_is_detectron2s_to_the_bit(tiny_cfg):
    ours, theirs = build(tiny_cfg, "focal"), build(tiny_cfg, "focal", "RetinaNet")
    labels = torch.full((7, sum(LEVELS)), 10)
    for positives in (0, 1, 3, 7, 7):
        labels[:positives, positives] = 1
        for model in (ours, theirs):
            given = arguments(10, "cpu")
            given[1:] = [
                [torch.zeros(7, number, 10) for number in LEVELS],
                list(labels),
                [torch.zeros(7, number, 4) for number in LEVELS],
                given[4][:1] * 7,
            ]
            with EventStorage() as storage:
                model.losses(*given)
                assert "num_pos_anchors" in storage.latest()
        assert float(ours.loss_normalizer) == theirs.loss_normalizer != 100.0


def test_the_positive_anchors_are_logged_before_a_loss_is_computed(tiny_cfg, monkeypatch):
    model = build(tiny_cfg, "focal")
    monkeypatch.setattr(model, "divided_losses", lambda *_: {})
    with EventStorage() as storage:
        model.losses(*arguments(10, "cpu"))
        assert storage.latest()["num_pos_anchors"] == (0.5, 0)


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@NEEDS_GPU
@pytest.mark.parametrize("kernel", FORMS)
def test_a_gpu_is_not_waited_for(tiny_cfg, unlogged, kernel):
    tiny_cfg.MODEL.DEVICE, tiny_cfg.MODEL.FOCAL_STAR.KERNEL = "cuda", kernel
    model, given = build(tiny_cfg, "focal_star"), arguments(10, "cuda")
    step(model, given)  # what is compiled and kept for good
    with waiting_is_an_error():
        losses = step(model, given)
    assert all(x.isfinite() for x in losses.values())


@NEEDS_GPU
def test_waiting_would_be_seen(tiny_cfg):
    tiny_cfg.MODEL.DEVICE = "cuda"
    model, given = build(tiny_cfg, "focal", "RetinaNet"), arguments(10, "cuda")
    with pytest.raises(RuntimeError, match="synchroniz"), waiting_is_an_error():
        step(model, given)


@NEEDS_GPU
@pytest.mark.parametrize("loss", LOSSES)
def test_a_gpu_computes_what_the_cpu_does(tiny_cfg, loss):
    found = []
    for device in ("cpu", "cuda"):
        tiny_cfg.MODEL.DEVICE = device
        model = build(tiny_cfg, loss)
        with EventStorage() as storage:
            losses = model(batch())
            found.append([*(x.item() for x in losses.values()), storage.latest()])
    assert found[1][:2] == pytest.approx(found[0][:2], rel=1e-3)
    assert found[1][2] == found[0][2]
