"""The GPUs of this machine, and their division among cells that run side by side.

The module does not import torch.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from itertools import takewhile

VARIABLE = "CUDA_VISIBLE_DEVICES"
QUERY = ("nvidia-smi", "-L")
_NAME = re.compile(r"\(UUID: ((?:GPU|MIG)-[^)]+)\)")


class TooFewGpus(RuntimeError):
    """More GPUs are requested than exist; the message has both numbers."""


def visible() -> list[str]:
    """The GPUs that a process started here sees, as ``CUDA_VISIBLE_DEVICES`` names them.

    The variable is used as it is: numbers, UUIDs, MIG names. Without it, nvidia-smi lists the GPUs;
    a GPU that is divided by MIG is listed as its slices. The list is empty if neither names a GPU.
    """
    if VARIABLE in os.environ:
        names = (name.strip() for name in os.environ[VARIABLE].split(","))
        # Like CUDA, take only the names before the first invalid one.
        return list(takewhile(lambda name: name not in ("", "-1"), names))
    try:
        listed = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    groups: list[list[str]] = []  # each GPU, or its slices
    for line in listed.stdout.splitlines():
        for name in _NAME.findall(line):
            if name.startswith("GPU-"):
                groups.append([name])
            elif groups:  # a slice of the GPU above, which itself cannot be used
                groups[-1] = [other for other in groups[-1] if other.startswith("MIG-")] + [name]
    return [name for names in groups for name in names]


def default_jobs(gpus: int) -> int:
    """The default number of cells side by side: as many as the GPUs allow, or one per core.

    Args:
        gpus: GPUs per cell; 0 for the CPU.
    """
    return max(1, len(visible()) // gpus) if gpus else len(os.sched_getaffinity(0))


class Places:
    """The places in which cells run side by side, and the GPUs of each place.

    Cells on several GPUs have them to themselves. With one GPU per cell, the places take the GPUs
    in turn, and share them if there are more places. The same holds for ``gpus=0``, because the
    config may still use a GPU. With a single place, the cell sees all GPUs.
    """

    def __init__(self, jobs: int, gpus: int, held: int = 0):
        """
        Args:
            jobs: the number of cells side by side.
            gpus: GPUs per cell; 0 for the config's device, the CPU or one GPU.
            held: the number of running cells of an earlier runner, on unknown GPUs.

        Raises:
            TooFewGpus: there are not enough for all places.
        """
        self._divided = gpus > 0 and jobs > 1
        self._held = held
        names = visible() if jobs > 1 else []
        if not self._divided and not names:
            self._free: list[Mapping[str, str]] = [{}] * jobs
            return
        if names and gpus <= 1:
            self._free = [{VARIABLE: names[place % len(names)]} for place in range(jobs)]
            return
        if len(names) < jobs * gpus:
            raise TooFewGpus(
                f"{jobs} cells side by side on {gpus} GPUs each need {jobs * gpus} GPUs, and "
                f"there are {len(names)}, by {VARIABLE} or nvidia-smi; give fewer JOBS or GPUS"
            )
        shares = (names[gpus * place : gpus * (place + 1)] for place in range(jobs))
        self._free = [{VARIABLE: ",".join(share)} for share in shares]

    def take(self) -> Mapping[str, str] | None:
        """The environment variables of a free place; None while no place is free."""
        if not self._free or (self._divided and self._held):
            return None
        return self._free.pop(0)

    def give_back(self, place: Mapping[str, str] | None) -> None:
        """Free a place that :meth:`take` returned; None for a cell of an earlier runner."""
        if place is None:
            self._held -= 1
        else:
            self._free.append(place)
