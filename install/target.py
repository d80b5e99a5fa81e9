"""The environment that is set up: what it holds, and the making of `.venv`."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from install import OLDEST_PYTHON
from install.running import Runner, SetupError

# Looks packages up and imports none of them: torch alone takes seconds. Places count beside
# versions: a folder on PYTHONPATH has no version, and an editable package may be another checkout.
LOOK = """
import importlib.metadata, importlib.util, json, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
def place(name):
    spec = importlib.util.find_spec(name)
    return spec and spec.origin
names = sys.argv[1:]
print(json.dumps({
    "python": list(sys.version_info[:3]),
    "versions": {name: version(name) for name in names},
    "places": {name: place(name) for name in names},
}))
"""


@dataclass(frozen=True)
class Contents:
    """What a Python is and holds.

    Args:
        python: its version, as in (3, 11, 7).
        versions: the version of each distribution that was asked for; None where it is missing.
        places: the file of the package of that name; None where it is missing.
    """

    python: tuple[int, ...]
    versions: dict[str, str | None]
    places: dict[str, str | None]


@dataclass(frozen=True)
class Target:
    """The environment that is set up.

    Args:
        python: its interpreter.
        ours: made by the set-up (`.venv`), which may then replace what is in it; in a user's
            environment, what is there stays.
    """

    python: Path
    ours: bool

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment variables for its processes.

        `.venv` must hold all that it needs, so what PYTHONPATH lends does not count there. In a
        user's environment it does: a Detectron2 may come from it.
        """
        left_out = {"PYTHONPATH", "PYTHONHOME"} if self.ours else set()
        return {name: value for name, value in environ.items() if name not in left_out}

    def look(self, names: Iterable[str], environ: Mapping[str, str]) -> Contents | None:
        """What it holds; None where the interpreter is missing or does not run.

        Args:
            names: of the distributions and packages in question.
            environ: its environment variables, as `environ` makes them.
        """
        try:
            found = subprocess.run(
                [str(self.python), "-c", LOOK, *names],
                capture_output=True,
                text=True,
                env=dict(environ),
                check=True,
            )
            contents = json.loads(found.stdout)
        except (OSError, subprocess.CalledProcessError, ValueError):
            return None
        return Contents(tuple(contents["python"]), contents["versions"], contents["places"])

    def name(self) -> str:
        """How messages call the interpreter: short where it lies in the current folder."""
        relative = os.path.relpath(self.python)
        return str(self.python) if relative.startswith(os.pardir) else relative


def make_venv(folder: Path, runner: Runner) -> None:
    """Makes `.venv` from the Python that runs this; keeps one that works.

    Raises:
        SetupError: this Python cannot make one.
    """
    python = folder / "bin" / "python"
    if works(Target(python, ours=True), runner):
        return
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"{sys.executable} cannot make virtual environments: its venv module is missing. "
            f"Install it (Debian, Ubuntu: apt install python3-venv), or name an environment: "
            f"make setup PYTHON=/path/to/python"
        )
    # --clear: what is left of an interrupted set-up, or of a Python that is gone, is no use.
    runner.run([sys.executable, "-m", "venv", "--clear", folder])


def works(target: Target, runner: Runner) -> bool:
    """Whether an environment runs, is not too old and has pip."""
    contents = target.look((), runner.environ)
    if contents is None or contents.python < OLDEST_PYTHON:
        return False
    return has_pip(target, runner)


def has_pip(target: Target, runner: Runner) -> bool:
    """Whether pip runs there (a half-made environment has none, or half of it)."""
    return runner.attempt([target.python, "-m", "pip", "--version"])[0] == 0


def require_pip(target: Target, runner: Runner) -> None:
    """Refuses an environment without pip.

    Raises:
        SetupError: pip does not run there.
    """
    if not has_pip(target, runner):
        raise SetupError(
            f"{target.name()} has no pip. Give it one ({target.name()} -m ensurepip), "
            "then run make setup again"
        )


def require_look(target: Target, names: Iterable[str], runner: Runner) -> Contents:
    """What an environment holds.

    Raises:
        SetupError: its Python does not run.
    """
    contents = target.look(names, runner.environ)
    if contents is None:
        raise SetupError(f"{target.name()} does not run. Name a Python that does (PYTHON=...)")
    return contents
