"""A whole training step: this project's RetinaNet against Detectron2's.

A step is the losses of a batch that is in memory, their gradients, and a step of the optimizer.
All sides have the same architecture, weights, images, boxes and optimizer. Images and boxes are
random, the weights are those of a detector before training (:func:`fresh_weights`), and the
learning rate is 0, so that all steps are alike. On a CPU, subnormal floats are flushed to 0, as in
this project's training runs; the sides share a process, so this holds for all of them. All numbers
are float32, except on sides with mixed precision: there the network is in float16, and no loss is
scaled.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from benchmarks.harness import Case, Side
from focal_star.cached.anchor_labels import cached_labels
from focal_star.cached.inputs import FEATURES, LabelledInstances
from focal_star.cached.models import CachedRetinaNet
from focal_star.config import CONFIGS, load_config
from focal_star.losses.fused import FORMS
from focal_star.training.optimizer import build_optimizer
from focal_star.training.subnormals import flush_subnormals

TITLE = "Training step (FL): losses, gradients, optimizer"

NUM_BOXES = 7
"""Objects per image."""


def cases(on_gpu: bool) -> list[dict[str, Any]]:
    """On a GPU the number of threads does not matter."""
    threads = (1,) if on_gpu else (1, 2)
    mini = {"name": "mini", "config": "mini/retinanet_R_18_FPN.yaml", "num_images": 16}
    coco = {"name": "COCO", "config": "coco/retinanet_R_50_FPN_1x_600_FL.yaml", "num_images": 2}
    return [
        *(mini | {"size": [128, 128], "threads": number} for number in threads),
        coco | {"size": [600, 800], "threads": threads[-1]},
    ]


def build(name: str, config: str, num_images: int, size: list[int], threads: int) -> Case:
    """The sides: this project by its config, the same without single features, and Detectron2."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pairs = ["EXTENSIONS", "['mini']", "MODEL.DEVICE", device, "SOLVER.BASE_LR", "0.0"]
    cfg = load_config(CONFIGS / config, pairs)
    batch = _batch(cfg, num_images, size)
    flush_subnormals(cfg)
    weights = fresh_weights(cfg, batch)
    sides = [_side("this project", cfg, weights, batch)]
    if cfg.MODEL.BACKBONE.STORE_FROZEN:
        without = _with(cfg, ["MODEL.BACKBONE.STORE_FROZEN", False])
        sides.append(_side("without stored data", without, weights, batch))
    if device == "cuda":
        for kernel in FORMS[1:]:
            other = _with(cfg, ["MODEL.FOCAL_STAR.KERNEL", kernel])
            sides.append(_side(f"this project, {kernel}", other, weights, batch))
    plain = _with(cfg, ["MODEL.META_ARCHITECTURE", "RetinaNet"])
    plain.merge_from_list(["MODEL.CHANNELS_LAST", False, "MODEL.BACKBONE.STORE_FROZEN", False])
    if device == "cuda":
        for project, of in (("this project", cfg), ("Detectron2", plain)):
            sides.append(_side(f"{project}, mixed precision", of, weights, batch, torch.float16))
    sides.append(_side("Detectron2", plain, weights, batch))
    height, width = size
    return Case(
        title=f"{name}: {num_images} images of {height} × {width} px, {_network(cfg)}"
        + (", float32" if device == "cpu" else ""),
        sides=sides,
        baseline="Detectron2",
        rounds=30,
        budget_seconds=12,
        warmup=1,
    )


def fresh_weights(cfg: CfgNode, batch: list[dict[str, Any]]) -> dict[str, Tensor]:
    """The weights of a detector that has not been trained: its logits are near the prior's, -4.6.

    The frozen normalisations get the statistics of the batch, as those of pretrained weights would
    fit. At their initial values they are identities, and the logits of ResNet-50 exceed 50.
    """
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    norms = [module for module in model.modules() if isinstance(module, FrozenBatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_fit_statistics) for norm in norms]
    with torch.no_grad():
        model.backbone(model.preprocess_image(batch).tensor)
    for hook in hooks:
        hook.remove()
    return model.state_dict()


def _fit_statistics(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    """Set the statistics of a normalisation to those of its input."""
    variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), unbiased=False)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def _with(cfg: CfgNode, pairs: list) -> CfgNode:
    changed = cfg.clone()
    changed.merge_from_list(pairs)
    return changed


def _network(cfg: CfgNode) -> str:
    return f"ResNet-{cfg.MODEL.RESNETS.DEPTH}-FPN"


def _batch(cfg: CfgNode, num_images: int, size: list[int]) -> list[dict[str, Any]]:
    """As Detectron2's mapper gives it: boxes of an eighth to a half of the image's edges."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.tensor([size[1], size[0]])

    def image() -> dict[str, Any]:
        extent = edges * (torch.rand(NUM_BOXES, 2, generator=generator) * 3 + 1) / 8
        corner = (edges - extent) * torch.rand(NUM_BOXES, 2, generator=generator)
        objects = Instances(tuple(size))
        objects.gt_boxes = Boxes(torch.cat([corner, corner + extent], dim=1))
        objects.gt_classes = torch.randint(
            cfg.MODEL.RETINANET.NUM_CLASSES, (NUM_BOXES,), generator=generator
        )
        pixels = torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8)
        return {"image": pixels, "instances": objects}

    return [image() for _ in range(num_images)]


def _side(
    name: str,
    cfg: CfgNode,
    weights: dict[str, Tensor],
    batch: list[dict[str, Any]],
    narrow: torch.dtype | None = None,
) -> Side:
    """
    Args:
        narrow: the type of mixed precision; None for float32.
    """
    model = build_model(cfg)
    model.load_state_dict(weights)
    if cfg.MODEL.CHANNELS_LAST:
        model = model.to(memory_format=torch.channels_last)
    if cfg.MODEL.BACKBONE.STORE_FROZEN and isinstance(model, CachedRetinaNet):
        batch = _stored(model, batch)
    return Side(name, partial(_step, model.train(), build_optimizer(cfg, model), batch, narrow))


def _stored(model: nn.Module, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The batch with the data that a training has stored of its images."""
    with torch.no_grad():
        features = model.backbone.bottom_up.frozen(model.preprocess_image(batch).tensor)
    objects = [image["instances"] for image in batch]
    with tempfile.TemporaryDirectory() as folder:
        labels = np.load(cached_labels(Path(folder), model, objects, objects[0].image_size))
    labelled = [
        LabelledInstances(instances.image_size, torch.from_numpy(label), **instances.get_fields())
        for instances, label in zip(objects, labels, strict=True)
    ]
    return [
        image | {FEATURES: image_features.permute(1, 2, 0).contiguous(), "instances": instances}
        for image, image_features, instances in zip(batch, features, labelled, strict=True)
    ]


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: list[dict[str, Any]],
    narrow: torch.dtype | None,
) -> None:
    kind = model.device.type
    with EventStorage(), torch.autocast(kind, dtype=narrow, enabled=narrow is not None):
        losses = model(batch)
    optimizer.zero_grad()
    sum(losses.values()).backward()
    optimizer.step()
    if kind == "cuda":
        torch.cuda.synchronize()
