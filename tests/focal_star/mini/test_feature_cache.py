"""The frozen part of the backbone, computed once for all training runs."""

import copy
import json
import os
import pickle
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T
from detectron2.modeling import RetinaNet
from detectron2.structures import Boxes, Instances

from focal_star.cached import anchor_labels
from focal_star.cached.inputs import FEATURES, LabelledInstances
from focal_star.config import CONFIGS, derive, load_config
from focal_star.data import mapper
from focal_star.data.mapper import CachingMapper, build_train_mapper
from focal_star.evaluation.validation_images import ValidationImages, mean_losses
from focal_star.mini import feature_cache
from focal_star.mini.backbone import SplitResNet
from focal_star.mini.feature_cache import CachedFeatureMapper
from focal_star.mini.trainer import MiniTrainer
from focal_star.modeling.anchors import anchors_of_image
from focal_star.training import engine, interruption
from focal_star.training.trainer import Trainer


def trained(cfg: CfgNode, folder: str, **changes) -> dict:
    """The result of a training in a folder of its own; ``changes`` are keys with "__" for "."."""
    cfg = cfg.clone()
    cfg.merge_from_list([x for k, v in changes.items() for x in (k.replace("__", "."), v)])
    cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR).parent / folder)
    engine.prepare_data_and_weights(cfg)
    return engine.train(cfg)["result"]


def loaded(cfg: CfgNode) -> MiniTrainer:
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    engine.prepare_data_and_weights(cfg)
    torch.manual_seed(cfg.SEED)
    trainer = MiniTrainer(cfg)
    trainer.load()
    return trainer


def stores(cfg: CfgNode, split: str = "train") -> list[Path]:
    return sorted(
        path.parent
        for path in (Path(cfg.CACHE_DIR) / "frozen").glob("*/images.json")
        if f"/{split}_" in path.read_text()
    )


def test_it_changes_no_bit_of_a_training(tiny_cfg):
    without = trained(tiny_cfg, "without", MODEL__BACKBONE__STORE_FROZEN=False)
    assert not stores(tiny_cfg)
    assert trained(tiny_cfg, "with") == without
    assert len(stores(tiny_cfg)) == len(stores(tiny_cfg, "val")) == 1
    assert trained(tiny_cfg, "again") == without


def test_to_store_draws_no_random_number(tiny_cfg):
    first = trained(tiny_cfg, "first", INPUT__RANDOM_FLIP="horizontal")
    assert stores(tiny_cfg, "val")
    assert trained(tiny_cfg, "second", INPUT__RANDOM_FLIP="horizontal") == first


def test_a_later_training_reads_no_training_image(tiny_cfg, monkeypatch):
    loaded(tiny_cfg)
    monkeypatch.setattr(mapper, "read_image", lambda *_: pytest.fail("was read"))
    batch = next(iter(loaded(tiny_cfg).data_loader))
    assert all(FEATURES in image for image in batch)


def test_a_later_training_looks_at_no_validation_image(tiny_cfg, monkeypatch):
    loaded(tiny_cfg)
    monkeypatch.setattr(mapper, "read_image", lambda *_: pytest.fail("was read"))
    trainer = loaded(tiny_cfg)
    monkeypatch.setattr(trainer.model.backbone.bottom_up, "frozen", lambda *_: pytest.fail("ran"))
    images = ValidationImages(tiny_cfg, 4, trainer.validation_mapper)
    assert mean_losses(trainer.model, images)["loss_cls"] > 0
    with pytest.raises(pytest.fail.Exception, match="was read"):
        mean_losses(trainer.model, ValidationImages(tiny_cfg, 4))


@pytest.mark.parametrize(
    "changes, number",
    [
        (["TEST.LOSS_IMAGES", 3, "TEST.LOSS_DISTRIBUTION_IMAGES", 5], 5),
        (["TEST.LOSS_IMAGES", 3, "TEST.LOSS_DISTRIBUTION_IMAGES", 0], 8),
        (["TEST.LOSS_IMAGES", 3, "TEST.LOSS_DISTRIBUTION", False], 3),
        (["TEST.LOSS_PERIOD", 0, "TEST.LOSS_DISTRIBUTION", False], None),
    ],
    ids=["the most", "all", "losses alone", "none"],
)
def test_as_many_validation_images_are_stored_as_are_looked_at(tiny_cfg, changes, number):
    tiny_cfg.merge_from_list(changes)
    trainer = loaded(tiny_cfg)
    if number is None:
        assert not stores(tiny_cfg, "val")
    else:
        assert len(trainer.validation_mapper) == number


