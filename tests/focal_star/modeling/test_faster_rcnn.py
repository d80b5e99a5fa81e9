"""The two-stage detector: from the same config, through the same training."""

import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from detectron2.config import CfgNode, get_cfg
from detectron2.layers import ROIAlign
from detectron2.modeling import GeneralizedRCNN, build_model
from detectron2.utils.events import EventStorage

from focal_star.cached.models import CachedGeneralizedRCNN
from focal_star.config import CONFIGS, derive, load_config
from focal_star.config.checks import faster_rcnn_sources
from focal_star.errors import ConfigError
from focal_star.evaluation.validation_images import (
    TWO_STAGE_LOSS_NAMES,
    ValidationImages,
    mean_losses,
)
from focal_star.mini import pretraining
from focal_star.mini.feature_cache import CachedFeatureMapper
from focal_star.mini.trainer import MiniTrainer
from focal_star.tools import loss_distribution
from focal_star.tools.detector import load_detector
from focal_star.training import engine
from focal_star.training.resume import find_start
from focal_star.training.trainer import Trainer

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
BY_HAND = CONFIGS / "mini" / "faster_rcnn_R_18_FPN.yaml"
TWO_STAGE = ["MODEL.DETECTOR", "faster_rcnn"]


@pytest.fixture
def cfg(tiny_overrides: list[str]) -> CfgNode:
    """A training of six iterations, prepared; losses on 5 of 8 images after every second one."""
    more = ["TEST.LOSS_PERIOD", "2", "TEST.LOSS_IMAGES", "5", "SEED", "1"]
    cfg = load_config(MINI, [*tiny_overrides, *TWO_STAGE, *more])
    engine.prepare_data_and_weights(cfg)
    return cfg


def trained(cfg: CfgNode, folder: str, resume: bool = False, **changes) -> dict:
    """A training in a folder of its own; ``changes`` are keys with "__" for "."."""
    cfg = cfg.clone()
    cfg.merge_from_list([x for k, v in changes.items() for x in (k.replace("__", "."), v)])
    cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR).parent / folder)
    return engine.train(cfg, find_start(cfg, resume))


@pytest.mark.parametrize("name", ["coco/retinanet_R_50_FPN_1x_600_FL", "mini/retinanet_R_18_FPN"])
def test_any_config_becomes_one_of_faster_rcnn(name):
    path = CONFIGS / f"{name}.yaml"
    on_cpu = ["MODEL.DEVICE", "cpu"]
    cfg, of_retinanet = load_config(path, [*TWO_STAGE, *on_cpu]), load_config(path, on_cpu)
    model = build_model(cfg)
    is_mini = name.startswith("mini")
    assert type(model) is (CachedGeneralizedRCNN if is_mini else GeneralizedRCNN)
    levels = ["p3", "p4", "p5", "p6"] if is_mini else ["p2", "p3", "p4", "p5", "p6"]
    assert list(model.backbone.output_shape()) == levels
    assert model.proposal_generator.anchor_generator.num_anchors == [3] * len(levels)
    assert model.roi_heads.num_classes == of_retinanet.MODEL.RETINANET.NUM_CLASSES
    for part in ("DATASETS", "INPUT", "SOLVER", "TEST"):
        assert cfg[part] == of_retinanet[part]
    # Loading the same weights: the backbones have the same tensors.
    net, other = (m.backbone.bottom_up.state_dict() for m in (model, build_model(of_retinanet)))
    assert {k: v.shape for k, v in net.items()} == {k: v.shape for k, v in other.items()}
    once = cfg.dump()
    derive(cfg)
    assert cfg.dump() == once


def test_its_defaults_are_detectron2_s_own():
    """Base-RCNN-FPN.yaml, where Detectron2 has its configs beside it; what is not named there
    is Detectron2's default, which is not touched."""
    cfg, untouched = load_config("", [*TWO_STAGE]), get_cfg()
    assert cfg.MODEL.RPN.IN_FEATURES == ["p2", "p3", "p4", "p5", "p6"]
    assert cfg.MODEL.RPN.NMS_THRESH == untouched.MODEL.RPN.NMS_THRESH
    for part, key in (("RPN", "BATCH_SIZE_PER_IMAGE"), ("ROI_HEADS", "BATCH_SIZE_PER_IMAGE"),
                      ("ROI_BOX_HEAD", "FC_DIM")):  # fmt: skip
        assert cfg.MODEL[part][key] == untouched.MODEL[part][key]


def test_by_hand_it_is_the_study_s_cell():
    by_hand, cell = load_config(BY_HAND), load_config(MINI, TWO_STAGE)
    cell.OUTPUT_DIR = by_hand.OUTPUT_DIR
    assert by_hand == cell


def test_retinanet_is_what_it_was():
    assert load_config(MINI).MODEL.META_ARCHITECTURE == "CachedRetinaNet"
    assert load_config(MINI).MODEL.FPN.IN_FEATURES == ["res3", "res4", "res5"]


