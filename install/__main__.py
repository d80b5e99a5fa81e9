"""Set up an environment that can train: `.venv`, or that of the Python that runs this.

A set-up that is up to date takes a fraction of a second. One that was interrupted is repeated, and
keeps what was installed.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from install.detectron2_wheel import install_detectron2
from install.environment import Environment, SetupError, step
from install.lock import (
    EXTRAS,
    check_torch,
    displaced,
    install_extra,
    install_requirements,
    install_tools,
    read_lock,
)

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ".setup"
"""The folder of the stamps, the log, the lock and temporary files; ignored by git."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code. Errors are printed on stderr."""
    parser = argparse.ArgumentParser(prog="python3 -m install", description=__doc__)
    parser.add_argument(
        "--here", action="store_true", help="set up the environment of this Python, not .venv"
    )
    parser.add_argument(
        "--extra",
        action="append",
        default=[],
        choices=EXTRAS,
        help="also install an extra of setup.py, if that is possible",
    )
    options = parser.parse_args(arguments)
    here = options.here
    python = Path(sys.executable) if here else ROOT / ".venv" / "bin" / "python"
    try:
        environment = Environment(python, not here, ROOT / RECORDS / "setup.log", os.environ)
        set_up(environment, ROOT)
        for extra in options.extra:
            if reason := install_extra(environment, extra):
                print(f"setup: the extra {extra} cannot be installed: {reason}", flush=True)
    except SetupError as error:
        sys.stdout.flush()
        print(f"make setup: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        sys.stdout.flush()
        print(f"make setup: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make setup: interrupted; run make setup again to resume", file=sys.stderr)
        return 130
    return 0


def set_up(environment: Environment, root: Path) -> None:
    """Bring an environment up to date.

    Args:
        environment: the environment.
        root: the repository's root.

    Raises:
        SetupError: a step failed; the message says which, and why.
    """
    start = time.monotonic()
    records = root / RECORDS
    # Not resolved: the Pythons of two environments may be links to the same file.
    python = os.path.abspath(environment.python)
    stamp = records / f"{hashlib.sha256(python.encode()).hexdigest()[:16]}.json"
    if not is_current(stamp, environment, root):
        records.mkdir(exist_ok=True)
        with (records / "lock").open("w") as lock:
            _wait_for_turn(lock)
            if not is_current(stamp, environment, root):  # another set-up may have done it
                stamp.unlink(missing_ok=True)
                environment.log.unlink(missing_ok=True)
                with _empty_folder(records / "tmp") as temporary:
                    environment.environ["TMPDIR"] = str(temporary)
                    _install(environment, root, temporary)
                draft = stamp.with_suffix(".part")
                draft.write_text(json.dumps(_state(environment, root)), encoding="utf-8")
                draft.replace(stamp)
    print(f"setup: {environment.name()} is ready ({time.monotonic() - start:.1f} s)", flush=True)


def _install(environment: Environment, root: Path, temporary: Path) -> None:
    """Run all steps; each skips what is installed already."""
    if environment.is_ours:
        with step("a virtual environment in .venv"):
            environment.make()
    environment.require_pip()
    pins = read_lock()
    note = "the first time, a download of 3 GB and 7 GB of disk" if environment.is_ours else ""
    with step("torch and all other packages", note):
        install_tools(environment)
        lines = install_requirements(environment, ["--editable", f"{root}[test]"], pins)
    for line in lines:
        print(f"setup: {line}", flush=True)
    check_torch(environment)
    install_detectron2(environment, temporary / "detectron2")
    with suppress(OSError):  # an environment that cannot be written is as good without it
        (environment.prefix() / "focal_star_setup.json").write_text(
            json.dumps({"displaced": displaced(environment, pins)}), encoding="utf-8"
        )


def is_current(stamp: Path, environment: Environment, root: Path) -> bool:
    """Whether nothing changed since the last complete set-up of this environment."""
    try:
        return json.loads(stamp.read_text(encoding="utf-8")) == _state(environment, root)
    except (OSError, ValueError, SetupError):
        return False


def _state(environment: Environment, root: Path) -> dict[str, object]:
    """What a complete set-up depends on: the files that decide it, and what is installed."""
    digest = hashlib.sha256()
    files = [path for path in (root / "install").rglob("*") if path.suffix != ".pyc"]
    for path in [*sorted(files), root / "setup.py", root / "pyproject.toml"]:
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    # Places count beside versions: PYTHONPATH may lend a Detectron2, and an editable package may be
    # another checkout's.
    return {"files": digest.hexdigest()} | environment.look("detectron2", "focal_star")


def _wait_for_turn(lock: TextIO) -> None:
    """Wait until no other set-up of this checkout runs."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("setup: waiting for another set-up of this checkout to end", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


@contextmanager
def _empty_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder of a fixed name, so that what a killed set-up left (GB) is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
