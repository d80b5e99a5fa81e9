"""The random generators that a training draws from: Python's, numpy's, torch's and the GPU's."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """The states of the random generators of Python, numpy, torch and this process's GPU."""
    numpy_state: Any = np.random.get_state()  # a tuple; its type is that of both forms
    kind, key, *rest = numpy_state
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(key.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put :func:`random_state` back."""
    kind, key, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((kind, key.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Put the random generators back: Detectron2 draws one to resize to the only size there is."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
