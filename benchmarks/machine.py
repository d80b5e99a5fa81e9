"""Describes the machine that the times were measured on."""

import os
import platform
from typing import Any

from ablations.identity.snapshot import commit
from focal_star.io.machine import cpu_name, package_version

PACKAGES = ("torch", "torchvision", "triton", "detectron2", "fvcore", "hotcoco", "pycocotools")


def conditions() -> dict[str, Any]:
    """Processor, GPU, versions and the load of the machine, for a result to be read with."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "device": gpu or "cpu",
        "cpu": cpu_name() or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "commit": commit(),
        "versions": {"python": platform.python_version()}
        | {name: text for name in PACKAGES if (text := package_version(name))},
    }
