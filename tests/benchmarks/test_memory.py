"""The peak of memory, on allocations of a known size."""

import sys

import numpy as np
import pytest

from benchmarks.memory import peak_extra_bytes

MIB = 2**20
SLACK = 2
"""MiB: Linux counts resident pages in batches."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def hold(*sizes):
    """Writes into blocks of these sizes, MiB, that are there at the same time."""
    return lambda: [np.ones(size * MIB, dtype=np.uint8) for size in sizes] and None


@pytest.mark.parametrize("sizes", [(64,), (48, 48)])
def test_it_is_what_is_there_at_the_same_time(sizes):
    found = peak_extra_bytes(hold(*sizes))
    assert sum(sizes) - SLACK <= found / MIB < sum(sizes) + 16


def test_one_after_another_counts_once():
    found = peak_extra_bytes(lambda: [hold(64)() for _ in range(4)] and None)
    assert 64 - SLACK <= found / MIB < 80


def test_an_earlier_peak_does_not_count():
    hold(200)()
    assert peak_extra_bytes(hold(32)) / MIB < 48
