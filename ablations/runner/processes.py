"""Starts train_net.py for a cell: as a process of its own, or forked from one that has imported it.

To import torch and Detectron2 takes seconds, and every cell needs them. So a run keeps one process
that has imported them, and has done nothing else, and forks each cell from it: a cell still is a
process of its own, with its own memory, its own log and its own end.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Protocol

from ablations.identity import environment
from ablations.identity.snapshot import Code
from ablations.storage.layout import ROOT

PRELOADED = (
    "focal_star.training.command",
    "focal_star.mini.trainer",
    "hotcoco",
    "pygments.formatters",
    "pygments.lexers",
    "torch.utils.cpp_extension",
    "torch.utils.tensorboard",
)
"""What takes long to import: train_net.py's own, and what a training imports on its way. A package
that is not there is passed over."""

_SERVER_DIED = 255
"""The exit code that multiprocessing gives to a process whose end it cannot know."""


class CellProcess(Protocol):
    """The process of a cell."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, minus the signal that ended it; None while it is alive."""


@dataclass(frozen=True)
class Start:
    """What a cell's process is started with.

    Attributes:
        code: that it trains with.
        arguments: of train_net.py.
        environment: variables that it has beside those of the runner.
        log: the file that it writes to, at the end.
        lock: the cell's; the process holds it until it is dead, and writes into it who it is, so
            that there is no moment of not knowing.
    """

    code: Code
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    lock: IO[str]


def start_new(start: Start) -> CellProcess:
    """Start a new interpreter."""
    command = [
        "sh", "-c", 'echo "$$ $1" > "$0"; shift; exec "$@"',
        start.lock.name, os.uname().nodename, sys.executable,
        str(start.code.script), *start.arguments,
    ]  # fmt: skip
    start.lock.truncate(0)
    with start.log.open("a", encoding="utf-8") as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | start.environment,
            start_new_session=True,  # Ctrl-C reaches the runner alone, which then stops them
            pass_fds=[start.lock.fileno()],
        )


class ForkServer:
    """The process that has imported what cells need, and forks them.

    It ends with the runner, however that ends; cells that are at work then go on.
    """

    _imported: Code | None = None
    """What the one server of this process has imported."""

    def __init__(self, threads: int, log: Path, code: Code):
        """
        Args:
            threads: CPU threads of each cell.
            log: gets what is printed while importing.
            code: that the cells train with.
        """
        self._threads, self._log, self._code = threads, log, code
        self._context = multiprocessing.get_context("forkserver")

    def warm_up(self) -> None:
        """Begin to import, and do not wait for the end of it; a failure shows where one starts."""
        with suppress(OSError):
            self._ensure_running()

    def start(self, start: Start) -> CellProcess:
        """Fork a cell's process, or start a new interpreter where that fails."""
        try:
            if start.code != self._code:
                return start_new(start)
            self._ensure_running()
            return self._fork(start)
        except (OSError, EOFError):  # a disk that is full is so for this as well, which tells
            return start_new(start)

    def _ensure_running(self) -> None:
        script = self._code.script.resolve()
        if not self._is_imported():  # a server keeps what it has imported
            forkserver._forkserver._stop()
            ForkServer._imported = replace(self._code, root=script.parents[2])
        self._context.set_forkserver_preload(list(PRELOADED))
        variables = environment.threads(self._threads) | environment.memory()
        with (
            _beside(script),
            _variables(variables | self._code.variables()),
            self._log.open("ab") as log,
            _stderr_to(log),
        ):
            forkserver.ensure_running()

    def _is_imported(self) -> bool:
        """Whether the server has this code, or an equal copy that is still there."""
        imported, code = ForkServer._imported, self._code
        if imported is None or not imported.script.exists():
            return False
        return imported.sha256 == code.sha256 and bool(
            code.sha256 or imported.script == code.script.resolve()
        )

    def _fork(self, start: Start) -> CellProcess:
        start.log.open("ab").close()
        start.lock.truncate(0)
        process = self._context.Process(target=_run, args=(_Described(start),))
        process.start()
        return _Forked(process)


class _Forked:
    def __init__(self, process: multiprocessing.Process):
        self._process, self.pid = process, process.pid

    def poll(self) -> int | None:
        code = self._process.exitcode
        if code == _SERVER_DIED and _is_alive(self.pid):
            return None  # only who would tell of its end is dead
        return code


def _is_alive(pid: int) -> bool:
    """Whether a process runs. One that has ended stays a zombie where process 1 collects none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class _Described:
    """A :class:`Start` on its way to another process."""

    def __init__(self, start: Start):
        self._start = start

    def __getstate__(self):
        start = self._start
        return {
            "root": str(ROOT),
            "argv": [str(start.code.script), *start.arguments],
            "environment": dict(start.environment),
            "log": str(start.log.absolute()),
            "lock": DupFd(start.lock.fileno()),
        }


def _run(start: _Described) -> None:
    """Be the process of a cell."""
    os.setsid()
    log = os.open(start.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    lock = start.lock.detach()
    os.write(lock, f"{os.getpid()} {os.uname().nodename}\n".encode())
    os.environ.update(start.environment)
    os.chdir(start.root)
    sys.argv = start.argv
    script = start.argv[0]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    runpy.run_path(script, run_name="__main__")


@contextmanager
def _beside(script: Path) -> Iterator[None]:
    """Look for imports beside a script first, as Python does when it runs the script."""
    sys.path.insert(0, str(script.parent))
    try:
        yield
    finally:
        del sys.path[0]


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


@contextmanager
def _stderr_to(file: IO[bytes]) -> Iterator[None]:
    """Have the processes that are started within write their errors to a file."""
    sys.stderr.flush()
    before = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
