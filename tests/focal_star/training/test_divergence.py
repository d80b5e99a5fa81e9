"""What ends a training that is no longer finite, and what is kept of it."""

import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase, defaults
from detectron2.utils.events import get_event_storage
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from focal_star.config import CONFIGS
from focal_star.errors import ConfigError
from focal_star.losses import LOSSES, focal_loss
from focal_star.losses.fused import FUSED
from focal_star.training import config_changes, divergence, engine
from focal_star.training.resume import find_start

MINI = CONFIGS / "mini" / "retinanet_R_18_FPN.yaml"
INF, NAN = math.inf, math.nan


class Poison(HookBase):
    """Makes the model bad before an iteration."""

    def __init__(self, iteration: int, spoil: Callable[[torch.nn.Module], None]):
        self.iteration, self.spoil = iteration, spoil

    def before_step(self):
        if self.trainer.iter == self.iteration:
            self.spoil(self.trainer.model)


def nan_weight(model: torch.nn.Module) -> None:
    with torch.no_grad():
        model.head.cls_score.weight[0, 0, 0, 0] = NAN


class BadGradient(torch.autograd.Function):
    """The identity with a gradient of its own."""

    @staticmethod
    def forward(ctx, x: Tensor, value: float) -> Tensor:
        ctx.value = value
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return torch.full_like(gradient, ctx.value), None


def spoilt_loss(iteration: int, spoil: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """The focal loss, spoilt in an iteration."""

    def loss(logits: Tensor, targets: Tensor, **options) -> Tensor:
        value = focal_loss(logits, targets, **options)
        in_training = logits.requires_grad
        return spoil(value) if in_training and get_event_storage().iter == iteration else value

    return loss


@pytest.fixture
def cfg(tiny_cfg: CfgNode) -> CfgNode:
    """A training of six iterations, prepared."""
    tiny_cfg.SEED = 1
    Path(tiny_cfg.OUTPUT_DIR).mkdir()
    engine.prepare_data_and_weights(tiny_cfg)
    return tiny_cfg


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable], None]:
    """Makes every trainer's model bad before an iteration."""

    def poison(iteration: int, spoil: Callable[[torch.nn.Module], None]) -> None:
        hooks = engine.Trainer.build_hooks
        monkeypatch.setattr(
            engine.Trainer, "build_hooks", lambda self: [Poison(iteration, spoil), *hooks(self)]
        )

    return poison


def kept(cfg: CfgNode) -> dict:
    return json.loads((Path(cfg.OUTPUT_DIR) / divergence.EVIDENCE_FILE).read_text())


def image_ids(evidence: dict) -> list[int]:
    return [image["image_id"] for rank in evidence["ranks"] for image in rank["images"]]


def weights_before(cfg: CfgNode) -> dict[str, Tensor]:
    """Those of the checkpoint that the evidence names."""
    path = Path(cfg.OUTPUT_DIR) / kept(cfg)["checkpoint"]
    return torch.load(path, weights_only=True)["model"]


def test_a_nan_in_a_weight(cfg, poison):
    poison(3, nan_weight)
    made = engine.train(cfg)
    evidence = made["result"]["divergence"]
    assert made["status"] == "diverged"
    assert made["error"].endswith("iteration=3: loss_cls is nan; gradient norm is nan")
    assert evidence["iteration"] == made["result"]["error_iteration"] == 3
    assert evidence["bad"] == ["loss_cls is nan", "gradient norm is nan"]
    assert evidence["bad_weights"] == {"count": 1, "first": ["head.cls_score.weight"]}
    assert evidence["bad_gradients"]["count"] > len(evidence["bad_gradients"]["first"]) == 5
    (rank,) = evidence["ranks"]
    assert rank["losses"]["loss_cls"] == rank["gradient_norm"] == "nan"
    assert math.isfinite(rank["losses"]["loss_box_reg"])
    assert evidence["p_t"]["nan_negatives"] > 0
    assert sum(evidence["p_t"]["negatives"]) > 0, "one filter of 90 is bad, the others count"
    assert kept(cfg) == evidence
    json.dumps(made, allow_nan=False)
    assert cfg.OUTPUT_DIR not in json.dumps(made["result"])