def test_it_is_what_stem_and_frozen_stages_make_of_the_mapped_image(tiny_cfg):
    trainer = loaded(tiny_cfg)
    stored = trainer.data_loader.mapper
    assert isinstance(stored, CachedFeatureMapper)
    net = trainer.model.backbone.bottom_up
    record = trainer.data_loader.records[5]
    found, mapped = stored(record), Trainer.build_train_loader(tiny_cfg).mapper(record)
    with torch.no_grad():
        expected = net.stages[0](net.stem(trainer.model.preprocess_image([mapped]).tensor))
    torch.testing.assert_close(found[FEATURES].permute(2, 0, 1), expected[0])
    assert found.keys() == mapped.keys() | {FEATURES}
    (folder,) = stores(tiny_cfg)
    whole = CachedFeatureMapper(folder, None)(record)
    assert whole["image"].shape == mapped["image"].shape
    for name, value in mapped["instances"].get_fields().items():
        own = found["instances"].get(name)
        assert torch.equal(getattr(own, "tensor", own), getattr(value, "tensor", value)), name


def test_it_reaches_a_process_that_reads_images(tiny_cfg):
    trainer = loaded(tiny_cfg)
    stored, record = trainer.data_loader.mapper, trainer.data_loader.records[3]
    again = pickle.loads(pickle.dumps(stored))
    assert torch.equal(again(record)[FEATURES], stored(record)[FEATURES])


def test_a_file_that_ends_early_is_an_error(tiny_cfg):
    trainer = loaded(tiny_cfg)
    (folder,) = stores(tiny_cfg)
    os.truncate(folder / "features.npy", 10_000)
    with pytest.raises(OSError, match="features.npy ends within row 3"):
        trainer.data_loader.mapper(trainer.data_loader.records[3])


def test_labels_and_boxes_of_anchors_are_those_of_detectron2(tiny_cfg, monkeypatch):
    trainer = loaded(tiny_cfg)
    model, batch = trainer.model, next(iter(trainer.data_loader))
    batch[1]["instances"] = batch[1]["instances"][:0]
    anchors = anchors_of_image(model, *trainer.data_loader.mapper.objects.size)
    objects = [image["instances"] for image in batch]
    assert type(objects[1]) is not LabelledInstances, "a selection has other anchors"
    without_objects = anchor_labels._labels(model, Boxes.cat(anchors), objects[1])
    fields = objects[1].get_fields()
    objects[1] = LabelledInstances((128, 128), torch.from_numpy(without_objects), **fields)
    plain = [Instances(one.image_size, **one.get_fields()) for one in objects]
    expected = RetinaNet.label_anchors(model, anchors, plain)
    with monkeypatch.context() as patch:
        patch.setattr(type(model.anchor_matcher), "__call__", lambda *_: pytest.fail("matched"))
        found = model.label_anchors(anchors, [one.to("cpu") for one in objects])
        with pytest.raises(pytest.fail.Exception, match="matched"):
            model.label_anchors(anchors, [*objects[:-1], plain[-1]])
    for known, matched in zip(found, expected, strict=True):
        assert all(map(torch.equal, known, matched))
    positives = [model.positive(labels).any().item() for labels in found[0]]
    assert positives == [True, False] + [True] * (len(batch) - 2)


def test_other_anchors_have_labels_of_their_own(tiny_cfg):
    loaded(tiny_cfg)
    (folder,) = stores(tiny_cfg)
    assert len(list(folder.glob("anchors-*.npy"))) == 1
    tiny_cfg.MODEL.RETINANET.IOU_THRESHOLDS = [0.3, 0.5]
    loaded(tiny_cfg)
    assert stores(tiny_cfg) == [folder] and len(list(folder.glob("anchors-*.npy"))) == 2


def test_what_it_depends_on_makes_another(tiny_cfg):
    loaded(tiny_cfg)
    tiny_cfg.MODEL.PIXEL_MEAN = [1.0, 2.0, 3.0]
    loaded(tiny_cfg)
    assert len(stores(tiny_cfg)) == 2
    tiny_cfg.SEED += 1  # other frozen weights, as there are no pretrained ones
    loaded(tiny_cfg)
    assert len(stores(tiny_cfg)) == 3
    tiny_cfg.INPUT.BIT_DEPTH = 12
    loaded(tiny_cfg)
    assert len(stores(tiny_cfg)) == 4


def test_a_changed_box_makes_another(tiny_cfg, tiny_data, tmp_path):
    folder = tmp_path / "changed"
    folder.mkdir()
    (folder / "images").symlink_to(tiny_data / "images")
    for split in ("train", "val"):
        content = json.loads((tiny_data / f"instances_{split}.json").read_text())
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    tiny_cfg.DATASETS.FOLDER = str(folder)
    loaded(tiny_cfg)
    train = json.loads((folder / "instances_train.json").read_text())
    train["annotations"][0]["bbox"][2] -= 0.5
    (folder / "instances_train.json").write_text(json.dumps(train))
    loaded(tiny_cfg)
    assert len(stores(tiny_cfg)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        ["INPUT.RANDOM_FLIP", "horizontal"],
        ["MODEL.BACKBONE.FREEZE_AT", 1],
        ["MODEL.BACKBONE.FREEZE_AT", 0],
        ["MODEL.BACKBONE.STORE_FROZEN", False],
    ],
    ids=lambda change: change[0],
)
def test_where_it_would_not_hold_images_are_read(tiny_cfg, changes):
    tiny_cfg.merge_from_list(changes)
    assert not isinstance(loaded(tiny_cfg).data_loader.mapper, CachedFeatureMapper)
    assert not stores(tiny_cfg)


