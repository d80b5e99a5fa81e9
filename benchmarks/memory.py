"""Measures how much memory a function takes while it runs."""

import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


def peak_extra_bytes(run: Callable[[], object], on_gpu: bool = False) -> int | None:
    """The peak memory of ``run``, minus the memory in use before it.

    On a CPU it is the resident memory of the process, as Linux counts it; None on other systems.

    Args:
        run: a function that has run before, so that memory which it keeps is allocated already.
        on_gpu: count torch's memory on the current GPU instead.
    """
    gc.collect()
    if on_gpu:
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # else freed memory would be used again unseen
        CLEAR.write_text("5", encoding="ascii")  # the peak starts anew
    except (AttributeError, OSError):
        return None
    before = _bytes("VmRSS")
    run()
    return max(0, _bytes("VmHWM") - before)


def _bytes(key: str) -> int:
    (kib,) = re.findall(rf"^{key}:\s+(\d+) kB", STATUS.read_text("ascii"), re.MULTILINE)
    return int(kib) * 1024