def test_the_images_are_those_of_the_bad_batch(cfg, poison, monkeypatch):
    seen = []
    forward = engine.Trainer.build_model.__func__

    def build_model(cls, cfg):
        model = forward(cls, cfg)
        model.register_forward_pre_hook(
            lambda module, inputs: seen.append([x["image_id"] for x in inputs[0]])
        )
        return model

    monkeypatch.setattr(engine.Trainer, "build_model", classmethod(build_model))
    poison(3, nan_weight)
    engine.train(cfg)
    assert image_ids(kept(cfg)) == seen[-1]
    assert len(set(map(tuple, seen[-4:]))) > 1, "other batches hold other images"
    annotations = json.loads((Path(cfg.DATASETS.FOLDER) / "instances_train.json").read_text())
    names = {image["id"]: image["file_name"] for image in annotations["images"]}
    for image in kept(cfg)["ranks"][0]["images"]:
        assert names[image["image_id"]] == image["file_name"]


def test_the_last_iteration_is_evaluated_no_more_than_any_other(cfg, poison, monkeypatch):
    monkeypatch.setattr(engine.Trainer, "test", None)  # not called
    poison(cfg.SOLVER.MAX_ITER - 1, nan_weight)
    made = engine.train(cfg)
    assert made["status"] == "diverged"
    assert made["result"]["divergence"]["iteration"] == cfg.SOLVER.MAX_ITER - 1
    assert made["result"]["per_class_AP"] == {}


@pytest.mark.parametrize("iteration", [0, 3, 5])
def test_going_on_from_the_checkpoint_replays_the_iteration(cfg, poison, monkeypatch, iteration):
    poison(iteration, nan_weight)
    made = engine.train(cfg)
    evidence = kept(cfg)
    # At the beginning there is no checkpoint, and the weights of the config are spoilt again.
    if iteration > 0:
        path = Path(cfg.OUTPUT_DIR) / evidence["checkpoint"]
        assert torch.load(path, weights_only=True)["trainer"]["iteration"] == iteration - 1
        monkeypatch.setattr(Poison, "before_step", lambda self: None)
    else:
        assert evidence["checkpoint"] is None
    (Path(cfg.OUTPUT_DIR) / divergence.EVIDENCE_FILE).unlink()
    batches = []
    keep = divergence.DivergenceGuard._keep_batch
    monkeypatch.setattr(
        divergence.DivergenceGuard,
        "_keep_batch",
        lambda self, model, inputs: batches.append(keep(self, model, inputs)),
    )
    replayed = engine.train(cfg, find_start(cfg, resume=True))
    assert len(batches) == 1, "the bad iteration"
    assert replayed["error"] == made["error"]
    # The losses depend on the running normalizer, the images on the place in the stream.
    assert kept(cfg) == evidence
    if iteration > 0:
        assert replayed["result"] == made["result"]


def test_random_augmentation_is_replayed(cfg, poison, monkeypatch):
    cfg.INPUT.SHORT_EDGE = None
    cfg.INPUT.MIN_SIZE_TRAIN = (96, 104, 112, 120, 128)
    poison(3, nan_weight)
    engine.train(cfg)
    evidence = kept(cfg)
    assert math.isfinite(evidence["ranks"][0]["losses"]["loss_box_reg"])
    monkeypatch.setattr(Poison, "before_step", lambda self: None)
    engine.train(cfg, find_start(cfg, resume=True))
    assert kept(cfg) == evidence


@pytest.mark.slow
def test_the_command_replays_the_iteration(tiny_overrides, tmp_path):
    explosion = ["SOLVER.BASE_LR", "1e30", "SOLVER.WARMUP_FACTOR", "1e-33"]  # in the second step
    folder = tmp_path / "train"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def call(command: str) -> int:
        env = os.environ | {"OUTPUT_DIR": str(folder), "PATH": path}
        return subprocess.run(command, shell=True, cwd=CONFIGS.parents[2], env=env).returncode

    first = ["python", "projects/focal_star/train_net.py", "--config-file", str(MINI)]
    assert call(shlex.join([*first, *tiny_overrides, *explosion])) == 3
    evidence = json.loads((folder / divergence.EVIDENCE_FILE).read_text())
    assert evidence["iteration"] == 2
    (folder / divergence.EVIDENCE_FILE).unlink()
    assert call(evidence["replay"]) == 3
    assert json.loads((folder / divergence.EVIDENCE_FILE).read_text()) == evidence