def test_images_of_several_sizes_are_read(tiny_cfg):
    trainer = loaded(tiny_cfg)
    records = [dict(record) for record in trainer.data_loader.records]
    mapper = Trainer.build_train_loader(tiny_cfg).mapper
    assert (
        feature_cache.cached_feature_mapper(tiny_cfg, trainer.model, mapper, records) is not mapper
    )
    records[3]["width"] += 1
    assert feature_cache.cached_feature_mapper(tiny_cfg, trainer.model, mapper, records) is mapper


def test_another_backbone_is_left_alone(tiny_overrides):
    cfg = load_config(
        CONFIGS / "mini" / "retinanet_R_18_FPN.yaml",
        [*tiny_overrides, "MODEL.BACKBONE.NAME", "build_retinanet_resnet_fpn_backbone",
         "MODEL.RESNETS.DEPTH", "50", "MODEL.RESNETS.RES2_OUT_CHANNELS", "256"],
    )  # fmt: skip
    assert not isinstance(loaded(cfg).data_loader.mapper, CachedFeatureMapper)


@pytest.mark.parametrize(
    "plain",
    [
        ["MODEL.META_ARCHITECTURE", "FocalStarRetinaNet"],
        ["MODEL.DETECTOR", "faster_rcnn", "MODEL.FASTER_RCNN.META_ARCHITECTURE", "GeneralizedRCNN"],
    ],
    ids=lambda pairs: pairs[-1],
)
def test_a_model_that_takes_no_stored_features_reads_images(tiny_overrides, plain):
    """The configs of older training runs name such models."""
    cfg = load_config(CONFIGS / "mini" / "retinanet_R_18_FPN.yaml", [*tiny_overrides, *plain])
    trainer = loaded(cfg)
    assert not isinstance(trainer.data_loader.mapper, CachedFeatureMapper) and not stores(cfg)


