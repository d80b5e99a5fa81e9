"""Times a detector in a round: a few images to warm up, then some more, one by one.

A call runs the model from an image in memory to its boxes, as in
:mod:`focal_star.evaluation.timing`. Every time is kept, together with the load of the machine
during the round.
"""

import gc
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from focal_star.evaluation.timing import clock

WARMUP_IMAGES = 20
"""The number of untimed images before each round: the first images of a new process are slow."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """The times of one detector in one round.

    Attributes:
        ms: the time of each image, in order.
        cpu_ms: the processor time of this process for all images.
        busy_cpus: the mean number of processors that other processes used meanwhile.
        stolen_cpus: the mean number of processors that a hypervisor withheld meanwhile.
        load: the load average over the last minute, at the end of the round.
        clock_mhz: the clock rate of the processor at the end of the round; None if it is unknown.
        affinity: the numbers of the processors that this process may use.
        threads: the number of threads of torch.
        device: the device of the model: "cpu", or the name of the GPU.
    """

    ms: list[float]
    cpu_ms: float
    busy_cpus: float | None
    stolen_cpus: float | None
    load: float
    clock_mhz: float | None
    affinity: list[int]
    threads: int
    device: str


def use_one_thread() -> None:
    """Restrict torch to one thread and this process to one processor, the last one it may use."""
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@torch.no_grad()
def time_round(model: nn.Module, inputs: Sequence[dict[str, Any]], images: int) -> Sample:
    """Time a model on some images.

    Args:
        model: a Detectron2 model in evaluation mode.
        inputs: the model's input for each image; repeated if there are fewer than ``images``.
        images: the number of images to time.
    """
    device = next(model.parameters()).device
    for image in islice(cycle(inputs), WARMUP_IMAGES):
        model([image])
    gc.collect()
    gc.disable()  # a garbage collection would slow down a single image
    try:
        used, busy, began = time.process_time(), _busy_ticks(), time.perf_counter()
        ms = []
        for image in islice(cycle(inputs), images):
            start = clock(device)
            model([image])
            ms.append(1000 * (clock(device) - start))
        used, seconds = time.process_time() - used, time.perf_counter() - began
    finally:
        gc.enable()
    others, stolen = _others(busy, _busy_ticks(), used, seconds)
    return Sample(
        ms=[round(number, 3) for number in ms],
        cpu_ms=round(1000 * used, 3),
        busy_cpus=others,
        stolen_cpus=stolen,
        load=os.getloadavg()[0],
        clock_mhz=_clock_mhz(min(os.sched_getaffinity(0))),
        affinity=sorted(os.sched_getaffinity(0)),
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    )


def _busy_ticks() -> tuple[int, int] | None:
    """The ticks that all processors were busy, and the stolen ticks, since the system started."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
    except (OSError, ValueError):
        return None
    return user + nice + system + irq + softirq, steal


def _others(
    before: tuple[int, int] | None,
    after: tuple[int, int] | None,
    own_seconds: float,
    seconds: float,
) -> tuple[float | None, float | None]:
    """The mean number of processors that other processes used, and of stolen processors."""
    if before is None or after is None or seconds <= 0:
        return None, None
    busy, stolen = ((b - a) / _TICKS for a, b in zip(before, after, strict=True))
    return round(max(0.0, busy - own_seconds) / seconds, 3), round(stolen / seconds, 3)


def _clock_mhz(processor: int) -> float | None:
    """The current clock rate of a processor."""
    try:
        blocks = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")
        lines = blocks[processor].splitlines()
        return float(next(x for x in lines if x.startswith("cpu MHz")).partition(":")[2])
    except (OSError, IndexError, StopIteration, ValueError):
        return None
