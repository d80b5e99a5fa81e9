"""The number of boxes that enter NMS."""

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.modeling.meta_arch import retinanet
from detectron2.modeling.roi_heads import fast_rcnn

from focal_star.config import load_config
from focal_star.evaluation.candidates import CandidateCounter
from focal_star.training import engine
from tests.focal_star.conftest import MINI


def images(*numbers: int) -> list[dict]:
    torch.manual_seed(0)
    pixels = torch.randint(0, 255, (len(numbers), 3, 64, 64), dtype=torch.uint8)
    return [{"image_id": n, "image": image} for n, image in zip(numbers, pixels, strict=True)]


def detector(tiny_overrides: list[str], *more: str) -> torch.nn.Module:
    """Random weights, biased so that many scores are above the threshold."""
    torch.manual_seed(0)
    model = build_model(load_config(MINI, [*tiny_overrides, *more])).eval()
    with torch.no_grad():
        if hasattr(model, "head"):
            model.head.cls_score.weight.mul_(20)
            model.head.cls_score.bias.fill_(-1.0)
    return model


def test_candidates_are_the_scores_above_the_threshold(tiny_overrides):
    model = detector(tiny_overrides)
    counter, inputs = CandidateCounter(model), images(3, 8)
    with torch.no_grad():
        model(inputs)
        features = model.backbone(model.preprocess_image(inputs).tensor)
        logits, _ = model.head([features[name] for name in model.head_in_features])
    above = sum(
        (level.sigmoid() > model.test_score_thresh)
        .flatten(1)
        .sum(1)
        .clamp(max=model.test_topk_candidates)
        for level in logits
    )
    assert counter.per_image() == pytest.approx(above.float().mean().item())
    assert counter.per_image() > 10


def test_a_later_evaluation_replaces_the_numbers(tiny_overrides):
    model = detector(tiny_overrides)
    counter = CandidateCounter(model)
    with torch.no_grad():
        model(images(1, 2))
        first = counter.per_image()
        model.head.cls_score.bias.fill_(-100.0)
        model(images(1))
        assert 0 < counter.per_image() < first
        model(images(2))
    assert counter.per_image() == 0


def test_two_stage_detector_counts_its_second_stage(tiny_overrides):
    model = detector(tiny_overrides, "MODEL.DETECTOR", "faster_rcnn")
    counter = CandidateCounter(model)
    with torch.no_grad():
        model(images(1, 2))
    # Random weights give all of the few classes and the background similar scores.
    assert counter.per_image() > 0


def test_images_without_ids_are_not_counted(tiny_overrides):
    model = detector(tiny_overrides)
    counter = CandidateCounter(model)
    with torch.no_grad():
        model([{"image": image["image"]} for image in images(1)])
    assert counter.per_image() is None


def test_detectron2_is_as_before_after_an_error(tiny_overrides):
    originals = retinanet.batched_nms, fast_rcnn.batched_nms
    model = detector(tiny_overrides)
    CandidateCounter(model)
    with pytest.raises(KeyError):
        model([{"image_id": 1}])
    with torch.no_grad():
        model(images(1))
    assert (retinanet.batched_nms, fast_rcnn.batched_nms) == originals


def test_a_result_has_the_candidates_of_its_evaluation(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    Path(tiny_cfg.OUTPUT_DIR).mkdir()
    found = engine.train(tiny_cfg)["result"]["candidates_per_image"]
    assert found is not None and found >= 0
