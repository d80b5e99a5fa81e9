"""Which anchors hard example mining takes, against a few lines of plain Python, and its step."""

from functools import partial

import pytest
import torch
from detectron2.layers import cat
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor

from focal_star.losses import LOSSES
from focal_star.modeling.ohem import METHODS, select_anchors

THRESHOLDS = (0.5, 0.7)


def iou(a: list[float], b: list[float]) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(w, 0.0) * max(h, 0.0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return intersection / (areas - intersection)


def oracle(
    losses: Tensor,
    valid: Tensor,
    positive: Tensor,
    boxes: Tensor,
    *,
    method: str,
    batch_size: int,
    nms_thresh: float,
) -> list[int]:
    """The definition, word by word: rank, suppress by comparing all pairs, take."""
    losses, valid, positive, boxes = (x.tolist() for x in (losses, valid, positive, boxes))
    ranking = sorted((-loss, i) for i, loss in enumerate(losses) if valid[i])
    kept: list[int] = []
    for _, i in ranking:
        if all(iou(boxes[i], boxes[j]) <= nms_thresh for j in kept):
            kept.append(i)
    if method == "ohem":
        return sorted(kept[:batch_size])
    positives = [i for i in kept if positive[i]][: batch_size // 4]
    negatives = [i for i in kept if not positive[i]][: 3 * (len(positives) or 1)]
    return sorted(positives + negatives)


def case(seed: int) -> tuple[dict[str, Tensor], int]:
    """Anchors at whole px, so that no IoU hangs on rounding, and a batch size."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    number = int(draw(0, 60))
    crowded = bool(draw(0, 2))  # many anchors are suppressed
    corner = draw(0, 5 if crowded else 12, number, 2)
    side = draw(6 if crowded else 1, 12, number, 2)
    levels = (2, 5, 1000)[int(draw(0, 3))]  # two levels: most losses are tied
    share = (0.0, 0.05, 0.3, 1.0)[int(draw(0, 4))]  # of positives
    taking_part = (0.0, 0.5, 0.9, 1.0)[int(draw(0, 4))]
    valid = torch.rand(number, generator=generator) < taking_part
    tensors = {
        "losses": draw(0, levels, number) / levels,
        "valid": valid,
        "positive": valid & (torch.rand(number, generator=generator) < share),
        "boxes": torch.cat([corner, corner + side], dim=1).float(),
    }
    return tensors, int(draw(4, 24))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("nms_thresh", THRESHOLDS)
def test_it_takes_what_the_definition_takes(method, nms_thresh):
    seen = set()
    for seed in range(500):
        tensors, batch_size = case(seed)
        options = {"method": method, "batch_size": batch_size, "nms_thresh": nms_thresh}
        expected = oracle(**tensors, **options)
        found = select_anchors(**tensors, **options)
        assert found.nonzero().flatten().tolist() == expected, (seed, options)
        number = int(tensors["valid"].sum())
        seen.add("nobody takes part" if number == 0 else "some do")
        seen.add("no positives" if not tensors["positive"].any() else "positives")
        seen.add("few anchors" if number < batch_size else "many anchors")
        seen.add("a full batch" if len(expected) == batch_size else "less than a batch")
        # More than the first of the ranking had to be tried.
        first = (
            tensors["losses"]
            .where(tensors["valid"], -1.0)
            .argsort(descending=True, stable=True)[:batch_size]
        )
        if number > len(first) and not set(expected) <= set(first.tolist()):
            seen.add("tried more")
    assert seen == {
        "nobody takes part", "some do", "no positives", "positives", "few anchors", "many anchors",
        "a full batch", "less than a batch", "tried more",
    }  # fmt: skip


@pytest.mark.parametrize("nms_thresh", THRESHOLDS)
def test_an_anchor_at_the_threshold_stays(nms_thresh):
    inside = 10 * nms_thresh  # IoU with the first: inside / 10
    boxes = torch.tensor([[0, 0, 10, 1], [0, 0, inside, 1], [0, 0, inside + 1, 1]])
    taken = select_anchors(
        torch.tensor([3.0, 2.0, 1.0]), torch.ones(3).bool(), torch.zeros(3).bool(), boxes,
        method="ohem", batch_size=3, nms_thresh=nms_thresh,
    )  # fmt: skip
    assert taken.tolist() == [True, True, False]


def test_an_image_without_positives_gives_three_negatives():
    boxes = torch.tensor([[10.0 * i, 0, 10 * i + 5, 5] for i in range(6)])
    taken = select_anchors(
        torch.arange(6.0), torch.ones(6).bool(), torch.zeros(6).bool(), boxes,
        method="ohem_1_3", batch_size=16, nms_thresh=0.5,
    )  # fmt: skip
    assert taken.tolist() == [False] * 3 + [True] * 3


def model_of(cfg, method: str | None, loss: str = "ce"):
    cfg = cfg.clone()
    cfg.MODEL.OHEM.METHOD = method
    cfg.MODEL.OHEM.BATCH_SIZE = 32
    cfg.MODEL.OHEM.NMS_THRESH = 0.5
    cfg.MODEL.FOCAL_STAR.LOSS = loss
    torch.manual_seed(0)
    return build_model(cfg).train()


def images() -> list[dict]:
    """One with two objects, one with none."""
    inputs = []
    for boxes, classes in (([[10, 10, 40, 50], [60, 70, 90, 120]], [3, 7]), ([], [])):
        truth = Instances((128, 128))
        truth.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        truth.gt_classes = torch.tensor(classes, dtype=torch.int64)
        generator = torch.Generator().manual_seed(1)
        image = torch.randint(0, 256, (3, 128, 128), generator=generator).float()
        inputs.append({"image": image, "instances": truth})
    return inputs


def step(model) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The losses of a step, and what ``losses()`` was called with."""
    seen, losses = {}, model.losses

    def watched(anchors, pred_logits, gt_labels, pred_anchor_deltas, gt_boxes):
        for logits in pred_logits:
            logits.retain_grad()
        seen.update(anchors=anchors, logits=pred_logits, labels=torch.stack(gt_labels))
        return losses(anchors, pred_logits, gt_labels, pred_anchor_deltas, gt_boxes)

    model.losses = watched
    with EventStorage():
        found = model(images())
    return found, seen


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", METHODS)
def test_the_step_counts_the_anchors_of_the_oracle_and_no_other(tiny_cfg, method, loss):
    model = model_of(tiny_cfg, method, loss)
    found, seen = step(model)
    assert all(torch.isfinite(value) for value in found.values())
    found["loss_cls"].backward()
    gradient = cat([logits.grad for logits in seen["logits"]], dim=1).abs().sum(dim=2)
    logits = cat([logits.detach() for logits in seen["logits"]], dim=1)
    targets = torch.zeros(*logits.shape[:2], model.num_classes + 1)
    valid, background = seen["labels"] >= 0, seen["labels"] == model.num_classes
    targets.scatter_(2, seen["labels"].clamp(min=0)[..., None], 1.0)
    elements = partial(LOSSES[loss], **model.classification_loss.keywords | {"reduction": "none"})
    losses = elements(logits, targets[..., :-1]).sum(dim=2)
    total = 0.0
    for i in range(2):
        expected = oracle(
            losses[i], valid[i], valid[i] & ~background[i], Boxes.cat(seen["anchors"]).tensor,
            method=method, batch_size=32, nms_thresh=0.5,
        )  # fmt: skip
        assert 0 < len(expected) <= 32
        assert gradient[i].nonzero().flatten().tolist() == expected
        total += losses[i][expected].sum()
    torch.testing.assert_close(found["loss_cls"], total / float(model.loss_normalizer))


@pytest.mark.parametrize("method", METHODS)
def test_boxes_and_normaliser_are_not_mined(tiny_cfg, method):
    mined, whole = model_of(tiny_cfg, method), model_of(tiny_cfg, None)
    found, expected = step(mined)[0], step(whole)[0]
    assert torch.equal(found["loss_box_reg"], expected["loss_box_reg"])
    assert mined.loss_normalizer == whole.loss_normalizer
    assert found["loss_cls"] < expected["loss_cls"]


def test_an_image_of_ignored_anchors_costs_nothing(tiny_cfg):
    model = model_of(tiny_cfg, "ohem_1_3")
    anchors = [Boxes(torch.tensor([[0.0, 0, 10, 10]] * 3))]
    logits = torch.zeros(1, 3, model.num_classes, requires_grad=True)
    labels, deltas = torch.full((3,), -1), torch.zeros(1, 3, 4)
    with EventStorage():
        found = model.losses(anchors, [logits], [labels], [deltas], [anchors[0].tensor])
    found["loss_cls"].backward()
    assert found["loss_cls"] == 0 and not logits.grad.any()