def test_only_stores_are_left_in_the_folder(tiny_cfg):
    loaded(tiny_cfg)
    folder = Path(tiny_cfg.CACHE_DIR) / "frozen"
    assert set(folder.iterdir()) == {*stores(tiny_cfg), *stores(tiny_cfg, "val")}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_killed_writer_left_is_removed_by_the_next_training(tiny_cfg, number):
    folder = Path(tiny_cfg.CACHE_DIR) / "frozen"
    pid = os.fork()
    if pid == 0:
        interruption.exit_on_sigterm()
        SplitResNet.frozen = lambda *_: time.sleep(60)
        with suppress(BaseException):
            loaded(tiny_cfg)
        os._exit(1)
    deadline = time.monotonic() + 60
    while not list(folder.glob("*/content/features.npy")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(pid, number)
    os.waitpid(pid, 0)
    left = set(folder.iterdir())
    assert len(left) == 2, "what was written, and the lock"
    loaded(tiny_cfg)
    assert not left & set(folder.iterdir())
    assert set(folder.iterdir()) == {*stores(tiny_cfg), *stores(tiny_cfg, "val")}


DECISIVE = {
    "weights": lambda s: s.net.stem.conv1.weight.data.mul_(1.01),
    "running means": lambda s: s.net.stages[0][0].conv1.norm.running_mean.add_(0.01),
    "layers": lambda s: setattr(s.net, "num_frozen", 2),
    "input size": lambda s: setattr(s, "mapper", s.mapper_with("INPUT.SHORT_EDGE", 96)),
    "colours": lambda s: setattr(s, "mapper", s.mapper_with("INPUT.FORMAT", "RGB")),
    "flips": lambda s: s.mapper.augmentations.augs.append(T.RandomFlip()),
    "mean": lambda s: s.cfg.merge_from_list(["MODEL.PIXEL_MEAN", [1.0, 2.0, 3.0]]),
    "deviation": lambda s: s.cfg.merge_from_list(["MODEL.PIXEL_STD", [1.0, 2.0, 3.0]]),
    "memory layout": lambda s: s.cfg.merge_from_list(["MODEL.CHANNELS_LAST", False]),
    "padding": lambda s: setattr(s.model.backbone, "_size_divisibility", 64),
    "device": lambda s: s.patch.setattr(feature_cache, "_hardware", lambda _: ["cuda", "a GPU"]),
    "processor": lambda s: s.patch.setattr(
        torch.backends.cpu, "get_cpu_capability", lambda: "another"
    ),
    "mixed precision": lambda s: setattr(s, "narrow", torch.bfloat16),
    "narrow type": lambda s: setattr(s, "narrow", torch.float16),
    "tf32 in convolutions": lambda s: s.patch.setattr(
        torch.backends.cudnn, "allow_tf32", not torch.backends.cudnn.allow_tf32
    ),
    "tf32 in products": lambda s: s.patch.setattr(
        torch, "get_float32_matmul_precision", lambda: "medium"
    ),
    "torch": lambda s: s.patch.setattr(torch, "__version__", "9.9"),
    "Pillow": lambda s: s.patch.setattr(feature_cache.PIL, "__version__", "99"),
    "threads": lambda s: s.patch.setattr(torch, "get_num_threads", lambda: 77),
    "an image": lambda s: os.utime(s.records[0]["file_name"], (1, 1)),
    "order of images": lambda s: s.records.reverse(),
    "a box": lambda s: s.records[0]["annotations"][0].update(bbox=[1, 2, 3, 4]),
    "a category": lambda s: s.records[0]["annotations"][0].update(category_id=9),
    "a crowd": lambda s: s.records[0]["annotations"][0].update(iscrowd=1),
}
"""What decides the features and boxes, with a change of each."""


@dataclass
class Decisive:
    """What the key of the features is a hash of."""

    cfg: CfgNode
    patch: pytest.MonkeyPatch
    narrow: torch.dtype | None = None

    def __post_init__(self):
        engine.prepare_data_and_weights(self.cfg)
        self.model = Trainer.build_model(self.cfg)
        self.net = self.model.backbone.bottom_up
        self.mapper = build_train_mapper(self.cfg)
        self.records = copy.deepcopy(Trainer.build_train_loader(self.cfg).records)

    def mapper_with(self, key: str, value: object) -> CachingMapper:
        cfg = self.cfg.clone()
        cfg.merge_from_list([key, value])
        return build_train_mapper(derive(cfg) or cfg)

    def key(self) -> str:
        determinants = feature_cache._determinants(
            self.cfg, self.model, self.net, self.mapper, self.narrow
        )
        return feature_cache._key(determinants, self.net, self.records)


@pytest.mark.parametrize("changed", DECISIVE)
def test_all_that_decides_the_features_is_in_their_key(tiny_cfg, monkeypatch, tmp_path, changed):
    folder = shutil.copytree(tiny_cfg.DATASETS.FOLDER, tmp_path / "data")
    tiny_cfg.DATASETS.FOLDER = str(folder)
    determinants = Decisive(tiny_cfg, monkeypatch)
    before = determinants.key()
    assert determinants.key() == before
    DECISIVE[changed](determinants)
    assert determinants.key() != before


def test_mixed_precision_has_features_of_its_own(tiny_cfg):
    loaded(tiny_cfg)
    tiny_cfg.merge_from_list(["SOLVER.AMP.ENABLED", True])
    trainer = loaded(tiny_cfg)
    assert len(stores(tiny_cfg)) == 2
    record = trainer.data_loader.records[5]
    found = trainer.data_loader.mapper(record)[FEATURES]
    mapped = Trainer.build_train_loader(tiny_cfg).mapper(record)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        pixels = trainer.model.preprocess_image([mapped]).tensor
        expected = trainer.model.backbone.bottom_up.frozen(pixels)
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found.permute(2, 0, 1), expected[0])


def test_it_changes_no_bit_of_a_training_in_mixed_precision(tiny_cfg):
    amp = {"SOLVER__AMP__ENABLED": True}
    without = trained(tiny_cfg, "without", MODEL__BACKBONE__STORE_FROZEN=False, **amp)
    assert trained(tiny_cfg, "with", **amp) == without
    assert stores(tiny_cfg)


def test_a_training_makes_room(tiny_cfg, monkeypatch):
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 1)
    tiny_cfg.merge_from_list(["TEST.LOSS_PERIOD", 0, "TEST.LOSS_DISTRIBUTION", False])
    loaded(tiny_cfg)
    (first,) = stores(tiny_cfg)
    tiny_cfg.MODEL.PIXEL_MEAN = [1.0, 2.0, 3.0]
    trainer = loaded(tiny_cfg)
    assert len(stores(tiny_cfg)) == 1 and not first.exists()
    assert next(iter(trainer.data_loader))


def test_one_broken_off_while_it_is_written_leaves_nothing(tiny_cfg, monkeypatch):
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        loaded(tiny_cfg)
    assert not stores(tiny_cfg)
    monkeypatch.undo()
    assert isinstance(loaded(tiny_cfg).data_loader.mapper, CachedFeatureMapper)
