"""Describes the machine that a study runs on, without torch."""

import os
import platform
import subprocess

from focal_star.io.machine import cpu_name, package_version

PACKAGES = ("torch", "torchvision", "detectron2", "numpy")
"""The libraries whose versions affect the time per image."""

QUERY = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")


def describe() -> dict[str, str]:
    """Processor, GPUs, memory, system and libraries: name -> text.

    Two machines with the same description are treated as one. The description names neither host
    nor user.
    """
    return {
        "cpu": cpu_name() or platform.processor(),
        "cpus": str(len(os.sched_getaffinity(0))),
        "gpu": _gpus(),
        "memory_gib": str(round(_memory_bytes() / 2**30)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    } | {name: package_version(name) for name in PACKAGES}


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpus() -> str:
    """Each GPU model once; "" without a GPU."""
    try:
        listed = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ", ".join(sorted(set(filter(None, map(str.strip, listed.stdout.splitlines())))))
