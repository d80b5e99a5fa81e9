"""Starts train_net.py for a cell: as a new interpreter, or forked from one that has imported it.

Importing torch and Detectron2 takes seconds, and every cell needs them. A run therefore keeps one
process that has imported them and done nothing else, and forks each cell's process from it.
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
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any, Protocol

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
"""The modules that a training imports slowly. Missing packages are skipped."""

_SERVER_DIED = 255
"""multiprocessing's exit code of a process whose real exit code was lost with the server."""


class CellProcess(Protocol):
    """The process of a cell."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, minus the signal that ended it; None while it is alive."""


@dataclass(frozen=True)
class Start:
    """What a cell's process is started with.

    Attributes:
        code: the code that trains.
        arguments: train_net.py's.
        environment: variables in addition to the runner's.
        log: the file that the output is appended to.
        lock: the cell's lock file; the process holds it until it ends, and writes its id and host
            into it.
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
            start_new_session=True,  # Ctrl-C reaches only the runner, which stops them
            pass_fds=[start.lock.fileno()],
        )


class ForkServer:
    """The process that has imported what cells need, and forks them.

    It ends when the runner ends, even if the runner is killed; running cells continue.
    """

    _imported: Code | None = None
    """The code that the only server of this process has imported."""

    def __init__(self, threads: int, log: Path, code: Code):
        """
        Args:
            threads: CPU threads per cell.
            log: the file for what is printed while importing.
            code: the code that trains.
        """
        self._threads, self._log, self._code = threads, log, code
        self._context = multiprocessing.get_context("forkserver")

    def warm_up(self) -> None:
        """Begin to import without waiting for it; a failure shows up in :meth:`start`."""
        with suppress(OSError):
            self._ensure_running()

    def start(self, start: Start) -> CellProcess:
        """Fork a cell's process, or start a new interpreter where that fails."""
        try:
            if start.code != self._code:
                return start_new(start)
            self._ensure_running()
            return self._fork(start)
        except (OSError, EOFError):  # start_new reports a full disk
            return start_new(start)

    def _ensure_running(self) -> None:
        script = self._code.script.resolve()
        if not self._is_imported():  # a server keeps what it has imported
            forkserver._forkserver._stop()  # type: ignore[attr-defined]  # not public
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
    def __init__(self, process: BaseProcess):
        assert process.pid is not None  # it has been started
        self._process, self.pid = process, process.pid

    def poll(self) -> int | None:
        code = self._process.exitcode
        if code == _SERVER_DIED and _is_alive(self.pid):
            return None  # only the server has died
        return code


def _is_alive(pid: int) -> bool:
    """Whether a process runs. One that has ended stays a zombie where process 1 collects none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class _Described:
    """A :class:`Start` that is sent to another process, where it has these attributes."""

    root: str
    argv: list[str]
    environment: dict[str, str]
    log: str
    lock: Any
    """A copy of the lock file's descriptor; ``detach`` returns its number."""

    def __init__(self, start: Start):
        self._start = start

    def __getstate__(self) -> dict[str, Any]:
        start = self._start
        return {
            "root": str(ROOT),
            "argv": [str(start.code.script), *start.arguments],
            "environment": dict(start.environment),
            "log": str(start.log.absolute()),
            "lock": DupFd(start.lock.fileno()),
        }


def _run(start: _Described) -> None:
    """Run train_net.py in the forked process of a cell."""
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
    """Search a script's folder first for imports, as Python does when it runs the script."""
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
    """Redirect the standard error of the processes that the block starts to a file."""
    sys.stderr.flush()
    before = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
