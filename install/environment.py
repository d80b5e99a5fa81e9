"""The environment that is set up: its Python and its packages."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from install import MIN_PYTHON

LAST_LINES = 8
"""Lines of a failed command's output that are shown."""

# Looks packages up without importing them: importing torch takes seconds.
LOOK = """
import importlib.metadata, importlib.util, json, re, sys
def place(name):
    spec = importlib.util.find_spec(name)
    return spec and (spec.origin or str(spec.submodule_search_locations))
found = [(d.metadata["Name"], d.version) for d in importlib.metadata.distributions()]
found.reverse()  # the first on the path is the one that is imported
print(json.dumps({
    "python": list(sys.version_info[:3]),
    "prefix": sys.prefix,
    "versions": {re.sub("[-_.]+", "-", name).lower(): version for name, version in found if name},
    "places": {name: place(name) for name in sys.argv[1:]},
}))
"""


LEFT_OUT = {
    "PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON",
}  # fmt: skip
"""Environment variables that would add packages to `.venv` or keep them out."""


class SetupError(Exception):
    """A step that failed; the message says what to do, or shows what its command said."""


class Environment:
    """One environment, its commands, and the log of all that they print.

    Args:
        python: its interpreter.
        is_ours: made by the set-up (`.venv`), which may then replace its packages. In a user's
            environment, packages that satisfy setup.py are kept.
        log: the log file; made, with its folder, at the first command.
        environ: environment variables of the commands. `.venv` must hold all that it needs, so
            PYTHONPATH and variables that make pip install elsewhere are left out there; a user's
            environment may take a Detectron2 from PYTHONPATH.
    """

    def __init__(self, python: Path, is_ours: bool, log: Path, environ: Mapping[str, str]):
        self.python, self.is_ours, self.log = python, is_ours, log
        left_out = LEFT_OUT if is_ours else set()
        self.environ = {name: text for name, text in environ.items() if name not in left_out}
        self.environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}

    @property
    def constraints(self) -> Path:
        """The file of the pins that pip was last given."""
        return self.log.with_name("constraints.txt")

    def name(self) -> str:
        """The interpreter as messages name it: short where it is below the current folder."""
        relative = os.path.relpath(self.python)
        return str(self.python) if relative.startswith(os.pardir) else relative

    def attempt(self, *words: str | Path, **environ: str) -> tuple[int, str]:
        """Run its Python with these arguments.

        Args:
            words: the arguments.
            environ: further environment variables.

        Returns:
            The exit status, and what was printed on stdout and stderr.
        """
        command = [str(self.python), *map(str, words)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a+", encoding="utf-8", errors="replace") as log:
            log.write(f"$ {shlex.join(command)}\n")
            log.flush()
            start = log.tell()
            # Into the file, not through a pipe: a long download can be watched there.
            status = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environ, **environ},
                check=False,
            ).returncode
            log.seek(start)
            return status, log.read()

    def pip(self, *words: str | Path, **environ: str) -> None:
        """Run pip.

        Raises:
            SetupError: pip failed; shows the last lines of what it printed.
        """
        status, output = self.attempt("-m", "pip", *words, **environ)
        if status:
            raise SetupError(f"pip failed. {self.shown(output)}")

    def shown(self, output: str) -> str:
        """The last lines of a command's output, and the path of the log that has all of it."""
        lines = [line for line in output.splitlines() if line.strip()][-LAST_LINES:]
        text = "\n    ".join(["Its last lines:", *lines])
        return f"{text}\nAll of its output is in {os.path.relpath(self.log)}"

    def look(self, *packages: str) -> dict[str, Any]:
        """Describe the environment and its packages.

        Args:
            packages: names of packages.

        Returns:
            ``python`` (version), ``prefix``, ``versions`` (name of each distribution, in lower
            case with hyphens -> version) and ``places`` (package -> its file, None if missing).

        Raises:
            SetupError: the interpreter is missing or does not run.
        """
        try:
            ran = subprocess.run(
                [str(self.python), "-c", LOOK, *packages],
                capture_output=True,
                text=True,
                env=self.environ,
                check=True,
            )
            return json.loads(ran.stdout)
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            raise SetupError(f"{self.name()} does not run. Name another (PYTHON=...)") from error

    def prefix(self) -> Path:
        """The environment's folder."""
        return Path(self.look()["prefix"])

    def make(self) -> None:
        """Make `.venv` from the Python that runs this; keep one that works.

        Raises:
            SetupError: this Python cannot make one.
        """
        try:
            if tuple(self.look()["python"]) >= MIN_PYTHON and self._has_pip():
                return
        except SetupError:
            pass
        folder = self.python.parent.parent
        if folder.is_symlink() or (folder.exists() and not _is_environment(folder)):
            raise SetupError(
                f"{folder} is no virtual environment that can be used, and is not this project's "
                "to replace. Move it away, or name an environment: make setup "
                "PYTHON=/path/to/python"
            )
        # --clear: the rest of an interrupted set-up, or of a Python that is gone, is of no use.
        command = [sys.executable, "-m", "venv", "--clear", str(folder)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SetupError(
                f"{sys.executable} cannot make a virtual environment. Install its venv module "
                "(Debian, Ubuntu: apt install python3-venv), or name an environment: make setup "
                f"PYTHON=/path/to/python. It said: {(ran.stdout + ran.stderr).strip()}"
            )

    def require_pip(self) -> None:
        """Refuse an environment without pip.

        Raises:
            SetupError: pip does not run there.
        """
        if not self._has_pip():
            raise SetupError(
                f"{self.name()} has no pip. Install it ({self.name()} -m ensurepip), then run "
                "make setup again"
            )

    def _has_pip(self) -> bool:
        return self.attempt("-m", "pip", "--version")[0] == 0


def _is_environment(folder: Path) -> bool:
    """Whether a folder is a virtual environment, or the beginning of one."""
    if not folder.is_dir():
        return False
    parts = {"bin", "include", "lib", "lib64"}  # made before the file that marks an environment
    return (folder / "pyvenv.cfg").is_file() or {path.name for path in folder.iterdir()} <= parts


@contextmanager
def step(label: str, note: str = "") -> Iterator[None]:
    """Print what is being done, then how long it took; an error gets the label before it.

    Args:
        label: the step.
        note: further information, shown while it runs.
    """
    print(f"setup: {label}{note and f' ({note})'} ...", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except SetupError as error:
        print(" failed", flush=True)
        raise SetupError(f"{label}: {error}") from error
    except BaseException:
        print(" stopped", flush=True)
        raise
    print(f" {time.monotonic() - start:.0f} s", flush=True)
