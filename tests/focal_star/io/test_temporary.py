"""Temporary files and folders of killed processes are removed; those of living ones stay."""

import fcntl
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from focal_star.io.kept_folders import forget_oldest, lock_of
from focal_star.io.temporary import (
    locked,
    remove_abandoned,
    temporaries,
    temporary_file,
    temporary_folder,
)
from focal_star.io.writing import write_whole
from focal_star.mini import digits_in_scenes

HOLDER = """
import sys
from pathlib import Path
from focal_star.io.temporary import locked, temporary_file, temporary_folder
kinds = {"file": temporary_file, "folder": temporary_folder, "lock": locked}
with kinds[sys.argv[1]](Path(sys.argv[2])) as made:
    if sys.argv[1] == "folder":
        (made / "large").write_bytes(bytes(1000))
    if sys.argv[1] == "file":
        made[0].write(bytes(1000))
        made[0].flush()
    print("made", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold():
    """Starts a process that makes a temporary file or folder, or takes a lock, and waits."""
    processes = []

    def start(kind: str, path: Path) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLDER, kind, str(path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout.readline() == b"made\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_it_is_removed_once_its_process_was_killed(tmp_path, hold, kind):
    process = hold(kind, tmp_path / "kept")
    (made,) = temporaries(tmp_path)
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [made], "its process lives"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.iterdir()) == [made]
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "look",
    [
        lambda folder: write_whole(folder / "another", b""),
        lambda folder: temporary_folder(folder / "another").__enter__(),
        lambda folder: digits_in_scenes.write(
            folder / "digits", digits_in_scenes.Recipe(num_train=1, num_val=1)
        ),
        lambda folder: forget_oldest(folder, 0, keep=folder / "kept"),
    ],
    ids=["a file is written", "a folder is made", "digits are composed", "room is made"],
)
def test_who_looks_there_next_removes_it(tmp_path, hold, look):
    for process in [hold(kind, tmp_path / "kept") for kind in ("file", "folder")]:
        process.kill()
        process.wait()
    left = temporaries(tmp_path)
    assert len(left) == 2
    look(tmp_path)
    assert not any(path.exists() for path in left)


def test_nothing_is_left_where_it_fails(tmp_path):
    with pytest.raises(KeyError), temporary_file(tmp_path / "one"):
        raise KeyError
    with pytest.raises(KeyError), temporary_folder(tmp_path / "two") as made:
        (made / "file").touch()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path):
    """A signal handler may raise between any two bytecodes."""
    path = tmp_path / "file"
    for moment in itertools.count(1):
        path.write_bytes(b"old")
        left = moment

        def trace(frame, event, _):
            nonlocal left
            frame.f_trace_opcodes = True
            left -= event == "opcode"
            if not left:
                sys.settrace(None)
                raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            write_whole(path, b"new")
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(None)
        assert list(tmp_path.iterdir()) == [path]
        assert path.read_bytes() in (b"old", b"new")
    assert moment > 100, "the moments of the whole function"


def test_what_is_moved_stays(tmp_path):
    with temporary_folder(tmp_path / "whole") as made:
        (made / "file").touch()
        made.rename(tmp_path / "whole")
    assert [path.name for path in tmp_path.rglob("*")] == ["whole", "file"]


def test_other_hidden_files_stay(tmp_path):
    names = [".config", ".a.tmp", ".a.settings", ".a.b1234567.part", "a.b1234567.tmp"]
    for name in names:
        (tmp_path / name).touch()
    remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_folder_whose_removal_was_cut_short_goes(tmp_path):
    for number, content in enumerate(([], ["owner"], ["owner", "content"])):
        folder = tmp_path / f".kept.0000000{number}.tmp"
        folder.mkdir()
        for name in content:
            (folder / name).mkdir() if name == "content" else (folder / name).touch()
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_removed_before_it_was_held_is_made_again(tmp_path, monkeypatch):
    flock, calls = fcntl.flock, []

    def disturbed(file, flags):
        calls.append(flags)
        if len(calls) == 1:
            (path,) = tmp_path.iterdir()
            path.unlink()
        flock(file, flags)

    monkeypatch.setattr(fcntl, "flock", disturbed)
    with temporary_file(tmp_path / "file") as (_, path):
        assert path.exists()
    assert len(calls) == 2


def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with temporary_folder(tmp_path / "folder") as made:
        write_whole(tmp_path / "file", b"content")
        assert made.exists(), "it cannot be known whether its process lives"
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_lock_excludes_others_and_leaves_no_file(tmp_path, hold):
    path = tmp_path / "a.lock"
    process = hold("lock", path)
    with pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    assert path.exists()
    process.communicate(b"")
    assert not path.exists()
    with locked(path), pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    assert not path.exists()


def test_who_waited_for_a_lock_that_was_removed_takes_a_new_one(tmp_path):
    """Many processes count in a file, which would lose numbers if two were at it at once."""
    code = """
import sys
from pathlib import Path
from focal_star.io.temporary import locked
folder = Path(sys.argv[1])
for _ in range(200):
    with locked(folder / "a.lock"):
        number = int((folder / "number").read_text())
        (folder / "number").write_text(str(number + 1))
"""
    (tmp_path / "number").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "number").read_text() == "600"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_what_was_used_longest_ago_gives_way(tmp_path):
    for age, name in enumerate(("newest", "held", "kept", "older", "oldest")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "features.npy").write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    file = (tmp_path / "oldest" / "features.npy").open("rb")
    with locked(lock_of(tmp_path / "held")), file:
        forget_oldest(tmp_path, 500, keep=tmp_path / "kept")
        assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 5, "they fit"
        forget_oldest(tmp_path, 350, keep=tmp_path / "kept")
        names = {path.name for path in tmp_path.iterdir() if path.is_dir()}
        assert names == {"newest", "held", "kept"}
        assert len(file.read()) == 100, "who reads it goes on"
        forget_oldest(tmp_path, 0, keep=tmp_path / "kept")
    assert {path.name for path in tmp_path.iterdir()} == {"held", "kept"}


def test_what_is_being_written_counts_and_stays(tmp_path, hold):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "features.npy").write_bytes(bytes(100))
    hold("folder", tmp_path / "new")
    (written,) = temporaries(tmp_path)
    forget_oldest(tmp_path, 1100, keep=tmp_path / "kept")
    assert (tmp_path / "old").exists()
    forget_oldest(tmp_path, 1099, keep=tmp_path / "kept")
    assert list(tmp_path.iterdir()) == [written]


def test_lock_files_of_killed_processes_go(tmp_path, hold):
    process = hold("lock", tmp_path / "gone.lock")
    process.kill()
    process.wait()
    assert (tmp_path / "gone.lock").exists()
    with locked(tmp_path / "held.lock"):
        forget_oldest(tmp_path, 0, keep=tmp_path / "kept")
        assert [path.name for path in tmp_path.iterdir()] == ["held.lock"]


def test_a_kill_while_it_is_removed_leaves_no_half(tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "features.npy").touch()
    monkeypatch.setattr("focal_star.io.temporary.shutil.rmtree", lambda *_, **__: None)
    forget_oldest(tmp_path, -1, keep=tmp_path / "kept")
    assert not (tmp_path / "old").exists()
    monkeypatch.undo()
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []
