"""Reads the pickles of weights that others publish, without running the code that is in them.

Detectron2's model zoo, its ImageNet weights (``R-50.pkl``) and Caffe2's are pickles: programs that
build objects, and may call any function on the way. Here such a program may build numpy arrays of
plain numbers and texts and Python's plain containers, and nothing else.

numpy's types and arrays do not check the state that a pickle gives them: with certain flags, bytes
of the file become addresses of Python objects. So the program never gets numpy's own types; their
replacements here check the state that they are given.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

try:
    from numpy._core import multiarray
except ImportError:  # numpy 1
    from numpy.core import multiarray  # type: ignore[no-redef]  # the other of two names


class RefusedPickle(pickle.UnpicklingError):
    """The pickle holds more than arrays; the message names the first other object."""


def read_arrays(path: Path) -> Any:
    """What a pickle holds: arrays, numbers, texts, and lists, tuples, sets and dicts of them.

    Raises:
        RefusedPickle: it holds something else; none of its code has been run.
        Exception: it is broken; what that raises has no common base.
    """
    with path.open("rb") as file:
        return _ArraysAlone(file, encoding="latin1").load()


_PLAIN = "biufcSU"
"""Kinds of numpy's types whose values are in their bytes: bool, numbers, bytes and texts."""

_ORDERS = ("<", ">", "=", "|")


class _Type:
    """Replaces numpy.dtype in a pickle."""

    def __init__(self, name: str, align: bool = False, copy: bool = False):
        dtype = np.dtype(name) if isinstance(name, str) else None
        if dtype is None or dtype.kind not in _PLAIN or dtype.shape:
            raise RefusedPickle(f"the type {name!r:.100}; valid: numbers and texts")
        self.dtype = dtype

    def __setstate__(self, state: tuple) -> None:
        """Take the order of the bytes; all else follows from the name."""
        _, order, subarray, names, fields, *_ = state
        if any(part is not None for part in (subarray, names, fields)) or order not in _ORDERS:
            raise RefusedPickle("a type with fields; valid: numbers and texts")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array that is still empty."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, is_fortran, content = state
        if isinstance(content, str):  # Python 2's bytes
            content = content.encode("latin-1")
        if not isinstance(content, bytes):
            raise RefusedPickle("an array of Python objects")
        _check(shape, content, kind)
        state = (1, shape, kind.dtype, bool(is_fortran), content)
        super().__setstate__(state)  # type: ignore[arg-type]  # numpy's type wants its own bool


def _check(shape: tuple, content: bytes, kind: _Type) -> None:
    """Refuse an invalid shape, or one that does not fit the size of the content."""
    is_shape = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not is_shape or math.prod(shape) * kind.dtype.itemsize != len(content):
        raise RefusedPickle("an array whose content is not of its shape")


def _array(kind: object, shape: tuple, dtype: Any) -> np.ndarray:
    """How numpy pickles an array: an empty one, which is then filled."""
    if kind is not _NDARRAY:
        raise RefusedPickle("an array of another type than numpy's own")
    return _Array((0,), np.int8)


def _frombuffer(
    content: bytes, kind: _Type, shape: tuple, order: Literal["C", "F", "A"]
) -> np.ndarray:
    """How numpy pickles an array by protocol 5."""
    if not isinstance(content, bytes | bytearray | pickle.PickleBuffer):
        raise RefusedPickle("an array of Python objects")
    content = bytes(content)
    _check(shape, content, kind)
    return np.frombuffer(bytearray(content), kind.dtype).reshape(shape, order=order)


def _scalar(kind: _Type, content: bytes) -> Any:
    if isinstance(content, str):
        content = content.encode("latin-1")
    _check((), content, kind)
    return multiarray.scalar(kind.dtype, content)


def _latin_1(text: str, encoding: str) -> bytes:
    """How Python 3 pickles bytes for Python 2."""
    if encoding != "latin1":
        raise RefusedPickle(f"bytes encoded as {encoding[:40]!r}")
    return text.encode("latin-1")


_NDARRAY = object()
"""Replaces numpy.ndarray, which a pickle names and need not call."""

_OF_NUMPY: dict[str, Callable] = {
    "multiarray._reconstruct": _array,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _frombuffer,
}

_ADMITTED: dict[str, Callable] = {
    "collections.OrderedDict": OrderedDict,
    "numpy.dtype": _Type,
    "_codecs.encode": _latin_1,
    **{f"numpy.{core}.{name}": f for core in ("core", "_core") for name, f in _OF_NUMPY.items()},
}


class _ArraysAlone(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return _NDARRAY
        try:
            admitted = _ADMITTED[f"{module}.{name}"]
        except KeyError:
            raise RefusedPickle(f"it asks for {module}.{name}"[:200]) from None
        # A pickle may set the attributes of what it is given: of this function, and of no other.
        return lambda *args: admitted(*args)
