"""The report that is written again and again beside a run: quiet, and gone when the run is."""

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from reports.follow import pause

ROOT = Path(__file__).parents[2]
PATIENCE = 60
"""Seconds that a loaded machine may take for what takes one."""


def until(condition, patience: float = PATIENCE):
    """Wait for a condition, and return what it returned."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def folder(make_folder):
    """A study of five cells of which one is done."""
    folder = make_folder()
    folder.describe()
    folder.add(folder.cell(0, 0), 4.26)
    return folder


# The study of the tests is in no file.
FOLLOW = """
import sys
from pathlib import Path
from ablations.storage.layout import Layout
from ablations.study.study import Study
import pickle
from reports.follow import follow
from reports.results.load import load

study = pickle.loads(Path(sys.argv[1]).read_bytes())
print("ready", flush=True)
follow(lambda: load(Layout(Path(sys.argv[2])), study), 0.2, max_share=1)
print("over", flush=True)
"""


@pytest.fixture
def start(tmp_path):
    """A function of a study's folder: a process that follows it."""
    started = []

    def start(folder, prefix=()) -> subprocess.Popen:
        study = tmp_path / "study.pickle"
        study.write_bytes(pickle.dumps(folder.study))
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", FOLLOW, study, folder.layout.root],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def page_of(folder) -> str:
    path = folder.layout.report / "index.html"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def test_renderings_take_a_small_share_of_the_time():
    assert pause(0.1, 60, max_share=0.05) == 60
    # 12 s of 12 + 228 are a twentieth.
    assert pause(12.0, 60, max_share=0.05) == pytest.approx(228)
    assert pause(12.0, 0.2, max_share=1) == 0.2


def test_the_page_keeps_up_with_the_records_and_ends_when_told(folder, start):
    process = start(folder)
    until(lambda: "1 of 5 cells have finished" in page_of(folder))
    folder.add(folder.cell(0, 1), 5.0)
    until(lambda: "2 of 5 cells have finished" in page_of(folder))
    for cell in folder.study.cells():
        folder.add(cell, 5.0)
    until(lambda: "5 done" in page_of(folder))
    assert "data-refresh" not in page_of(folder).partition(">\n<head>")[0]
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert process.stdout.read() == "ready\nover\n", "and says nothing"
    assert not [path for path in folder.layout.root.rglob(".*") if path.is_file()]


def test_nothing_is_written_where_nothing_has_changed(folder, start):
    start(folder)
    until(lambda: page_of(folder))
    written = (folder.layout.report / "index.html").stat().st_mtime_ns
    time.sleep(1.5)  # several looks
    assert (folder.layout.report / "index.html").stat().st_mtime_ns == written


@pytest.mark.parametrize("strange", ["{", "[]", '{"cell": 1}', "\x00"])
def test_a_half_written_or_strange_record_ends_nothing(folder, start, strange):
    folder.layout.record(folder.cell(0, 1).id).write_text(strange)
    folder.layout.study.write_text("{")  # no report can be made of this
    process = start(folder)
    assert process.stdout.readline() == "ready\n"
    time.sleep(1)
    assert process.poll() is None and not page_of(folder)
    folder.describe()
    until(lambda: "could not be read" in page_of(folder))
    process.terminate()
    assert process.wait(PATIENCE) == 0 and process.stdout.read() == "over\n"


IN_A_DESTRUCTOR = """
import os, signal, time
from reports import follow

follow.CLEAN_UP_SECONDS = 0.1

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)

with follow._ending(os.getppid()):
    Last()
    time.sleep(60)
print("over")
"""


def test_a_signal_in_a_destructor_ends_it_without_a_word():
    done = subprocess.run(
        [sys.executable, "-c", IN_A_DESTRUCTOR],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")


def test_it_ends_with_the_process_that_started_it(folder, start):
    shell = start(folder, prefix=["bash", "-c", '"$@" & echo $!; wait', "bash"])
    pid = int(shell.stdout.readline())
    until(lambda: page_of(folder))
    assert is_alive(pid)
    shell.kill()
    until(lambda: not is_alive(pid))


def test_the_command_follows_and_ends_beside_a_process_that_is_gone(folder):
    gone = subprocess.Popen(["true"])
    gone.wait()
    command = [sys.executable, "-m", "reports", "--study", "mini"]
    ended = subprocess.run(
        [*command, f"--output={folder.layout.root.parent}", "--every=60", f"--beside={gone.pid}"],
        cwd=ROOT, timeout=PATIENCE, capture_output=True, text=True,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


# Stands for a Python with all that is needed: `-m ablations` waits until it is told to end, and
# `-m reports` says by its own id that it is there.
PYTHON = """#!/bin/bash
case "$2 $*" in
    ablations*) echo $$ > {folder}/ablations; trap 'exit 130' INT TERM; sleep 0.1
                while [ ! -e {folder}/go ]; do sleep 0.05; done; exit $(cat {folder}/go);;
    reports*--every*) echo $$ > {folder}/follower; [[ "$*" == *"--beside $PPID"* ]] || exit
                exec {python} "$@";;
    reports*) echo report >> {folder}/reports;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """A `make ablations` at work, with a stand-in for the cells."""
    python = tmp_path / "python"
    python.write_text(PYTHON.format(folder=tmp_path, python=sys.executable))
    python.chmod(0o755)
    process = subprocess.Popen(
        ["make", "--no-print-directory", "ablations", f"PYTHON={python}", f"OUTPUT={tmp_path}"],
        cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={k: v for k, v in os.environ.items() if not re.match("MAKE|MFLAGS", k)}, text=True,
        # A shell's "&" would have it ignored, by all that the tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    yield process
    with suppress(ProcessLookupError):  # all gone, as is to be
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def number_in(path: Path) -> int:
    return int(until(lambda: path.is_file() and path.read_text().strip()))


@pytest.mark.parametrize("code", [0, 1, 2])
def test_make_ends_the_follower_with_the_run(make, tmp_path, code):
    follower = number_in(tmp_path / "follower")
    number_in(tmp_path / "ablations")
    (tmp_path / "go").write_text(str(code))
    assert (make.wait(PATIENCE) == 0) == (code == 0)
    assert not is_alive(follower)
    assert (tmp_path / "reports").is_file() == (code != 2), "the last report is written"


def test_ctrl_c_leaves_no_follower(make, tmp_path):
    follower = number_in(tmp_path / "follower")
    number_in(tmp_path / "ablations")
    os.killpg(make.pid, signal.SIGINT)  # as a terminal does
    make.wait(PATIENCE)
    until(lambda: not is_alive(follower))


def test_killing_make_leaves_no_follower(make, tmp_path):
    follower, cells = number_in(tmp_path / "follower"), number_in(tmp_path / "ablations")
    shell = int(Path(f"/proc/{cells}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(make.pid, signal.SIGKILL)
    os.kill(shell, signal.SIGKILL)
    until(lambda: not is_alive(follower))
