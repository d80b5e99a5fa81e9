"""FocalStarRetinaNet against Detectron2's own RetinaNet."""

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import META_ARCH_REGISTRY, RetinaNet, build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from focal_star.losses import LOSSES
from focal_star.modeling.retinanet import FocalStarRetinaNet


def build(cfg: CfgNode, loss: str, architecture: str = "FocalStarRetinaNet") -> RetinaNet:
    cfg = cfg.clone()
    cfg.MODEL.FOCAL_STAR.LOSS = loss
    cfg.MODEL.META_ARCHITECTURE = architecture
    torch.manual_seed(0)
    return build_model(cfg).train()


def batch() -> list[dict]:
    """Three images: two digits, one digit, none."""
    generator = torch.Generator().manual_seed(1)
    inputs = []
    for boxes, classes in (
        ([[10, 10, 40, 50], [60, 70, 90, 120]], [3, 7]),
        ([[5, 60, 25, 80]], [0]),
        ([], []),
    ):
        truth = Instances((128, 128))
        truth.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        truth.gt_classes = torch.tensor(classes, dtype=torch.int64)
        image = torch.randint(0, 256, (3, 128, 128), generator=generator).float()
        inputs.append({"image": image, "instances": truth})
    return inputs


def steps(model: RetinaNet, number: int = 2) -> tuple[list[dict[str, float]], dict]:
    """Losses of some steps without an update between, and the summed gradients."""
    with EventStorage():
        losses = [model(batch()) for _ in range(number)]
        sum(sum(each.values()) for each in losses).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return [{k: v.item() for k, v in each.items()} for each in losses], gradients


def test_with_focal_it_is_detectron2s_retinanet(tiny_cfg):
    tiny_cfg.MODEL.RETINANET.SUBNET_INIT = "normal"
    theirs, their_gradients = steps(build(tiny_cfg, "focal", "RetinaNet"))
    ours, our_gradients = steps(build(tiny_cfg, "focal"))
    assert [set(each) for each in ours] == [{"loss_cls", "loss_box_reg"}] * 2
    for mine, expected in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(expected, rel=1e-5)
    assert theirs[0] != theirs[1]  # the normaliser moved: it was compared too
    assert our_gradients.keys() == their_gradients.keys()
    for name, gradient in their_gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, rtol=1e-4, atol=1e-6)


def test_each_training_step_logs_the_positive_anchors_as_detectron2_does(tiny_cfg):
    """Under any trainer: nothing but the model is called."""
    logged = []
    for architecture in ("RetinaNet", "FocalStarRetinaNet"):
        model = build(tiny_cfg, "focal", architecture)
        with EventStorage() as storage:
            model(batch())
            logged.append(storage.latest())
    assert logged[0] == logged[1] and logged[0]["num_pos_anchors"][0] > 0


def test_it_has_the_parts_of_detectron2(tiny_cfg):
    ours, theirs = build(tiny_cfg, "focal"), build(tiny_cfg, "focal", "RetinaNet")
    for name in ("head", "anchor_generator", "backbone", "anchor_matcher"):
        assert type(getattr(ours, name)) is type(getattr(theirs, name))
    for method in ("forward", "preprocess_image", "label_anchors", "visualize_training"):
        assert getattr(FocalStarRetinaNet, method) is getattr(RetinaNet, method)


def test_it_is_registered():
    assert META_ARCH_REGISTRY.get("FocalStarRetinaNet") is FocalStarRetinaNet


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_cls_is_the_sum_over_anchors_that_count(tiny_cfg, loss):
    model = build(tiny_cfg, loss)
    num_classes, anchors = model.num_classes, [Boxes(torch.tensor([[0.0, 0, 10, 10]] * 4))]
    logits = torch.linspace(-3, 2, 4 * num_classes).reshape(1, 4, num_classes)
    labels = torch.tensor([2, num_classes, -1, num_classes])  # positive, background, ignored, ...
    deltas, boxes = torch.zeros(1, 4, 4), torch.tensor([[0.0, 0, 10, 10]] * 4)
    with EventStorage():
        found = model.losses(anchors, [logits], [labels], [deltas], [boxes])
    targets = torch.zeros(4, num_classes)
    targets[0, 2] = 1
    counted = [0, 1, 3]
    expected = LOSSES[loss](
        logits[0][counted],
        targets[counted],
        alpha=model.focal_loss_alpha,
        gamma=model.focal_loss_gamma,
        reduction="sum",
    )
    # One positive anchor: the running normaliser goes from 100 to 0.9 * 100 + 0.1 * 1.
    torch.testing.assert_close(found["loss_cls"], expected / 90.1)
    assert found["loss_box_reg"] == 0  # the deltas are those of the matched box


def test_the_options_of_a_loss_reach_it(tiny_cfg):
    tiny_cfg.MODEL.FOCAL_STAR.WEIGHT_CAP = 3.0
    tiny_cfg.MODEL.FOCAL_STAR.BETA = 0.5
    assert build(tiny_cfg, "focal_star").classification_loss.keywords["weight_cap"] == 3.0
    assert build(tiny_cfg, "focal_appendix").classification_loss.keywords["beta"] == 0.5
    tiny_cfg.MODEL.RETINANET.FOCAL_LOSS_ALPHA = None
    assert build(tiny_cfg, "ce").classification_loss.keywords["alpha"] is None


def test_bad_losses_are_refused_when_the_model_is_built(tiny_cfg):
    with pytest.raises(ValueError, match="'fl'; valid: ce, focal, focal_star, focal_appendix"):
        build(tiny_cfg, "fl")
    tiny_cfg.MODEL.RETINANET.FOCAL_LOSS_ALPHA = -1.0
    with pytest.raises(ValueError, match="None for no weighting"):
        build(tiny_cfg, "focal")


def test_inference_is_detectron2s(tiny_cfg):
    ours, theirs = (
        build(tiny_cfg, "focal_star").eval(),
        build(tiny_cfg, "focal", "RetinaNet").eval(),
    )
    inputs = [{"image": each["image"]} for each in batch()]
    with torch.no_grad():
        for mine, expected in zip(ours(inputs), theirs(inputs), strict=True):
            torch.testing.assert_close(
                mine["instances"].pred_boxes.tensor, expected["instances"].pred_boxes.tensor
            )


def test_a_new_loss_gets_the_options_that_it_names(tiny_cfg, monkeypatch):
    def mine(logits, targets, *, alpha=None, gamma=1.0, reduction="none", beta=0.0):
        return LOSSES["ce"](logits, targets, alpha=alpha, reduction=reduction) * (gamma + beta)

    monkeypatch.setitem(LOSSES, "mine", mine)
    tiny_cfg.MODEL.FOCAL_STAR.BETA, tiny_cfg.MODEL.FOCAL_STAR.WEIGHT_CAP = 2.0, 5.0
    model = build(tiny_cfg, "mine")
    options = model.classification_loss.keywords
    assert options.keys() == {"reduction", "alpha", "gamma", "beta"}
    assert options["beta"] == 2.0
    assert model.fused_loss is None
