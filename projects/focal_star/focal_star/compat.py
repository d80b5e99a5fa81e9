"""Differences between Detectron2 0.5 and its main branch, and most private names that we use."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.data import build
from detectron2.modeling import RetinaNet, box_regression
from detectron2.modeling.backbone import ResNet
from detectron2.modeling.meta_arch import retinanet
from detectron2.modeling.roi_heads import fast_rcnn
from fvcore.common.history_buffer import HistoryBuffer
from torch import Tensor

train_loader_parts = build._train_loader_from_config
"""Config -> the data set, sampler and batch size of Detectron2's training loader, by name."""

box_regression_loss = box_regression._dense_box_regression_loss
"""The sum of a loss of boxes over the positive anchors."""

INITIAL_NORMALIZER = 100.0
MOMENTUM = 0.9

NMS_MODULES = (retinanet, fast_rcnn)
"""The modules that call their global ``batched_nms`` once per image, on its last candidates."""


@contextmanager
def nms_boxes() -> Iterator[list[int]]:
    """Within the block, list the number of boxes of each call of ``NMS_MODULES``."""
    originals, boxes = [(module, module.batched_nms) for module in NMS_MODULES], []

    def counting(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def counted(of_image: Tensor, *others: Any) -> Tensor:
            boxes.append(len(of_image))
            return original(of_image, *others)

        return counted

    for module, original in originals:
        module.batched_nms = counting(original)
    try:
        yield boxes
    finally:
        for module, original in originals:
            module.batched_nms = original


def update_loss_normalizer(model: RetinaNet, num_pos_anchors: Tensor) -> Tensor:
    """Update and return the running number of positive anchors that RetinaNet divides by.

    Both versions keep it as ``model.loss_normalizer``; Detectron2 0.5 sets the attribute when the
    model is built, main at the first update. In both it is a float. Here it stays on the device,
    with the same float64 arithmetic, so that the host need not wait for it.

    Args:
        num_pos_anchors: a whole number; a tensor without dimensions.

    Returns:
        A float64 tensor without dimensions, on the device of ``num_pos_anchors``.
    """
    old = getattr(model, "loss_normalizer", INITIAL_NORMALIZER)
    new = num_pos_anchors.clamp(min=1).double()
    model.loss_normalizer = MOMENTUM * old + (1 - MOMENTUM) * new
    return model.loss_normalizer


def out_features(net: ResNet) -> list[str]:
    """The names of the stages whose output a ResNet returns."""
    return net._out_features


def count_of(history: HistoryBuffer) -> int:
    """The number of values that a scalar's history has had, also those that it no longer holds."""
    return history._count


def set_average(history: HistoryBuffer, count: int, mean: float) -> None:
    """Set the number of values that a scalar's history has had, and their mean."""
    history._count, history._global_avg = count, mean


def has_torch_load() -> bool:
    """Whether Detectron2's checkpointer reads files in a method that a subclass can override.

    main does; 0.5 reads them in ``_load_file`` itself.
    """
    return hasattr(DetectionCheckpointer, "_torch_load")
