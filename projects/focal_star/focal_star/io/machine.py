"""The names of the processor and the versions of packages, from the standard library alone."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def cpu_name() -> str:
    """The processor's model name; "" if the system gives none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def package_version(package: str) -> str:
    """The version of an installed distribution, from its metadata; "" if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
