"""Counts the boxes that enter non-maximum suppression (NMS), the candidates.

The loss affects the time of the same network on the same images only through this number: it
affects how many scores are above the threshold.
"""

from contextlib import ExitStack
from typing import Any

from detectron2.utils import comm
from torch import nn

from focal_star.compat import nms_boxes


class CandidateCounter:
    """Counts the candidates of each image that a detector is evaluated on.

    In RetinaNet, these are the boxes of all levels whose score is above ``SCORE_THRESH_TEST``, at
    most ``TOPK_CANDIDATES_TEST`` per level; in Faster R-CNN, those of the second stage above its
    ``SCORE_THRESH_TEST``. A later evaluation of an image replaces its number.
    """

    def __init__(self, model: nn.Module):
        """
        Args:
            model: a Detectron2 model, which takes a list of images; its calls are observed from now
                on.
        """
        self._candidates: dict[Any, int] = {}
        self._counting = ExitStack()
        self._boxes: list[int] = []
        model.register_forward_pre_hook(self._start)
        model.register_forward_hook(self._stop)

    def per_image(self) -> float | None:
        """The mean over the images of all processes; None if no image was counted.

        Every process must call this.
        """
        counts: dict[Any, int] = {}
        for of_process in comm.all_gather(self._candidates):
            counts |= of_process
        return sum(counts.values()) / len(counts) if counts else None

    def _start(self, model: nn.Module, inputs: tuple) -> None:
        self._counting.close()  # left over from a call that raised an error
        self._boxes = [] if model.training else self._counting.enter_context(nms_boxes())

    def _stop(self, model: nn.Module, inputs: tuple, outputs: Any) -> None:
        self._counting.close()
        images = [image.get("image_id") for image in inputs[0]]
        if len(self._boxes) == len(images) and None not in images:  # one call per image, in order
            self._candidates.update(zip(images, self._boxes, strict=True))