def test_what_it_would_write_over_is_refused():
    with pytest.raises(ConfigError) as refused:
        load_config(MINI, [*TWO_STAGE, "MODEL.RPN.POST_NMS_TOPK_TEST", "9",
                           "MODEL.ANCHOR_GENERATOR.NUM_SCALES", "2"])  # fmt: skip
    for key in ("RPN.POST_NMS_TOPK_TEST", "ANCHOR_GENERATOR.NUM_SCALES"):
        words = f"MODEL.{key} follows from MODEL.FASTER_RCNN.{key} where MODEL.DETECTOR is"
        assert words in str(refused.value)
    changed = load_config(MINI, [*TWO_STAGE, "MODEL.FASTER_RCNN.RPN.POST_NMS_TOPK_TEST", "9"])
    assert changed.MODEL.RPN.POST_NMS_TOPK_TEST == 9
    assert all(
        key.startswith("MODEL.") for pair in faster_rcnn_sources(changed).items() for key in pair
    )


def test_a_detector_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="MODEL.DETECTOR is 'ssd'; valid: one of retinanet, fas"):
        load_config(MINI, ["MODEL.DETECTOR", "ssd"])
    written = tmp_path / "config.yaml"
    written.write_text(load_config(MINI, TWO_STAGE).dump())
    again, cell = (load_config(*of).MODEL for of in ((written,), (MINI, TWO_STAGE)))
    assert yaml.safe_load(again.dump()) == yaml.safe_load(cell.dump()), "as a training leaves it"
    with pytest.raises(ConfigError, match="the config is of a CachedGeneralizedRCNN; start"):
        load_config(written, ["MODEL.DETECTOR", "retinanet"])


def test_both_detectors_start_from_the_same_weights(tmp_path):
    cache = ["CACHE_DIR", str(tmp_path)]
    paths = {
        pretraining.missing_weights(load_config(MINI, [*pairs, *cache]), "sha256")
        for pairs in ([], TWO_STAGE)
    }
    assert len(paths) == 1
    deeper = load_config(MINI, [*TWO_STAGE, *cache, "MODEL.RESNETS.DEPTH", "34"])
    assert pretraining.missing_weights(deeper, "sha256") not in paths


def test_roi_align_on_the_cpu():
    """A plane f(x, y) = 3x + 5y is interpolated exactly: a bin's mean is f of its middle.

    Pixel i has its middle at i + 0.5, so that the plane is 3 (x - 0.5) + 5 (y - 0.5).
    """
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    plane = (3 * columns + 5 * rows)[None, None].requires_grad_()
    x0, y0, width, height = 8.0, 12.0, 12.0, 16.0  # px of an image twice as large
    pooled = ROIAlign(2, spatial_scale=0.5, sampling_ratio=2, aligned=True)(
        plane, torch.tensor([[0.0, x0, y0, x0 + width, y0 + height]])
    )
    middles = [[(x0 + width * i / 4) / 2 - 0.5, (y0 + height * j / 4) / 2 - 0.5]
               for j in (1, 3) for i in (1, 3)]  # fmt: skip
    expected = torch.tensor([3 * x + 5 * y for x, y in middles]).reshape(1, 1, 2, 2)
    torch.testing.assert_close(pooled, expected)
    pooled.sum().backward()
    torch.testing.assert_close(plane.grad.sum(), torch.tensor(4.0))  # each bin is a mean


def test_a_training_from_its_start_to_its_record(cfg):
    made = trained(cfg, "train")
    result = made["result"]
    assert (made["status"], made["error"]) == ("done", "")
    curves = result["curves"]
    for name in (*TWO_STAGE_LOSS_NAMES, "total_loss"):
        assert len(curves[name]) == len(curves["iteration"])
        assert all(0 <= value < 100 for value in curves[name])
    # Before anything is learned, the classes of the second stage are alike: log(10 + 1).
    assert result["first_loss"]["predicted"] is None
    assert result["first_loss"]["measured"] == pytest.approx(math.log(11), rel=0.1)
    assert result["loss_distribution"] is None
    noted = result["validation"]
    assert noted["iteration"] == [1, 3, 5]
    assert all(len(noted[name]) == 3 and min(noted[name]) > 0 for name in TWO_STAGE_LOSS_NAMES)
    assert result["metrics"]["AP"] is not None and result["analysis"] is not None
    assert made["run"]["timed_images"] == 0  # fewer than are for warm-up
    files = {path.name for path in (Path(cfg.OUTPUT_DIR).parent / "train").iterdir()}
    assert {"model_final.pth", "result.json", "metrics.json"} <= files


def test_a_retinanet_s_record_has_no_curves_of_proposals(tiny_cfg):
    engine.prepare_data_and_weights(tiny_cfg)
    names = {"iteration", "loss_cls", "loss_box_reg", "total_loss"}
    assert engine.train(tiny_cfg)["result"]["curves"].keys() == names


