"""Reads the pickles of weights that others publish, without running the code that is in them.

Detectron2's model zoo, its ImageNet weights (``R-50.pkl``) and Caffe2's are pickles: programs that
build objects, and may call any function on the way. Here such a program may build numpy arrays and
Python's plain containers, and nothing else.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

try:
    from numpy._core import multiarray, numeric
except ImportError:  # numpy 1
    from numpy.core import multiarray, numeric


class RefusedPickle(pickle.UnpicklingError):
    """The pickle holds more than arrays; the message names the first thing that is none."""


def read_arrays(path: Path) -> Any:
    """What a pickle holds: arrays, numbers, texts, and lists, tuples, sets and dicts of them.

    Raises:
        RefusedPickle: it holds something else; none of its code has been run.
        Exception: it is broken; what that raises has no common base.
    """
    with path.open("rb") as file:
        return _ArraysAlone(file, encoding="latin1").load()


def _latin_1(text: str, encoding: str) -> bytes:
    """How Python 3 pickles bytes for Python 2."""
    if encoding != "latin1":
        raise RefusedPickle(f"bytes encoded as {encoding[:40]!r}")
    return text.encode("latin-1")


def _scalar(dtype: np.dtype, content: bytes) -> Any:
    if dtype.hasobject:
        raise RefusedPickle("a scalar of Python objects")
    return multiarray.scalar(dtype, content)


def _array(kind: type, shape: tuple, dtype: Any) -> np.ndarray:
    if kind is not np.ndarray:
        raise RefusedPickle("an array of another type than numpy's own")
    return multiarray._reconstruct(np.ndarray, shape, dtype)


_OF_NUMPY: dict[str, Callable] = {
    "multiarray._reconstruct": _array,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": numeric._frombuffer,
}

_ADMITTED: dict[str, Callable] = {
    "collections.OrderedDict": OrderedDict,
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "_codecs.encode": _latin_1,
    **{f"numpy.{core}.{name}": f for core in ("core", "_core") for name, f in _OF_NUMPY.items()},
}


class _ArraysAlone(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable:
        try:
            return _ADMITTED[f"{module}.{name}"]
        except KeyError:
            raise RefusedPickle(f"it asks for {module}.{name}"[:200]) from None
