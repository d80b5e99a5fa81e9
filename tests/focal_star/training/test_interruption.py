"""What SIGTERM does."""

import signal
import subprocess
import sys
import textwrap

import pytest

from focal_star.training.command import exit_code
from focal_star.training.interruption import INTERRUPTED, REPEAT_SECONDS

PRELUDE = f"""
import os, signal, sys, time
from focal_star.training import interruption
REPEAT_SECONDS = {REPEAT_SECONDS}
interruption.MAX_SECONDS = REPEAT_SECONDS + 2
def sigterm():
    os.kill(os.getpid(), signal.SIGTERM)
    while not interruption.is_requested():  # until it was noticed
        time.sleep(0.01)
"""


def ended(code: str) -> tuple[int, str]:
    """The exit code of a process that runs this, and what it printed."""
    process = subprocess.run(
        [sys.executable, "-u", "-c", PRELUDE + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return process.returncode, process.stdout


def test_at_once():
    assert ended("interruption.exit_on_sigterm(); sigterm(); print('not here')") == (4, "")
    assert INTERRUPTED == 4


def test_deferred():
    code = """
    interruption.exit_on_sigterm()
    with interruption.deferred():
        print(interruption.is_requested())
        sigterm()
        sigterm()
        print(interruption.is_requested())
    """
    assert ended(code) == (0, "False\nTrue\n")


@pytest.mark.parametrize("second", ["sigterm(); time.sleep(9)", "time.sleep(9)"])
def test_a_second_one_ends_it_and_so_does_time(second):
    code = f"""
    interruption.exit_on_sigterm()
    with interruption.deferred():
        sigterm()
        time.sleep(REPEAT_SECONDS)
        print("still here")
        {second}
        print("not here")
    """
    assert ended(code) == (4, "still here\n")


def test_other_signals_do_not_count():
    code = """
    signal.signal(signal.SIGUSR1, lambda *_: print("another"))
    interruption.exit_on_sigterm()
    os.kill(os.getpid(), signal.SIGUSR1)
    with interruption.deferred():
        sigterm()
        time.sleep(REPEAT_SECONDS)
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.3)
        print("still here")
    """
    assert ended(code) == (0, "another\nanother\nstill here\n")


def test_a_main_thread_that_is_stuck_does_not_matter():
    code = """
    import threading
    lock = threading.Lock()
    lock.acquire()
    interruption.exit_on_sigterm()
    threading.Timer(0.2, sigterm).start()
    with interruption.deferred():
        lock.acquire()
    """
    assert ended(code) == (4, "")


def test_not_deferred_within_deferred():
    code = """
    interruption.exit_on_sigterm()
    with interruption.deferred():
        with interruption.not_deferred():
            print("within")
        sigterm()
        print("deferred again")
        with interruption.not_deferred():
            print("not here")
    """
    assert ended(code) == (4, "within\ndeferred again\n")


def test_it_is_passed_on():
    code = """
    import multiprocessing
    def child(ready):
        interruption.exit_on_sigterm()
        ready.set()
        time.sleep(60)
    fork = multiprocessing.get_context("fork")
    ready = [fork.Event() for _ in range(2)]
    children = [fork.Process(target=child, args=(event,)) for event in ready]
    interruption.pass_sigterm_on()
    for process in children:
        process.start()
    for event in ready:
        event.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    for process in children:
        process.join()
    print([process.exitcode for process in children])
    sigterm()
    print("not here")
    """
    assert ended(code) == (4, "[4, 4]\n")


@pytest.mark.parametrize(
    ("code", "expected"), [(0, 0), (2, 2), (4, 4), (-signal.SIGTERM, 4), (-signal.SIGKILL, 137)]
)
def test_the_exit_code_for_that_of_a_process(code, expected):
    assert exit_code(code) == expected


def test_it_needs_no_torch():
    code, said = ended("print('torch' in sys.modules)")
    assert (code, said) == (0, "False\n")