def test_broken_off_it_ends_as_if_it_had_not_been(cfg, monkeypatch):
    whole = trained(cfg, "whole", SOLVER__CHECKPOINT_PERIOD=2)["result"]
    step = Trainer.run_step

    def break_off(self):
        if self.iter == 4:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(Trainer, "run_step", break_off)
    with pytest.raises(KeyboardInterrupt):
        trained(cfg, "broken", SOLVER__CHECKPOINT_PERIOD=2)
    monkeypatch.undo()
    assert trained(cfg, "broken", resume=True, SOLVER__CHECKPOINT_PERIOD=2)["result"] == whole


def test_looking_at_validation_images_moves_no_number(cfg):
    with_them = trained(cfg, "with")["result"]
    without = trained(cfg, "without", TEST__LOSS_PERIOD=0)["result"]
    assert with_them.pop("validation") and without.pop("validation") is None
    assert with_them == without


def test_stored_features_of_the_stage_that_the_pyramid_sees_change_no_bit(cfg):
    own = cfg.MODEL.FASTER_RCNN  # the usual levels
    own.RESNETS.OUT_FEATURES = own.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    own.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    own.ROI_HEADS.IN_FEATURES = own.RPN.IN_FEATURES[:-1]
    own.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
    derive(cfg)
    Path(cfg.OUTPUT_DIR).mkdir()
    trainer = MiniTrainer(cfg)
    trainer.load()
    assert "res2" in trainer.model.backbone.bottom_up._out_features
    assert isinstance(trainer.data_loader.mapper, CachedFeatureMapper)
    stored = trained(cfg, "stored")["result"]
    assert trained(cfg, "read", MODEL__BACKBONE__STORE_FROZEN=False)["result"] == stored


def test_its_losses_on_images_are_those_of_training_on_them(cfg, monkeypatch):
    cfg.SOLVER.IMS_PER_BATCH = 5
    Path(cfg.OUTPUT_DIR).mkdir()
    trainer = Trainer(cfg)
    model, images = trainer.model.train(), ValidationImages(cfg, 5)
    (batch,) = images.batches()
    found = mean_losses(model, images)
    assert mean_losses(model, images) == found, "the same anchors and proposals are drawn"
    with EventStorage(), torch.no_grad():
        torch.manual_seed(0)
        expected = {name: loss.item() for name, loss in model(batch).items()}
    assert found == pytest.approx(expected)
    assert model.training and model.roi_heads.training and model.proposal_generator.training

    def diverged(*_) -> None:
        raise FloatingPointError

    monkeypatch.setattr(model.proposal_generator, "forward", diverged)
    assert all(map(math.isnan, mean_losses(model, images).values()))


@pytest.mark.parametrize("part", ["proposal_generator.rpn_head.conv", "roi_heads.box_head.fc1"])
def test_it_diverges_as_a_retinanet_does(cfg, monkeypatch, part):
    """In its first stage Detectron2 raises before there is a loss, in its second there is one."""
    step = Trainer.run_step

    def spoil(self):
        if self.iter == 3:
            with torch.no_grad():
                self.model.get_submodule(part).weight.fill_(math.nan)
        step(self)

    monkeypatch.setattr(Trainer, "run_step", spoil)
    made = trained(cfg, "spoilt")
    assert made["status"] == "diverged"
    evidence = made["result"]["divergence"]
    kept = json.loads((Path(cfg.OUTPUT_DIR).parent / "spoilt" / "divergence.json").read_text())
    assert evidence == kept
    assert (evidence["iteration"], evidence["p_t"]) == (3, None)
    assert evidence["bad_weights"]["first"] == [f"{part}.weight"]
    expected = "proposals is nan" if part.startswith("proposal") else "loss_cls is nan"
    assert expected in evidence["bad"]
    assert evidence["checkpoint"] == "model_0000002.pth"


def test_its_checkpoint_is_a_detector(cfg, tmp_path):
    trained(cfg, "train")
    folder = Path(cfg.OUTPUT_DIR).parent / "train"
    cfg.OUTPUT_DIR = str(folder)
    (folder / "config.yaml").write_text(cfg.dump())
    detector = load_detector(folder / "model_final.pth", None, lowest=0.0)
    assert isinstance(detector.model, GeneralizedRCNN)
    assert len(detector.classes) == 10
    assert detector.model.roi_heads.box_predictor.test_score_thresh == 0.0


def test_the_distribution_of_a_loss_that_it_has_not_is_refused(tiny_overrides, tmp_path, capsys):
    weights = tmp_path / "model.pth"
    model = build_model(load_config(MINI, [*tiny_overrides, *TWO_STAGE]))
    torch.save({"model": model.state_dict()}, weights)
    code = loss_distribution.main(
        ["--config-file", str(MINI), "--weights", str(weights), "--json", str(tmp_path / "x.json"),
         *tiny_overrides, *TWO_STAGE]
    )  # fmt: skip
    assert code == 2
    assert "MODEL.META_ARCHITECTURE is CachedGeneralizedRCNN" in capsys.readouterr().err


def test_the_detectors_of_the_mini_study_have_about_as_many_parameters():
    sizes = [
        sum(parameter.numel() for parameter in build_model(load_config(MINI, pairs)).parameters())
        for pairs in ([], ["MODEL.DETECTOR", "faster_rcnn"])
    ]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)
