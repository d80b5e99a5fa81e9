"""The GPUs of this machine, and which of them each of several cells side by side gets.

torch, which would know as well, is not imported here.
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
    """More GPUs are asked for than there are; the message says how many."""


def visible() -> list[str]:
    """The GPUs that a process started here sees, as ``CUDA_VISIBLE_DEVICES`` names them.

    None are where neither that variable nor nvidia-smi tells of any. The variable is heeded as it
    is: numbers, UUIDs, names of MIG. Of a GPU that is cut into MIG's slices, these are named.
    """
    if VARIABLE in os.environ:
        names = (name.strip() for name in os.environ[VARIABLE].split(","))
        # CUDA too takes those before the first that is none.
        return list(takewhile(lambda name: name not in ("", "-1"), names))
    try:
        listed = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    found: list[list[str]] = []  # each GPU, or its slices
    for line in listed.stdout.splitlines():
        for name in _NAME.findall(line):
            if name.startswith("GPU-"):
                found.append([name])
            elif found:  # of the GPU above, which itself then computes nothing
                found[-1] = [own for own in found[-1] if own.startswith("MIG-")] + [name]
    return [name for names in found for name in names]


def default_jobs(gpus: int) -> int:
    """How many cells run side by side where nothing says it: on all GPUs, or one a core.

    Args:
        gpus: of one cell; 0 for the CPU.
    """
    return max(1, len(visible()) // gpus) if gpus else len(os.sched_getaffinity(0))


class Places:
    """Where cells run side by side, and which GPUs each place has.

    Cells of several GPUs have them to themselves. Where a cell takes one, the places take the GPUs
    in turn, and share them where there are more places. So they do where nothing is said of GPUs:
    the study's config may name one. Where only one cell runs at a time, it sees what there is.
    """

    def __init__(self, jobs: int, gpus: int, held: int = 0):
        """
        Args:
            jobs: how many cells run side by side.
            gpus: of one cell; 0 for what its config says, the CPU or one.
            held: cells of another runner that are at work on GPUs that nothing here knows of.

        Raises:
            TooFewGpus: they do not suffice for all.
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
        """The variables that a cell's process needs for its place; None while none is free."""
        if not self._free or (self._divided and self._held):
            return None
        return self._free.pop(0)

    def give_back(self, place: Mapping[str, str] | None) -> None:
        """What :meth:`take` returned, free again; None for a cell of another runner."""
        if place is None:
            self._held -= 1
        else:
            self._free.append(place)
