"""Pickles of weights: what numpy would take unchecked is refused before any memory is read."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest

from focal_star.training.unpickling import RefusedPickle, multiarray, read_arrays

ADDRESS = b"\x41" * 8
"""numpy would take it for the address of a Python object, and the process would crash at best."""


class Calls:
    """What a pickle calls, and the state that it gives to what comes of it."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def read(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return read_arrays(path)


def type_(name, *parts):
    """A type of numpy's with this subarray, names, fields, size, alignment and flags."""
    return Calls(np.dtype, (name, False, True), (3, "|", *parts))


def array(dtype, shape, content):
    empty = (np.ndarray, (0,), b"b")
    return Calls(multiarray._reconstruct, empty, (1, shape, dtype, False, content))


OBJECTS = {
    "flags": type_("O8", None, None, None, -1, -1, 0),
    "field": type_("V8", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0),
    "subarray": type_("V8", (np.dtype("O"), (1,)), None, None, 8, 1, 0),
    "field of a number": type_("f8", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0),
    "by its name": np.dtype("O"),
    "a field by its name": Calls(np.dtype, ("O,f4",)),
}


@pytest.mark.parametrize("dtype", OBJECTS.values(), ids=OBJECTS)
@pytest.mark.parametrize(
    "make",
    [lambda t: array(t, (1,), ADDRESS), lambda t: Calls(multiarray.scalar, (t, ADDRESS))],
    ids=["array", "scalar"],
)
def test_bytes_are_no_addresses_of_objects(dtype, make, tmp_path):
    with pytest.raises(RefusedPickle, match="valid: numbers and texts"):
        read(tmp_path / "x.pkl", make(dtype))


@pytest.mark.parametrize("shape", [(-1, -1), (2,), (1, True), [1], 2**40])
def test_a_shape_that_the_content_does_not_fill_is_refused(shape, tmp_path):
    with pytest.raises(RefusedPickle, match="not of its shape"):
        read(tmp_path / "x.pkl", array(np.dtype("f8"), shape, ADDRESS))


def test_a_list_of_objects_is_refused(tmp_path):
    with pytest.raises(RefusedPickle, match="array of Python objects"):
        read(tmp_path / "x.pkl", array(np.dtype("f8"), (1,), [1.0]))


def test_a_type_is_not_an_array(tmp_path):
    with pytest.raises(TypeError):
        read(tmp_path / "x.pkl", Calls(np.ndarray, ((1,), "O")))


def test_what_a_pickle_sets_on_a_function_does_not_last(tmp_path):
    """A pickle may set attributes of what it names, such as the defaults of a function."""
    hostile = Calls(multiarray._reconstruct, (np.ndarray, (0,), b"b"))
    lines = pickle.dumps(hostile, 2)
    (start,) = [lines.index(name) for name in (b"cnumpy.core", b"cnumpy._core") if name in lines]
    name = lines[start : lines.index(b"\n", lines.index(b"\n") + 1) + 1]
    state = pickle.dumps((None, {"__defaults__": (1, 2, 3)}), 2)[2:-1]
    (tmp_path / "x.pkl").write_bytes(b"\x80\x02" + name + state + b"b.")
    assert callable(read_arrays(tmp_path / "x.pkl"))
    weights = np.arange(3.0)
    np.testing.assert_array_equal(read(tmp_path / "y.pkl", weights), weights)


PLAIN = OrderedDict(
    half=np.arange(6, dtype=np.float16).reshape(2, 3),
    fortran=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    big_endian=np.arange(3, dtype=">i4"),
    texts=np.array(["a", "bc"]),
    raw=np.array([b"a", b"bc"]),
    bools=np.array([True, False]),
    single=np.array(2.5),
    scalar=np.float32(1.5),
    numbers=[1, 2.5, (None, True), {3: b"x"}],
)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_arrays_are_read_as_they_were_written(protocol, tmp_path):
    found = read(tmp_path / "x.pkl", PLAIN, protocol)
    assert list(found) == list(PLAIN) and found["numbers"] == PLAIN["numbers"]
    for name in list(PLAIN)[:-1]:
        np.testing.assert_array_equal(found[name], PLAIN[name])
        assert found[name].dtype.newbyteorder("=") == PLAIN[name].dtype.newbyteorder("="), name
        assert isinstance(found[name], type(PLAIN[name]))
