"""Locks, also on a file system that has none."""

import errno
import fcntl
from pathlib import Path

import pytest

from ablations.storage.layout import Layout
from ablations.storage.locks import is_at_work, take


def test_a_held_lock_is_not_taken(tmp_path):
    layout = Layout(tmp_path)
    assert not is_at_work(layout)
    with take(layout.lock):
        assert is_at_work(layout) and take(layout.lock) is None
    assert not is_at_work(layout)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_named(tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, "Function not implemented")

    layout = Layout(tmp_path)
    layout.lock.touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    assert not is_at_work(layout), "its state can be shown"
    with pytest.raises(OSError, match="must be on a disk with file locks") as refused:
        take(layout.lock)
    assert Path(refused.value.filename) == layout.lock
