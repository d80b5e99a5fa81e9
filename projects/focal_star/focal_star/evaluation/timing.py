"""Measures a detector's time per image."""

import statistics
import time
from typing import Any

import torch
from torch import nn

WARMUP_IMAGES = 10

TO_TIME = WARMUP_IMAGES + 60
"""Images that an evaluation in batches runs one by one."""


class InferenceTimer:
    """Times a detector's calls during an evaluation, for table (e) of the focal loss paper.

    A timed call runs the model in evaluation mode from an image in memory to its boxes: moving it
    to the model's device, normalising, padding, the network, decoding, NMS, and scaling the boxes
    to the image's own size. Reading and resizing the image, and computing AP, are excluded.

    Device: the model's, CPU or GPU; a GPU is synchronised before the clock is read. Batch size: one
    image per call; calls with several are excluded. The first ``WARMUP_IMAGES`` calls are excluded;
    all later evaluations of the same model count. With several processes, each times its own
    images.
    """

    def __init__(self, model: nn.Module):
        """
        Args:
            model: a Detectron2 model, which takes a list of images and is timed from now on.
        """
        self._seconds: list[float] = []
        self._started = 0.0
        self._device = next(model.parameters()).device
        model.register_forward_pre_hook(self._start)
        model.register_forward_hook(self._stop)

    def report(self) -> dict[str, Any]:
        """``ms_per_image`` (the median, None where no image was timed), ``timed_images`` and
        ``warmup_images`` (counts)."""
        timed = self._seconds[WARMUP_IMAGES:]
        return {
            "ms_per_image": 1000 * statistics.median(timed) if timed else None,
            "timed_images": len(timed),
            "warmup_images": WARMUP_IMAGES,
        }

    def _start(self, model: nn.Module, inputs: tuple) -> None:
        if _counts(model, inputs):
            self._started = clock(self._device)

    def _stop(self, model: nn.Module, inputs: tuple, outputs: Any) -> None:
        if _counts(model, inputs):
            self._seconds.append(clock(self._device) - self._started)


def clock(device: torch.device) -> float:
    """The time in seconds, after a GPU has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _counts(model: nn.Module, inputs: tuple) -> bool:
    """Whether a call is timed: one image, in evaluation mode."""
    return not model.training and len(inputs[0]) == 1