def test_a_diverged_training_is_not_resumed_with_another_config(cfg, poison):
    poison(2, nan_weight)
    assert engine.train(cfg)["status"] == "diverged"
    other = cfg.clone()
    other.SOLVER.BASE_LR *= 0.1
    with pytest.raises(ConfigError, match="SOLVER.BASE_LR was "):
        engine.train(other, find_start(other, resume=True))


def test_an_explosion_by_the_learning_rate(cfg):
    cfg.SOLVER.BASE_LR = 1e30
    cfg.SOLVER.WARMUP_ITERS = 0
    made = engine.train(cfg)
    assert made["status"] == "diverged"
    evidence = made["result"]["divergence"]
    assert evidence["iteration"] == 1, "the first step is taken, and all that follows is bad"
    assert evidence["bad"]
    weights = weights_before(cfg)["head.cls_score.weight"]
    assert weights.abs().max() > 1e20, "those that the bad loss comes from"


@pytest.fixture
def unfused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The focal loss is computed by ``LOSSES["focal"]``, which a test may replace.

    The cause of a bad loss is not in the code of the loss, as a hardware fault is not.
    """
    monkeypatch.delitem(FUSED, "focal")
    monkeypatch.setattr(config_changes, "_loss_code", lambda values: "")


@pytest.mark.usefixtures("unfused")
@pytest.mark.parametrize("value", [INF, NAN])
def test_a_bad_gradient_of_a_good_loss(cfg, monkeypatch, value):
    loss = spoilt_loss(2, lambda loss: BadGradient.apply(loss, value))
    monkeypatch.setitem(LOSSES, "focal", loss)
    made = engine.train(cfg)
    evidence = made["result"]["divergence"]
    assert made["status"] == "diverged"
    assert evidence["iteration"] == 2
    assert len(evidence["bad"]) == 1 and evidence["bad"][0].startswith("gradient norm is ")
    (rank,) = evidence["ranks"]
    assert all(isinstance(value, float) for value in rank["losses"].values())
    assert "head.cls_score.weight" in evidence["bad_gradients"]["first"]
    assert evidence["bad_weights"] == {"count": 0, "first": []}
    assert evidence["p_t"]["nan_positives"] == evidence["p_t"]["nan_negatives"] == 0
    # SOLVER.CLIP_GRADIENTS would have made NaN of every weight.
    for tensor in weights_before(cfg).values():
        assert torch.isfinite(tensor).all()


@pytest.mark.usefixtures("unfused")
@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])  # BN: a forward pass changes its statistics
def test_going_on_without_the_cause_ends_as_if_nothing_had_been(cfg, monkeypatch, norm):
    cfg.MODEL.RESNETS.NORM = norm
    loss = spoilt_loss(2, lambda loss: BadGradient.apply(loss, NAN))
    with monkeypatch.context() as patched:
        patched.setitem(LOSSES, "focal", loss)
        assert engine.train(cfg)["status"] == "diverged"
    gone_on = engine.train(cfg, find_start(cfg, resume=True))
    assert gone_on["status"] == "done" and gone_on["run"]["resumed_at"] == [2]
    assert not (Path(cfg.OUTPUT_DIR) / divergence.EVIDENCE_FILE).exists()
    cfg.OUTPUT_DIR += "_unbroken"
    assert engine.train(cfg)["result"] == gone_on["result"]


def test_a_training_stays_what_it_was(cfg, monkeypatch):
    made = engine.train(cfg)
    assert made["status"] == "done" and made["result"]["divergence"] is None
    assert not (Path(cfg.OUTPUT_DIR) / divergence.EVIDENCE_FILE).exists()
    monkeypatch.setattr(engine, "DivergenceGuard", lambda content: HookBase())
    cfg.OUTPUT_DIR += "_unguarded"
    Path(cfg.OUTPUT_DIR).mkdir()
    unguarded = engine.train(cfg)
    assert unguarded["result"] == made["result"]


def test_a_collapsed_training_is_no_divergence(cfg, poison):
    def collapse(model):
        with torch.no_grad():
            model.head.cls_score.bias.fill_(-80.0)

    poison(1, collapse)
    made = engine.train(cfg)
    assert made["status"] == "done" and made["result"]["divergence"] is None


@pytest.mark.usefixtures("unfused")
@pytest.mark.parametrize("scale, ends", [(65536.0, False), (1.0, True)])
def test_mixed_precision_skips_steps_by_itself_while_it_scales(cfg, monkeypatch, scale, ends):
    class Scaler:
        is_enabled = staticmethod(lambda: True)
        get_scale = staticmethod(lambda: scale)

    loss = spoilt_loss(2, lambda loss: BadGradient.apply(loss, INF))
    monkeypatch.setitem(LOSSES, "focal", loss)
    trainer = engine.Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer._trainer.grad_scaler = Scaler()
    trainer.optimizer.step = lambda: None  # as the scaler does with a bad gradient
    trainer.register_hooks([divergence.DivergenceGuard()])
    if ends:
        with pytest.raises(divergence.Divergence, match="iteration=2"):
            trainer.train()
    else:
        trainer.train()


def test_p_t_is_counted_by_hand():
    # Two classes. p_t of a logit x is sigmoid(x) for the anchor's class, sigmoid(-x) for others:
    # sigmoid(0) = .5, sigmoid(2) = .881, sigmoid(-2) = .119, sigmoid(-inf) = 0, sigmoid(inf) = 1.
    logits = torch.tensor([[0.0, 2.0], [-2.0, INF], [NAN, -INF], [0.0, 0.0]])
    labels = torch.tensor([0, 2, 0, -1])  # class 0, background, class 0, ignored
    found = divergence.p_t_histogram(logits, labels, num_classes=2)

    def bins(*places):
        return [places.count(place) for place in range(20)]

    assert found["bin_edges"][0] == 0 and found["bin_edges"][-1] == 1
    assert found["positives"] == bins(10)  # .5
    assert found["negatives"] == bins(2, 17, 0, 19)  # .119, .881, 0 and 1
    assert (found["nan_positives"], found["nan_negatives"]) == (1, 0)


def test_counting_p_t_changes_nothing(cfg):
    trainer = engine.Trainer(cfg)
    batch = next(iter(trainer.data_loader))
    model = trainer.model
    weights, attributes = engine._weights_sha256(model.state_dict()), dict(vars(model))
    random = torch.get_rng_state()
    histogram = divergence.p_t_of_batch(model, batch)
    assert engine._weights_sha256(model.state_dict()) == weights
    assert vars(model) == attributes, "the loss normalizer among them"
    assert torch.equal(random, torch.get_rng_state())
    # At the prior .01 a positive's p_t is about .01, a negative's .99.
    assert histogram["positives"][0] == sum(histogram["positives"]) > 0
    assert histogram["negatives"][-1] == sum(histogram["negatives"]) > 1000


def two_ranks(rank: int, cfg: CfgNode, rendezvous: str) -> None:
    """A process of two that train on the CPU; the second's loss goes bad, and is replayed."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", f"file://{rendezvous}", rank=rank, world_size=2, timeout=timedelta(minutes=1)
    )  # a rank that waits for the other in vain fails
    # Detectron2's own names a GPU.
    defaults.create_ddp_model = lambda model, **options: DistributedDataParallel(model, **options)
    del FUSED["focal"]
    config_changes._loss_code = lambda values: ""

    def spoil(loss):  # of the second rank; the gradient stays good
        return loss + (INF if torch.distributed.get_rank() == 1 else 0.0)

    LOSSES["focal"] = spoilt_loss(2, spoil)
    engine.prepare_data_and_weights(cfg)
    for resume in (False, True):
        made = engine.train(cfg, find_start(cfg, resume))
        (Path(cfg.OUTPUT_DIR) / f"{rank}-{resume}.json").write_text(json.dumps(made["result"]))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_all_ranks_leave_in_the_iteration_in_which_one_went_bad(cfg, tmp_path):
    torch.multiprocessing.spawn(two_ranks, args=(cfg, str(tmp_path / "rendezvous")), nprocs=2)
    made = {
        (rank, resume): json.loads((Path(cfg.OUTPUT_DIR) / f"{rank}-{resume}.json").read_text())
        for rank in (0, 1)
        for resume in (False, True)
    }
    evidence = made[0, False]["divergence"]
    assert all(result["divergence"] == evidence for result in made.values())
    assert made[0, True] == made[0, False], "replayed"
    assert evidence["iteration"] == 2
    assert evidence["bad"] == ["loss_cls is inf on rank 1"]
    good, bad = evidence["ranks"]
    assert math.isfinite(good["losses"]["loss_cls"]) and bad["losses"]["loss_cls"] == "inf"
    assert good["gradient_norm"] == bad["gradient_norm"] > 0
    assert len(good["images"]) == len(bad["images"]) == 2
    assert "--num-gpus 2" in evidence["replay"]
    assert kept(cfg) == evidence
