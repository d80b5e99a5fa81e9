"""Disables subnormal floats, with which a CPU computes slowly."""

import torch
from detectron2.config import CfgNode


def flush_subnormals(cfg: CfgNode) -> None:
    """Replace subnormal floats by 0 in this process, if it trains on the CPU.

    Subnormal floats are those below 1.2e-38 in float32. At gamma = 2 to 5, a few percent of the
    entries of the loss gradient are subnormal, and convolutions then take up to three times as
    long. The setting holds for this thread and for the threads that are started after it, until the
    process ends.

    Args:
        cfg: the config; on a GPU nothing is changed.
    """
    if cfg.MODEL.DEVICE == "cpu":
        torch.set_flush_denormal(True)
